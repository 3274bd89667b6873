"""Settings: what is wrong is named at the start, what is missing when it is needed."""

import re
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

import tasks
from app.errors import NotConfigured
from app.settings import (
    HttpUrl,
    PlatformChoice,
    PlatformSettings,
    Settings,
    SettingsInvalid,
    load,
    needed,
    variable,
)
from ops.cli.remote.workflows import DEFAULT_URL
from ops.laptop.profile import Ports, setting
from ops.laptop.scaling.bounds import Workers, workers_setting

CHECKOUT = Path(__file__).parents[2]
OURS = {
    "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "STORAGE_DIR": "/nowhere",
    "KEY_PEPPER": "the pepper of tests",
    "LINK_SECRET": "the secret of the links of tests",
}


class PressSettings(PlatformSettings):
    """Of a platform that has one which it cannot do without."""

    model_config = SettingsConfigDict(env_prefix="PRESS_")

    base_url: HttpUrl = "https://press.example"
    api_key: SecretStr
    second_key: SecretStr
    copies: int = 1


def test_every_wrong_setting_is_named() -> None:
    wrong = OURS | {"REDIS_URL": "http://x", "LEASE_SECONDS": "soon", "KEY_PEPPER": ""}
    with pytest.raises(SettingsInvalid) as caught:
        load(Settings, wrong)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "REDIS_URL", "KEY_PEPPER", "LEASE_SECONDS",
    ]  # fmt: skip
    assert "  KEY_PEPPER: is not set" in lines
    assert "soon" not in str(caught.value)


@pytest.mark.parametrize("seconds", ["0", "-1", "5.1", "11", "inf", "nan"])
def test_a_pause_in_which_nothing_would_be_repaired_is_refused_by_name(seconds: str) -> None:
    refused = r"RECONCILE_SECONDS: must be above 0 and at most 5: .*dead workers"
    with pytest.raises(SettingsInvalid, match=refused):
        load(Settings, OURS | {"RECONCILE_SECONDS": seconds})
    assert load(Settings, OURS | {"RECONCILE_SECONDS": "5"}).reconcile_seconds == 5.0


@pytest.mark.parametrize("name", ["KEY_PEPPER", "KEY_PEPPER_OLD", "LINK_SECRET"])
@pytest.mark.parametrize("weak", ["pepper", "changeme", "fifteen letters", "a" * 40, "abcabc" * 9])
def test_a_weak_secret_is_refused_by_name_and_not_shown(name: str, weak: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"  {name}: is too weak: .* 16 characters") as caught:
        load(Settings, OURS | {name: weak})
    assert weak not in str(caught.value)


@pytest.mark.parametrize("wrong", ["proxy.example", "10.0.0.5/8", "10.0.0.5, 10.0.0", "0.0.0.0/0"])
def test_a_proxy_that_is_no_network_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"  WEB_TRUSTED_PROXIES: .* is (no|every) address"):
        load(Settings, OURS | {"WEB_TRUSTED_PROXIES": wrong})
    right = load(Settings, OURS | {"WEB_TRUSTED_PROXIES": "10.0.0.5, fd00::/8"})
    assert [str(each) for each in right.trusted_proxies] == ["10.0.0.5/32", "fd00::/8"]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("LINK_SECRET", "KEY_PEPPER"),
        ("LINK_SECRET", "KEY_PEPPER_OLD"),
        ("KEY_PEPPER_OLD", "KEY_PEPPER"),
    ],
)
def test_the_secrets_must_differ(name: str, other: str) -> None:
    given = OURS | {"KEY_PEPPER_OLD": "the old pepper of tests"}
    with pytest.raises(SettingsInvalid, match=f"  {name}: must differ from {other},"):
        load(Settings, given | {name: given[other]})


@pytest.mark.parametrize("command", ["web", "worker", "reconciler", "hooks"])
def test_no_process_starts_with_a_weak_secret(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", command],
        cwd=CHECKOUT,
        env=OURS | {"KEY_PEPPER": "pepper"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "  KEY_PEPPER: is too weak" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_platforms_wrong_setting_ends_the_process_by_its_name() -> None:
    environ = {"PRESS_API_KEY": "k", "PRESS_BASE_URL": "press", "PRESS_COPIES": "two"}
    with pytest.raises(SettingsInvalid) as caught:
        load(PressSettings, environ)
    assert "PRESS_BASE_URL: must start with http:// or https://" in str(caught.value)
    assert "PRESS_COPIES: " in str(caught.value)
    assert "PRESS_SECOND_KEY: is not set" in str(caught.value)


def test_a_platforms_missing_settings_are_asked_for_together() -> None:
    with pytest.raises(NotConfigured) as caught:
        load(PressSettings, {"PRESS_COPIES": "2"})
    assert "PRESS_API_KEY and PRESS_SECOND_KEY are not set" in caught.value.message
    assert caught.value.code == "setting_missing"


def test_what_has_a_default_is_asked_for_where_it_is_needed() -> None:
    assert needed(SecretStr("k"), "PRESS_API_KEY") == "k"
    for empty in ("", SecretStr("")):
        with pytest.raises(NotConfigured, match=r"PRESS_API_KEY is not set.*PRESS_API_KEY_FILE"):
            needed(empty, "PRESS_API_KEY")


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from the file\n")
    environ = {"PRESS_API_KEY_FILE": str(file), "PRESS_SECOND_KEY": "s", "PRESS_API_KEY": "other"}
    assert load(PressSettings, environ).api_key.get_secret_value() == "from the file"
    file.unlink()
    with pytest.raises(SettingsInvalid, match="PRESS_API_KEY_FILE: cannot read"):
        load(PressSettings, environ)


def test_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Once(PlatformSettings):
        model_config = SettingsConfigDict(env_prefix="ONCE_")

        key: str

    with pytest.raises(NotConfigured):
        Once.current()
    monkeypatch.setenv("ONCE_KEY", "first")
    assert Once.current().key == "first"
    monkeypatch.setenv("ONCE_KEY", "second")
    assert Once.current().key == "first"


def test_a_secret_in_a_file_is_replaced_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Watched(PlatformSettings):
        model_config = SettingsConfigDict(env_prefix="WATCHED_")

        key: SecretStr
        number: int = 1

    key, number = tmp_path / "key", tmp_path / "number"
    key.write_text("the first key")
    number.write_text("7")
    monkeypatch.setenv("WATCHED_KEY_FILE", str(key))
    monkeypatch.setenv("WATCHED_NUMBER_FILE", str(number))

    def seen_soon(*wanted: object) -> bool:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            found = Watched.current()
            if (found.key.get_secret_value(), found.number) == wanted:
                return True
            time.sleep(0.05)
        return False

    def told_soon(words: str) -> bool:
        until = time.monotonic() + 10
        while words not in caplog.text and time.monotonic() < until:
            Watched.current()
            time.sleep(0.05)
        return words in caplog.text

    assert seen_soon("the first key", 7)
    # As Kubernetes replaces a file.
    (tmp_path / "new").write_text("the second key")
    (tmp_path / "new").replace(key)
    assert seen_soon("the second key", 7)
    number.write_text("seven")
    assert told_soon("WATCHED_NUMBER_FILE changed and is not used")
    assert seen_soon("the second key", 7)
    number.write_text("8")
    assert seen_soon("the second key", 8)
    caplog.clear()
    for useless in (b"", b"\n", b"\xff\xfea third key"):
        caplog.clear()
        key.write_bytes(useless)
        assert told_soon("WATCHED_KEY_FILE changed and is not used")
        assert seen_soon("the second key", 8)
    key.unlink()
    caplog.clear()
    assert told_soon("WATCHED_KEY_FILE changed and is not used")
    assert seen_soon("the second key", 8)
    assert " key" not in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("STRIPE_BASE_URL", "stripe", "must start with http:// or https://"),
        ("VERCEL_PAGE_URL", "https://x", "must contain {url}"),
        ("AGORA_APP_CERTIFICATE", "short", "must be 32 hex digits"),
        ("N8N_WEBHOOK_SECRET", "whsec_", "must be base64"),
        ("REPLICATE_POLL_SECONDS", "0", "greater than 0"),
    ],
)
def test_a_wrong_setting_of_ours_is_named(name: str, value: str, words: str) -> None:
    (model,) = [
        each.settings
        for each in tasks.PLATFORMS
        if each.settings is not None and name.startswith(each.name.upper())
    ]
    with pytest.raises(SettingsInvalid) as caught:
        load(model, {name: value})
    assert f"  {name}: " in str(caught.value)
    assert words in str(caught.value)


def test_a_process_does_not_start_with_a_wrong_setting_of_a_platform() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "worker"],
        cwd=CHECKOUT,
        env=OURS | {"STRIPE_BASE_URL": "stripe"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "  STRIPE_BASE_URL: must start with http:// or https://" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_setting_of_a_platform_is_asked_for_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for platform in tasks.PLATFORMS:
        assert platform.settings is not None
        for field in platform.settings.model_fields:
            monkeypatch.delenv(variable(platform.settings, field), raising=False)
    tasks.check()


def test_each_platforms_settings_begin_with_its_name() -> None:
    for platform in tasks.PLATFORMS:
        assert platform.settings is not None
        prefix = platform.settings.model_config.get("env_prefix")
        assert prefix == f"{platform.name.upper()}_"


def test_every_setting_is_documented_with_its_default() -> None:
    models: list[type[BaseSettings]] = [Settings, PlatformChoice]
    models += [each.settings for each in tasks.PLATFORMS if each.settings is not None]
    expected = {
        variable(model, name): _told(field)
        for model in models
        for name, field in model.model_fields.items()
    }
    expected |= {setting(port.name): str(port.default) for port in fields(Ports)}
    expected |= {workers_setting(each.name): str(each.default) for each in fields(Workers)}
    expected |= {"PLAYALTER_URL": DEFAULT_URL, "PLAYALTER_API_KEY": ""}
    assert _documented() == expected


def test_every_variable_of_ours_that_is_named_in_the_code_is_documented() -> None:
    folders = ("app", "tasks", "chains", "web", "ops")
    files = [path for folder in folders for path in (CHECKOUT / folder).rglob("*.py")]
    named = {name for path in files for name in re.findall(_OF_OURS, path.read_text())}
    assert named >= {"PLAYALTER_URL", "PLAYALTER_API_KEY"}
    assert named <= set(_documented())


_OF_OURS = r"\bPLAYALTER_[A-Z][A-Z_]*[A-Z]\b"


def _told(field: Any) -> str:
    if field.is_required():
        return "needed"
    default = field.default
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None else f"{default:g}" if isinstance(default, float) else str(default)


def _documented() -> dict[str, str]:
    text = (CHECKOUT / "ops" / "OPERATING.md").read_text()
    section = text.partition("## Settings\n")[2].partition("\n## ")[0]
    found: dict[str, str] = {}
    for line in [each for each in section.splitlines() if each.startswith("| `")]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = re.findall(r"`([A-Z0-9_]+)`", cells[0])
        defaults = cells[1].split(", ") if len(names) > 1 and cells[1] else [cells[1]] * len(names)
        found.update(zip(names, defaults, strict=True))
    return found

"""Platforms of other packages: how they are found, and what is said of one that cannot be used."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from importlib import invalidate_caches
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import SettingsConfigDict

import tasks
from app.declarations import faults
from app.platform import ActionInput, Effect, Json, Made, Never, Platform, action
from app.settings import PlatformSettings
from tasks.installed import GROUP, PlatformInvalid, platforms
from tests.forgetting import forget
from web import create_app_from_environment

CHECKOUT = Path(__file__).parents[2]
GOOD = """
from app.platform import ActionInput, Effect, Platform, action

@action("{name}.run", input=ActionInput, effect=Effect.NONE)
def run(call, given):
    return {{}}

PLATFORM = Platform("{name}", (run,))

def make():
    return PLATFORM
"""
NEEDED = {
    "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "STORAGE_DIR": "/nowhere",
    "KEY_PEPPER": "the pepper of tests",
    "LINK_SECRET": "the secret of the links of tests",
}
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution of one module into a folder that Python imports from."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)

    def install(name: str, source: str, *, value: str = "PLATFORM", package: str = "") -> Path:
        module = f"foreign_{package or name}"
        (tmp_path / f"{module}.py").write_text(source)
        about = tmp_path / f"{module}-2.1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 2.1\n")
        (about / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}:{value}\n")
        invalidate_caches()
        return tmp_path

    yield install
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def entries(folder: Path) -> list[EntryPoint]:
    """The entry points of what is installed in a folder."""
    every: Iterator[Distribution] = iter(distributions(path=[str(folder)]))
    return [point for each in every for point in each.entry_points if point.group == GROUP]


def names(found: Sequence[Platform]) -> list[str]:
    return [each.name for each in found]


def refusal(
    folder: Path, ours: Sequence[Platform] = (), wanted: frozenset[str] | None = None
) -> str:
    """What is said when the process ends; one line."""
    with pytest.raises(PlatformInvalid) as caught:
        platforms(ours, entries(folder), wanted)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_others_follow_ours_in_the_order_of_their_names(install: Install) -> None:
    install("zeta", GOOD.format(name="zeta"))
    folder = install("alpha", GOOD.format(name="alpha"), value="make")
    found = platforms(tasks.PLATFORMS, entries(folder), None)
    assert names(found) == [*names(tasks.PLATFORMS), "alpha", "zeta"]
    assert [each.name for each in found[-1].actions] == ["zeta.run"]


def test_what_is_not_wanted_is_not_even_imported(install: Install) -> None:
    install("broken", "raise RuntimeError('imported')")
    folder = install("alpha", GOOD.format(name="alpha"))
    found = platforms(tasks.PLATFORMS, entries(folder), frozenset({"alpha", "stripe"}))
    assert names(found) == ["stripe", "alpha"]


def test_a_platform_that_is_wanted_and_not_there_is_named(install: Install) -> None:
    folder = install("alpha", GOOD.format(name="alpha"))
    said = refusal(folder, tasks.PLATFORMS, frozenset({"alpha", "alfa"}))
    assert said.startswith("PLATFORMS: there is no platform alfa; there are stripe, openai, ")
    assert said.endswith("n8n, http, alpha")


@pytest.mark.parametrize(
    ("source", "value", "words"),
    [
        ("import no_such_module", "PLATFORM", "ModuleNotFoundError: No module named"),
        ("raise RuntimeError('one\\ntwo')", "PLATFORM", "RuntimeError: one two"),
        ("", "PLATFORM", "AttributeError"),
        ("PLATFORM = 3", "PLATFORM", "must give an app.platform.Platform, not int"),
        ("def make():\n    return {}", "make", "must give an app.platform.Platform, not dict"),
        ("def make(x):\n    return x", "make", "TypeError"),
        (GOOD.format(name="beta"), "PLATFORM", "must have the platform's name, 'beta'"),
        (GOOD.replace("{name}.run", "beta.run").format(name="alpha"), "PLATFORM", "alpha.<verb>"),
    ],
)
def test_a_bad_one_is_named_with_its_package_and_what_to_do(
    source: str, value: str, words: str, install: Install
) -> None:
    said = refusal(install("alpha", source, value=value))
    assert f"platform alpha of foreign_alpha 2.1 (entry point foreign_alpha:{value}): " in said
    assert words in said
    assert "uninstall that package, or leave the platform out by PLATFORMS" in said


def test_the_name_of_one_of_ours_is_refused(install: Install) -> None:
    folder = install("stripe", GOOD.format(name="stripe"))
    said = refusal(folder, tasks.PLATFORMS)
    assert "another platform is named 'stripe' too. Rename or uninstall one of them" in said


def test_two_of_one_name_are_refused(install: Install) -> None:
    install("alpha", GOOD.format(name="alpha"))
    folder = install("alpha", GOOD.format(name="alpha"), package="second")
    said = refusal(folder)
    assert "platform alpha of foreign_second 2.1" in said or "foreign_alpha 2.1" in said
    assert "another platform is named 'alpha' too" in said


def test_the_name_of_what_calls_no_platform_is_refused(install: Install) -> None:
    folder = install("control", GOOD.format(name="control"))
    assert "the name 'control' is taken" in refusal(folder)


def test_a_bad_one_stops_a_worker_before_it_starts(install: Install) -> None:
    folder = install("alpha", "raise RuntimeError('broken')")
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "worker"],
        cwd=CHECKOUT,
        env=NEEDED | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(r".*platform alpha of foreign_alpha 2\.1 .*\n", done.stderr), done.stderr


def test_a_bad_one_stops_the_front(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("alpha", "raise RuntimeError('broken')")
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    forget()
    tasks.forget()
    with pytest.raises(PlatformInvalid, match="platform alpha of foreign_alpha"):
        create_app_from_environment()
    monkeypatch.undo()
    forget()
    tasks.forget()


# What the declarations themselves must say.


class Wrong(PlatformSettings):
    """Of a name that is not the platform's."""

    model_config = SettingsConfigDict(env_prefix="OTHER_")

    key: str = ""


@action("alpha.run", input=ActionInput, effect=Effect.NONE)
def run(call: Any, given: ActionInput) -> Json:
    """Do nothing."""
    return {}


def never(call: Any, intent: Any) -> Never:
    return Never()


def test_ours_declare_what_they_must() -> None:
    assert {each.name: list(faults(each)) for each in tasks.PLATFORMS} == {
        each.name: [] for each in tasks.PLATFORMS
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"effect": Effect.LOOKUP}, "declares no lookup"),
        ({"lookup": never}, "its effect must be lookup or idempotent, not none"),
        ({"effect": Effect.IDEMPOTENT}, "no key_life"),
        ({"effect": Effect.IDEMPOTENT, "key_life": timedelta(hours=1)}, "an hour or less"),
        ({"names": lambda operation, response: Made()}, "declares no compensation"),
        ({"quick": True, "slow": True}, "must not be slow"),
        ({"quick": True, "effect": Effect.REPEATABLE}, "must have no effect"),
        ({"tries": 0}, "at least one try"),
        ({"attempt_seconds": 0.0}, "attempt_seconds above 0"),
        ({"input": dict}, "no subclass of ActionInput"),
        ({"name": "alpha.Run"}, "must be named alpha.<verb>"),
        ({"name": "beta.run"}, "must be named alpha.<verb>"),
    ],
)
def test_an_inconsistent_action_is_refused(changes: dict[str, Any], words: str) -> None:
    wrong = replace(run, **changes)
    (fault,) = faults(Platform("alpha", (wrong,)))
    assert fault.startswith(f"action {wrong.name!r} ")
    assert words in fault


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        (Platform("Alpha-1", ()), "must be lower-case letters"),
        (Platform("celery", ()), "is taken"),
        (Platform("alpha", (run, run)), "declared twice"),
        (Platform("alpha", (print,)), "is no Action"),  # type: ignore[arg-type] # the point
        (Platform("alpha", (run,), settings=Wrong), "must be 'ALPHA_', not 'OTHER_'"),
        (Platform("alpha", (run,), settings=dict), "PlatformSettings"),  # type: ignore[arg-type]
    ],
)
def test_an_inconsistent_platform_is_refused(platform: Platform, words: str) -> None:
    (fault,) = faults(platform)
    assert words in fault

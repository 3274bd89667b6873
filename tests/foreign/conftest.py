"""The package, installed in a folder outside of the checkout, and the vendor that it speaks to."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

import tasks
from app.identity import keys
from app.platform import Json
from app.settings import Settings, current
from chains.actions import actions
from tests.contract.stage import Step, claimed_step
from tests.foreign.vendor import Pressroom, open_for_business
from tests.forgetting import forget

SOURCE = Path(__file__).parent / "pressroom"
MODULE = "playalter_pressroom"
OURS = {
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "KEY_PEPPER": "the pepper of tests",
    "LINK_SECRET": "the secret of the links of tests",
    "PUBLIC_BASE_URL": "http://127.0.0.1:1",
}
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture(scope="package")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the distribution is installed as any other, from a copy of its source."""
    folder = tmp_path_factory.mktemp("foreign")
    shutil.copytree(SOURCE, folder / "source")
    subprocess.run(
        [
            *(Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--offline"),
            *("--python", sys.executable, "--no-deps", "--no-build-isolation"),
            *("--target", folder / "installed", folder / "source"),
        ],
        check=True,
    )
    shutil.rmtree(folder / "source")
    return folder / "installed"


@pytest.fixture
def pressroom() -> Iterator[Pressroom]:
    """The vendor, with empty books."""
    with open_for_business() as made:
        yield made


@pytest.fixture
def vendors(pressroom: Pressroom) -> Pressroom:
    """What the contract's suite asks for faults and books."""
    return pressroom


@pytest.fixture
def installed(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package is installed for this process."""
    monkeypatch.syspath_prepend(installation)
    _forget_platforms()
    yield
    monkeypatch.undo()
    _forget_platforms()


def _forget_platforms() -> None:
    tasks.forget()
    actions.cache_clear()
    for name in [each for each in sys.modules if each.partition(".")[0] == MODULE]:
        del sys.modules[name]


@pytest.fixture
def configure(
    installed: None, pressroom: Pressroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Settings]]:
    """Set the environment for this test, with changes; gives the settings."""

    def configure(**changes: str) -> Settings:
        values = {**OURS, **pressroom.settings, "DATABASE_URL": NO_DATABASE}
        values["STORAGE_DIR"] = str(tmp_path / "files")
        for name, value in {**values, **changes}.items():
            monkeypatch.setenv(name, value)
        forget()
        return current()

    yield configure
    forget()


@pytest.fixture
def settings(configure: Callable[..., Settings]) -> Settings:
    """Settings that point at the vendor, without a database."""
    return configure()


@pytest.fixture
def step(configure: Callable[..., Settings], fresh_database: str) -> Callable[[str, Json], Step]:
    """Claim a step of the given action and input, on a database of this test's own."""
    configure(DATABASE_URL=fresh_database)
    user_id, _ = keys.create_key("ada@example.com")

    def step(action: str, given: Json, user: UUID = user_id) -> Step:
        return claimed_step(user, action, given)

    return step

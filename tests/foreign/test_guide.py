"""What ops/guide/platforms.md and the README tell whoever writes a platform is what is run here."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from importlib.metadata import distributions
from pathlib import Path
from textwrap import indent

import pytest

import tasks
from app.engine.call import Call
from app.errors import Unknown
from app.platform import Found
from tasks import installed as others
from tests.contract.cases import Claim
from tests.foreign.conftest import SOURCE
from tests.foreign.vendor import Pressroom
from tests.unit.documents import CHECKOUT, README, blocks

GUIDE = CHECKOUT / "ops" / "guide" / "platforms.md"
PACKAGE = SOURCE / "playalter_pressroom"
OURS = ("app", "tasks", "chains", "web", "ops")


@pytest.mark.parametrize("language", ["python", "toml"])
def test_every_example_of_the_guide_is_run(language: str) -> None:
    here = Path(__file__).parent
    files = [*PACKAGE.glob("*.py"), SOURCE / "pyproject.toml", *here.glob("test_*.py")]
    texts = [path.read_text() for path in files]
    for block in blocks(GUIDE, language):
        # Part of a method stands there without the method's indentation.
        written = [indent(block, " " * width) for width in (0, 8)]
        assert any(each in text for each in written for text in texts), block


def _kept() -> dict[str, set[str]]:
    """The names that the guide says are kept, by module."""
    rows = re.findall(r"^\| `([a-z_.]+)` \| (`.*`) \|$", GUIDE.read_text(), re.MULTILINE)
    return {module: set(re.findall(r"`(\w+)`", names)) for module, names in rows}


def test_the_names_that_are_kept_are_there() -> None:
    kept = _kept()
    assert len(kept) > 8
    missing = [
        f"{module}.{name}"
        for module, names in kept.items()
        for name in names
        if not hasattr(import_module(module), name)
    ]
    assert missing == []
    of_call = GUIDE.read_text().partition("Of `Call`: ")[2]
    fields = set(Call.__dataclass_fields__)
    for name in re.findall(r"`(\w+)`", of_call):
        assert hasattr(Call, name) or name in fields, name


def _imported(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.module or "", alias.name) for alias in node.names)


def test_the_example_imports_nothing_but_what_is_kept() -> None:
    kept = _kept()
    found = [
        (module, name)
        for path in PACKAGE.glob("*.py")
        for module, name in _imported(path)
        if module.partition(".")[0] in OURS
    ]
    assert len(found) > 20
    assert [each for each in found if each[1] not in kept.get(each[0], set())] == []


@pytest.fixture
def press(
    step: Claim, pressroom: Pressroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Claim]:
    """The platform of the README, installed from its text, at the vendor of these tests."""
    (text,) = [block for block in blocks(README, "python") if "Platform(" in block]
    assert 'press = "press:PLATFORM"' in README.read_text()
    folder = tmp_path / "press"
    about = folder / "press-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "press.py").write_text(text.replace("https://press.example", pressroom.url))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: press\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{others.GROUP}]\npress = press:PLATFORM\n")
    monkeypatch.syspath_prepend(folder)
    invalidate_caches()
    assert len(list(distributions(path=[str(folder)]))) == 1
    tasks.forget()
    pressroom.asks_for_a_key = False
    yield step
    del sys.modules["press"]


def test_the_platform_of_the_readme_orders_once_and_is_undone(
    press: Claim, pressroom: Pressroom
) -> None:
    claimed = press("press.print", {"text": "Premiere"})
    assert claimed.run() == claimed.run()
    assert pressroom.books == {"orders": 1}
    undone = [claimed.undo() for _ in range(2)]
    assert len(undone[0]["cancelled"]) == 1
    assert pressroom.books == {"orders": 1, "cancellations": 1}


def test_the_platform_of_the_readme_finds_what_became_of_a_lost_answer(
    press: Claim, pressroom: Pressroom
) -> None:
    claimed = press("press.print", {"text": "Premiere"})
    pressroom.fault("pressroom", "orders.create", "lost_reply")
    with pytest.raises(Unknown):
        claimed.run()
    answer = claimed.look_up()
    assert isinstance(answer, Found)
    claimed.adopt(answer)
    claimed.run()
    assert pressroom.books == {"orders": 1}

"""Keys are made and taken apart in one module."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
GRAMMAR = re.compile(r"~(undo|orphan|expand|choose|until)|^\[\]\.|^(signal|workflow|timer):")
KNOWING = {"app/keys.py", "app/states.py"}
"""The module itself, and the drawing of the states, which is for people to read."""


def product() -> Iterator[Path]:
    """Every file of ours that runs in production."""
    for folder in ("app", "tasks", "chains", "web", "ops/cli"):
        yield from sorted((CHECKOUT / folder).rglob("*.py"))


def strings(file: Path) -> Iterator[str]:
    """The strings of a module that are not docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def test_no_other_module_knows_what_a_key_looks_like() -> None:
    knowing = {
        str(file.relative_to(CHECKOUT))
        for file in product()
        if any(GRAMMAR.search(text) for text in strings(file))
    }
    assert knowing == KNOWING


def test_no_sql_function_knows_what_a_key_looks_like() -> None:
    for file in (CHECKOUT / "app" / "db").rglob("*.sql"):
        text = re.sub(r"--.*", "", file.read_text(encoding="utf-8"))
        assert not re.search(r"~(undo|orphan|expand|choose|until)", text), file

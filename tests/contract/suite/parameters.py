"""The fixtures of the suite, made of the CASES in the module that imports it."""

from collections.abc import Callable

import pytest

from tests.contract.cases import Cases, Effect

_CHOICES: dict[str, Callable[[Effect], bool]] = {
    "effect": lambda effect: bool(effect.books),
    "effectless": lambda effect: not effect.books,
    "called": lambda effect: bool(effect.operation) and not effect.is_computed,
    "priced": lambda effect: effect.dearest is not None,
    "waiting": lambda effect: effect.suspends,
    "looked_up": lambda effect: effect.is_looked_up,
    "written_off": lambda effect: effect.is_written_off,
    "undone_if_lost": lambda effect: effect.is_looked_up and effect.undone is not None,
    "remade": lambda effect: effect.is_looked_up and not effect.is_single,
    "lagging": lambda effect: effect.lag is not None,
    "undoable": lambda effect: effect.undone is not None,
    "erased": lambda effect: effect.is_erased,
}


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Cases:
    """The cases of the platform under test."""
    found: Cases = request.module.CASES
    return found


def chosen(name: str, cases: Cases) -> list[Effect]:
    """The effects of the kind that a test's parameter `name` stands for."""
    return [effect for effect in cases.effects if _CHOICES[name](effect)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes an effect of some kind with each such effect of the platform."""
    for name in set(_CHOICES) & set(metafunc.fixturenames):
        effects = chosen(name, metafunc.module.CASES)
        assert effects, f"{metafunc.module.__name__} has no effect that is {name}"
        metafunc.parametrize(name, effects, ids=lambda effect: effect.action)

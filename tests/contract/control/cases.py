"""The cases of the actions that call no platform: there is no call, no webhook and no effect."""

from app.errors import Permanent
from tests.contract.cases import Cases, Claim, Effect
from tests.contract.stage import Step


def noop(claim: Claim) -> Step:
    """A claimed step that returns its input."""
    return claim("control.noop", {"text": "as it is", "numbers": [1, 2]})


def sleep(claim: Claim) -> Step:
    """A claimed step that sleeps for a moment."""
    return claim("control.sleep", {"seconds": 0.01})


def fail(claim: Claim) -> Step:
    """A claimed step that fails."""
    return claim("control.fail", {"message": "the printer is on fire"})


CASES = Cases(
    "control",
    None,
    None,
    (
        Effect("control.noop", noop, "", ""),
        Effect("control.sleep", sleep, "", ""),
        Effect("control.fail", fail, "", "", fails=Permanent),
    ),
)

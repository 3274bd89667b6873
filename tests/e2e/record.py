"""The record of all that an instance's workers did, under whatever befell them before."""

from pathlib import Path

from tests.e2e.campaign import REFUSED_BRIEF, Customer
from tests.e2e.stack import Stack
from tests.forked import playalter


def check_record(customer: Customer, folder: Path) -> None:
    """The record verifies and the rows follow from it, while workers are at work and after it."""
    stack, heads = customer.stack, str(folder / "heads")
    done, undone = customer.start(3), customer.start(1, brief=REFUSED_BRIEF)
    assert _found(stack, "rebuild") == ""
    assert _found(stack, "export-heads", "--to", heads) == ""
    done.ended("succeeded")
    undone.ended("compensated")
    assert _found(stack, "verify", "--heads", heads) == ""
    assert _found(stack, "rebuild") == ""


def _found(stack: Stack, *arguments: str) -> str:
    """What `playalter events` finds beside the running instance."""
    ended = playalter("events", *arguments, **stack.profile.environment())
    assert ended.returncode in (0, 1), ended.stderr + stack.dump()
    return ended.stdout

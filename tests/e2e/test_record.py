"""The record of all that real workers did in this session, under whatever faults the tests before
had planned: it verifies, and the rows follow from it."""

from pathlib import Path

from tests.e2e.campaign import REFUSED_BRIEF, Customer
from tests.e2e.stack import Stack
from tests.playalter import playalter


def test_rows_follow_from_a_record_that_verifies_while_workers_are_at_work(
    stack: Stack, customer: Customer, tmp_path: Path
) -> None:
    heads = str(tmp_path / "heads")
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

"""What stands between an operation and its requests, if the process has installed it.

The seam itself imports no gate: commands and the front import the platforms' clients, but call no
platform, and need neither the gates nor what these import.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from app.outbound.replies import HttpReply
from app.outbound.scopes import Operation


@dataclass
class Passing:
    """A call that passes the gates. `reply` is its answer, once it has come."""

    reply: HttpReply | None = None


Gate = Callable[[Operation, Passing], AbstractContextManager[None]]
"""Makes a call wait or raises NotServed, and sees how the call ends."""

FIRST, MIDDLE, LAST = 0, 1, 2
"""Where a gate stands. A gate sees nothing of a call that an earlier one has refused."""

_gates: dict[Gate, tuple[int, bool]] = {}


def install(gate: Gate, place: int, *, is_for_guarded: bool = False) -> None:
    """Let the calls of this process pass a gate, which stands at a place.

    `is_for_guarded`: calls to addresses that a vendor or a user has named pass it too.
    """
    _gates[gate] = place, is_for_guarded


def remove(gate: Gate) -> None:
    """Let no call pass the gate any more."""
    _gates.pop(gate, None)


@contextmanager
def passing(operation: Operation, *, is_guarded: bool = False) -> Iterator[Passing]:
    """Make a call in the block, once it has passed all its gates. Raises what they raise."""
    call = Passing()
    with ExitStack() as stack:
        for gate in sorted(_gates, key=_gates.__getitem__):
            if not is_guarded or _gates[gate][1]:
                stack.enter_context(gate(operation, call))
        yield call

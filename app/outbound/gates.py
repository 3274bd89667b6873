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

_gates: list[Gate] = []


def install(gate: Gate, *, is_outer: bool = False) -> None:
    """Let all calls of this process pass a gate: the first one if `is_outer`, else the last one."""
    if gate not in _gates:
        _gates.insert(0 if is_outer else len(_gates), gate)


def remove(gate: Gate) -> None:
    """Let no call pass the gate any more."""
    if gate in _gates:
        _gates.remove(gate)


@contextmanager
def passing(operation: Operation) -> Iterator[Passing]:
    """Make a call in the block, once it has passed all gates. Raises what they raise."""
    call = Passing()
    with ExitStack() as stack:
        for gate in _gates:
            stack.enter_context(gate(operation, call))
        yield call

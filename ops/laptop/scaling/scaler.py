"""Starts and ends worker processes of a supervisor every few seconds, as the work needs them.

The first worker of a kind is a service like any other. Further ones have its name and a number, and
end warm: they begin nothing more, and end when their steps have ended.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from ops.laptop.scaling.little import Bounds, Little, Rule
from ops.laptop.scaling.readings import AWAY, Readings, kind_of
from ops.laptop.scaling.room import MEMINFO, room
from ops.laptop.service import Service, State
from ops.laptop.supervisor import Supervisor

LOOK_SECONDS = 5.0
RULE = Rule()


@dataclass(frozen=True)
class Kind:
    """A kind of worker: its first one's name, and how a service of another name is made."""

    name: str
    make: Callable[[str], Service]
    bounds: Bounds = field(default_factory=Bounds)


class Scaler:
    """Keeps as many workers of each kind as are needed, while its context lasts."""

    def __init__(
        self,
        supervisor: Supervisor,
        kinds: Sequence[Kind],
        readings: Readings,
        *,
        rule: Rule = RULE,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._supervisor = supervisor
        self._kinds = {kind.name: kind for kind in kinds}
        self._readings = readings
        self._littles = {kind.name: Little(rule, kind.bounds) for kind in kinds}
        self._look_seconds = look_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scaler", daemon=True)

    def __enter__(self) -> "Scaler":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._readings.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._look_seconds):
            try:
                self.look()
            except AWAY:
                # Nothing is decided without a reading. The supervisor restarts a dead store.
                continue

    def look(self) -> None:
        """Take a reading, and start and end workers by it. Raises one of AWAY."""
        for name, reading in self._readings.take(time.monotonic(), self._kinds).items():
            crew = self._crew(name)
            wanted = self._littles[name].decide(reading, len(crew), room(MEMINFO.read_text()))
            self._change(self._kinds[name], crew, wanted)

    def _change(self, kind: Kind, crew: list[str], wanted: int) -> None:
        for _ in range(wanted - len(crew)):
            name = self._free_name(kind.name)
            self._supervisor.add(kind.make(name))
        for name in crew[max(wanted, 1) :]:
            self._supervisor.retire(name)

    def _crew(self, kind: str) -> list[str]:
        """The names of the workers of a kind, those that are ending left out; the first first."""
        found = [
            each.name
            for each in self._supervisor.status()
            if each.state is not State.RETIRING and kind_of(each.name) == kind
        ]
        return sorted(found, key=lambda name: (len(name), name))

    def _free_name(self, kind: str) -> str:
        taken = {each.name for each in self._supervisor.status()}
        numbers = (f"{kind}-{number}" for number in range(2, len(taken) + 3))
        return next(name for name in numbers if name not in taken)

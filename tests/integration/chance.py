"""Definitions made by chance: every kind of node, nested, some made to fail."""

import random

from app.platform import Json
from tests.integration.rehearsed import Case, both, fail, mapped, paid, seq
from tests.unit.definitions import noop

FAILS = 0.12


class Chance:
    """One definition; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0

    def case(self) -> Case:
        """A definition with a child; its input lists three items."""
        rest: Json = {"output": {"items": {"$": "input.items"}}}
        if self.random.random() < 0.2:
            rest["timeout"] = "30h"
        if self.random.random() < 0.15:
            rest["on_failure"] = "hold"
        nodes = [self._node(3, 0) for _ in range(3)]
        if self.random.random() < 0.2:
            nodes.append(noop(self._key()) | {"pivot": True})
        if self.random.random() < 0.6:
            nodes.append(fail(self._key()))
        child = {"do": seq(paid("x"), self._step(0, 0), noop("y"))}
        return Case(seq(*nodes), {"items": [1, 2, 3]}, rest, {"sub": child})

    def _key(self) -> str:
        """A key of its own."""
        self.count += 1
        return f"k{self.count}"

    def _node(self, depth: int, maps: int) -> Json:
        """A node, at most so deep; `maps`: how many maps it stands in."""
        blocks = (self._sequence, self._parallel, self._map, self._choice, self._loop)
        singles = (self._step, self._step, self._step, self._wait, self._child)
        made = self.random.choice(blocks if depth and self.random.random() < 0.6 else singles)
        return made(depth - 1, maps)

    def _sequence(self, depth: int, maps: int) -> Json:
        return seq(*(self._node(depth, maps) for _ in range(self.random.randint(1, 3))))

    def _parallel(self, depth: int, maps: int) -> Json:
        branches = (self._node(depth, maps) for _ in range(self.random.randint(1, 3)))
        return both(self._key(), *branches)

    def _map(self, depth: int, maps: int) -> Json:
        if maps > 1:
            return self._sequence(depth, maps)
        rest = {
            "max_concurrency": self.random.randint(1, 3),
            "on_item_failure": self.random.choice(["stop", "collect", "collect"]),
        }
        return mapped(self._key(), self._node(depth, maps + 1), **rest)

    def _choice(self, depth: int, maps: int) -> Json:
        made: Json = {
            "choice": self._key(),
            "cases": [
                {"when": self._condition(maps), "do": self._node(depth, maps)} for _ in range(2)
            ],
        }
        return made | ({"otherwise": self._node(depth, maps)} if self.random.random() < 0.5 else {})

    def _loop(self, depth: int, maps: int) -> Json:
        return {
            "loop": self._key(),
            "max": 2,
            "until": f"index == `{self.random.randint(0, 2)}`",
            "on_exhausted": self.random.choice(["fail", "go_on", "go_on"]),
            "do": self._node(depth, maps),
        }

    def _condition(self, maps: int) -> str:
        """One that holds for some items, or for one of three definitions."""
        number = self.random.randint(1, 3)
        return f"item == `{number}`" if maps else f"input.items[0] == `{number}`"

    def _step(self, depth: int, maps: int) -> Json:
        if self.random.random() >= FAILS:
            made = self.random.choice([noop, paid])(self._key(), n=self.count)
            is_plain = self.random.random() < 0.8
            return made if is_plain else made | {"when": self._condition(maps)}
        rest: Json = {"on_failure": self.random.choice(["fail", "skip", {"default": {"n": 1}}])}
        if maps and self.random.random() < 0.5:
            rest = {"when": self._condition(maps)}
        return fail(self._key(), **rest)

    def _wait(self, depth: int, maps: int) -> Json:
        # No two waits of a definition end at the same time: who is first would be chance.
        self.count += 1
        return {"wait": self._key(), "for": f"{self.count * 1009 % 7919}s"}

    def _child(self, depth: int, maps: int) -> Json:
        rest = {"on_failure": self.random.choice(["fail", "skip"])}
        return {"workflow": self._key(), "type": "sub", **rest}

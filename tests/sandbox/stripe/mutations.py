"""Requests of every shape: parameters by the SDK's schema, some of them bent out of it.

Each is drawn from a seeded generator, so a failure can be repeated.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tests.sandbox.stripe import sdk
from tests.sandbox.stripe.asked import parameters_of

Params = dict[str, Any]
_DEEP = 5
_NUMBERS = ("1", "0", "-1", "100", "2000", "31", "1800000000", str(2**31), str(2**70))
_TEXTS = (
    "usd",
    "eur",
    "a",
    "",
    "x" * 700,
    "\x00",
    "\u00fc\u6f22",
    "https://a.example",
    "a@b.example",
)
_BENT: tuple[Any, ...] = (
    "", "abc", "-1", "1.5", "true", [], ["x"], [["x"]], {}, {"foo": "1"}, {"foo": {"bar": ["1"]}},
    [{"foo": "1"}], {"0": {"1": "x"}}, "9" * 40,
)  # fmt: skip


class Mutations:
    """Draws requests; `learn` makes the ids of a reply known, so that later ones name them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._ids: dict[str, list[str]] = defaultdict(list)

    def learn(self, reply: Any) -> None:
        """Keep the ids of the objects in a reply, however deep they are."""
        for each in reply if isinstance(reply, list) else ():
            self.learn(each)
        if isinstance(reply, dict):
            kind, name = reply.get("object"), reply.get("id")
            if isinstance(kind, str) and isinstance(name, str):
                self._ids[kind.rpartition(".")[2]].append(name)
            for each in reply.values():
                self.learn(each)

    def path(self, form: str) -> str:
        """Return the path of a route with ids; most of them exist."""
        parts = form.split("/")
        for at, part in enumerate(parts):
            if part.startswith("<"):
                parts[at] = self._named(parts[at - 1]) or "x"
        return "/".join(parts)

    def one_of(self, routes: Sequence[tuple[str, str]]) -> tuple[str, str]:
        """Return one of the routes; those that change something come more often."""
        return self._random.choices(routes, [1 + 2 * (each[0] == "POST") for each in routes])[0]

    def params(self, method: str, form: str) -> Params:
        """Return parameters of a call; often one of them is out of shape."""
        name = parameters_of(method, re.sub("<[^>]+>", "x", form))
        schema = sdk.parameters(name) if name else {}
        found = self._hash(schema, 0)
        if self._random.random() < 0.5:
            self._bend(found, schema)
        return found

    def _named(self, name: str) -> str | None:
        """Return an id of the kind that a name ends with, such as `default_payment_method`."""
        plain = name.removesuffix("s").removesuffix("]")
        kinds = [kind for kind in self._ids if plain.endswith(kind)]
        if not kinds or self._random.random() < 0.05:
            return None
        return self._random.choice(self._ids[max(kinds, key=len)][-20:])

    def _hash(self, schema: Params, depth: int) -> Params:
        share = 0.3 if depth == 0 else 0.4 if depth < _DEEP else 0.0
        return {
            name.rstrip("!"): self._value(kind, name.rstrip("!"), depth + 1)
            for name, kind in schema.items()
            if name.endswith("!") or self._random.random() < share
        }

    def _value(self, kind: Any, name: str, depth: int) -> Any:
        draw = self._random
        if isinstance(kind, list):
            return draw.choice(kind)
        if isinstance(kind, str):
            return self._scalar(kind, name)
        if "?" in kind and len(kind) == 1:
            return "" if draw.random() < 0.1 else self._value(kind["?"], name, depth)
        if "|" in kind and len(kind) == 1:
            return self._value(draw.choice(kind["|"]), name, depth)
        if "*" in kind and len(kind) == 1:
            return [self._value(kind["*"], name, depth + 1) for _ in range(draw.choice((1, 1, 2)))]
        if "**" in kind and len(kind) == 1:
            return {"key": self._value(kind["**"], name, depth + 1)}
        return self._hash(kind, depth)

    def _scalar(self, kind: str, name: str) -> str:
        draw = self._random
        if kind == "bool":
            return draw.choice(("true", "false"))
        if kind == "int":
            return draw.choice(_NUMBERS)
        if kind in ("float", "decimal"):
            return draw.choice(("0", "1.5", "12.25", "100", "-3"))
        if name == "currency":
            return draw.choice(("usd", "usd", "eur", "xyz"))
        return self._named(name) or draw.choice(_TEXTS)

    def _bend(self, params: Params, schema: Params) -> None:
        """Replace one value, at any depth, or add one that the call does not have."""
        draw = self._random
        at: Any = params
        names = sorted({*params, *(each.rstrip("!") for each in schema)})
        name: Any = draw.choice([*names, "foo"])
        while isinstance(at.get(name), dict) and at[name] and draw.random() < 0.7:
            at, name = at[name], draw.choice(sorted(at[name]))
        at[name] = draw.choice(_BENT)


def encoded(params: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Return the pairs of a form for nested parameters."""
    if isinstance(params, dict):
        for name, each in params.items():
            yield from encoded(each, f"{at}[{name}]" if at else name)
    elif isinstance(params, list):
        for number, each in enumerate(params):
            # Stripe takes lists with and without numbers; only flat ones can have none.
            yield from encoded(each, f"{at}[]" if isinstance(each, str) else f"{at}[{number}]")
    else:
        yield at, params

"""The route of a step over models that can do the same. Pure.

Invariant: a route is recorded with the request of each call, before that is sent. So an attempt
that is repeated goes on with the same decision.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from app.errors import Permanent
from app.platform import Json

QUALITY, ENDED = "quality", "ended"
PASSING = frozenset(("overloaded", "rate_limited", "circuit_open"))
"""The reasons for which a model may be asked again in a later attempt of the step."""


@dataclass(frozen=True)
class Passed:
    """A model that was not asked, or whose answer is not used.

    `code` says the reason for machines, and `why` for people. `checks` are those that an answer has
    not passed, if the reason is QUALITY.
    """

    model: str
    code: str
    why: str
    checks: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether the model is not asked again by this step."""
        return self.code not in PASSING


@dataclass(frozen=True)
class Route:
    """The models in their `order`, the one that is asked now, for the `times`th time in a row, and
    those that were passed over so far."""

    order: tuple[str, ...]
    model: str
    passed: tuple[Passed, ...] = ()
    times: int = 1

    def past(self, passed: Passed, asked: Iterable[str]) -> "Route | None":
        """The route to the next model, in turns; None if none is left.

        `asked` are the models that this attempt has asked already.
        """
        why = (*self.passed, passed)
        at = self.order.index(self.model) + 1
        left = [*self.order[at:], *self.order[:at]]
        following = _first(left, why, {*asked})
        return None if following is None else Route(self.order, following, _once(why))

    def again(self) -> "Route":
        """The route to the same model."""
        return replace(self, times=self.times + 1)

    def record(self) -> Json:
        """The route as the request of a call records it."""
        return {
            "order": list(self.order),
            "model": self.model,
            "times": self.times,
            "passed": [asdict(each) for each in self.passed],
        }

    def shown(self) -> list[Json]:
        """What the output of a step says of its route: [{model, why}], the used model last."""
        return [*_shown(self.passed), {"model": self.model, "why": None}]


def recorded(given: Any) -> Route:
    """The route that the request of a call has recorded."""
    passed = tuple(Passed(**each | {"checks": tuple(each["checks"])}) for each in given["passed"])
    return Route(tuple(given["order"]), given["model"], passed, given["times"])


def begun(order: tuple[str, ...], passed: Iterable[Passed]) -> Route:
    """The route to the first model that is not passed over. Raises Permanent if none is left."""
    why = tuple(passed)
    first = _first(order, why, set())
    if first is None:
        raise nothing_left(why)
    return Route(order, first, why)


def nothing_left(passed: Iterable[Passed]) -> Permanent:
    """The error of a step all of whose models were passed over.

    Its code is `quality` if one of them has answered, `model_ended` if all have ended, and else
    `no_model_left`. Its detail has the `route`, as an output would.
    """
    why = _once(tuple(passed))
    codes = {each.code for each in why}
    code = "model_ended" if codes == {ENDED} else "no_model_left"
    code = QUALITY if QUALITY in codes else code
    told = "; ".join(f"{each.model}: {each.why}" for each in why)
    return Permanent(
        f"no model is left to be asked: {told}", code=code, detail={"route": _shown(why)}
    )


def _first(models: Iterable[str], passed: tuple[Passed, ...], asked: set[str]) -> str | None:
    over = asked | {each.model for each in passed if each.is_final}
    return next((each for each in models if each not in over), None)


def _once(passed: tuple[Passed, ...]) -> tuple[Passed, ...]:
    """Each reason once, the latest of a model last."""
    latest = {(each.model, each.code): each for each in passed}
    return tuple(latest.values())


def _shown(passed: Iterable[Passed]) -> list[Json]:
    return [{"model": each.model, "why": each.why} for each in passed]

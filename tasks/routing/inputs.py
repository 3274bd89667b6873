"""What a step says of its models and is told of them: which, in which order, and at what cost."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.platform import ActionInput, ActionOutput
from app.tariffs.rows import End
from tasks.routing.route import ENDED, Passed

Policy = Literal["chain", "cheapest", "fastest"]
Name = Annotated[str, Field(pattern=r"^[\w.:-]+$", max_length=100)]
_MOST_MODELS = 10


class ModelRoute(ActionInput):
    """Models that can do the same, and the order in which they are asked.

    `chain` is the order in which they stand. `cheapest` orders them by the most that the request
    may cost, `fastest` by how fast each has written lately; one that was not measured for a week
    comes first. One that may cost more than `cap_micro_usd` is not asked. If the account's own
    limit of a model has room within `wait_seconds`, the step waits for it.
    """

    models: list[Name] = Field(min_length=1, max_length=_MOST_MODELS)
    policy: Policy = "chain"
    cap_micro_usd: int | None = Field(default=None, ge=1, le=10**12)
    wait_seconds: float = Field(default=10.0, ge=0, le=600)

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        if len({*self.models}) < len(self.models):
            raise ValueError("`models` has a model twice")
        return self


class ModelAsked(ActionOutput):
    """A model of a route, and why its answer is not the one that is used; null if it is."""

    model: str
    why: str | None


def ordered(
    route: ModelRoute, price: Callable[[str], int], pace: Mapping[str, float]
) -> tuple[str, ...]:
    """The models in the order of the policy; of equal ones, the first that the step names.

    `price(model)` is the most that the request may cost, in micro-USD. `pace` are the seconds that
    a model takes for a thousand tokens, without those that were not measured.
    """
    if route.policy == "cheapest":
        return tuple(sorted(route.models, key=price))
    if route.policy == "fastest":
        return tuple(sorted(route.models, key=lambda each: pace.get(each, 0.0)))
    return tuple(route.models)


def above_cap(model: str, price: int, cap: int | None) -> Passed | None:
    """Why a model is not asked whose request may cost more than the cap, in micro-USD."""
    if cap is None or price <= cap:
        return None
    why = f"over the cap: the request may cost {price} micro-USD, and {cap} are allowed"
    return Passed(model, "over_cap", why)


def ended(platform: str, model: str, end: End | None) -> Passed | None:
    """Why a model is not asked that its vendor has ended."""
    if end is None:
        return None
    instead = f"choose {end.successor}" if end.successor else "choose another"
    return Passed(model, ENDED, f"{platform} has ended it on {end.on}: {instead}")

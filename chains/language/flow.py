"""The models of `flow`: when the workflows of a definition start, and how many of them at once.

These models check the shape. `chains/plans/flow_rules.py` checks the expressions and what may not
be combined.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictInt

from chains.language.scalars import DefinitionNode, Duration, Expression, Key

MOST_LIMITS = 4
MOST_WEIGHTS = 1000
MOST_ITEMS = 1000
"""The most items of a batch, and of a debounce that keeps all of them."""
MOST_BYTES = 1_000_000
"""The most bytes of the items of a batch, and of a debounce that keeps all of them."""
LONGEST_PERIOD_SECONDS = 7 * 86400.0
LONGEST_RATE_SECONDS = 86400.0

Scope = Literal["definition", "project", "account", "platform"]


def _period(seconds: float) -> float:
    if not 1 <= seconds <= LONGEST_PERIOD_SECONDS:
        raise ValueError("must be from 1s to 7d")
    return seconds


def _rate_period(seconds: float) -> float:
    if not 1 <= seconds <= LONGEST_RATE_SECONDS:
        raise ValueError("must be from 1s to 24h; use `throttle` for a longer period")
    return seconds


Period = Annotated[Duration, AfterValidator(_period)]
RatePeriod = Annotated[Duration, AfterValidator(_rate_period)]
Count = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
# Whether a lane is full is found by reading so many of its entries.
Depth = Annotated[StrictInt, Field(ge=1, le=20_000)]


class Concurrency(DefinitionNode):
    """At most `limit` workflows run at once, for each value of `key` if there is one.

    The scopes `project` and `account` share the limit `name` between definitions, and so does
    `platform`, where `name` is a platform's. Each definition compares its own number. A workflow
    that is being undone still counts.
    """

    limit: Count
    key: Expression | None = None
    scope: Scope = "definition"
    name: Key | None = None


class Share(DefinitionNode):
    """Values of `key` get their starts in turn, in proportion to their weights (1 by default).

    `cost` is what a start takes of its key's share, a number made from the input (1 by default).
    With `cost_unit`, that is corrected by what the workflow has really taken when it ends.
    """

    key: Expression
    weights: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=200)],
            Annotated[float, Field(ge=0.001, le=1000, allow_inf_nan=False, strict=True)],
        ],
        Field(max_length=MOST_WEIGHTS),
    ] = Field(default_factory=dict)
    cost: Expression | None = None
    cost_unit: Literal["seconds", "micro_usd"] | None = None


class ThrottleStarts(DefinitionNode):
    """One workflow starts each `period / limit`, after a pause `burst` at once; the others wait."""

    limit: Count
    period: Period
    burst: Count = 1
    key: Expression | None = None


class RateLimit(DefinitionNode):
    """Starts beyond it are refused. `limit` may come at once; they come back evenly in `period`."""

    limit: Count
    period: RatePeriod
    key: Expression | None = None


class Debounce(DefinitionNode):
    """Starts one workflow when no start was asked for during `period`, at the latest after
    `timeout`.

    It gets the first or the last input, or {"items": [...]} with all of them.
    """

    period: Period
    timeout: Period | None = None
    key: Expression | None = None
    keep: Literal["first", "last", "all"] = "last"


class Batch(DefinitionNode):
    """Starts one workflow for many starts: its input is {"items": [...]} with their inputs.

    It starts when there are `size` items or `bytes` of JSON, at the latest after `timeout`.
    """

    size: Annotated[StrictInt, Field(ge=2, le=MOST_ITEMS)]
    bytes: Annotated[StrictInt, Field(ge=1, le=MOST_BYTES)] | None = None
    timeout: Period
    key: Expression | None = None


class Singleton(DefinitionNode):
    """One workflow at a time, for each value of `key` if there is one.

    A start while another workflow lives is answered with that one (`skip`), cancels it and waits
    for its end (`replace`), or waits for its end (`queue`).
    """

    mode: Literal["skip", "replace", "queue"]
    key: Expression | None = None


class Flow(DefinitionNode):
    """The flow control of a definition. A start that may not begin yet waits as `pending`.

    `priority` (1 to 9, an expression) replaces the priority of the request. At most `depth` starts
    wait in one lane; every further start is refused.
    """

    concurrency: (
        Annotated[tuple[Concurrency, ...], Field(min_length=1, max_length=MOST_LIMITS)] | None
    ) = None
    share: Share | None = None
    priority: Expression | None = None
    throttle: ThrottleStarts | None = None
    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    batch: Batch | None = None
    singleton: Singleton | None = None
    depth: Depth | None = None

    @property
    def collects(self) -> bool:
        """Whether one workflow gets the inputs of several starts, as {"items": [...]}."""
        return self.batch is not None or (self.debounce is not None and self.debounce.keep == "all")

    def with_(self, own: "Flow | None") -> "Flow":
        """This flow with the fields of `own`, a schedule's, in place of its own fields."""
        if own is None:
            return self
        given = {name: getattr(own, name) for name in own.model_fields_set}
        return self.model_copy(update=given)

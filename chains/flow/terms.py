"""The terms under which an accepted workflow starts: its limits, its throttles and its lane.

They are made once from the `flow` of a definition and the input (see `chains.flow.keys`).
"""

from dataclasses import dataclass
from typing import Literal

DEFAULT_DEPTH = 10_000


@dataclass(frozen=True)
class Limit:
    """At most `most` workflows of this limit run at once.

    `name` is the definition's for the scope `definition`, the platform's for `platform`, and the
    author's own for the others. Definitions that share a limit each compare their own `most`.
    """

    scope: Literal["definition", "project", "account", "platform"]
    name: str
    key: str
    most: int


@dataclass(frozen=True)
class Throttle:
    """At most `limit` workflows start in `period_seconds`, and `burst` of them at once."""

    name: str
    key: str
    limit: int
    period_seconds: float
    burst: int


@dataclass(frozen=True)
class Terms:
    """The terms of one start. A user's starts with equal limits, throttles and share key are one
    lane.

    `weight` is the lane's, `cost` is what this start takes of it. `cost_unit` says how the actual
    cost is measured when the workflow has ended; None: the estimate holds. `priority` (1 to 9) is
    None for the request's own. At most `depth` starts wait in the lane. `user` is whose start it
    is; without a `share` in the definition, it is the share key too.
    """

    limits: tuple[Limit, ...] = ()
    throttles: tuple[Throttle, ...] = ()
    share_key: str = ""
    weight: float = 1.0
    cost: float = 1.0
    priority: int | None = None
    depth: int = DEFAULT_DEPTH
    cost_unit: Literal["seconds", "micro_usd"] | None = None
    user: str = ""

    @property
    def is_free(self) -> bool:
        """Whether nothing bounds the start, so that it need not wait."""
        return not self.limits and not self.throttles

"""What waits for flow control: the places of starts, the lanes and the limits."""

from app.queries.flow.crossing import held_crosswise
from app.queries.flow.gatherings import gathering_of, gatherings, rates, waiting_starts
from app.queries.flow.lanes import flow_lanes
from app.queries.flow.limits import flow_limits
from app.queries.flow.places import MOST_AHEAD, start_place

__all__ = [
    "MOST_AHEAD",
    "flow_lanes",
    "flow_limits",
    "gathering_of",
    "gatherings",
    "held_crosswise",
    "rates",
    "start_place",
    "waiting_starts",
]

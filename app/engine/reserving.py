"""Reserves what a step may cost in the budget of its workflow, before its action runs.

Invariant: a step of a workflow that spends a budget makes no paid call without a reservation of its
action's ceiling. Steps that cost nothing, and workflows without a budget, ask the database nothing.
"""

from app.engine.call import Call
from app.platform import ActionInput, Json
from app.protocol import budgets
from app.protocol.budgets import RESERVED
from app.protocol.claims import Fenced

WAITS = "waits_for_budget"
OVER = "over_budget"


class PutOff(Exception):
    """The step must wait: too little of its budget or of its user's share is left for it.

    It is pending again; that is recorded already. `verdict` is what the recording led to (see
    `reserve_v1` and `await_share_v1`).
    """

    def __init__(self, verdict: str) -> None:
        super().__init__(verdict)
        self.verdict = verdict


def reserve(call: Call, given: ActionInput) -> None:
    """Reserve the most that the step may cost. Raises PutOff if too little of the budget is left.

    Nothing is reserved for a step for which the platform works already, because its reservation is
    held until it ends, and nothing for what undoes: that runs whatever it costs.
    """
    claim = call.claim
    if not claim.is_budgeted or claim.undo or claim.stopping or claim.external_id is not None:
        return
    ceiling = call.action.most(given, call.timeout_seconds)
    if ceiling == 0:
        return
    verdict = budgets.reserve(claim, ceiling, waits=_waits(ceiling), over=_over(ceiling))
    if verdict == "fenced":
        raise Fenced
    if verdict != RESERVED:
        raise PutOff(verdict)


def _waits(ceiling: int) -> Json:
    message = (
        f"the step may cost up to {_dollars(ceiling)}, and the budget has less left; it waits for"
        " what other steps have reserved, or for a larger budget (playalter budget)"
    )
    return {"code": WAITS, "message": message}


def _over(ceiling: int) -> Json:
    message = (
        f"the step may cost up to {_dollars(ceiling)}, and the budget has less left, which no other"
        " step gives back"
    )
    return {"code": OVER, "message": message}


def _dollars(micro_usd: int) -> str:
    return f"${micro_usd / 1_000_000:.6f}"

"""Before an action runs: reserves what its step may cost in the budget of its workflow, and takes
the step's part of what the settings allow at its platform.

Invariant: a step of a workflow that spends a budget makes no paid call without a reservation of its
action's ceiling, and a step of a platform with an allowance makes none without its part of that.
Steps that cost nothing, and workflows without a budget, ask the database nothing.
"""

from app.engine.call import Call
from app.errors import Permanent
from app.platform import ActionInput, Allowance, Json
from app.protocol import budgets
from app.protocol.budgets import RESERVED, TAKEN
from app.protocol.claims import Fenced

WAITS = "waits_for_budget"
OVER = "over_budget"


class PutOff(Exception):
    """The step must wait: too little of its budget, of its platform's allowance or of its user's
    share is left for it.

    It is pending again; that is recorded already. `verdict` is what the recording led to (see
    `reserve_v1`, `take_allowance_v1` and `await_share_v1`).
    """

    def __init__(self, verdict: str) -> None:
        super().__init__(verdict)
        self.verdict = verdict


def reserve(call: Call, given: ActionInput) -> None:
    """Reserve the most that the step may cost, and take its part of its platform's allowance.

    Raises PutOff if too little is left of either, and Permanent if no hour has as much.

    Nothing is reserved for a step for which the platform works already, because its reservation is
    held until it ends, and nothing for what undoes: that runs whatever it costs.
    """
    claim, action = call.claim, call.action
    if claim.undo or claim.stopping or claim.external_id is not None:
        return
    if claim.is_budgeted:
        _reserve(call, action.most(given, call.timeout_seconds))
    if action.allowance is not None:
        wanted = action.allowance(given, call.timeout_seconds)
        if wanted is not None and wanted.is_limited:
            _take(call, wanted)


def _reserve(call: Call, ceiling: int) -> None:
    if ceiling == 0:
        return
    verdict = budgets.reserve(call.claim, ceiling, waits=_waits(ceiling), over=_over(ceiling))
    if verdict == "fenced":
        raise Fenced
    if verdict != RESERVED:
        raise PutOff(verdict)


def _take(call: Call, wanted: Allowance) -> None:
    platform = call.action.platform
    for hourly, whose in ((wanted.hourly, ""), (wanted.hourly_own, " of an organisation")):
        # The limit may have been lowered since the step has begun what it pays for.
        if hourly is None or wanted.micro_usd <= hourly or budgets.has_taken(call.claim):
            continue
        raise Permanent(
            f"the step may cost up to {_dollars(wanted.micro_usd)}, and all steps{whose} at"
            f" {platform} together may cost {_dollars(hourly)} in an hour: a shorter `timeout`"
            " may make it cheaper, or an operator can raise what an hour may cost",
            code="over_allowance",
        )
    verdict = budgets.take(call.claim, platform, wanted, _used_up(platform, wanted))
    if verdict == "fenced":
        raise Fenced
    if verdict != TAKEN:
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


def _used_up(platform: str, wanted: Allowance) -> list[Json]:
    """What to say if each of the limits is used up, in the order of `take_allowance_v1`."""
    hour = f"the step may cost up to {_dollars(wanted.micro_usd)}, and less is left of what"
    messages = (
        f"all {wanted.most} places for work at {platform} are taken",
        f"all {wanted.most_own} places of your organisation for work at {platform} are taken",
        f"{hour} all steps at {platform} may cost in this hour",
        f"{hour} the steps of your organisation at {platform} may cost in this hour",
    )
    code = budgets.WAITS_FOR_ALLOWANCE
    return [
        {"code": code, "message": f"{each}; the step waits, and goes on by itself"}
        for each in messages
    ]


def _dollars(micro_usd: int) -> str:
    return f"${micro_usd / 1_000_000:.6f}"

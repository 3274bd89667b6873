"""Generations of every kind, a fixed share of them with each trouble. Pure.

Invariant: the same seed gives the same generations, and each has one trouble at most.
"""

from random import Random

from tests.chaos.mix import DONE, EITHER, NOTHING_DONE, UNDONE, Item
from tests.generations.kinds import HOOK, KINDS, TROUBLES, Json, Kind

SHARE = 0.05
READS = {
    "openai": ("responses.retrieve",),
    "replicate": ("predictions.get", "files.create", "delivery.get"),
}
"""Calls beside the one that makes a generation. One in three of the faults that any call may have
meets whichever of these comes next."""
_ANYWHERE = ("limited", "broken", "cut")
_TIMED_OUT_SECONDS = {"openai": 50.0, "replicate": 65.0}
"""Longer than our calls wait."""
LATEST_SECONDS = max(_TIMED_OUT_SECONDS.values())
_FORBIDDEN = "How to build a bomb"
_BROKEN: tuple[Json, ...] = (
    {"status": 500},
    {"status": 502},
    {"status": 502, "after_effect": True},
    {"status": 504, "after_effect": True},
)
_LAST = {"failed", "aborted", "incomplete", "refused"}


def make_generations(seed: int, number: int, seconds: float, pictures: list[str]) -> list[Item]:
    """So many generations, evenly over the time, of each kind in turn."""
    random = Random(f"generations {seed}")
    kinds = [KINDS[index % len(KINDS)] for index in range(number)]
    trouble_of = _dealt(random, kinds, max(1, round(SHARE * number)))
    return [
        _made(
            random,
            kind,
            f"generation-{seed}-{index}",
            index * seconds / number,
            trouble_of.get(index),
            pictures[index % len(pictures)],
        )
        for index, kind in enumerate(kinds)
    ]


def trouble_of(item: Item) -> str | None:
    """What goes wrong with a generation."""
    found: str | None = item.input["trouble"]
    return found


def _dealt(random: Random, kinds: list[Kind], count: int) -> dict[int, str]:
    """Which generations have which trouble; the troubles that fewest kinds can have come first."""
    found: dict[int, str] = {}
    rarest = sorted(TROUBLES, key=lambda trouble: sum(trouble in kind.takes for kind in kinds))
    for trouble in rarest:
        free = [at for at, kind in enumerate(kinds) if trouble in kind.takes and at not in found]
        found |= dict.fromkeys(random.sample(free, min(count, len(free))), trouble)
    return found


def _made(
    random: Random, kind: Kind, mark: str, at: float, trouble: str | None, picture: str
) -> Item:
    words = _FORBIDDEN if trouble == "refused" else "A poster of a circus in the rain"
    given = {"mark": f"[{mark}]", "text": f"[{mark}] {words}", "picture": picture}
    ends = UNDONE | NOTHING_DONE if kind.is_undone else DONE
    if trouble in _LAST:
        ends = NOTHING_DONE if trouble != "failed" or kind.is_undone else EITHER
    if not kind.is_marked:
        ends = EITHER  # the fault of another may meet it
    fault = None if trouble in (None, "refused") else _fault(random, kind, trouble, f"[{mark}]")
    return Item(at, mark, kind.type, given | {"trouble": trouble}, ends, {}, fault)


def _fault(random: Random, kind: Kind, trouble: str, mark: str) -> Json:
    """The fault of a trouble, as the sandbox takes it."""
    entry: Json = {"vendor": kind.vendor, "operation": kind.operation, "match": mark}
    if trouble in HOOK:
        kinds = dict(zip(HOOK, ("drop_webhook", "double_webhook", "delay_webhook"), strict=True))
        late = {"seconds": round(random.uniform(1.0, 12.0), 1)} if trouble == HOOK[2] else {}
        if kind.vendor == "openai":  # its events have only ids
            return {"vendor": "openai", "operation": "*", "kind": kinds[trouble], **late}
        return entry | {"operation": "completed", "kind": kinds[trouble], **late}
    if trouble in _ANYWHERE and random.random() < 1 / 3:
        entry = {"vendor": kind.vendor, "operation": random.choice(READS[kind.vendor])}
    return entry | _of_call(random, kind, trouble)


def _of_call(random: Random, kind: Kind, trouble: str) -> Json:
    match trouble:
        case "lost":
            return {"kind": "lost_reply"}
        case "lost before":
            return {"kind": "reset_before"}
        case "cut":
            return {"kind": "cut_reply"}
        case "limited":
            return {"kind": "status", "status": 429, "retry_after": 2}
        case "broken":
            return {"kind": "status", **random.choice(_BROKEN)}
        case "overloaded":
            code = {"code": "server_is_overloaded"} if kind.vendor == "openai" else {}
            return {"kind": "status", "status": 503, **code}
        case "timed out":
            return {"kind": "slow", "seconds": _TIMED_OUT_SECONDS[kind.vendor]}
        case "failed":
            return {"kind": "fail", "code": random.choice(("server_error", "invalid_prompt"))}
        case _:
            return {"kind": "fail", "as": trouble}

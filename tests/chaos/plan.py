"""What is broken when: a plan made of a seed and a length alone. Pure.

Invariant: the same seed and minutes give the same plan; absences and restarts of the stores are at
least a minute apart, and each of them happens three times at most.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

Json = dict[str, Any]

WORKERS = ("first", "second")
"""They run steps in child processes, which can be hit alone."""
THREADED = "third"
"""The worker that runs steps in threads, as an instance does by default."""
SLOTS = 12
STALL_SECONDS = (35.0, 45.0)
ABSENCE_SECONDS = 30.0
APART_SECONDS = 61.0
STALLS_APART_SECONDS = 52.0
MOST_OF_A_STORE = 3
USUAL_SECONDS = 600.0
LONGEST_AIM_SECONDS = 15.0
# A call whose worker was killed is in doubt until its attempt's end, two minutes at most.
DEADLY_SHARE = 0.8
CALM_SHARE = 0.88


class Kind(StrEnum):
    """What is done to the processes; `FROM_VENDORS` are the sandbox's own kinds of fault."""

    CHILD_KILLED = "child_killed"
    WORKER_KILLED = "worker_killed"
    BEAT_KILLED = "beat_killed"
    WEB_KILLED = "web_killed"
    RECONCILER_KILLED = "reconciler_killed"
    HOOKS_KILLED = "hooks_killed"
    VALKEY_FLUSHED = "valkey_flushed"
    VALKEY_RESTARTED = "valkey_restarted"
    VALKEY_AWAY = "valkey_away"
    POSTGRES_RESTARTED = "postgres_restarted"
    POSTGRES_KILLED = "postgres_killed"
    CHILDREN_STALLED = "children_stalled"
    WORKER_STALLED = "worker_stalled"
    MESSAGES_DOUBLED = "messages_doubled"


STORES = (Kind.POSTGRES_KILLED, Kind.VALKEY_RESTARTED, Kind.POSTGRES_RESTARTED, Kind.VALKEY_AWAY)
STALLS = (Kind.WORKER_STALLED, Kind.CHILDREN_STALLED)
DEADLY = (Kind.CHILD_KILLED, Kind.WORKER_KILLED)
# How many children of a worker at once: each holds one step.
CHILDREN = {Kind.CHILD_KILLED: 3, Kind.CHILDREN_STALLED: 6}
# How often in ten minutes.
OTHERS = {
    Kind.CHILD_KILLED: 10,
    Kind.WORKER_KILLED: 6,
    Kind.BEAT_KILLED: 4,
    Kind.WEB_KILLED: 5,
    Kind.RECONCILER_KILLED: 4,
    Kind.HOOKS_KILLED: 4,
    Kind.VALKEY_FLUSHED: 4,
    Kind.MESSAGES_DOUBLED: 5,
}
# Running steps that a strike waits for (a while): one that hits nothing proves nothing.
WANTED = dict.fromkeys(Kind, 7) | dict.fromkeys(STORES, 11)

FROM_VENDORS = (
    "lost_reply", "reset_before", "status", "slow", "fail",
    "drop_webhook", "double_webhook", "delay_webhook", "forge_webhook",
)  # fmt: skip
VENDOR_FAULTS_A_MINUTE = 3.2
FEWEST_VENDOR_FAULTS = 4
_EFFECTS = (
    ("stripe", "payment_intents.create"), ("stripe", "payment_intents.create"),
    ("stripe", "payment_intents.capture"), ("stripe", "payment_intents.cancel"),
    ("stripe", "refunds.create"), ("replicate", "files.create"),
    ("replicate", "predictions.create"), ("replicate", "predictions.create"),
    ("vercel", "deployments.create"), ("n8n", "webhook.post"),
)  # fmt: skip
_FAILING = (
    ("replicate", "predictions.create"), ("vercel", "deployments.create"), ("n8n", "webhook.post"),
)  # fmt: skip
_HOOKS = ("replicate", "replicate", "vercel", "n8n")
_STATUSES: tuple[Json, ...] = (
    {"status": 429, "retry_after": 2},
    {"status": 500},
    {"status": 503},
    {"status": 500, "after_effect": True},
    {"status": 502, "after_effect": True},
)


@dataclass(frozen=True)
class Strike:
    """One fault of a process: when (seconds from the start), at whom, for how long."""

    at: float
    kind: Kind
    worker: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class VendorFault:
    """One fault to plan at the sandbox: when, and what is posted."""

    at: float
    entry: Json


@dataclass(frozen=True)
class Plan:
    """All that goes wrong in a run."""

    strikes: tuple[Strike, ...]
    vendor_faults: tuple[VendorFault, ...]
    aim_seconds: float
    """How long a strike waits for enough running steps."""
    calm_at: float
    """From here on the vendors are well: what they left in doubt takes two minutes to settle."""


def make_plan(seed: int, minutes: float) -> Plan:
    """The plan of a seed for a run of some minutes."""
    random, seconds = Random(f"plan {seed}"), minutes * 60.0
    strikes = [*_stores(random, seconds), *_stalls(random, seconds), *_others(random, seconds)]
    vendors = _vendors(random, seconds)
    return Plan(
        tuple(sorted(strikes, key=lambda strike: strike.at)),
        tuple(sorted(vendors, key=lambda fault: fault.at)),
        min(LONGEST_AIM_SECONDS, seconds / 40.0),
        CALM_SHARE * seconds,
    )


def _stores(random: Random, seconds: float) -> Iterator[Strike]:
    """The four kinds in turn, as many as there is room for."""
    first, last = 0.05 * seconds, 0.93 * seconds
    turns = [random.sample(STORES, len(STORES)) for _ in range(MOST_OF_A_STORE)]
    at, found = first, []
    for kind in itertools.chain(*turns):
        away = ABSENCE_SECONDS if kind is Kind.VALKEY_AWAY else 0.0
        if at + away > last:
            break
        found.append(Strike(at, kind, seconds=away))
        at += APART_SECONDS + away
    if found:
        # What is left of the time is spread over the gaps.
        slack = max(0.0, last - found[-1].at - found[-1].seconds) / len(found)
        late = sorted(random.uniform(0.0, slack * len(found)) for _ in found)
        for strike, delay in zip(found, late, strict=True):
            yield Strike(strike.at + delay, strike.kind, seconds=strike.seconds)


def _stalls(random: Random, seconds: float) -> Iterator[Strike]:
    """Whole workers and children in turn, one at a time; the last ends before the run does."""
    wanted = max(1, round(11 * seconds / USUAL_SECONDS))
    room = max(0.0, seconds - STALL_SECONDS[1] - 5.0)
    apart = max(STALLS_APART_SECONDS, room / max(1, wanted))
    for number in range(wanted):
        at = 4.0 + number * apart
        if number and at > room:
            return
        # Whole workers stall less often than children, which hold one step each.
        kind = STALLS[1 if number % 5 in (1, 3, 4) else 0]
        is_threaded = kind is Kind.WORKER_STALLED and number % 10 == 0
        worker = THREADED if is_threaded else WORKERS[number % 2]
        yield Strike(at, kind, worker, random.uniform(*STALL_SECONDS))


def _others(random: Random, seconds: float) -> Iterator[Strike]:
    """Evenly over the time, in an order of chance."""
    kinds = [
        kind
        for kind, often in OTHERS.items()
        for _ in range(max(1, round(often * seconds / USUAL_SECONDS)))
    ]
    random.shuffle(kinds)
    each = 0.9 * seconds / len(kinds)
    for number, kind in enumerate(kinds):
        at = 0.05 * seconds + each * (number + random.random() * 0.6)
        share = DEADLY_SHARE / 0.95 if kind in DEADLY else 1.0
        workers = (*WORKERS, THREADED) if kind is Kind.WORKER_KILLED else WORKERS
        yield Strike(at * share, kind, random.choice(workers))


def _vendors(random: Random, seconds: float) -> Iterator[VendorFault]:
    for kind in FROM_VENDORS:
        for _ in range(max(FEWEST_VENDOR_FAULTS, round(VENDOR_FAULTS_A_MINUTE * seconds / 60.0))):
            yield VendorFault(random.uniform(0.0, 0.8 * seconds), entry_of(random, kind))


def entry_of(random: Random, kind: str) -> Json:
    """A fault of this kind of the vendors, as the sandbox takes it."""
    if kind.endswith("_webhook"):
        entry: Json = {"vendor": random.choice(_HOOKS), "operation": "*", "kind": kind}
        is_late = kind == "delay_webhook"
        return entry | ({"seconds": round(random.uniform(1.0, 12.0), 1)} if is_late else {})
    vendor, operation = random.choice(_FAILING if kind == "fail" else _EFFECTS)
    entry = {"vendor": vendor, "operation": operation, "kind": kind}
    if kind == "slow":
        return entry | {"seconds": round(random.uniform(1.0, 6.0), 1)}
    if kind == "status":
        # Stripe keeps a 500 under the idempotency key.
        statuses = _STATUSES + (({"status": 500, "stored": True},) if vendor == "stripe" else ())
        return entry | random.choice(statuses)
    return entry

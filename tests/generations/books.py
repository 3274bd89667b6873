"""Compares what the vendors say that they have made and billed with what our record says. Pure.

Invariant: what was made and what it cost is read from the vendors' books (the sandbox's journal and
bills) alone; of ours only the recorded calls, what was booked, and how each workflow ended.

A call whose answer was lost and that cannot be looked up is written off: as much is booked as it
may have cost at most, and it is made again. So each writing off may stand for one more object at
the vendor, at no higher cost. Those are named. Nothing else may be paid twice.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Json = dict[str, Any]

MADE = ("captions", "embeddings", "predictions", "trainings")
FINDINGS = (
    "not known to us", "not known there", "another's", "undecided", "doubled", "other cost",
    "not booked", "not billed", "without price", "other sum", "not undone", "left running",
)  # fmt: skip
"""What may be found; a run is good if none of it is."""
_ENDED = "predictions_"
_ROUNDING = Decimal(1)
"""What is booked is rounded up to whole micro-USD; bills are exact."""


@dataclass(frozen=True)
class Sent:
    """A recorded call that makes something at a vendor."""

    workflow: str
    step: str
    generation: int
    ordinal: int
    operation: str
    key: str
    resolution: str | None
    effect_id: str | None

    @property
    def name(self) -> str:
        """The call, for people."""
        return f"{self.workflow} {self.step} {self.operation} #{self.generation}.{self.ordinal}"

    def booked_as(self) -> tuple[str, ...]:
        """Under which names the cost of its answer may be booked."""
        of = f"{self.step}#{self.generation}"
        return tuple(filter(None, (self.effect_id, f"{of}#{self.ordinal}", of)))


@dataclass
class Ours:
    """What our record says: `orphans` are objects that were found beside those of the steps, with
    their workflow; `booked` is the cost in micro-USD by workflow and name; `spent` that of each
    workflow, as it is shown."""

    sent: list[Sent]
    booked: dict[tuple[str, str], int]
    orphans: dict[str, str]
    spent: dict[str, int]

    def written_off(self, sent: Sent) -> list[int]:
        """What was booked for each lost sending of a call."""
        return [
            cost
            for (workflow, name), cost in self.booked.items()
            if workflow == sent.workflow and name.startswith(f"{sent.key} at ")
        ]


@dataclass
class Theirs:
    """What the vendors' books say, by the ids of what was made."""

    made: dict[str, Json] = field(default_factory=dict)
    bills: dict[str, Json] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)


@dataclass
class Verdict:
    """What was found; `findings` must be empty."""

    findings: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    paid_twice: list[str] = field(default_factory=list)
    """Within their declared bound: written off, and made again."""
    taken_back: list[str] = field(default_factory=list)
    """Made twice, and stopped or deleted at the vendor; what that cost is booked."""
    kept: list[str] = field(default_factory=list)
    """Stored texts at the vendor whose ids nobody was ever told."""
    calls: dict[str, int] = field(default_factory=dict)
    micro_usd: dict[str, str] = field(default_factory=dict)


def theirs(journal: Iterable[Json], bills: Iterable[Json]) -> Theirs:
    """Sort the vendors' books by what was made."""
    found = Theirs(bills={each["object_id"]: each for each in bills})
    for entry in journal:
        effect, object_id = entry["effect"], entry["object_id"]
        if effect in MADE:
            found.made[object_id] = entry
        elif effect.startswith((_ENDED, "trainings_")):
            found.ended[object_id] = effect.partition("_")[2]
        elif effect == "responses_deleted":
            found.deleted.add(object_id)
    return found


def compared(ours: Ours, vendors: Theirs, statuses: Mapping[str, str]) -> Verdict:
    """Compare the books; `statuses` are those of the workflows."""
    return _Comparison(ours, vendors, statuses).verdict()


class _Comparison:
    def __init__(self, ours: Ours, vendors: Theirs, statuses: Mapping[str, str]) -> None:
        self.ours, self.vendors, self.statuses = ours, vendors, statuses
        self.found = Verdict()
        by_key = {each.key: each for each in ours.sent}
        by_id = {each.effect_id: each for each in ours.sent if each.effect_id}
        self.objects: dict[str, list[str]] = defaultdict(list)
        """By the key of a recorded call, what the vendor has made for it."""
        for object_id, entry in vendors.made.items():
            sent = by_key.get(entry["key"] or "") or by_id.get(object_id)
            if sent is not None:
                self.objects[sent.key].append(object_id)
            elif object_id not in ours.orphans:
                self.found.findings["not known to us"].append(f"{entry['effect']} {object_id}")
        self.used: set[tuple[str, str]] = set()
        """What was booked and has been compared."""

    def verdict(self) -> Verdict:
        for sent in self.ours.sent:
            self._calls_of(sent)
            self._cost_of(sent)
        self._orphans()
        self._rest()
        self._left()
        self._sums()
        return self.found

    def _is_orphan(self, object_id: str) -> bool:
        return object_id in self.ours.orphans

    def _calls_of(self, sent: Sent) -> None:
        """A recorded call has made one thing, and one more for each writing off at most."""
        made = self.objects[sent.key]
        own = [each for each in made if not self._is_orphan(each)]
        allowed = (sent.resolution == "accepted") + len(self.ours.written_off(sent))
        if sent.resolution == "accepted" and not own:
            self.found.findings["not known there"].append(f"{sent.name}: {sent.effect_id}")
        if sent.effect_id and sent.resolution == "accepted" and sent.effect_id not in made:
            self.found.findings["another's"].append(f"{sent.name}: {sent.effect_id}")
        if sent.resolution is None:
            self.found.findings["undecided"].append(sent.name)
        if len(own) > allowed:
            told = f"{sent.name}: {len(own)} made, {allowed} accepted or written off: {own}"
            self.found.findings["doubled"].append(told)
        elif len(own) > 1:
            self.found.paid_twice.append(f"{sent.name}: {len(own)} made")

    def _cost_of(self, sent: Sent) -> None:
        """What was made for a call is booked exactly, or is covered by a writing off."""
        bills = {
            each: self.vendors.bills[each]
            for each in self.objects[sent.key]
            if each in self.vendors.bills and not self._is_orphan(each)
        }
        amounts = {each: self._amount(bill) for each, bill in bills.items()}
        exact = next(
            (name for name in sent.booked_as() if (sent.workflow, name) in self.ours.booked), None
        )
        if exact is not None:
            self.used.add((sent.workflow, exact))
            booked = self.ours.booked[sent.workflow, exact]
            of = sent.effect_id if sent.effect_id in amounts else _nearest(amounts, booked)
            billed = amounts.pop(of, Decimal(0)) if of else Decimal(0)
            self._same(sent.name, booked, billed)
        covers = sorted(self.ours.written_off(sent), reverse=True)
        for (object_id, billed), cover in zip(
            sorted(amounts.items(), key=lambda each: -each[1]), [*covers, *[0] * len(amounts)],
            strict=False,
        ):  # fmt: skip
            if billed > cover:
                told = f"{sent.name}: {object_id} was billed {billed}, {cover} is booked for it"
                self.found.findings["not booked"].append(told)

    def _orphans(self) -> None:
        for object_id, workflow in self.ours.orphans.items():
            if object_id not in self.vendors.made:
                continue
            bill = self.vendors.bills.get(object_id)
            name = (workflow, object_id)
            self.used.add(name)
            billed = self._amount(bill) if bill else Decimal(0)
            self._same(f"{workflow}: orphan {object_id}", self.ours.booked.get(name, 0), billed)
            self.found.taken_back.append(f"{workflow}: {object_id}, billed {billed}")

    def _same(self, what: str, booked: int, billed: Decimal) -> None:
        if not 0 <= booked - billed <= _ROUNDING:
            told = f"{what}: {booked} is booked, {billed} was billed"
            self.found.findings["other cost"].append(told)

    def _amount(self, bill: Json) -> Decimal:
        if bill["micro_usd"] is None:
            self.found.findings["without price"].append(f"{bill['object_id']}: {bill['item']}")
            return Decimal(0)
        return Decimal(bill["micro_usd"])

    def _rest(self) -> None:
        """Nothing is booked that nobody was billed for, but what was written off."""
        keys = {each.key for each in self.ours.sent}
        for (workflow, name), cost in self.ours.booked.items():
            is_off = name.partition(" at ")[0] in keys
            if cost and not is_off and (workflow, name) not in self.used:
                self.found.findings["not billed"].append(f"{workflow}: {name}, {cost}")
        booked: Counter[str] = Counter()
        for (workflow, _), cost in self.ours.booked.items():
            booked[workflow] += cost
        for workflow in sorted({*booked, *self.ours.spent}):
            if booked[workflow] != self.ours.spent.get(workflow, 0):
                told = f"{workflow}: {booked[workflow]} is booked, shown is"
                self.found.findings["other sum"].append(f"{told} {self.ours.spent.get(workflow)}")

    def _left(self) -> None:
        """What did not succeed has left nothing at the vendors; only texts may stay whose ids were
        never told."""
        told_ids = {each.effect_id for each in self.ours.sent} | self.ours.orphans.keys()
        for sent in self.ours.sent:
            if self.statuses.get(sent.workflow) == "succeeded":
                continue
            for object_id in self.objects[sent.key]:
                kind = self.vendors.made[object_id]["effect"]
                if kind in ("predictions", "trainings") and object_id not in self.vendors.ended:
                    self.found.findings["left running"].append(f"{sent.name}: {object_id}")
                is_stored = object_id.startswith("resp_")
                if not is_stored or object_id in self.vendors.deleted:
                    continue
                if object_id in told_ids:
                    self.found.findings["not undone"].append(f"{sent.name}: {object_id}")
                else:
                    self.found.kept.append(f"{sent.name}: {object_id}")

    def _sums(self) -> None:
        off = [cost for each in self.ours.sent for cost in self.ours.written_off(each)]
        billed = sum(
            (Decimal(each["micro_usd"] or 0) for each in self.vendors.bills.values()), Decimal(0)
        )
        self.found.calls = {
            "made by the vendors": len(self.vendors.made),
            "recorded and accepted": sum(e.resolution == "accepted" for e in self.ours.sent),
            "written off": len(off),
            "orphans": len(self.found.taken_back),
            "billed": len(self.vendors.bills),
        }
        self.found.micro_usd = {
            "billed by the vendors": str(billed),
            "booked": str(sum(self.ours.booked.values())),
            "of it written off": str(sum(off)),
        }


def _nearest(amounts: Mapping[str, Decimal], booked: int) -> str | None:
    """Which of these was booked so."""
    return min(amounts, key=lambda each: abs(booked - amounts[each]), default=None)


def missing(
    succeeded: Iterable[str], wanted: Mapping[str, str], ours: Ours, vendors: Theirs
) -> Iterator[str]:
    """The workflows that succeeded without what they were for: by `wanted` the call that makes it,
    which must be accepted, and what it has made must have succeeded."""
    accepted = {
        (each.workflow, each.operation): each for each in ours.sent if each.resolution == "accepted"
    }
    for workflow in succeeded:
        sent = accepted.get((workflow, wanted[workflow]))
        if sent is None:
            yield f"{workflow}: no {wanted[workflow]}"
        elif sent.effect_id in vendors.ended and vendors.ended[sent.effect_id] != "succeeded":
            yield f"{workflow}: {sent.effect_id} is {vendors.ended[sent.effect_id]}"

"""The chain of hashes of one workflow's events. Pure."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

MAX_FAULTS = 20
"""The number of faults that are listed for one workflow. Further faults are only counted."""

_CANDIDATES = 6


@dataclass(frozen=True, slots=True)
class Head:
    """A workflow's newest event at the time of the export; `at` is in microseconds since 1970."""

    workflow: UUID
    seq: int
    hash: str
    at: int | None

    def line(self) -> str:
        """The head as a line of JSON. Lines that are sorted as text are sorted by workflow id."""
        shown = {"workflow": str(self.workflow), "seq": self.seq, "hash": self.hash, "at": self.at}
        return json.dumps(shown)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in a workflow's record. `seq` is the number of the faulty event, or None if the
    fault is not in a single event. `workflow` is None for a fault of the archive as a whole."""

    workflow: UUID | None
    seq: int | None
    wrong: str


class Chain:
    """Checks one workflow's events, which are added in the order of their numbers. Pure."""

    def __init__(self, workflow: UUID, heads: Iterable[Head] = ()) -> None:
        self.workflow = workflow
        self.heads = sorted(heads, key=lambda head: head.seq)
        self.seq = 0
        self.faults: list[Fault] = []
        self.left_out = 0
        # The hashes that the next event may follow. After a fault there are several, so that one
        # wrong row is reported as one fault and not as a fault of each later event. None means
        # that the hash is not known, because events are missing.
        self._previous: list[bytes] | None = [hashlib.sha256(workflow.bytes).digest()]

    def add(self, seq: int, body: str, digest: bytes) -> None:
        """Check the next event against the chain so far."""
        if seq != self.seq + 1:
            self._note_gap(seq)
        text = body.encode()
        previous = self._previous
        if (
            previous is None
            or _follows(previous[:1], text, digest)
            or (number(body, "seq") == seq and _follows(previous[1:], text, digest))
        ):
            self._previous = [digest]
        else:
            self._note(seq, _wrong(seq, body))
            computed = hashlib.sha256(previous[0] + text).digest()
            self._previous = [digest, computed, *previous][:_CANDIDATES]
        self.seq = seq
        self._compare_heads(seq, digest)

    def end(self) -> list[Fault]:
        """Check the end of the chain, and return all faults of the workflow."""
        if self.seq == 0 and not self.heads:
            self._note(None, "the workflow has no events")
        for head in self.heads[-1:]:
            if self.seq == 0:
                self._note(None, f"all events are missing; event {head.seq} was exported as head")
            else:
                self._note(
                    head.seq,
                    f"missing: the record ends at event {self.seq}, but event {head.seq} was"
                    " exported as head",
                )
        if self.left_out:
            wrong = f"{self.left_out} more faults are not listed"
            self.faults.append(Fault(self.workflow, None, wrong))
        return self.faults

    def _note_gap(self, seq: int) -> None:
        first, last = self.seq + 1, seq - 1
        if last < first:
            self._note(seq, f"the number of the event is below {first}")
        elif first == last:
            self._note(first, "missing" if first > 1 else "missing: the first event")
        else:
            self._note(first, f"missing, with all events up to event {last}")
        self._previous = None

    def _compare_heads(self, seq: int, digest: bytes) -> None:
        while self.heads and self.heads[0].seq <= seq:
            head = self.heads.pop(0)
            if head.seq == seq and head.hash != digest.hex():
                now = digest.hex()
                self._note(seq, f"changed: its hash is {now}, but {head.hash} was exported")

    def _note(self, seq: int | None, wrong: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(self.workflow, seq, wrong))
        else:
            self.left_out += 1


def _follows(previous: list[bytes], text: bytes, digest: bytes) -> bool:
    return any(hashlib.sha256(each + text).digest() == digest for each in previous)


def _wrong(seq: int, body: str) -> str:
    stated = number(body, "seq")
    if stated is not None and stated != seq:
        return f"reordered: its text is that of event {stated}"
    return "changed: its hash does not match its text and the hash before it"


def number(body: str, name: str) -> int | None:
    """The integer `name` in an event's text, or None if there is none or the text is damaged."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, int) else None

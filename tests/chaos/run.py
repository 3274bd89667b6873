"""One run: start an instance, submit the mix, break things by plan, wait, count."""

import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ops.laptop.supervisor import signals_as_exit
from tests.chaos import books, limits, record
from tests.chaos.driver import Driver
from tests.chaos.faults import Executor
from tests.chaos.mix import Item, make_mix, own_faults
from tests.chaos.plan import FROM_VENDORS, Kind, make_plan
from tests.chaos.report import RECOVERY, Report, Spread, recovery_of, spread
from tests.chaos.stack import LEASE_SECONDS, Instance, opened, pictures_of
from tests.chaos.starts import Customer, Starts
from tests.chaos.strangers import Strangers, unexplained
from tests.chaos.watch import Watch

Json = dict[str, Any]

SETTLE_SECONDS = 120.0
LOOK_SECONDS = 1.0
TELL_SECONDS = 10.0
# What a request that outlived its caller still does at a vendor, is done by then.
QUIET_SECONDS = 4.0
ASKED_AGAIN = 20
PAID = (
    "authorizations", "captures", "refunds", "cancellations", "predictions",
    "predictions_canceled", "deployments", "removals", "files", "files_deleted",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What a run is made of."""

    workflows: int
    seed: int
    minutes: float


def run(options: Options, folder: Path) -> Report:
    """Run with data and logs in `folder`, which is left as it is."""
    report = Report(options.seed, options.workflows, options.minutes)
    began = time.monotonic()
    with (
        signals_as_exit(),
        Customer(options.seed).serving() as customer,
        opened(folder, customer.port) as instance,
    ):
        _tell(f"instance up after {time.monotonic() - began:.1f} s")
        items = make_mix(
            options.seed, options.workflows, options.minutes * 60.0, pictures_of(instance.stack)
        )
        starts = Starts(instance.stack, customer, options.minutes * 60.0)
        _Run(instance, options, items, starts, report).carry_out()
    report.seconds["in all"] = time.monotonic() - began
    return report


class _Run:
    """The parts of a run, in their order."""

    def __init__(
        self,
        instance: Instance,
        options: Options,
        items: list[Item],
        starts: Starts,
        report: Report,
    ) -> None:
        self.instance, self.stack, self.items = instance, instance.stack, items
        self.starts, self.report = starts, report
        self.watch = Watch(instance.stack)
        self.driver = Driver(instance.stack, items)
        self.strangers = Strangers(instance, options.seed)
        plan = make_plan(options.seed, options.minutes)
        self.executor = Executor(instance, self.watch, plan, list(own_faults(items)))

    def carry_out(self) -> None:
        """Break things while the mix is submitted; wait; count."""
        try:
            self.break_things()
            self.settle()
            self.count()
        finally:
            self.executor.close()
            self.starts.close()
            self.driver.close()
            self.strangers.close()
            self.watch.close()

    def break_things(self) -> None:
        began = time.monotonic()
        self.watch.start()
        self.starts.start()
        self.driver.start(began)
        self.executor.start(began)
        self.strangers.start()
        self.executor.finish()
        self.strangers.close()
        self.starts.close()
        self.driver.finish()
        self.report.faults += self.executor.failures
        if self.stack.core.failure or (self.stack.crew and self.stack.crew.failure):
            self.report.faults.append("a service died too often and was given up")
        self.report.seconds["faults"] = time.monotonic() - began

    def settle(self) -> None:
        """Wait until everything has ended or asks for a person and the ends are told, two minutes
        at most."""
        began = time.monotonic()
        told_at = 0.0
        while (now := time.monotonic()) < began + SETTLE_SECONDS:
            left = self.unsettled()
            if not left:
                break
            if now > told_at + TELL_SECONDS:
                told_at = now
                _tell(f"waiting for {len(left)} things, the first is {left[0]}")
            time.sleep(LOOK_SECONDS)
        self.report.seconds["settling"] = time.monotonic() - began
        self.report.findings["stuck"] = self.unsettled()
        time.sleep(QUIET_SECONDS)

    def unsettled(self) -> list[str]:
        """What still goes on, or should."""
        known = record.workflows(self.stack).values()
        return [*record.unsettled(known), *self.starts.unsettled()]

    def count(self) -> None:
        ledger = self.driver.ledger
        self.driver.ask_again(list(islice(ledger.accepted.items(), 0, None, _stride(ledger))))
        known = record.workflows(self.stack)
        journal = list(self.stack.journal())
        read = books.read(journal)
        broken, events = record.broken_chains(self.stack)
        findings = self.report.findings
        findings["lost"] = record.lost(known, ledger)
        findings["doubled"] = read.doubled()
        findings["not_undone"] = read.not_undone(record.ended(known))
        findings["missing"] = [
            what
            for id, item in record.succeeded(known, ledger)
            for what in read.missing(id, item.effects)
        ]
        findings["unexplained"] = unexplained(journal, record.ended(known), self.strangers.opened())
        self.report.strangers = {"forks": self.strangers.forks, "bans": self.strangers.bans}
        findings["starts"] = self.starts.wrong()
        findings["limits"] = limits.exceeded(self.stack)
        findings["untold"] = self.starts.untold(known.values())
        findings["wrong_ends"] = record.wrong_ends(known, ledger)
        findings["broken_chains"] = broken + record.without_events(known, self.stack)
        findings["projections"] = record.differing_projections(self.stack)
        findings["budgets"] = record.budgets(self.stack)
        findings["misbooked"] = [
            *read.misbooked(record.ended(known), record.booked(self.stack)),
            *record.unbalanced(self.stack),
        ]
        counts: dict[str, int] = self.stack.control("GET", "/books")["counts"]
        self.report.effects = {name: counts[name] for name in PAID}
        self.report.effects["doubled, found and taken back"] = len(read.found())
        self.report.attention = record.attention(known)
        self.report.ends = dict(Counter(each.status for each in known.values()))
        self.report.submissions = {
            "accepted": len(ledger.accepted),
            "sent again": ledger.sent_again,
            "refused": len(ledger.refused),
            "unanswered": len(ledger.unanswered),
            "events": events,
            "started by schedules and events": len(self.starts.due),
            "messages received": len(self.starts.customer.got),
        }
        for key, why in list(ledger.refused.items())[:5]:
            self.report.faults.append(f"{key} was refused: {why}")
        if ledger.unanswered:
            self.report.faults.append(f"never answered: {ledger.unanswered[:5]}")
        self.measure(read)

    def measure(self, read: books.Books) -> None:
        """Hits and recovery times."""
        self.watch.close()
        self.watch.read_events()
        by_kind, still = recovery_of(self.watch.hits)
        self.report.findings["stuck"] = [*(self.report.findings["stuck"] or []), *still]
        hits = Counter(hit.kind for hit in self.watch.hits)
        vendors = {kind: self.executor.vendor_hits[kind] for kind in FROM_VENDORS}
        self.report.hits = {str(kind): hits[kind] for kind in Kind} | vendors
        struck = Counter(str(done.strike.kind) for done in self.executor.done)
        self.report.strikes = dict(struck + self.executor.vendor_faults)
        self.report.judge_hits()
        spreads = {
            RECOVERY: spread([s for each in by_kind.values() for s in each]),
            "dropped webhooks": spread(self.after_dropped_webhooks(read)),
        }
        self.report.recovery = _present(spreads)
        self.report.judge_recovery(LEASE_SECONDS)
        self.report.recovery_by_kind = _present({k: spread(by_kind[k]) for k in sorted(by_kind)})

    def after_dropped_webhooks(self, read: books.Books) -> list[float]:
        """Seconds from what a dropped webhook would have told of to its step's next event."""
        deliveries: list[Json] = self.stack.control("GET", "/webhooks")["deliveries"]
        dropped = {
            each["object_id"]
            for each in deliveries
            if each["state"] == "dropped" and each["event"] not in BEGINNINGS
        }
        told = [read.finished[each] for each in dropped if each in read.finished]
        return self.watch.seconds_to_events(told)


BEGINNINGS = ("start", "deployment.created")
"""Webhooks that wake nobody."""


def _present(spreads: dict[str, Spread | None]) -> dict[str, Spread]:
    return {name: each for name, each in spreads.items() if each is not None}


def _stride(ledger: Any) -> int:
    return max(1, len(ledger.accepted) // ASKED_AGAIN)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)

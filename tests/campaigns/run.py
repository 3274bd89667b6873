"""A run: campaigns in several currencies, a fixed share with each fault; then all is counted.

What the vendors did is read from the sandbox's journal and from Stripe's books alone.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.sandbox.replicate.gallery import COPY
from tests.business.audit import told, uneven
from tests.business.shop import Shop, client_of
from tests.business.stack import opened, place_of
from tests.campaigns.mix import AMOUNTS, make_campaigns
from tests.chaos import books, record
from tests.chaos.driver import Driver
from tests.chaos.stack import pictures_of
from tests.e2e.stack import Stack

Json = dict[str, Any]

SETTLE_SECONDS = 1800.0
QUIET_SECONDS = 3.0
"""What a request that outlived its caller still does at a vendor, is done by then."""
QUICK: Json = {
    "replicate.start_seconds": 0.05,
    "replicate.duration_seconds": 0.2,
    "vercel.build_seconds": 0.2,
    "n8n.delay_seconds": 0.1,
}
POLLS = dict.fromkeys(("REPLICATE_POLL_SECONDS", "VERCEL_POLL_SECONDS", "N8N_POLL_SECONDS"), "10")


@dataclass
class Report:
    """What a run has done, and what it has found: nothing, if it is good."""

    campaigns: int
    each_currency: int
    ends: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    attention: dict[str, int] = field(default_factory=dict)
    effects: dict[str, int] = field(default_factory=dict)
    balances: dict[str, dict[str, int]] = field(default_factory=dict)
    findings: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether nothing was found, and some campaigns have succeeded and others were undone."""
        return not any(self.findings.values()) and {"succeeded", "compensated"} <= set(self.ends)


def run(folder: Path, seed: int, each: int, seconds: float) -> Report:
    """Submit so many campaigns of each currency, over so many seconds."""
    report = Report(each * len(AMOUNTS), each)
    settings = {"REPLICATE_FACE_SWAP_MODEL": COPY.full_name, **POLLS}
    with opened(folder, **settings) as stack, stack.workers():
        stack.control("PUT", "/settings", QUICK)
        driver = Driver(stack, make_campaigns(seed, each, seconds, pictures_of(stack)))
        began = time.monotonic()
        try:
            driver.start(began)
            driver.finish()
            report.seconds["submitting"] = round(time.monotonic() - began, 1)
            report.findings["stuck"] = record.settle(stack, SETTLE_SECONDS, QUIET_SECONDS)
            report.seconds["in all"] = round(time.monotonic() - began, 1)
        finally:
            driver.close()
        _count(stack, driver, report)
    return report


def _count(stack: Stack, driver: Driver, report: Report) -> None:
    known, ledger = record.workflows(stack), driver.ledger
    read = books.read(stack.journal())
    ended = record.ended(known)
    place = place_of(stack)
    place.compare(datetime.fromtimestamp(place.now(), UTC).date())
    report.findings |= {
        "lost": [*record.lost(known, ledger), *ledger.unanswered, *ledger.refused],
        "doubled": read.doubled(),
        "not undone": read.not_undone(ended),
        "wrong ends": record.wrong_ends(known, ledger),
        "missing": [
            what
            for id, item in record.succeeded(known, ledger)
            for what in read.missing(id, item.effects)
        ],
        "misbooked": [
            *read.misbooked(ended, record.booked(stack)),
            *record.unbalanced(stack),
        ],
        "differences": [told(each) for each in place.differences()],
        "uneven": uneven(place, *Shop(client_of(place.stripe_url, place.stripe_key)).taken()),
    }
    report.ends = dict(Counter(each.status for each in known.values()))
    report.attention = record.attention(known)
    planned = stack.control("GET", "/faults")["faults"]
    report.faults = dict(Counter({each["kind"]: 0 for each in planned}))
    for each in planned:
        report.faults[each["kind"]] += each["hits"]
    counts = stack.control("GET", "/books")["counts"]
    report.effects = {name: number for name, number in counts.items() if number}
    report.balances = place.balances()

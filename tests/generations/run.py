"""A run: generations of every kind, a fixed share with each trouble; then all is compared."""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import requests

from ops.sandbox.replicate.gallery import OWNER, PAINTER, WORDS
from tests.business.stack import command, opened
from tests.chaos import books as files
from tests.chaos import record
from tests.chaos.driver import Driver
from tests.chaos.stack import pictures_of
from tests.e2e.definitions import register
from tests.e2e.stack import Stack
from tests.generations.books import FINDINGS, Ours, Sent, compared, missing, theirs
from tests.generations.kinds import CREATES, DEPLOYMENT, DESTINATION, KINDS, Json
from tests.generations.mix import LATEST_SECONDS, make_generations, trouble_of

SETTLE_SECONDS = 1800.0
THREADS = "32"
QUICK: Json = {
    "replicate.start_seconds": 0.05,
    "replicate.duration_seconds": 0.2,
    "replicate.training_seconds": 0.5,
}
SETTINGS = {
    "REPLICATE_POLL_SECONDS": "10",
    "OPENAI_POLL_SECONDS": "10",
    # A response whose request was answered too late ends, and is told of, within this time.
    "OPENAI_ADOPT_SECONDS": "90",
    # On this the sandbox runs the models that have no price of their own. Only its operator knows.
    "REPLICATE_CEILING_HARDWARE": "gpu-l40s",
}
_FREE = ("moderations.create",)
"""What makes nothing that could be lost or paid twice."""


@dataclass
class Report:
    """What a run has done; `findings` must be empty."""

    generations: int
    ends: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, int] = field(default_factory=dict)
    faults_that_hit: dict[str, int] = field(default_factory=dict)
    effects: dict[str, int] = field(default_factory=dict)
    attention: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    micro_usd: dict[str, str] = field(default_factory=dict)
    texts_paid_twice_within_their_bound: list[str] = field(default_factory=list)
    second_ones_taken_back: list[str] = field(default_factory=list)
    lost_texts_kept_by_the_vendor: list[str] = field(default_factory=list)
    findings: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether nothing was found, and some have succeeded and others were undone."""
        return not any(self.findings.values()) and {"succeeded", "compensated"} <= set(self.ends)


def run(folder: Path, seed: int, number: int, seconds: float) -> Report:
    """Submit so many generations, over so many seconds."""
    report = Report(number)
    with opened(folder, **SETTINGS) as stack, stack.workers([stack.worker("--threads", THREADS)]):
        _prepare(stack)
        pictures = pictures_of(stack)
        items = make_generations(seed, number, seconds, list(pictures.targets))
        report.troubles = dict(Counter(each for item in items if (each := trouble_of(item))))
        driver = Driver(stack, items)
        began = time.monotonic()
        try:
            driver.start(began)
            driver.finish()
            submitted = time.monotonic()
            report.seconds["submitting"] = round(submitted - began, 1)
            report.findings["stuck"] = record.settle(stack, SETTLE_SECONDS, 3.0)
            # A request that nobody waits for any more may still be served.
            time.sleep(max(0.0, submitted + LATEST_SECONDS + 5.0 - time.monotonic()))
            report.seconds["in all"] = round(time.monotonic() - began, 1)
        finally:
            driver.close()
        _count(stack, driver, report)
    return report


def _prepare(stack: Stack) -> None:
    stack.control("PUT", "/settings", QUICK)
    command(stack.profile, "prices", "set", "replicate", PAINTER.full_name, "pictures", "0.003")
    name = DEPLOYMENT.partition("/")[2]
    scale = {"hardware": "gpu-t4", "min_instances": 0, "max_instances": 8}
    runs = {"name": name, "model": WORDS.full_name, "version": WORDS.version}
    _at_replicate(stack, "/v1/deployments", runs | scale)
    style = {"owner": OWNER, "name": DESTINATION.partition("/")[2], "visibility": "private"}
    _at_replicate(stack, "/v1/models", style | {"hardware": "gpu-h100"})
    for kind in KINDS:
        register(stack, kind.definition)


def _at_replicate(stack: Stack, path: str, body: Json) -> None:
    vendors = stack.profile.vendors()
    token = {"Authorization": f"Bearer {vendors['REPLICATE_API_TOKEN']}"}
    address = vendors["REPLICATE_BASE_URL"] + path
    answer = requests.post(address, json=body, headers=token, timeout=10)
    assert answer.ok, answer.text


def _count(stack: Stack, driver: Driver, report: Report) -> None:
    known, ledger = record.workflows(stack), driver.ledger
    journal = stack.journal()
    vendors = theirs(journal, stack.control("GET", "/bills")["bills"])
    ours = our_record(stack)
    verdict = compared(ours, vendors, {id: each.status for id, each in known.items()})
    wanted = {each.type: each.recorded for each in KINDS if each.operation not in _FREE}
    done = {
        id: wanted[item.type] for id, item in record.succeeded(known, ledger) if item.type in wanted
    }
    report.findings |= {
        "lost": [*record.lost(known, ledger), *ledger.unanswered, *ledger.refused],
        "ask for a person": [f"{id}: {e.attention}" for id, e in known.items() if e.attention],
        "wrong ends": record.wrong_ends(known, ledger),
        "missing": list(missing(done, done, ours, vendors)),
        **_undone(stack, journal, known),
        **{name: list[str]() for name in FINDINGS},
        **verdict.findings,
    }
    report.calls, report.micro_usd = verdict.calls, verdict.micro_usd
    report.texts_paid_twice_within_their_bound = verdict.paid_twice
    report.second_ones_taken_back = verdict.taken_back
    report.lost_texts_kept_by_the_vendor = verdict.kept
    report.ends = dict(Counter(each.status for each in known.values()))
    report.attention = record.attention(known)
    planned = stack.control("GET", "/faults")["faults"]
    report.findings["faults that met nothing"] = [str(e) for e in planned if not e["hits"]]
    hits: Counter[str] = Counter()
    for each in planned:
        hits[each["kind"]] += each["hits"]
    report.faults_that_hit = dict(hits)
    counts = stack.control("GET", "/books")["counts"]
    report.effects = {name: count for name, count in counts.items() if count}


def _undone(
    stack: Stack, journal: list[Json], known: dict[str, record.Workflow]
) -> dict[str, list[str]]:
    """Files that workflows have left that were undone or failed: at Replicate, and here."""
    left = stack.rows(
        "SELECT a.id::text AS id, a.workflow_id::text AS workflow FROM artifacts a"
        " JOIN workflows w ON w.id = a.workflow_id"
        " WHERE w.status <> 'succeeded' AND a.step_key IS NOT NULL AND a.erased_at IS NULL"
    )
    trained = stack.rows(
        "SELECT i.effect_id AS id FROM intents i JOIN workflows w ON w.id = i.workflow_id"
        " WHERE i.operation = 'trainings.create' AND i.effect_id IS NOT NULL"
        " AND w.status <> 'succeeded'"
    )
    made = {e["object_id"] for e in journal if e["effect"] == "trainings_succeeded"}
    deleted = sum(each["effect"] == "versions.deleted" for each in journal)
    versions = len(made & {each["id"] for each in trained})
    return {
        "left at the vendors": files.read(journal).not_undone(record.ended(known)),
        "left here": [f"{each['workflow']}: artifact {each['id']}" for each in left],
        "versions left": [] if versions == deleted else [f"{deleted} of {versions} are deleted"],
    }


def our_record(stack: Stack) -> Ours:
    """The recorded calls that make something, and what was booked."""
    rows = stack.rows(
        "SELECT workflow_id::text AS workflow, step_key AS step, generation, ordinal, operation,"
        " key, resolution, effect_id FROM intents WHERE operation = ANY (%s)",
        sorted(CREATES),
    )
    sent = [Sent(**row) for row in rows]
    own = {each.effect_id for each in sent}
    booked = stack.rows("SELECT workflow_id::text AS w, effect, cost FROM booked_effects")
    named = stack.rows(
        "SELECT workflow_id::text AS w, external_id FROM steps WHERE external_id IS NOT NULL"
    )
    spent = stack.rows("SELECT id::text AS w, spent FROM workflows WHERE spent <> 0")
    return Ours(
        sent,
        {(row["w"], row["effect"]): row["cost"] for row in booked},
        {row["external_id"]: row["w"] for row in named if row["external_id"] not in own},
        {row["w"]: row["spent"] for row in spent},
    )

"""Whatever people do with workflows, an undo takes back what its own workflow did, nothing else.

Workflows pay, open channels, publish pages and start children. They fail, are held, retried by
hand, cancelled, and forked anywhere; some are given a payment of a shop or of somebody else. The
vendors' books judge: nothing is paid twice, each refund, cancellation and removal is explained by
an undone workflow of its own, and an undone workflow has left nothing behind.
"""

import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict, InvalidInput, NotServed, Retryable, Unknown
from app.files import artifacts
from app.keys import reference, workflow_of
from app.outbound.http import exchange_scope
from app.platform import Json
from chains.commands.command import caller_of
from chains.commands.fork import fork
from chains.commands.retry import retry
from tasks.agora.actions import channel_name
from tasks.agora.client import api as agora
from tasks.stripe.client import api as stripe
from tasks.stripe.marks import CAPTURED_BY
from tests.contract.pictures import small
from tests.contract.stripe.steps import AUTHORIZE, PAYMENT
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import fail, noop

BOUNDARIES = ("hold", "open", "take", "order", "publish", "claim", "end")
ENDS = {"succeeded", "compensated", "failed", "cancelled"}


def paying(*rest: Json, fails: str) -> Json:
    """Pays, does the rest, and then fails if the input `fails` is true."""
    taken = {"payment_intent": {"$": "steps.hold.output.payment_intent"}}
    end = {"choice": "end", "cases": [{"when": f"input.{fails}", "do": fail("bad")}]}
    hold = {"step": "hold", "action": "stripe.authorize", "with": AUTHORIZE}
    take = {"step": "take", "action": "stripe.capture", "with": taken}
    return {"sequence": [hold, {"step": "open", "action": "agora.open_channel"}, take, *rest, end]}


def mixed(child: str, note: str) -> Json:
    """One of each that can be undone, and a payment from the input; `note` is a step's name."""
    given = {"payment_intent": {"$": "input.payment"}}
    return paying(
        {"workflow": "order", "type": child, "with": {"child_fails": {"$": "input.child_fails"}}},
        {
            "step": "publish",
            "action": "vercel.deploy",
            "with": {"title": "Gallery", "pictures": {"$": "input.pictures"}},
        },
        {
            "step": "claim",
            "action": "stripe.capture",
            "when": "input.has_payment",
            "with": given,
        },
        noop(note),
        fails="fails",
    )


@dataclass
class World:
    """The workflows of one example, and what may be done to them."""

    kernel: Kernel
    vendors: Vendors
    chance: random.Random
    types: tuple[str, ...] = ()
    pictures: list[Json] = field(default_factory=list)
    bans: set[int | None] = field(default_factory=set)
    """Kicking rules that somebody else has made."""

    def begin(self) -> None:
        child = self.kernel.register(paying(fails="child_fails"))
        self.types = (
            self.kernel.register(mixed(child, "undoes")),
            self.kernel.register(mixed(child, "holds"), on_failure="hold"),
        )
        made = artifacts.upload(self.kernel.user_id, small("astronaut.png"))
        self.pictures = [{"id": str(made["id"])}]
        self.vendors.change(vercel__build_seconds=0.0)

    def workflows(self) -> dict[UUID, str]:
        rows = db.rows("SELECT id, status FROM workflows ORDER BY created_at", ())
        return {row["id"]: row["status"] for row in rows}

    def input(self) -> Json:
        payment = self.payment() if self.chance.random() < 0.4 else None
        return {
            "fails": self.chance.random() < 0.4,
            "child_fails": self.chance.random() < 0.15,
            "pictures": self.pictures,
            "has_payment": payment is not None,
            "payment": payment or "pi_none",
        }

    def payment(self) -> str:
        """A payment of a shop, or one that some workflow has made."""
        known = [each["payment_intent"] for each in self.vendors.journal("authorizations")]
        if not known or self.chance.random() < 0.4:
            with exchange_scope(time.monotonic() + 10, []):
                made = stripe().create_payment_intent(PAYMENT, uuid.uuid4().hex)
            return str(made["id"])
        return str(self.chance.choice(known))

    def one(self) -> UUID:
        return self.chance.choice(list(self.workflows()))

    def start(self) -> None:
        self.kernel.start(self.chance.choice(self.types), self.input())

    def fork(self) -> None:
        caller, from_step = caller_of(self.kernel.user_id), self.chance.choice(BOUNDARIES)
        given = self.input() if self.chance.random() < 0.7 else None
        fork(caller, self.one(), from_step=from_step, input=given)

    def retry(self) -> None:
        retry(caller_of(self.kernel.user_id), self.one(), reason="a person wants it again")

    def cancel(self) -> None:
        self.kernel.cancel(self.one())

    def ban(self) -> None:
        """Somebody else bans everybody from a channel for a minute."""
        with exchange_scope(time.monotonic() + 10, []):
            self.bans.add(agora().close(channel_name(reference(self.one(), "open")), 1))

    def disturb(self) -> None:
        vendor, operation, kind, more = self.chance.choice(FAULTS)
        self.vendors.fault(vendor, operation, kind, **more)

    def step(self) -> None:
        """Do something at random; what is refused has done nothing."""
        moves = (self.start, self.fork, self.fork, self.retry, self.cancel, self.ban, self.disturb)
        move = self.chance.choice(moves) if self.workflows() else self.start
        try:
            move()
        except (Conflict, InvalidInput, Retryable, NotServed, Unknown):
            return
        drive(self.chance.choice((2, 8, 500)))

    def settle(self) -> None:
        """Carry every workflow as far as it goes; a person cancels what is held."""
        for turn in range(60):
            drive()
            held = db.rows(
                "SELECT id FROM workflows WHERE completed_at IS NULL AND attention IS NOT NULL"
                " AND status = 'running'",
                (),
            )
            for row in held if turn > 3 else []:
                try:
                    self.kernel.cancel(row["id"])
                except Conflict:
                    continue  # A running fork uses it; the fork ends first.
            if set(self.workflows().values()) <= ENDS:
                return
            time.sleep(0.02)
            pass_time("3 minutes")
        raise AssertionError(f"not ended: {self.workflows()}")


FAULTS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("stripe", "payment_intents.capture", "status", {"status": 400}),
    ("stripe", "payment_intents.capture", "lost_reply", {}),
    ("stripe", "payment_intents.create", "lost_reply", {}),
    ("stripe", "refunds.create", "lost_reply", {}),
    ("stripe", "refunds.create", "status", {"status": 429, "retry_after": 1}),
    ("vercel", "deployments.create", "fail", {}),
    ("agora", "kicking_rules.create", "status", {"status": 500}),
)


@dataclass(frozen=True)
class Undone:
    """What must have been taken back: what undone workflows did, except what a fork that succeeded
    has adopted. A step is named by its reference."""

    workflows: frozenset[str]
    kept: frozenset[str]

    def __contains__(self, step: str) -> bool:
        return str(workflow_of(step)) in self.workflows and step not in self.kept


def undone_of(world: World) -> Undone:
    adopted = db.rows(
        "SELECT DISTINCT s.adopted_from, s.key FROM steps s JOIN workflows f ON f.id ="
        " s.workflow_id AND f.status = 'succeeded' WHERE s.adopted_from IS NOT NULL",
        (),
    )
    ended = world.workflows().items()
    return Undone(
        frozenset(str(each) for each, status in ended if status == "compensated"),
        frozenset(reference(each["adopted_from"], each["key"]) for each in adopted),
    )


def judge(world: World) -> None:
    """Compare the vendors' books with what became of the workflows."""
    undone = undone_of(world)
    judge_captures(world.vendors, undone)
    judge_holds(world, undone)
    judge_pages(world.vendors, undone)
    judge_channels(world, undone)


def judge_captures(books: Vendors, undone: Undone) -> None:
    captures = {each["payment_intent"]: each for each in books.journal("captures")}
    refunds = {each["payment_intent"]: each for each in books.journal("refunds")}
    assert (len(captures), len(refunds)) == (books.count("captures"), books.count("refunds"))
    for payment, entry in captures.items():
        taker, given_back = entry["metadata"][CAPTURED_BY], refunds.pop(payment, None)
        assert (given_back is not None) == (taker in undone), (payment, taker)
        assert given_back is None or given_back["metadata"]["reference"] == taker
    assert refunds == {}, "a refund of what was not taken"


def judge_holds(world: World, undone: Undone) -> None:
    books, standing = world.vendors, Counter[str]()
    captured = {each["payment_intent"] for each in books.journal("captures")}
    cancelled = {each["payment_intent"] for each in books.journal("cancellations")}
    for each in books.journal("authorizations"):
        payment, maker = each["payment_intent"], each["metadata"].get("reference")
        if maker is None:
            assert payment not in cancelled, "a payment of the shop was cancelled"
            continue
        assert payment not in cancelled or maker in undone, (payment, maker)
        assert maker not in undone or payment in cancelled | captured, (payment, maker)
        standing[maker] += payment not in cancelled
    assert all(number <= 1 for number in standing.values()), standing


def judge_pages(books: Vendors, undone: Undone) -> None:
    removed, standing = {each["url"] for each in books.journal("removals")}, Counter[str]()
    for each in books.journal("deployments"):
        assert (each["url"] in removed) == (each["meta"]["reference"] in undone), each
    for each in books.journal("deployments_ready"):
        standing[each["meta"]["reference"]] += each["url"] not in removed
    assert all(number <= 1 for number in standing.values()), standing


def judge_channels(world: World, undone: Undone) -> None:
    """A channel is closed while its token lasts; somebody's ban of a minute is no close."""
    opened = db.rows("SELECT workflow_id FROM intents WHERE operation = 'channels.open'", ())
    steps = {reference(each["workflow_id"], "open") for each in opened}
    rules = world.vendors.journal("kicking_rules")
    closed = {each["cname"] for each in rules if each["id"] not in world.bans}
    assert closed == {channel_name(step) for step in steps if step in undone}
    assert world.vendors.count("kicking_rules_deleted") == 0


def example(kernel: Kernel, vendors: Vendors, seed: int, steps: int) -> None:
    world = World(kernel, vendors, random.Random(seed))
    world.begin()
    for _ in range(steps):
        world.step()
    world.settle()
    judge(world)


@pytest.mark.parametrize("seed", [7, 13])
def test_an_undo_takes_back_what_its_own_workflow_did(
    kernel: Kernel, vendors: Vendors, seed: int
) -> None:
    example(kernel, vendors, seed, steps=14)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(100, 112))
def test_an_undo_takes_back_what_its_own_workflow_did_in_many_other_ways(
    kernel: Kernel, vendors: Vendors, seed: int
) -> None:
    example(kernel, vendors, seed, steps=40)

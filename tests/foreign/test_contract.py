"""A platform from another package passes the suite of all platforms."""
# ruff: noqa: F403 - pytest collects the tests of the suite from this module

from collections.abc import Callable
from datetime import datetime
from importlib import import_module

from app import db, queries
from app.platform import Json
from app.settings import Settings
from chains.repair import housekeeping
from tests.contract.cases import Call, Cases, Claim, Effect, Hook, sign_standard
from tests.contract.stage import Step
from tests.contract.suite.calls import *
from tests.contract.suite.ceilings import *
from tests.contract.suite.effects import *
from tests.contract.suite.failures import *
from tests.contract.suite.hooks import *
from tests.contract.suite.lookups import *
from tests.contract.suite.parameters import *
from tests.contract.suite.undoing import *
from tests.contract.suite.waits import *


def prepared(claim: Claim) -> Step:
    """A claimed step that orders a print run."""
    return claim("pressroom.print", {"text": "Premiere tonight", "copies": 3})


def dearest(claim: Claim) -> Step:
    """A claimed step that orders as many copies as it may, of the longest text."""
    return claim("pressroom.print", {"text": "P" * 500, "copies": 1000})


def event(at: datetime) -> Json:
    """What the pressroom tells."""
    return {"type": "order.printed", "order": "ord_1"}


def create_order() -> Json:
    """Order a print run by the package's own client."""
    order = {"reference": "w/s", "text": "x", "copies": 1, "webhook": "http://127.0.0.1:1/"}
    made: Json = import_module("playalter_pressroom.client").api().create_order(order)
    return made


CASES = Cases(
    "pressroom",
    Call("orders.create", create_order, "PRESSROOM_BASE_URL", "PRESSROOM_API_KEY"),
    Hook(sign_standard, event, ("msg_1", "ord_1", "order.printed")),
    (
        Effect(
            "pressroom.print",
            prepared,
            "orders.create",
            "orders",
            suspends=True,
            reads="orders.get",
            is_looked_up=True,
            undone="cancellations",
            results=("cancelled", "already"),
            dear={"prints_at_once": True},
            dearest=dearest,
        ),
    ),
    has_limits=False,
)


def test_its_probe_is_run_with_ours(
    configure: Callable[..., Settings], fresh_database: str
) -> None:
    configure(DATABASE_URL=fresh_database)
    housekeeping.probe_platforms()
    # Ours have no credentials here, and are not asked.
    assert queries.platform_health() == {"pressroom": True}
    db.engine().dispose()

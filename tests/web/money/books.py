"""What the tests book, and how they read it."""

from collections.abc import Callable
from datetime import UTC, datetime
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient

from app import ledger
from app.money.facts import Book, Money
from tests.web.conftest import Caller
from web.money.schemas import Balances

STRIPE = Book("stripe")
Run = Callable[..., CompletedProcess[str]]


def get(client: FlaskClient, caller: Caller, path: str) -> dict[str, Any]:
    """The answer to a request under /v1/money that succeeds."""
    answer = client.get(f"/v1/money/{path}", headers=caller.headers)
    assert answer.status_code == 200, answer.json
    assert isinstance(answer.json, dict)
    return answer.json


def pay(workflow_id: UUID | None, name: str, amount: int, currency: str = "EUR") -> None:
    """A payment with its settlement and fee, of a workflow or of nobody."""
    mark = None if workflow_id is None else f"{workflow_id}/take"
    money, capture = Money(amount, currency), f"stripe:ch_{name}:capture"
    fee = Money(30, currency)
    ledger.book(
        STRIPE.fact("capture", f"ch_{name}", STRIPE.captured(money), reference=mark),
        STRIPE.fact("settlement", f"txn_{name}", STRIPE.settled(money, None), of_key=capture),
        STRIPE.fact("fee", f"txn_{name}", STRIPE.paid(fee), of_key=capture),
        source="reconciliation",
    )


def refund(workflow_id: UUID, name: str, amount: int, currency: str = "EUR") -> None:
    """A refund of a workflow's payment."""
    lines = STRIPE.given_back(Money(amount, currency), "refunds")
    fact = STRIPE.fact("refund", f"re_{name}", lines, reference=f"{workflow_id}/take")
    ledger.book(fact, source="step")


def dispute(workflow_id: UUID, amount: int) -> None:
    """A dispute of a workflow's payment, from its opening to its loss."""
    money, mark = Money(amount, "EUR"), f"{workflow_id}/take"
    opened, lost = datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 29, 9, tzinfo=UTC)
    common: Any = {"reference": mark, "external_ids": {"dispute": "du_1"}}
    ledger.book(
        STRIPE.fact(
            "dispute_stage", "du_1", (), stage="under_review", occurred_at=opened, **common
        ),
        STRIPE.fact("dispute", "du_1", STRIPE.disputed(money), occurred_at=opened, **common),
        STRIPE.fact("dispute_stage", "du_1", (), stage="lost", occurred_at=lost, **common),
        STRIPE.fact("dispute_lost", "du_1", STRIPE.lost(money), occurred_at=lost, **common),
        source="webhook",
    )


def amounts(found: dict[str, Any]) -> dict[tuple[str, str], int]:
    """Balances by account and currency."""
    Balances.model_validate(found)
    return {(item["account"], item["currency"]): item["amount"] for item in found["items"]}

"""A receiver of webhooks, a user whose workflows are told there, and a sender."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.settings import Settings
from chains.webhooks import endpoints
from chains.webhooks.endpoints import Wanted
from chains.webhooks.sender import Sender
from tests.forgetting import forget
from tests.integration.conftest import Kernel, kernel_of_ada
from tests.integration.webhooks.receiver import Answer, Received, Receiver

LEASE_SECONDS = 2.0
"""An attempt may take half of it, which a busy machine needs."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A server for the tests of a module."""
    with Receiver().serving() as made:
        yield made


@dataclass
class Post:
    """Ada's endpoints at the receiver, and a sender that sends when it is told to."""

    kernel: Kernel
    receiver: Receiver
    sender: Sender = field(default_factory=Sender)
    secrets: dict[UUID, str] = field(default_factory=dict)

    def endpoint(self, path: str, answer: Answer | None = None, **wanted: Any) -> UUID:
        """Create an endpoint at a path, which is answered so."""
        if answer is not None:
            self.receiver.answers[path] = answer
        made, secret = endpoints.create(
            self.kernel.user_id, Wanted(self.receiver.url(path), **wanted)
        )
        self.secrets[made] = secret
        return made

    def happen(self, count: int = 1) -> list[UUID]:
        """Start workflows, which makes a message for each."""
        return [self.kernel.start("noop_chain") for _ in range(count)]

    def tell(self, count: int) -> None:
        """Make so many messages, without their workflows."""
        db.row(
            "SELECT count(tell_endpoints_v1(%s, 'workflow.started', uuidv7(), n, '{}', false,"
            " NULL)) FROM generate_series(1, %s) AS n",
            (self.kernel.user_id, count),
        )

    def send(self, passes: int = 1) -> int:
        """Send what is due, in so many passes; how many attempts that were."""
        sent = 0
        for _ in range(passes):
            sent += self.sender.send_due()
            assert self.sender.wait(10)
        return sent

    def got(self, path: str) -> list[Received]:
        """What the path has received."""
        return self.receiver.of(path)

    def row(self, endpoint_id: UUID) -> dict[str, Any]:
        """The row of an endpoint."""
        row = db.row("SELECT * FROM webhook_endpoints WHERE id = %s", (endpoint_id,))
        assert row is not None
        return row

    def sendings(self, endpoint_id: UUID) -> list[dict[str, Any]]:
        """The sendings to an endpoint, oldest first."""
        return db.rows(
            "SELECT s.*, m.type, s.due_at - playalter_now() AS due_in FROM webhook_sendings AS s"
            " JOIN webhook_messages AS m ON m.id = s.message_id WHERE endpoint_id = %s"
            " ORDER BY s.message_id",
            (endpoint_id,),
        )

    def statuses(self, endpoint_id: UUID) -> list[str]:
        """The statuses of the sendings to an endpoint, oldest first."""
        return [row["status"] for row in self.sendings(endpoint_id)]

    def attempts(self, endpoint_id: UUID) -> list[dict[str, Any]]:
        """The attempts at an endpoint, oldest first."""
        return db.rows(
            "SELECT * FROM webhook_attempts WHERE endpoint_id = %s ORDER BY id", (endpoint_id,)
        )


def pass_time(amount: timedelta) -> None:
    """Let the time of waits pass."""
    db.row(
        "INSERT INTO clock_offset (amount) VALUES (%s)"
        " ON CONFLICT (is_only) DO UPDATE SET amount = clock_offset.amount + excluded.amount",
        (amount,),
    )


@pytest.fixture
def post(settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """A user without endpoints, whose port at the receiver is allowed, and no other."""
    monkeypatch.setenv("OUTBOUND_ALLOWED", f"127.0.0.1:{receiver.port}")
    monkeypatch.setenv("LEASE_SECONDS", str(LEASE_SECONDS))
    forget()
    receiver.got.clear()
    receiver.answers.clear()
    receiver.most_at_once.clear()
    made = Post(kernel_of_ada(), receiver)
    yield made
    made.sender.close()

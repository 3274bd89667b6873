"""Tables of the ledger of customers' money."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import UUID7, Base, one_of
from app.money.facts import KINDS, SOURCES
from app.money.statements import DIFFERENCES

_NOW = text("playalter_now()")


class LedgerEntryRow(Base):
    """One fact about customers' money that a platform has reported. Append-only."""

    __tablename__ = "ledger_entries"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    organisation_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None]
    workflow_id: Mapped[UUID | None]
    version: Mapped[int | None]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    fact_key: Mapped[str]
    """`<platform>:<id of the object>:<kind>`: a fact is booked once."""
    of_key: Mapped[str | None]
    """The fact to which this one belongs, such as the capture whose fee this is."""
    kind: Mapped[str]
    platform: Mapped[str]
    type: Mapped[str | None]
    step_key: Mapped[str | None]
    source: Mapped[str]
    stage: Mapped[str | None]
    """What the object has come to, by the platform's word; such an entry has no lines."""
    external_ids: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    __table_args__ = (
        UniqueConstraint("fact_key", name="ledger_entries_once"),
        CheckConstraint(one_of("kind", KINDS), name="ledger_entries_kind"),
        CheckConstraint(
            "(stage IS NOT NULL) = (kind = 'dispute_stage')", name="ledger_entries_stage"
        ),
        CheckConstraint(one_of("source", SOURCES), name="ledger_entries_source"),
        Index("ledger_entries_by_user", "user_id", "id"),
        Index(
            "ledger_entries_by_workflow",
            "workflow_id",
            postgresql_where=text("workflow_id IS NOT NULL"),
        ),
        Index("ledger_entries_by_time", "occurred_at"),
        Index("ledger_entries_recorded", "recorded_at", postgresql_using="brin"),
        Index("ledger_entries_of", "of_key", postgresql_where=text("of_key IS NOT NULL")),
        Index(
            "ledger_entries_disputes", "platform", "id", postgresql_where=text("kind = 'dispute'")
        ),
    )


class LedgerLineRow(Base):
    """One line of an entry. The lines of an entry add up to 0 in each currency."""

    __tablename__ = "ledger_lines"
    entry_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_entries.id"), primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)
    """Minor units. Positive is a debit, negative a credit."""
    currency: Mapped[str] = mapped_column(CHAR(3), primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    __table_args__ = (
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="ledger_lines_currency"),
        CheckConstraint("amount <> 0", name="ledger_lines_amount"),
    )


class LedgerDifference(Base):
    """Where the ledger and a platform's statement differ; open until it is explained."""

    __tablename__ = "ledger_differences"
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=UUID7)
    found_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    explained_at: Mapped[datetime | None]
    ours: Mapped[int | None] = mapped_column(BigInteger)
    """What is booked, in minor units of `ours_currency`."""
    theirs: Mapped[int | None] = mapped_column(BigInteger)
    """What the platform states, in minor units of `theirs_currency`."""
    day: Mapped[date]
    kind: Mapped[str]
    about: Mapped[str]
    """The key of the fact."""
    platform: Mapped[str]
    ours_currency: Mapped[str | None] = mapped_column(CHAR(3))
    theirs_currency: Mapped[str | None] = mapped_column(CHAR(3))
    external_id: Mapped[str | None]
    explained_by: Mapped[str | None]
    note: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("about", "kind", name="ledger_differences_once"),
        CheckConstraint(one_of("kind", DIFFERENCES), name="ledger_differences_kind"),
        Index("ledger_differences_open", "id", postgresql_where=text("explained_at IS NULL")),
    )


class LedgerDay(Base):
    """A day of a platform's statement, and how far it is compared with the ledger."""

    __tablename__ = "ledger_days"
    platform: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    movements: Mapped[int] = mapped_column(server_default=text("0"))
    began_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    completed_at: Mapped[datetime | None]
    balance_compared_at: Mapped[datetime | None]
    disputes_asked_at: Mapped[datetime | None]
    disputes_after: Mapped[UUID | None]
    cursor: Mapped[str | None]


class LedgerGap(Base):
    """By how much a platform's balance differed from the ledger's when they were compared last."""

    __tablename__ = "ledger_gaps"
    gap: Mapped[int] = mapped_column(BigInteger)
    """Theirs less ours, in minor units."""
    day: Mapped[date]
    platform: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(CHAR(3), primary_key=True)


class PaymentSighting(Base):
    """A payment that was seen lately, with keyed hashes of its card, e-mail and address.

    Rules count them. What they are hashes of is stored nowhere.
    """

    __tablename__ = "payment_sightings"
    organisation_id: Mapped[UUID] = mapped_column(primary_key=True)
    platform: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(primary_key=True)
    card: Mapped[bytes | None]
    email: Mapped[bytes | None]
    address: Mapped[bytes | None]
    amount: Mapped[int] = mapped_column(BigInteger)
    """Minor units."""
    currency: Mapped[str]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    __table_args__ = (
        *(
            Index(
                f"payment_sightings_by_{kind}",
                kind,
                "seen_at",
                postgresql_where=text(f"{kind} IS NOT NULL"),
            )
            for kind in ("card", "email", "address")
        ),
        Index("payment_sightings_expired", "expires_at"),
    )

"""Tables of the operators' prices, of what had none, and of the models that end."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Double, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.models.base import NOW, Base


class PriceRow(Base):
    """An operator's price of a unit of an item from a day on (see app/tariffs)."""

    __tablename__ = "prices"
    platform: Mapped[str] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    tier: Mapped[str] = mapped_column(primary_key=True, server_default=text("''"))
    context_over: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, server_default=text("0")
    )
    starts_on: Mapped[date] = mapped_column(primary_key=True)
    usd: Mapped[Decimal] = mapped_column(Numeric)
    source: Mapped[str] = mapped_column(server_default=text("''"))
    set_at: Mapped[datetime] = mapped_column(server_default=NOW)
    __table_args__ = (
        CheckConstraint("usd >= 0 AND usd < 1000000", name="prices_usd"),
        CheckConstraint("context_over >= 0", name="prices_context"),
    )


class PriceGap(Base):
    """Something that was used and had no price, so that its cost was estimated, or left out if no
    platform has a price of the unit (`is_counted` is false)."""

    __tablename__ = "price_gaps"
    platform: Mapped[str] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    is_counted: Mapped[bool] = mapped_column(server_default=text("true"))
    noted_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ModelEnd(Base):
    """The end of a model that operators have recorded (see app/tariffs)."""

    __tablename__ = "model_ends"
    platform: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    ends_on: Mapped[date]
    successor: Mapped[str | None]
    set_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ModelWarning(Base):
    """The day on which the log last said that a model which is used ends, or has ended."""

    __tablename__ = "model_warnings"
    platform: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    told_on: Mapped[date]


class ModelInUse(Base):
    """The last days on which a step has paid for a model, and on which a definition or a schedule
    named it."""

    __tablename__ = "models_in_use"
    platform: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    used_on: Mapped[date | None]
    named_on: Mapped[date | None]
    pace: Mapped[float | None] = mapped_column(Double)
    """The seconds that the model took for a thousand tokens, as it was measured lately."""
    __table_args__ = (
        CheckConstraint(
            "used_on IS NOT NULL OR named_on IS NOT NULL", name="models_in_use_somehow"
        ),
    )

"""Make a price of a product at Stripe; the compensation archives it.

What a price costs never changes. Another price of the product is made in its place.
https://docs.stripe.com/api/prices/create
"""

from typing import Literal

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent
from app.money.currencies import fault_of
from app.platform import (
    ActionInput,
    ActionOutput,
    Effect,
    Intent,
    Json,
    LookupAnswer,
    Undo,
    action,
)
from tasks.stripe.catalogue.products import PRODUCT, PRODUCTS, archive_one
from tasks.stripe.kinds import Kind, find_made, first_of, made_by, require_own
from tasks.stripe.marks import KEY_LIFE, MOST_AMOUNT, Metadata, own_marks
from tasks.stripe.wording import given as known
from tasks.stripe.wording import picked

PRICES = Kind("prices")
_MOST_INTERVALS = {"day": 1095, "week": 156, "month": 36, "year": 3}
"""Three years (https://docs.stripe.com/api/prices/create#create_price-recurring-interval_count)."""


class Recurring(ActionInput):
    """How often a subscription is paid: each `interval_count` intervals, at most three years."""

    interval: Literal["day", "week", "month", "year"]
    interval_count: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _is_not_too_long(self) -> "Recurring":
        if self.interval_count > (most := _MOST_INTERVALS[self.interval]):
            raise ValueError(f"Stripe takes at most {most} for the interval {self.interval}")
        return self


class RecurringPrice(Recurring):
    """As Recurring. A price with a `meter` is metered: a subscription pays what its customer has
    used (`stripe.report_usage`), after each period, and has no quantity of it."""

    meter: str | None = Field(default=None, pattern=r"^mtr_\w+$", max_length=255)

    def params(self) -> Json:
        """Stripe's parameters."""
        usage_type = None if self.meter is None else "metered"
        return known(self.model_dump() | {"usage_type": usage_type})


class CreatePriceInput(ActionInput):
    """What one of the product costs: `unit_amount` is in minor units of `currency` (ISO 4217).

    A price with `recurring` is for subscriptions, one without it is paid once. `lookup_key` is a
    name by which a shop finds the price. `metadata` are the author's own names and values.
    """

    product: str = Field(pattern=PRODUCT, max_length=255)
    unit_amount: int = Field(ge=0, le=MOST_AMOUNT)
    currency: str = Field(pattern=r"^[A-Za-z]{3}$")
    recurring: RecurringPrice | None = None
    nickname: str | None = Field(default=None, min_length=1, max_length=250)
    lookup_key: str | None = Field(default=None, min_length=1, max_length=200)
    tax_behavior: Literal["exclusive", "inclusive", "unspecified"] | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _may_be_charged(self) -> "CreatePriceInput":
        if fault := fault_of(self.unit_amount, self.currency):
            raise ValueError(fault)
        return self


@action("stripe.create_price", input=CreatePriceInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def create_price(call: Call, given: CreatePriceInput) -> Json:
    """Make a price: {price, product, unit_amount, currency, type, lookup_key}.

    Raises Permanent if the product does not exist or is another organisation's, or if another price
    has the lookup key.
    """
    recurring = given.recurring and given.recurring.params()
    own = {"currency": given.currency.lower(), "recurring": recurring}
    fields = known(given.model_dump(exclude={"metadata"}) | own)
    return call.once(
        "prices.create",
        fields | {"metadata": given.metadata | own_marks(call)},
        lambda request, key: _create(call, request, key),
        is_last=True,
    )


class Price(ActionOutput):
    """The price, in minor units of the currency. `type` is `one_time` or `recurring`."""

    price: str
    product: str
    unit_amount: int
    currency: str
    type: str
    lookup_key: str | None


create_price.describe(
    output=Price,
    example={
        "product": "prod_Qx7",
        "unit_amount": 1990,
        "currency": "eur",
        "recurring": {"interval": "month"},
    },
)


@create_price.looked_up
def find_price(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the price by its metadata in Stripe's list, which is strongly consistent."""
    return find_made(PRICES, intent, _summary)


@create_price.compensation
def archive(call: Call, undo: Undo) -> Json:
    """Archive the step's prices, whose lookup keys another price may have then. Subscriptions that
    have one go on.

    `keys_kept` names those whose lookup key Stripe does not take back.
    """
    made = made_by(call, undo, PRICES, "price")
    results = [archive_one(PRICES, each) for each in made]
    kept = [each for each in made if not _is_released(each)]
    result = {"result": first_of(results, ("archived", "already")), "prices": made}
    return result | ({"keys_kept": kept} if kept else {})


def _is_released(price: str) -> bool:
    """Take the lookup key from a price; whether it has none afterwards."""
    if not PRICES.retrieve(price).get("lookup_key"):
        return True
    try:
        PRICES.update(price, {"lookup_key": ""})
    except Permanent:
        return False
    return True


def _create(call: Call, request: Json, key: str) -> Json:
    require_own(call, PRODUCTS.retrieve(request["product"]))
    return _summary(PRICES.create(request, key))


def _summary(seen: Json) -> Json:
    names = ("product", "unit_amount", "currency", "type", "lookup_key")
    return {"price": seen["id"], **picked(seen, names)}

"""What a customer is asked for in a Checkout Session, and the request that opens the session.

https://docs.stripe.com/api/checkout/sessions/create
"""

from typing import Literal

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Retryable
from app.money.currencies import fault_of
from app.platform import ActionInput, Json
from tasks.stripe.catalogue.prices import Recurring
from tasks.stripe.customers.calls import CUSTOMER
from tasks.stripe.customers.saving import WAS_ATTACHED
from tasks.stripe.marks import AT_ONCE, MOST_AMOUNT, Metadata, own_marks
from tasks.stripe.wording import given as known

_URL = r"^https?://[^\s]+$"
_SHORTEST_SECONDS = 30 * 60
"""Stripe lets no page expire sooner after it is opened."""
_SENDING_SECONDS = 15
"""A request takes at most so long to Stripe, whose clock may differ by a little."""


class LineItem(ActionInput):
    """What is bought: a `price` of the catalogue, or a `name` with an amount for one of it.

    `unit_amount` is in minor units of `currency` (ISO 4217). The `quantity` of a metered price is
    null.
    """

    price: str | None = Field(default=None, pattern=r"^(price|plan)_\w+$", max_length=255)
    name: str | None = Field(default=None, min_length=1, max_length=250)
    unit_amount: int | None = Field(default=None, ge=0, le=MOST_AMOUNT)
    currency: str | None = Field(default=None, pattern=r"^[A-Za-z]{3}$")
    recurring: Recurring | None = None
    quantity: int | None = Field(default=1, ge=1, le=999_999)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "LineItem":
        named = (self.name, self.unit_amount, self.currency)
        if self.price is not None and any(each is not None for each in (*named, self.recurring)):
            raise ValueError("a line item has a price, or a name, a unit_amount and a currency")
        if self.price is None:
            if self.quantity is None:
                raise ValueError("only a metered price has no quantity")
            if self.name is None or self.unit_amount is None or self.currency is None:
                raise ValueError("a line item needs a price, or a name, unit_amount and currency")
            if fault := fault_of(self.unit_amount, self.currency):
                raise ValueError(fault)
        return self

    def params(self) -> Json:
        """The parameters of the line."""
        if self.price is not None:
            return known({"price": self.price, "quantity": self.quantity})
        data: Json = {
            "currency": str(self.currency).lower(),
            "unit_amount": self.unit_amount,
            "product_data": {"name": self.name},
        }
        if self.recurring is not None:
            data["recurring"] = self.recurring.model_dump()
        return {"price_data": data, "quantity": self.quantity}


class CheckoutInput(ActionInput):
    """What the customer does on the page: `payment` pays once, `subscription` begins one, `setup`
    saves a payment method for the `customer` and has no `line_items`.

    Stripe sends the customer to `success_url` afterwards, and to `cancel_url` who turns back. The
    page is open for `expires_in_seconds`, which is a day if it is not given. `customer` is one that
    Stripe knows, `customer_email` an address for the page. `allowed_payment_method_types` are
    Stripe's names, such as `card`; without them, those of the account's settings are offered.
    `currency` is for the mode `setup`, which needs it or the types. `metadata` are the author's own
    names and values.
    """

    mode: Literal["payment", "setup", "subscription"] = "payment"
    line_items: list[LineItem] = Field(default=[], max_length=100)
    success_url: str = Field(max_length=5000, pattern=_URL)
    cancel_url: str | None = Field(default=None, max_length=5000, pattern=_URL)
    customer: str | None = Field(default=None, pattern=CUSTOMER, max_length=255)
    customer_email: str | None = Field(default=None, max_length=512, pattern=r"^[^@\s]+@[^@\s]+$")
    expires_in_seconds: int | None = Field(default=None, ge=31 * 60, le=24 * 3600 - 60)
    allowed_payment_method_types: list[str] | None = Field(
        default=None, min_length=1, max_length=50
    )
    currency: str | None = Field(default=None, pattern=r"^[A-Za-z]{3}$")
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_the_mode(self) -> "CheckoutInput":
        if self.mode == "setup" and self.line_items:
            raise ValueError("a setup has no line_items: nothing is paid")
        if self.mode != "setup" and not self.line_items:
            raise ValueError(f"a {self.mode} needs line_items")
        if self.mode == "setup" and self.customer is None:
            raise ValueError("a setup needs the customer for whom the payment method is saved")
        if self.mode == "setup" and not (self.currency or self.allowed_payment_method_types):
            raise ValueError("a setup needs a currency, or allowed_payment_method_types")
        if self.mode != "setup" and self.currency is not None:
            raise ValueError("the currency is that of the line_items; only a setup has its own")
        if self.mode == "payment" and any(each.recurring for each in self.line_items):
            raise ValueError("a recurring price is for the mode subscription")
        if self.customer is not None and self.customer_email is not None:
            raise ValueError("give the customer or the customer_email, not both")
        return self


def request_of(call: Call, given: CheckoutInput) -> Json:
    """The parameters of the session that the step opens.

    What the session makes carries the step's marks too.
    """
    own = own_marks(call)
    metadata = {
        "payment": ("payment_intent_data", own | {AT_ONCE: "at_once"}),
        "setup": ("setup_intent_data", own | {WAS_ATTACHED: "false"}),
        "subscription": ("subscription_data", own),
    }
    made, marks = metadata[given.mode]
    names = ("cancel_url", "customer", "customer_email", "allowed_payment_method_types")
    request = known({name: getattr(given, name) for name in names}) | {
        "mode": given.mode,
        "success_url": given.success_url,
        "metadata": given.metadata | own,
        made: {"metadata": marks},
    }
    if given.line_items:
        request["line_items"] = [each.params() for each in given.line_items]
    if given.currency is not None:
        request["currency"] = given.currency.lower()
    if given.expires_in_seconds is not None:
        request["expires_at"] = int(call.now().timestamp()) + given.expires_in_seconds
    return request


def require_time(call: Call, request: Json) -> None:
    """Raise Retryable, so that the page gets another time and another key, if the time at which it
    ends has come too near since the request was recorded."""
    ends = request.get("expires_at")
    if ends is not None and ends - call.now().timestamp() < _SHORTEST_SECONDS + _SENDING_SECONDS:
        raise Retryable(
            "the page would end too soon: the request has waited",
            code="expires_too_soon",
            after=0.0,
            stored=True,
        )

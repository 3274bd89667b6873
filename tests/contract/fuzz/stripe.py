"""Stripe's calls for payments, customers, what is sold, and checkout pages.

Each family of actions is a client of its own, so that answers of each are mutated as often.
"""

from collections.abc import Callable

from app.platform import Json
from tasks.stripe.catalogue.prices import PRICES
from tasks.stripe.catalogue.products import PRODUCTS
from tasks.stripe.checkout.undoing import SESSIONS
from tasks.stripe.client import api
from tasks.stripe.customers.calls import CUSTOMERS, METHODS, SETUPS
from tasks.stripe.kinds import Kind
from tests.contract.fuzz.asked import (
    LONG_AGO,
    YEAR,
    Asked,
    Client,
    Made,
    all_sound,
    flag,
    having,
    key,
    maybe,
    nothing,
    text,
)
from tests.contract.stripe import selling
from tests.contract.stripe.steps import PAYMENT

SETTING = "STRIPE_BASE_URL"
an_object = having(id=text)
objects = all_sound(an_object)
a_page = having(data=objects, has_more=flag)


def made_id(made: Made, name: str) -> str:
    """The id of the object that an earlier call has made."""
    return str(made[name]["id"])


def create(kind: Kind, given: Callable[[Made], Json]) -> Asked:
    """A call that makes an object."""
    name = f"{kind.calls}.create"
    return Asked(name, lambda made: kind.create(given(made), key()), an_object, is_repeatable=False)


def do(kind: Kind, verb: str, given: Callable[[Made], Json], of: str | None = None) -> Asked:
    """A call that does something with the object that was made, or with that of another call."""
    made_by = of or f"{kind.calls}.create"
    return Asked(
        f"{kind.calls}.{verb}",
        lambda made: kind.do(verb, made_id(made, made_by), given(made), key()),
        an_object,
        is_repeatable=False,
    )


def reads(kind: Kind) -> tuple[Asked, ...]:
    """The reads of the object that was made: by its id, in a page, and by marks in the list."""
    name = f"{kind.calls}.create"
    return (
        Asked(f"{kind.calls}.retrieve", lambda made: kind.retrieve(made_id(made, name)), an_object),
        Asked(f"{kind.calls}.list", lambda made: kind.page({"limit": 3}), a_page),
        Asked(
            f"{kind.calls}.marked",
            lambda made: kind.marked({}, LONG_AGO, LONG_AGO + YEAR),
            maybe(objects),
        ),
    )


PAYMENTS = Client(
    "stripe",
    SETTING,
    (
        Asked("payment_intents.create", lambda made: api().create_payment_intent(PAYMENT, key()),
              an_object, is_repeatable=False),
        Asked("payment_intents.retrieve",
              lambda made: api().retrieve_payment_intent(made_id(made, "payment_intents.create")),
              an_object),
        Asked("payment_intents.capture",
              lambda made: api().capture_payment_intent(
                  {"payment_intent": made_id(made, "payment_intents.create")}, key()),
              an_object, is_repeatable=False),
        Asked("payment_intents.list",
              lambda made: api().payment_intents_with({}, LONG_AGO, LONG_AGO + YEAR),
              maybe(objects)),
        Asked("refunds.create",
              lambda made: api().create_refund(
                  {"payment_intent": made_id(made, "payment_intents.create")}, key()),
              an_object, is_repeatable=False),
        Asked("refunds.list",
              lambda made: api().refunds_of(made_id(made, "payment_intents.create")), objects),
        Asked("refunds.retrieve",
              lambda made: api().retrieve_refund(made_id(made, "refunds.create")), an_object),
        Asked("balance_transactions.list",
              lambda made: api().balance_transactions(LONG_AGO, LONG_AGO + YEAR, None), a_page),
        Asked("probe", lambda made: api().probe(), nothing),
    ),
    family="payments",
)  # fmt: skip
_CUSTOMER: Json = {"email": "ada@example.com", "name": "Ada"}
CUSTOMER = Client(
    "stripe",
    SETTING,
    (
        create(CUSTOMERS, lambda made: _CUSTOMER),
        *reads(CUSTOMERS),
        do(CUSTOMERS, "update", lambda made: {"name": "Ada King"}),
        create(METHODS, lambda made: {"type": "card", "card": {"token": "tok_visa"}}),
        do(METHODS, "attach", lambda made: {"customer": made_id(made, "customers.create")}),
        Asked("payment_methods.retrieve",
              lambda made: METHODS.retrieve(made_id(made, "payment_methods.create")), an_object),
        Asked("payment_methods.detach",
              lambda made: METHODS.end("detach", made_id(made, "payment_methods.create")),
              an_object),
        create(SETUPS, lambda made: {"customer": made_id(made, "customers.create")}),
        *reads(SETUPS),
        Asked("setup_intents.cancel",
              lambda made: SETUPS.end("cancel", made_id(made, "setup_intents.create")), an_object),
    ),
    family="customers",
)  # fmt: skip
CATALOGUE = Client(
    "stripe",
    SETTING,
    (
        create(PRODUCTS, lambda made: {"name": "Portrait"}),
        *reads(PRODUCTS),
        create(PRICES, lambda made: {"product": made_id(made, "products.create"),
                                     "unit_amount": 4900, "currency": "eur"}),
        *reads(PRICES),
        Asked("prices.update",
              lambda made: PRICES.update(made_id(made, "prices.create"), {"active": False}),
              an_object),
    ),
    family="catalogue",
)  # fmt: skip
CHECKOUT = Client(
    "stripe",
    SETTING,
    (
        create(SESSIONS, lambda made: {
            "mode": "payment", "success_url": "https://shop.example.com/thanks",
            "line_items": [{"price": made_id(made, "price"), "quantity": 1}]}),
        *reads(SESSIONS),
        Asked("checkout.sessions.expire",
              lambda made: SESSIONS.end("expire", made_id(made, "checkout.sessions.create")),
              an_object),
    ),
    family="checkout",
    setup=lambda: {"price": {"id": selling.price(interval=None)}},
)  # fmt: skip
FAMILIES = (PAYMENTS, CUSTOMER, CATALOGUE, CHECKOUT)

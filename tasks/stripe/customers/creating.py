"""Make a customer at Stripe; the compensation deletes the customer if nothing of value hangs on it.

https://docs.stripe.com/api/customers/create
"""

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent
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
from tasks.stripe.customers.calls import BALANCES, CUSTOMERS, value_of
from tasks.stripe.kinds import find_made, first_of, made_by
from tasks.stripe.marks import KEY_LIFE, Metadata, own_marks
from tasks.stripe.wording import given as known


class Address(ActionInput):
    """A postal address; `country` is a code of two letters (ISO 3166-1)."""

    line1: str | None = Field(default=None, max_length=200)
    line2: str | None = Field(default=None, max_length=200)
    city: str | None = Field(default=None, max_length=100)
    state: str | None = Field(default=None, max_length=100)
    postal_code: str | None = Field(default=None, max_length=20)
    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")


class CreateCustomerInput(ActionInput):
    """What is known of the customer; at least one field is needed.

    `metadata` are the author's own names and values.
    """

    email: str | None = Field(default=None, max_length=512, pattern=r"^[^@\s]+@[^@\s]+$")
    name: str | None = Field(default=None, min_length=1, max_length=256)
    phone: str | None = Field(default=None, min_length=1, max_length=20)
    description: str | None = Field(default=None, min_length=1, max_length=350)
    address: Address | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_somebody(self) -> "CreateCustomerInput":
        address = self.address and known(self.address.model_dump())
        told = (self.email, self.name, self.phone, self.description, address, self.metadata)
        if not any(told):
            raise ValueError("a customer needs an email, a name, or another field")
        return self


@action(
    "stripe.create_customer", input=CreateCustomerInput, effect=Effect.LOOKUP, key_life=KEY_LIFE
)
def create_customer(call: Call, given: CreateCustomerInput) -> Json:
    """Make a customer: {customer, email, name}.

    Stripe lets several customers have the same address; each step makes a customer of its own.
    """
    fields = known(given.model_dump(exclude={"metadata", "address"}))
    if given.address is not None:
        fields["address"] = known(given.address.model_dump())
    return call.once(
        "customers.create",
        fields | {"metadata": given.metadata | own_marks(call)},
        lambda request, key: _summary(CUSTOMERS.create(request, key)),
        is_last=True,
    )


class Customer(ActionOutput):
    """The customer's id at Stripe, with the address and the name that Stripe knows."""

    customer: str
    email: str | None
    name: str | None


create_customer.describe(
    output=Customer,
    example={"email": "ada@example.com", "name": "Ada Lovelace", "metadata": {"shop": "7"}},
)


@create_customer.looked_up
def find_customer(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the customer by its metadata in Stripe's list, which is strongly consistent."""
    return find_made(CUSTOMERS, intent, _summary)


@create_customer.compensation
def delete(call: Call, undo: Undo) -> Json:
    """Delete the step's customers, except those on whom something of value hangs.

    To delete a customer ends all subscriptions at once, and loses the balances and the saved cards.
    So a customer with one of them, or with what is still to be paid, is kept, and the result says
    why: another workflow or a person may depend on it.
    """
    made = made_by(call, undo, CUSTOMERS, "customer")
    kept: Json = {}
    results = [_delete_one(each, kept) for each in made]
    result = {"result": first_of(results, ("kept", "deleted", "already")), "customers": made}
    return result | ({"kept": kept} if kept else {})


def _delete_one(customer: str, kept: Json) -> str:
    if CUSTOMERS.retrieve(customer).get("deleted"):
        return "already"
    # Of a deleted customer nothing can be expanded.
    if value := value_of(CUSTOMERS.retrieve(customer, *BALANCES)):
        kept[customer] = value
        return "kept"
    try:
        CUSTOMERS.end("delete", customer)
    except Permanent as err:
        if err.code != "resource_missing":
            raise
        return "already"
    return "deleted"


def _summary(seen: Json) -> Json:
    return {"customer": seen["id"], "email": seen.get("email"), "name": seen.get("name")}

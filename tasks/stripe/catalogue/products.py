"""Make a product at Stripe; the compensation archives it.

https://docs.stripe.com/api/products/create
"""

from pydantic import Field

from app.engine.call import Call
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
from tasks.stripe.kinds import Kind, find_made, first_of, made_by
from tasks.stripe.marks import KEY_LIFE, Metadata, own_marks
from tasks.stripe.wording import given as known

PRODUCTS = Kind("products")
PRODUCT = r"^[\w-]+$"
"""A shop may have given its products ids of its own."""


class CreateProductInput(ActionInput):
    """What customers see of the product. `url` is its page, `images` are addresses of pictures.

    `unit_label` is the word for one of it on invoices, and `tax_code` one of Stripe's tax codes.
    `metadata` are the author's own names and values.
    """

    name: str = Field(min_length=1, max_length=250)
    description: str | None = Field(default=None, min_length=1, max_length=5000)
    url: str | None = Field(default=None, max_length=2048, pattern=r"^https?://[^\s]+$")
    images: list[str] | None = Field(default=None, min_length=1, max_length=8)
    unit_label: str | None = Field(default=None, min_length=1, max_length=12)
    statement_descriptor: str | None = Field(
        default=None, min_length=5, max_length=22, pattern=r"^[^<>\\\"'*]*[A-Za-z][^<>\\\"'*]*$"
    )
    tax_code: str | None = Field(default=None, pattern=r"^txcd_\d+$", max_length=50)
    metadata: Metadata = Field(default_factory=dict)


@action("stripe.create_product", input=CreateProductInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def create_product(call: Call, given: CreateProductInput) -> Json:
    """Make a product: {product, name, active}. `stripe.create_price` says what it costs."""
    fields = known(given.model_dump(exclude={"metadata"}))
    return call.once(
        "products.create",
        fields | {"metadata": given.metadata | own_marks(call)},
        lambda request, key: _summary(PRODUCTS.create(request, key)),
        is_last=True,
    )


class Product(ActionOutput):
    """The product's id and name; `active` is whether it can be bought."""

    product: str
    name: str
    active: bool


create_product.describe(
    output=Product, example={"name": "Portrait", "description": "A portrait in oil, 40 x 50 cm"}
)


@create_product.looked_up
def find_product(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the product by its metadata in Stripe's list, which is strongly consistent."""
    return find_made(PRODUCTS, intent, _summary)


@create_product.compensation
def archive(call: Call, undo: Undo) -> Json:
    """Archive the step's products. Stripe deletes no product that has prices, and what was bought
    of it stays as it is."""
    made = made_by(call, undo, PRODUCTS, "product")
    results = [archive_one(PRODUCTS, each) for each in made]
    return {"result": first_of(results, ("archived", "already")), "products": made}


def archive_one(kind: Kind, object_id: str) -> str:
    """Let a product or a price be bought no more: `archived`, or `already`."""
    seen = kind.retrieve(object_id)
    if seen.get("deleted") or not seen["active"]:
        return "already"
    kind.update(object_id, {"active": False})
    return "archived"


def _summary(seen: Json) -> Json:
    return {"product": seen["id"], "name": seen["name"], "active": seen["active"]}

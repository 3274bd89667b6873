"""What our steps write into the metadata of Stripe's objects, and how they find their own by it.

Invariant: every object that a step makes names the step's reference. So it is found even if
Stripe's answer was lost.
"""

import hashlib
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from app.engine.call import Call
from app.platform import Json

KEY_LIFE = timedelta(hours=24)
CLOCKS_DIFFER = timedelta(minutes=5)
POLL_SECONDS = 30.0
MOST_AMOUNT = 999_999_999_999
"""Stripe takes twelve digits, and fewer for some cards (https://docs.stripe.com/currencies)."""
CAPTURED_BY = "captured_by"
"""The name in a PaymentIntent's metadata under which the capture writes its step's reference, as
proof that the capture is the step's own."""
CONFIRMED_BY = "confirmed_by"
"""The name under which a step that confirms a PaymentIntent writes its reference and generation,
before it does."""
CONFIRMED_AFTER = "confirmed_after"
"""The name of the charge, if there is one, that was declined before that."""
CHANGED_BY = "changed_by"
"""The name under which a step that attaches a payment method writes its reference. With the name of
a field behind it, it names the step that has set the field."""
AT_ONCE = "taken"
"""The name that a PaymentIntent has in its metadata if the customer pays at once, and no step of
ours captures it. Its value is `at_once`."""
_OURS = (
    "workflow",
    "step",
    "reference",
    "generation",
    CAPTURED_BY,
    CONFIRMED_BY,
    CONFIRMED_AFTER,
    AT_ONCE,
)


def _without_ours(given: dict[str, str]) -> dict[str, str]:
    if taken := sorted(each for each in given if each in _OURS or each.startswith(CHANGED_BY)):
        raise ValueError(f"a step writes {', '.join(taken)} itself")
    return given


Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\[\]]+$")],
        Annotated[str, StringConstraints(min_length=1, max_length=500)],
    ],
    Field(max_length=40),
    AfterValidator(_without_ours),
]
"""An author's own metadata. Stripe takes 50 names, of which some are ours
(https://docs.stripe.com/api/metadata)."""


def marks(call: Call) -> dict[str, str]:
    """The marks of an object that the step makes, or its compensation."""
    workflow, _, step = call.reference.partition("/")
    return {"workflow": workflow, "step": step, "reference": call.reference}


def own_marks(call: Call) -> dict[str, str]:
    """The marks of an object that only this generation of the step makes.

    An earlier generation may have left an object of its own, for example a declined PaymentIntent.
    The lookup must not take it for the one that it looks for.
    """
    return marks(call) | {"generation": str(call.generation)}


def part_mark(call: Call) -> str:
    """The name in a PaymentIntent's metadata under which one of several captures writes what it has
    taken, and for which step. Each generation of a step takes a part of its own."""
    own = f"{call.reference} {call.generation}"
    return f"{CAPTURED_BY}_{hashlib.sha256(own.encode()).hexdigest()[:16]}"


def parts_of(seen: Json) -> int:
    """How much of a PaymentIntent the steps of workflows have captured in parts."""
    own = (value for name, value in metadata_of(seen).items() if name.startswith(f"{CAPTURED_BY}_"))
    return sum(int(value.partition(" ")[0]) for value in own)


def metadata_of(seen: Json) -> Json:
    """The metadata of an object, which some of its answers leave out."""
    return seen.get("metadata") or {}


def is_captured_by(call: Call, seen: Json) -> bool:
    """Whether a PaymentIntent is captured, and by this step."""
    is_captured = seen["status"] == "succeeded"
    return is_captured and metadata_of(seen).get(CAPTURED_BY) == call.reference


def claim(call: Call, seen: Json) -> None:
    """Make sure that this workflow may change a PaymentIntent that exists.

    Raises Permanent if another workflow has made or captured it.
    """
    found = metadata_of(seen)
    call.claim_object(seen["id"], found.get("reference") or found.get(CAPTURED_BY))

"""People are told at once if Stripe refuses our credential while a step acts on a hold.

Other steps wait for as long as that lasts. But a hold ends by itself, and the payment with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import NotServed


@contextmanager
def on_hold() -> Iterator[None]:
    """The block acts on an authorized payment: a refusal in it is urgent."""
    try:
        yield
    except NotServed as err:
        err.is_urgent = not err.ends_by_itself
        raise

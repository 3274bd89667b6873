"""`python -m tests.sandbox.stripe.unchecked`: write `ops/sandbox/stripe/unchecked.md`.

It lists what the comparison with Stripe's description leaves out. A test compares it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.sandbox.box import Box
from ops.sandbox.credentials import Credentials
from ops.sandbox.faults import Faults
from ops.sandbox.settings import Settings
from ops.sandbox.store import Store
from ops.sandbox.stripe.server import Stripe
from ops.sandbox.timers import Timers
from ops.sandbox.webhooks.outbox import Outbox
from tests.sandbox.stripe.asked import parameters_of
from tests.sandbox.stripe.checked import SHAPES, WITHOUT_SHAPE
from tests.sandbox.stripe.describe import FOLDER

FILE = FOLDER / "unchecked.md"
_TEXT = """\
# What is not compared with Stripe's description

In the tests of the sandbox, Stripe's own HTTP client compares each accepted request with the types
of the SDK's parameters (their names, kinds and enumerations, and which must be given, at any depth)
and each reply with the shape of its kind (the fields of each object, at any depth of objects). The
contract suite compares the requests of our own client in the same way. What follows is left out.
`python -m tests.sandbox.stripe.unchecked` writes this file; a test compares it.

- Of replies: the kinds of values, and the fields of a hash that is no object.
- Errors: their codes and words are compared with Stripe's documentation by hand only.
- Requests without the header `Stripe-Version`, which Stripe's command line sends, and requests that
  are refused.

## Calls whose parameters the SDK does not have

{calls}

## Kinds of replies without a shape

{kinds}

## Fields that may be there or not

The SDK has these fields, but Stripe's fixtures do not show them; so none is demanded.

{fields}
"""


def text() -> str:
    """The text of the file."""
    calls = [
        f"- `{method} {path}`"
        for method, path, *_ in routes()
        if parameters_of(method, re.sub("<[^>]+>", "x", path)) is None
    ]
    kinds = [f"- `{kind}`: {why}" for kind, why in sorted(WITHOUT_SHAPE.items())]
    fields = [
        f"- `{kind}`: {', '.join(names)}" for kind, names in SHAPES["included"].items() if names
    ]
    return _TEXT.format(
        calls="\n".join(sorted(calls)), kinds="\n".join(kinds), fields="\n".join(fields)
    )


def routes() -> list[tuple[str, str]]:
    """Method and path of each call that the sandbox serves."""
    with tempfile.TemporaryDirectory() as folder, a_box(Path(folder)) as box:
        return [(method, path) for method, path, *_ in Stripe(box).routes()]


@contextmanager
def a_box(folder: Path) -> Iterator[Box]:
    """What a vendor stands on, without a port; nothing is sent and no timer runs."""
    store = Store(folder)
    settings, faults, made = Settings(store), Faults(store), Credentials.from_seed(1)
    outbox, timers = Outbox(store, settings, faults, made), Timers(store)
    try:
        yield Box(store, settings, faults, outbox, timers, made, 1, "key")
    finally:
        store.close()


if __name__ == "__main__":
    FILE.write_text(text())

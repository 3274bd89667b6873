"""`python -m tests.sandbox.replicate.unchecked`: write `ops/sandbox/replicate/unchecked.md`.

It lists what the comparison with Replicate's description leaves out. A test compares it.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from ops.sandbox.replicate.server import Replicate
from tests.sandbox.replicate.checked import DESCRIPTION, UNDESCRIBED
from tests.sandbox.replicate.describe import FILE as DESCRIBED
from tests.sandbox.stripe.unchecked import a_box

FILE = DESCRIBED.with_name("unchecked.md")
_TEXT = """\
# What is not compared with Replicate's description

In the tests of the sandbox, the SDK's transport and a plain HTTP client compare each accepted
request (its query, the headers `Prefer` and `Cancel-After`, and its JSON body) and each reply (its
status, its content type, its fields and their types, at any depth) with `openapi.json`. What
follows is left out. `python -m tests.sandbox.replicate.unchecked` writes this file; a test compares
it.

- Forms: the parts of `POST /files`.
- The words of errors. The description has those of files and of the search only. Others are from
  issues (too many requests, training destinations), and where Replicate publishes none they are the
  sandbox's own.
- Fields without a schema: a prediction's `input` and `output`, `default_example`, `latest_version`
  and `openapi_schema`.
- Whether a field that may be missing is there: {optional} fields of replies are not required.
- Files of results and server-sent events, which have no operation.
- Webhooks: their events and their retries. The code of `predictions.get` makes their body.

## Operations that the sandbox serves and the description lacks

{served}

## Fields that the description lacks

{fields}

## What the SDK cannot do

Version 1.0.7 of `replicate` raises for a prediction whose status is `aborted`, sends no
`Cancel-After`, cannot update a model, and knows neither `search`, READMEs, examples nor the
downloads of files. These go through the plain client.
"""


def text() -> str:
    """The text of the file."""
    served = [
        f"- `{method} {path}`"
        for method, path, operation in sorted(routes())
        if operation not in operations()
    ]
    fields = [
        f"- {area}: {', '.join(f'`{name}`' for name in names)} ({why})"
        for area, (names, why) in UNDESCRIBED.items()
    ]
    return _TEXT.format(
        served="\n".join(served), fields="\n".join(fields), optional=_optional_fields()
    )


def operations() -> dict[str, tuple[str, str]]:
    """Method and path of each described operation, by its id; variable parts are `<>`."""
    return {
        operation["operationId"]: (method.upper(), "/v1" + re.sub(r"\{\w+\}", "<>", path))
        for path, methods in DESCRIPTION["paths"].items()
        for method, operation in methods.items()
    }


def routes() -> list[tuple[str, str, str]]:
    """Method, path and operation of each call that the sandbox serves."""
    with tempfile.TemporaryDirectory() as folder, a_box(Path(folder)) as box:
        return [(method, path, operation) for method, path, operation, _ in Replicate(box).routes()]


def _optional_fields() -> int:
    schemas = DESCRIPTION["components"]["schemas"]
    return sum(
        len(set(schema.get("properties", {})) - set(schema.get("required", [])))
        for name, schema in schemas.items()
        if name.endswith("_response")
    )


if __name__ == "__main__":
    FILE.write_text(text())

"""The inputs and outputs of a workflow's steps, as far as they fit into one answer.

Invariant: however large the payloads together are, PostgreSQL sends hardly more than MOST_BYTES of
them (see workflow_detail_v1).
"""

import json
from typing import Any

MOST_BYTES = 8 * 2**20
"""The most bytes of the payloads of all steps in one answer, in UTF-8."""


def payload(text: str | None) -> Any:
    """A payload that was read as text; None if there is none."""
    return None if text is None else json.loads(text)

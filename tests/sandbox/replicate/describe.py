"""`python -m tests.sandbox.replicate.describe openapi.json`: write the sandbox's `openapi.json`.

It is Replicate's published description (https://api.replicate.com/openapi.json) without its prose.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[3] / "ops" / "sandbox" / "replicate" / "openapi.json"
_PROSE = (
    "description", "example", "summary", "externalDocs", "info", "servers", "bearerFormat",
    "x-feature-flag",
)  # fmt: skip


def bare(value: Any, are_names: bool = False) -> Any:
    """Return a description without prose; under `properties` the keys are names of fields."""
    if isinstance(value, list):
        return [bare(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: bare(each, name == "properties" and not are_names)
        for name, each in value.items()
        if are_names or name not in _PROSE
    }


def main(path: str) -> None:
    """Write the description anew."""
    described = bare(json.loads(Path(path).read_text()))
    FILE.write_text(json.dumps(described, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

"""What only a process of the instance itself can do: it runs with the instance's settings.

`definitions` registers the mix's workflow types. `copies` reads lines of [[workflow, key], ...] and
publishes each of these steps once more, whoever holds it, and answers a line with a line.
"""

import json
import sys
from uuid import UUID

from app import db
from chains.catalogue import versions
from chains.dispatch import dispatch
from tests.chaos import definitions


def register() -> None:
    """Register what the mix needs."""
    for body in definitions.ALL:
        made = versions.register(body, activates=True)
        print(f"{made.name} version {made.version}")


def copy() -> None:
    """Publish copies until the input ends."""
    for line in sys.stdin:
        sent = sum(dispatch(UUID(workflow), [key]) for workflow, key in json.loads(line))
        print(sent, flush=True)


def main() -> None:
    """Run one of the two, and let connections go."""
    try:
        {"definitions": register, "copies": copy}[sys.argv[1]]()
    finally:
        db.release()


if __name__ == "__main__":
    main()

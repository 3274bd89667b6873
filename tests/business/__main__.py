"""30 virtual days of a subscription business, whose ledger is compared with Stripe's daily."""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from ops.laptop.supervisor import signals_as_exit
from tests.business.plan import make_plan
from tests.business.run import Report, run
from tests.business.stack import opened, place_of

_MOST_SHOWN = 20


def main() -> int:
    """Print the report; 0 only if nothing is unexplained and what was planted was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.business", description=__doc__)
    parser.add_argument("--customers", type=int, default=500)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1, help="the same seed: the same business")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--keep", type=Path, help="a folder for data and logs, which then stay")
    given = parser.parse_args()
    if given.customers < 1 or given.days < 4:
        parser.error("at least one customer and four days")
    plan = make_plan(given.seed, given.customers, given.days)
    with tempfile.TemporaryDirectory(prefix="playalter-business-") as folder:
        # The database server may run as another user.
        Path(folder).chmod(0o755)
        with signals_as_exit(), opened(given.keep or Path(folder) / "data") as stack:
            report = run(place_of(stack), plan)
    print(json.dumps(asdict(report), indent=2) if given.json else as_text(report))
    return 0 if report.is_good else 1


def as_text(report: Report) -> str:
    """A report for people."""
    lines = []
    for name, value in asdict(report).items():
        if isinstance(value, list):
            lines.append(f"{name.replace('_', ' ')}: {len(value)}")
            lines += [f"    {each}" for each in value[:_MOST_SHOWN]]
        else:
            lines.append(f"{name.replace('_', ' ')}: {value}")
    return "\n".join([*lines, "good" if report.is_good else "NOT GOOD"])


if __name__ == "__main__":
    sys.exit(main())

"""Campaigns in five currencies with every kind of fault: the books must balance to the cent."""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from ops.laptop.supervisor import signals_as_exit
from tests.campaigns.mix import AMOUNTS
from tests.campaigns.run import run
from tests.campaigns.telling import as_text


def main() -> int:
    """Print the report; 0 only if nothing is lost, doubled, left undone or booked wrongly."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns", description=__doc__)
    parser.add_argument(
        "--each", type=int, default=200, help=f"how many of each of {', '.join(AMOUNTS)}"
    )
    parser.add_argument("--minutes", type=float, default=6.0, help="how long they are submitted")
    parser.add_argument("--seed", type=int, default=1, help="the same seed: the same campaigns")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--keep", type=Path, help="a folder for data and logs, which then stay")
    given = parser.parse_args()
    if given.each < 1 or not 0 < given.minutes <= 24 * 60:
        parser.error("at least one campaign of each, and more than 0 minutes")
    with tempfile.TemporaryDirectory(prefix="playalter-campaigns-") as folder:
        # The database server may run as another user.
        Path(folder).chmod(0o755)
        data = given.keep or Path(folder) / "data"
        with signals_as_exit():
            report = run(data, given.seed, given.each, given.minutes * 60.0)
    print(json.dumps(asdict(report), indent=2) if given.json else as_text(report))
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())

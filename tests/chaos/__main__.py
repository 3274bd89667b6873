"""ops/chaos: break a whole instance by a seeded plan, and count what it did wrong."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import Options, run


def main() -> int:
    """Print the report; 0 only if all counts are 0 and the faults hit enough."""
    parser = argparse.ArgumentParser(prog="ops/chaos", description=__doc__)
    parser.add_argument("--workflows", type=int, default=2000, help="how many are submitted")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long they are, and faults")
    parser.add_argument("--seed", type=int, default=1, help="the same seed: same plan, same mix")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--keep", type=Path, help="a folder for data and logs, which then stay")
    given = parser.parse_args()
    if given.workflows < 1 or not 0 < given.minutes <= 24 * 60:
        parser.error("at least one workflow, and more than 0 minutes")
    options = Options(given.workflows, given.seed, given.minutes)
    if given.keep:
        report = run(options, given.keep)
    else:
        with tempfile.TemporaryDirectory(prefix="playalter-chaos-") as folder:
            # The database server may run as another user.
            Path(folder).chmod(0o755)
            report = run(options, Path(folder) / "data")
    print(report.as_json() if given.json else report.as_text())
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())

"""Finds the files that define the schema, and computes the checksum of the baseline.

Run as a program, it freezes the present migrations: their checksums are written to frozen.json (see
app/db/migrations).
"""

import hashlib
import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_HERE = Path(__file__).parent
MIGRATIONS = _HERE / "migrations"
FUNCTIONS = _HERE / "sql"
FROZEN = MIGRATIONS / "frozen.json"


def function_files() -> list[Path]:
    """The file of each SQL function, `sql/<folder>/<function>.sql`, sorted by path."""
    return sorted(FUNCTIONS.glob("*/*.sql"))


def migration_files() -> list[Path]:
    """The files of the migrations and of the tables that the baseline creates, sorted by path."""
    return sorted([*MIGRATIONS.glob("versions/[0-9]*.py"), *MIGRATIONS.glob("baseline/*.sql")])


def checksum() -> str:
    """The checksum of the baseline, which each database stores.

    Until the first tag, it is computed from the files of all migrations and SQL functions. From
    then on, it is the frozen one.
    """
    known = frozen().get("baseline")
    return _computed() if known is None else str(known)


def frozen() -> Json:
    """The checksums that were frozen with the last tag: {baseline, files}; {} before the first."""
    found: Json = json.loads(FROZEN.read_text(encoding="utf-8"))
    return found


def _computed() -> str:
    whole = hashlib.sha256()
    for file in [*migration_files(), *function_files()]:
        whole.update(f"{file.relative_to(_HERE)} {digest(file)}\n".encode())
    return whole.hexdigest()


def digest(file: Path) -> str:
    """The checksum of one file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def frozen_now() -> Json:
    """The content of `frozen.json` if the present migrations are frozen now."""
    files = {str(file.relative_to(MIGRATIONS)): digest(file) for file in migration_files()}
    return {"baseline": checksum(), "files": files}


def changed_since(frozen: Json) -> list[str]:
    """The frozen files that have changed or are missing."""
    now = frozen_now()["files"]
    return sorted(name for name, was in frozen.get("files", {}).items() if now.get(name) != was)


if __name__ == "__main__":
    FROZEN.write_text(json.dumps(frozen_now(), indent=2) + "\n", encoding="utf-8")

"""Vendors are known in `tasks` alone; the kernel, order and HTTP name none."""

import re
from pathlib import Path

import tasks

CHECKOUT = Path(__file__).parents[2]
VENDORS = [platform.name for platform in tasks.PLATFORMS if platform.name != "http"]
"""The protocol HTTP is no vendor."""
NAMED = re.compile("|".join(VENDORS), re.IGNORECASE)
ROOMS = ("app", "chains", "web")
ALLOWED = {
    "chains/definitions/": "a definition that ships names the actions that it calls",
    "app/money/currencies.py": "the ledger counts currencies as the vendor who moves them does",
}
"""Places in which a vendor may be named, and why."""


def _sources() -> list[str]:
    return [
        str(path.relative_to(CHECKOUT))
        for room in ROOMS
        for suffix in ("py", "sql", "html", "js")
        for path in sorted((CHECKOUT / room).rglob(f"*.{suffix}"))
    ]


def test_no_vendor_is_named_outside_of_its_folder() -> None:
    sources = _sources()
    assert len(sources) > 100
    named = [
        f"{source}:{number}: {line.strip()}"
        for source in sources
        if not source.startswith(tuple(ALLOWED))
        for number, line in enumerate((CHECKOUT / source).read_text().splitlines(), start=1)
        if NAMED.search(line)
    ]
    assert named == []


def test_every_exception_is_still_needed() -> None:
    texts = {source: (CHECKOUT / source).read_text() for source in _sources()}
    for place in ALLOWED:
        inside = [text for source, text in texts.items() if source.startswith(place)]
        assert any(NAMED.search(text) for text in inside), f"{place} names no vendor any more"

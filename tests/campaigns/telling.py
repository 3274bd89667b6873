"""Shows the report of a run to people."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

_MOST_SHOWN = 20


class Report(Protocol):
    """A dataclass with what a run has done and found: nothing, if it is good."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    findings: dict[str, list[str]]

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        ...


def as_text(report: Report) -> str:
    """The report as lines: the figures, what is named, then the counts that must be 0."""
    figures = asdict(report)
    findings = figures.pop("findings")
    lines: list[str] = []
    for name, value in figures.items():
        lines += _lines(name.replace("_", " "), value)
    for name, found in findings.items():
        lines += _lines(name, found)
    return "\n".join([*lines, "good" if report.is_good else "NOT GOOD"])


def _lines(name: str, value: Any) -> list[str]:
    if isinstance(value, list):
        return [f"{name}: {len(value)}", *(f"    {each}" for each in value[:_MOST_SHOWN])]
    if isinstance(value, Mapping):
        return [f"{name}: {dict(value)}"]
    return [f"{name}: {value}"]

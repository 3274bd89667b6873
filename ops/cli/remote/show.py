"""Shows a workflow on a terminal as a table of its steps, or as plain lines without a terminal."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.cli.remote.flow import start_line

Json = dict[str, Any]

_STYLES = {
    "succeeded": "green",
    "running": "cyan",
    "waiting": "yellow",
    "suspended": "yellow",
    "unknown": "magenta",
    "compensating": "magenta",
    "compensated": "magenta",
    "failed": "red",
    "cancelled": "red",
    "pending": "bright_black",
    "skipped": "bright_black",
}
_WIDTH = 160
_MOST_WAITS = 3
_SHOWN_DATA = ("code", "cause", "as", "by", "reason")
_MARKS = {
    "succeeded": "✓",
    "running": "●",
    "waiting": "…",
    "unknown": "?",
    "failed": "✗",
    "compensated": "↩",
    "cancelled": "✗",
    "skipped": "-",
}


def console() -> Console:
    """A console on stdout; without a terminal it is wide enough for whole ids."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=_WIDTH)


def dollars(micro_usd: int) -> str:
    """A cost as text for people; empty if it is 0.

    >>> dollars(12_500)
    '$0.0125'
    >>> dollars(3)
    '<$0.0001'
    """
    if 0 < micro_usd < 100:
        return "<$0.0001"
    return f"${micro_usd / 1_000_000:.4f}" if micro_usd else ""


def headline(workflow: Json) -> Text:
    """A workflow's type, id, status and progress in one line."""
    status = workflow["status"]
    done, total = _progress(workflow)
    line = Text.assemble(
        (workflow["type"], "bold"),
        f"  {workflow['id']}  ",
        (status, f"bold {_STYLES.get(status, '')}"),
        f"  {done}/{total} steps" if total else "",
    )
    if status == "pending" and workflow["starts_at"] is not None:
        line.append(f"  starts at {workflow['starts_at'][:19]}Z", "yellow")
    if words := start_line(workflow.get("start")):
        line.append(f"  {words}", "yellow")
    if cost := _cost(workflow):
        line.append(f"  {cost}")
    if workflow.get("is_paused"):
        line.append("  paused", "bold yellow")
    if workflow.get("attention"):
        line.append(f"  needs a person: {workflow['attention']}", "bold red")
    return line


def panel(workflow: Json, most_rows: int) -> RenderableType:
    """The headline and at most `most_rows` steps; steps in progress are preferred."""
    table = Table(box=None, padding=(0, 1), header_style="bright_black")
    for name, side in (("", "left"), ("step", "left"), ("action", "left"), ("state", "left")):
        table.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type] # a literal
    for name in ("tries", "time", "cost"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="ellipsis", no_wrap=True)
    steps = _fitting(workflow["steps"], most_rows)
    for step in steps:
        table.add_row(*_row(step), style="dim" if step["status"] == "pending" else "")
    hidden = len(workflow["steps"]) - len(steps)
    parts: list[RenderableType] = [headline(workflow), table]
    if hidden:
        parts.append(Text(f"   and {hidden} more steps", "bright_black"))
    if waits := _hangs_on(workflow):
        parts.append(Text(f"   waits: {waits}", "yellow"))
    if workflow.get("error"):
        parts.append(Text(f"   {_error(workflow['error'])}", "red"))
    return Group(*parts)


def table_of(workflows: list[Json]) -> Table:
    """A table of workflows."""
    table = Table(box=None, padding=(0, 1), header_style="bright_black")
    owners = ("owner",) if any(each["owner"] for each in workflows) else ()
    for name in ("id", "type", "status", "cause", "started", "cost", *owners):
        table.add_column(name, no_wrap=True)
    for workflow in workflows:
        status = workflow["status"]
        table.add_row(
            workflow["id"],
            workflow["type"],
            Text(status, _STYLES.get(status, "")),
            workflow["cause"] or "",
            (workflow["started_at"] or "")[:19].replace("T", " "),
            _cost(workflow),
            *(workflow[name] for name in owners),
        )
    return table


def event_line(event: Json) -> str:
    """An event in one line: time, type, step and some of its data."""
    at = datetime.fromtimestamp(event["at"] / 1_000_000).astimezone()
    data = event.get("data") or {}
    shown = " ".join(f"{name}={data[name]}" for name in _SHOWN_DATA if name in data)
    step = event.get("step", "")
    return f"{at:%H:%M:%S}  {event['type']:<20} {step} {shown}".rstrip()


class Lines:
    """The changes of a workflow's steps as plain lines, for logs and pipes."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, int]] = {}

    def changes(self, workflow: Json) -> Iterator[str]:
        """Yield a line for each step whose status or attempts have changed since the last call."""
        for step in workflow["steps"]:
            now = (step["status"], step["attempts"])
            if step["status"] == "pending" or self._seen.get(step["key"]) == now:
                continue
            self._seen[step["key"]] = now
            _, key, action, state, tries, seconds, cost, note = (str(cell) for cell in _row(step))
            tried = f"tries {tries}" if tries else ""
            cells = (f"{key:<22} {action:<22} {state:<11}", tried, seconds, cost, note)
            yield " ".join(cell for cell in cells if cell).rstrip()


def _cost(workflow: Json) -> str:
    """What a workflow has cost with its children, its budget, and what is reserved of it.

    >>> _cost({"cost_micro_usd": 0, "budget_micro_usd": 900_000, "reserved_micro_usd": 58_500})
    '$0 of $0.9000, $0.0585 reserved'
    """
    cost, budget = dollars(workflow["cost_micro_usd"]), workflow["budget_micro_usd"]
    if budget is None:
        return cost
    reserved = dollars(workflow["reserved_micro_usd"])
    of = f"{cost or '$0'} of {dollars(budget) or '$0'}"
    return f"{of}, {reserved} reserved" if reserved else of


def _row(step: Json) -> tuple[RenderableType, ...]:
    status = step["status"]
    seconds = step["seconds"]
    note = _error(step["error"]) if step["error"] else ""
    if not note and step["waits_for"]:
        note = _waits_for(step)
    return (
        Text(_MARKS.get(status, "·"), _STYLES.get(status, "")),
        step["key"],
        Text(step["action"], "bright_black"),
        Text(status, _STYLES.get(status, "")),
        str(step["attempts"]) if step["attempts"] > 1 else "",
        "" if seconds is None else f"{seconds:.1f} s",
        dollars(step["cost_micro_usd"]),
        Text(note, _note_style(step)),
    )


def _note_style(step: Json) -> str:
    if not step["error"]:
        return "bright_black"
    waits = {"waits_for_budget", "waits_for_allowance", "waits_for_result", "waits_for_share"}
    return "yellow" if step["error"].get("code") in waits else "red"


def _fitting(steps: list[Json], most: int) -> list[Json]:
    shown = [step for step in steps if _is_of_interest(step)] or steps
    if len(shown) <= most:
        return shown
    active = [s for s in shown if s["status"] not in ("pending", "succeeded", "skipped")]
    chosen = {step["key"] for step in active[:most]}
    for step in reversed(shown):
        if len(chosen) < most and step["status"] == "succeeded":
            chosen.add(step["key"])
    for step in shown:
        if len(chosen) < most:
            chosen.add(step["key"])
    return [step for step in shown if step["key"] in chosen]


def _is_of_interest(step: Json) -> bool:
    waits = step["waits_for"]
    is_held = waits is not None and waits["kind"] != "worker"
    return not step["action"].startswith("control.") or is_held or bool(step["error"])


def _waits_for(step: Json) -> str:
    waits = step["waits_for"]
    words = {
        "approval": f"for the approval {waits['signal']}",
        "wait": "",
        "event": f"for the event {waits['event_type']}",
        "workflow": f"for the workflow {waits['workflow_id']}",
        "platform": f"for {step['external_id']}",
        "turn": f"for its turn in the queue {waits['queue']}, {_place(waits['place'])}",
        "worker": f"for a worker of the queue {waits['queue']}",
    }[waits["kind"]]
    until = (waits["until"] or "")[:16].replace("T", " ")
    return f"{words} until {until}".lstrip() if until else words


def _place(place: int | None) -> str:
    return "behind more than 1,000 steps" if place is None else f"place {place}"


def _hangs_on(workflow: Json) -> str:
    """What a workflow waits for that cannot continue now; empty if it can.

    A workflow with the status `running` cannot if no step runs and one waits for its turn.
    """
    held = [step for step in workflow["steps"] if step["waits_for"]]
    if workflow["status"] != "suspended":
        is_running = any(step["status"] == "running" for step in workflow["steps"])
        has_turn = any(step["waits_for"]["kind"] == "turn" for step in held)
        if is_running or not has_turn:
            return ""
    waits = [f"{step['key']} {_waits_for(step)}" for step in held]
    more = len(waits) - _MOST_WAITS
    return "; ".join(waits[:_MOST_WAITS]) + (f"; and {more} more" if more > 0 else "")


def _progress(workflow: Json) -> tuple[int, int]:
    progress = workflow.get("progress", {})
    settled = ("succeeded", "skipped", "compensated")
    return sum(progress.get(status, 0) for status in settled), progress.get("total", 0)


def _error(error: Json) -> str:
    return " ".join(str(error.get("message") or error.get("code") or "").split())[:160]

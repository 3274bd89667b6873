"""What one workflow has earned and cost, movement by movement, in lines for people."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ops.cli.money.amounts import amount, margin, parts
from ops.cli.remote.show import dollars

Json = dict[str, Any]


def statement(workflow: Json, entries: Iterable[Json], economy: Iterable[Json]) -> Iterator[str]:
    """The movements of a workflow's money in the order in which they happened, and its steps' cost.

    `workflow`, `entries` and `economy` are as the API shows them: GET /v1/workflows/ID, the items
    of GET /v1/money/entries, and those of GET /v1/money/economics by workflow.
    """
    yield f"{workflow['type']}  {workflow['id']}  {workflow['status']}"
    yield "What its customers paid"
    moved = [
        (entry["occurred_at"][:19].replace("T", " "), entry["step"] or "", entry["kind"], move)
        for entry in sorted(entries, key=lambda entry: str(entry["occurred_at"]))
        for move in ([entry["stage"]] if entry["stage"] else _moves(entry["lines"]))
    ]
    yield from _table(moved) if moved else ("    nothing is booked",)
    groups = list(economy)
    for each in groups:
        for money in each["money"]:
            yield from _earned(money)
    yield "What it cost at the platforms"
    steps = [step for step in workflow["steps"] if step["cost_micro_usd"]]
    costs = [(step["key"], step["action"], dollars(step["cost_micro_usd"])) for step in steps]
    rest = workflow["cost_micro_usd"] - sum(step["cost_micro_usd"] for step in steps)
    if rest > 0:
        costs.append(("its children", "", dollars(rest)))
    yield from _table(costs) if costs else ("    nothing",)
    yield f"  cost {dollars(workflow['cost_micro_usd']) or '$0'}"
    for each in groups:
        yield f"  {margin(each)}"


def _moves(lines: Iterable[Json]) -> Iterator[str]:
    """What an entry moves, from where to where, in each of its currencies."""
    by_currency: dict[str, list[Json]] = {}
    for line in lines:
        by_currency.setdefault(line["currency"], []).append(line)
    for each in by_currency.values():
        sources = [line["account"] for line in each if line["amount"] < 0]
        targets = [line for line in each if line["amount"] > 0]
        total = amount(sum(line["amount"] for line in targets), each[0])
        accounts = " + ".join(line["account"] for line in targets)
        yield f"{total:>16}  {' + '.join(sources)} -> {accounts}"


def _earned(money: Json) -> Iterator[str]:
    yield f"  earned {amount(money['net'], money)}  ({parts(money) or 'nothing'})"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The rows, their cells under each other."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"    {'  '.join(cells)}".rstrip()

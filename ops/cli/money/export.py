"""Writes entries of the ledger as CSV, or as a file that beancount reads.

https://beancount.github.io/docs/beancount_language_syntax.html
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from io import StringIO
from typing import Any

Json = dict[str, Any]

_SHARED = (
    "occurred_at",
    "kind",
    "fact",
    "of",
    "workflow_id",
    "step",
    "type",
    "version",
    "source",
    "stage",
)
"""What the lines of an entry have in common, beside the entry's id."""
_ROOTS = {
    "revenue": "Income",
    "refunds": "Income",
    "refunds_failed": "Liabilities",
    "disputed": "Expenses",
    "disputes": "Expenses",
    "dispute_fees": "Expenses",
    "payouts": "Assets",
    "exchange": "Equity",
    "adjustments": "Equity",
    "authorized": "Assets",
    "customers_holds": "Liabilities",
    "settling": "Assets",
    "balance": "Assets",
    "fees": "Expenses",
}
"""In what part of the books beancount keeps an account; by the last part of the account's name."""


def as_csv(entries: Iterable[Json]) -> Iterator[str]:
    """One line of CSV for each line of an entry, after a head; amounts in major units.

    An entry that moves no money, such as the stage of a dispute, is one line without an account.
    """
    yield _row(["entry", *_SHARED, "account", "amount", "currency"])
    for entry in entries:
        shared = [entry["id"], *(entry[name] for name in _SHARED)]
        for line in entry["lines"]:
            yield _row([*shared, line["account"], _major(line), line["currency"]])
        if not entry["lines"]:
            yield _row([*shared, "", "", ""])


def as_beancount(entries: Iterable[Json]) -> Iterator[str]:
    """The lines of a beancount file: a transaction for each entry, and the accounts, opened when
    they are first seen, with the earliest date that beancount takes, for entries have no order."""
    opened: set[str] = set()
    for entry in entries:
        for line in entry["lines"]:
            name = account_of(line["account"])
            if name not in opened:
                opened.add(name)
                yield f"1970-01-01 open {name}"
        head = f"* {_text(entry['platform'])} {_text(entry['kind'])}"
        if entry["stage"] is not None:
            # beancount has no transaction that moves nothing; it keeps such news as events.
            head = f"event {_text(entry['fact'].rpartition(':')[0])} {_text(entry['stage'])}"
        yield f"{entry['occurred_at'][:10]} {head}"
        yield f"  fact: {_text(entry['fact'])}"
        for name in ("of", "workflow_id", "step", "type"):
            if entry[name] is not None:
                yield f"  {name}: {_text(entry[name])}"
        for line in entry["lines"]:
            yield f"  {account_of(line['account'])}  {_major(line)} {line['currency']}"
        yield ""


FORMATS: dict[str, Callable[[Iterable[Json]], Iterator[str]]] = {
    "csv": as_csv,
    "beancount": as_beancount,
}


def account_of(account: str) -> str:
    """Beancount's name of an account.

    >>> account_of("stripe:customers_holds"), account_of("revenue")
    ('Liabilities:Stripe:CustomersHolds', 'Income:Revenue')
    """
    parts = account.split(":")
    names = [re.sub(r"[^A-Za-z0-9]", "", part.title()) for part in parts]
    return ":".join([_ROOTS.get(parts[-1], "Equity"), *names])


def _major(line: Json) -> Decimal:
    return Decimal(line["amount"]).scaleb(-line["decimals"])


def _text(value: Any) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _row(values: Iterable[Any]) -> str:
    written = StringIO()
    csv.writer(written, lineterminator="").writerow(values)
    return written.getvalue()

"""Queries about customers' money: the ledger's balances and entries, and what workflows earn.

A user sees the entries of the user's own workflows. An operator sees all entries, also those that
belong to no workflow, such as payouts. Amounts of different currencies are never added together.
"""

from app.queries.money.differences import differences, open_differences, uncompared_days
from app.queries.money.economics import GROUPS, economics
from app.queries.money.ledger import Entries, balances, entries

__all__ = [
    "GROUPS",
    "Entries",
    "balances",
    "differences",
    "economics",
    "entries",
    "open_differences",
    "uncompared_days",
]

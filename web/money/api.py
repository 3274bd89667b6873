"""Customers' money: balances and entries of the ledger, and what workflows earn and cost."""

from typing import Any

from flask import Response, jsonify

from app import ledger
from app.errors import NotFound
from app.queries import money
from app.queries.money import Entries
from chains.commands.command import caller_of
from web.api import blueprint, problems
from web.auth import caller, is_operator, require_operator
from web.money.schemas import (
    Balances,
    BalancesQuery,
    DifferencePage,
    DifferencePath,
    DifferencesQuery,
    Economics,
    EconomicsQuery,
    EntriesQuery,
    EntryPage,
    ExplainDifference,
    Explained,
)

api = blueprint("money", "Money")


@api.get(
    "/money/balances",
    summary="The balances of the customers' money",
    responses={200: Balances, **problems()},
)
def get_balances(query: BalancesQuery) -> Response:
    """By account and currency, of the entries of your own workflows. An admin key counts all
    entries, also those that belong to no workflow."""
    found = money.balances(caller(), _filters(query), is_operator=is_operator())
    return jsonify({"items": found})


@api.get(
    "/money/entries",
    summary="List the entries of the ledger",
    responses={200: EntryPage, **problems()},
)
def list_entries(query: EntriesQuery) -> Response:
    """The last booked first. An admin key lists all entries."""
    items, following = money.entries(
        caller(),
        _filters(query, query.kind),
        is_operator=is_operator(),
        before=query.before,
        limit=query.limit,
    )
    return jsonify({"items": items, "next_before": following})


@api.get(
    "/money/economics",
    summary="What workflows earn and cost",
    responses={200: Economics, **problems()},
)
def get_economics(query: EconomicsQuery) -> Response:
    """Customers' money by currency beside the cost at the platforms in micro-USD, and the margin
    where it is known. An admin key counts the workflows of all users."""
    items, is_complete = money.economics(
        caller(), _filters(query), by=query.by, is_operator=is_operator(), limit=query.limit
    )
    return jsonify({"by": query.by, "items": items, "is_complete": is_complete})


@api.get(
    "/money/differences",
    summary="Where the ledger and the platforms' statements differ",
    responses={200: DifferencePage, **problems(403)},
)
def list_differences(query: DifferencesQuery) -> Response:
    """A job compares each day once it is over. Needs an admin key."""
    require_operator()
    items, following = money.differences(query.state, before=query.before, limit=query.limit)
    return jsonify(
        {
            "items": [item | {"day": str(item["day"])} for item in items],
            "next_before": following,
        }
    )


@api.post(
    "/money/differences/<uuid:difference_id>/explain",
    summary="Close a difference with an explanation",
    responses={200: Explained, **problems(403, 404)},
)
def explain_difference(path: DifferencePath, body: ExplainDifference) -> dict[str, Any]:
    """What is booked stays as it is. Needs an admin key."""
    require_operator()
    if not ledger.explain(path.difference_id, caller_of(caller()).on_record, body.note):
        raise NotFound("there is no such difference")
    return {"id": path.difference_id}


def _filters(given: Any, kind: str | None = None) -> Entries:
    return Entries(given.workflow_id, given.type, kind, given.since, given.until)

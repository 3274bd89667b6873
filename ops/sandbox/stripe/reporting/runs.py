"""Report runs: each writes the balance of an interval into a file, from the balance transactions.

https://docs.stripe.com/reports/api, /reports/report-types/balance
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe import currencies
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk, listing
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error, no_such, read_params
from ops.sandbox.wire import Call, Route

SUMMARY = "balance.summary.1"
COLUMNS = ("category", "description", "net_amount", "currency")
_TASK = "run_report"
_BOUNDS = ("interval_start", "interval_end")


class ReportRuns(Resource):
    """The runs of reports; each is done a moment after its creation."""

    kind, url, calls, prefix, event = (
        "reporting.report_run", "/v1/reporting/report_runs", "reporting/report_run", "frr", "",
    )  # fmt: skip
    verbs = ("create", "list", "retrieve")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        desk.payments.account.clock.does(_TASK, self._run)

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Plan the run; raises Stripe's error for an unknown type or a wrong interval."""
        if given["report_type"] != SUMMARY:
            message = f"No such report type: '{given['report_type']}'"
            raise error(400, message, "resource_missing", "report_type")
        wanted = given.get("parameters") or {}
        for name in _BOUNDS:
            if name not in wanted:
                param = f"parameters[{name}]"
                raise error(400, f"Missing required param: {param}.", "parameter_missing", param)
        if wanted["interval_start"] >= wanted["interval_end"]:
            message = "`interval_end` must be after `interval_start`."
            raise error(400, message, param="parameters[interval_end]")
        unknown = [each for each in wanted.get("columns", ()) if each not in COLUMNS]
        if unknown:
            message = f"Unknown column {unknown[0]}. The columns are {', '.join(COLUMNS)}."
            raise error(400, message, param="parameters[columns]")
        body |= {"parameters": wanted, "status": "pending", "result": None, "error": None}
        self.desk.payments.account.clock.plan(_TASK, body["id"], self.desk.now())

    def _run(self, run_id: str) -> None:
        body = self.desk.own(self.kind, run_id)
        wanted, now = body["parameters"], self.desk.now()
        settings = self.desk.box.settings
        currency = wanted.get("currency") or settings.text("stripe.settlement_currency")
        text = _csv(self._summary(wanted, currency), wanted.get("columns") or COLUMNS)
        file = described.new("file", "file", created=now, filename=f"{run_id}.csv", type="csv")
        file |= {"purpose": "finance_report_run", "size": len(text.encode())}
        file |= {"title": f"FinanceReportRun {run_id}", "sandbox_text": text}
        file |= {"links": listing([], f"/v1/file_links?file={file['id']}")}
        file["url"] = f"{self.desk.box.urls['stripe']}/v1/files/{file['id']}/contents"
        self.desk.put(file)
        body |= {"status": "succeeded", "succeeded_at": now, "result": file}
        self.desk.save(None, body, f"{self.kind}.succeeded")

    def _summary(self, wanted: Json, currency: str) -> list[Json]:
        """Return the rows of the summary: the balance before, what changed it, and after."""
        start, end = (wanted[name] for name in _BOUNDS)
        booked = self.desk.all("balance_transaction", currency=currency)
        before = [each for each in booked if each["created"] < start]
        during = [each for each in booked if start <= each["created"] < end]
        paid_out = [each for each in during if each["type"].startswith("payout")]
        active = [each for each in during if each not in paid_out]
        opening = _sum(before, "net")
        rows = [
            ("starting_balance", f"Starting balance ({_day(start)})", opening),
            ("activity_gross", "Account activity before fees", _sum(active, "amount")),
            ("activity_fee", "Less fees", -_sum(active, "fee")),
            ("activity", "Net balance change from activity", _sum(active, "net")),
            ("payouts", "Total payouts", _sum(paid_out, "net")),
            ("ending_balance", f"Ending balance ({_day(end)})", opening + _sum(during, "net")),
        ]
        return [
            {
                "category": category,
                "description": description,
                "net_amount": _major(amount, currency),
                "currency": currency,
            }
            for category, description, amount in rows
        ]


class Files(Resource):
    """The files; each can be read by the address that it names."""

    kind, url, calls, prefix, event = "file", "/v1/files", "file", "file", ""
    verbs = ("list", "retrieve")

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with that of the contents."""
        return [
            *super().routes(),
            ("GET", f"{self.url}/<id>/contents", "files.contents", self._contents),
        ]

    def _contents(self, call: Call, id: str) -> Response:
        text = self.desk.own(self.kind, id)["sandbox_text"]
        return Response(text, content_type="text/csv; charset=utf-8")


class ReportTypes(Resource):
    """The one type of report that can be run."""

    kind, url, calls, prefix, event = (
        "reporting.report_type", "/v1/reporting/report_types", "reporting/report_type", "", "",
    )  # fmt: skip
    verbs = ("list", "retrieve")

    def listed(self, given: Json) -> list[Json]:
        """Return all types."""
        return [self._summary()]

    def _retrieve(self, call: Call, id: str) -> Response:
        if id != SUMMARY:
            raise no_such(self.kind, id, "id")
        return self.desk.answer(self._summary(), read_params(call.request))

    def _summary(self) -> Json:
        now = self.desk.now()
        body = described.new(self.kind, id=SUMMARY, name="Balance summary", version=1)
        body |= {"default_columns": list(COLUMNS), "updated": now}
        return body | {"data_available_start": 0, "data_available_end": now}


def reports(desk: Desk) -> list[Resource]:
    """Return the resources."""
    return [ReportRuns(desk), ReportTypes(desk), Files(desk)]


def _major(amount: int, currency: str) -> str:
    """Return an amount of minor units in units of its currency, such as 12.50."""
    places = currencies.decimals(currency)
    return f"{Decimal(amount).scaleb(-places):.{places}f}"


def _sum(booked: list[Json], name: str) -> int:
    return sum(each[name] for each in booked)


def _day(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _csv(rows: list[Json], columns: Sequence[str]) -> str:
    file: Any = io.StringIO()
    table = csv.DictWriter(file, columns, extrasaction="ignore", quoting=csv.QUOTE_ALL)
    table.writeheader()
    table.writerows(rows)
    return str(file.getvalue())

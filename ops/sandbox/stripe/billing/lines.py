"""The lines of an invoice, and its totals: discounts, taxes and what is due.

Invariant: the totals follow from the lines, so each change of a line computes them anew.
https://docs.stripe.com/api/invoices/object, /api/invoice-line-item/object
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.stripe.catalogue.discounts import amount_off
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk


def pricing_of(price: Json | None, unit: str | None) -> Json | None:
    """Return a line's `pricing`: the price and product, and the amount of one."""
    if price is None:
        return None
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": unit if unit is not None else price["unit_amount_decimal"],
    }


def item_line(item: Json, invoice_id: str) -> Json:
    """Return the line of an invoice item."""
    same = (
        "amount", "currency", "description", "discountable", "metadata", "period", "pricing",
        "quantity",
    )  # fmt: skip
    line = described.new("line_item", "il", invoice=invoice_id)
    line |= {name: item[name] for name in same}
    line["discounts"] = item["discounts"] or []
    line["quantity_decimal"] = str(item["quantity"])
    subscription = (
        item["parent"]["subscription_details"]["subscription"] if item["parent"] else None
    )
    line["parent"] = {
        "invoice_item_details": {
            "invoice_item": item["id"],
            "proration": item["proration"],
            "proration_details": {"credited_items": None},
            "subscription": subscription,
        },
        "subscription_item_details": None,
        "type": "invoice_item_details",
    }
    line["sandbox_tax_rates"] = [each["id"] for each in item["tax_rates"] or []]
    return line


def subscription_line(
    item: Json, amount: int, period: tuple[int, int], words: str, invoice_id: str
) -> Json:
    """Return the line of a subscription's item for a period (Unix seconds)."""
    price = item["price"]
    line = described.new("line_item", "il", invoice=invoice_id)
    line |= {
        "amount": amount,
        "currency": price["currency"],
        "description": words,
        "discountable": True,
        "metadata": dict(item["metadata"]),
        "period": {"start": period[0], "end": period[1]},
        "pricing": pricing_of(price, None),
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"] or 0),
        "subscription": item["subscription"],
        "sandbox_tax_rates": [each["id"] for each in item["tax_rates"] or []],
    }
    line["parent"] = {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": item["subscription"],
            "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }
    return line


def total_up(desk: Desk, invoice: Json) -> None:
    """Compute all amounts of an invoice from its lines, discounts and tax rates."""
    lines = invoice["lines"]["data"]
    for line in lines:
        line["discount_amounts"], line["subtotal"] = [], line["amount"]
        line["pretax_credit_amounts"] = []
    for discount_id in invoice["discounts"]:
        _discount(desk, discount_id, [each for each in lines if each["discountable"]])
    for line in lines:
        for discount_id in line["discounts"]:
            _discount(desk, discount_id, [line])
    for line in lines:
        line["taxes"] = _taxes(desk, invoice, line)
    subtotal = sum(line["amount"] for line in lines)
    off = _summed(lines, "discount_amounts", "discount")
    taxes = [tax for line in lines for tax in line["taxes"]]
    extra = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    within = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "inclusive")
    total = subtotal - sum(each["amount"] for each in off) + extra
    invoice |= {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - within,
        "total": total,
        "total_excluding_tax": total - extra - within,
        "total_discount_amounts": off,
        "total_pretax_credit_amounts": [],
        "total_taxes": _by_rate(taxes),
    }
    due(invoice)


def due(invoice: Json) -> None:
    """Compute what is due from the total, the customer's balance and the credit notes."""
    taken = invoice["total"] + invoice["starting_balance"] - (invoice["ending_balance"] or 0)
    open_ = max(0, taken if invoice["ending_balance"] is not None else invoice["total"])
    invoice["amount_due"] = max(0, open_ - invoice["pre_payment_credit_notes_amount"])
    invoice["amount_remaining"] = max(0, invoice["amount_due"] - invoice["amount_paid"])


def _discount(desk: Desk, discount_id: str, lines: list[Json]) -> None:
    row = desk.store.get("discount", discount_id)
    if row is None:
        return
    left = [_after(line) for line in lines]
    off = amount_off(desk, row.body, sum(left))
    shares = _shared(off, left)
    for line, share in zip(lines, shares, strict=True):
        line["discount_amounts"].append({"amount": share, "discount": discount_id})


def _after(line: Json) -> int:
    return int(line["amount"] - sum(each["amount"] for each in line["discount_amounts"]))


def _shared(amount: int, weights: list[int]) -> list[int]:
    """Share an amount by weights; the last share takes what rounding leaves."""
    whole = sum(weights)
    shares = [rounded(Decimal(amount * each) / whole) if whole else 0 for each in weights]
    if shares:
        shares[-1] += amount - sum(shares)
    return shares


def _taxes(desk: Desk, invoice: Json, line: Json) -> list[Json]:
    rates = line.get("sandbox_tax_rates") or [each["id"] for each in invoice["default_tax_rates"]]
    found = []
    for rate in (desk.find("tax_rate", each) for each in rates):
        if rate is None:
            continue
        base, share = Decimal(_after(line)), Decimal(str(rate["percentage"])) / 100
        tax = rounded(base * share / (1 + share) if rate["inclusive"] else base * share)
        found.append(
            {
                "amount": tax,
                "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
                "tax_rate_details": {"tax_rate": rate["id"]},
                "taxability_reason": "standard_rated",
                "taxable_amount": int(base) - tax if rate["inclusive"] else int(base),
                "type": "tax_rate_details",
            }
        )
    return found


def _summed(lines: list[Json], field: str, key: str) -> list[Json]:
    sums: dict[str, int] = {}
    for each in (entry for line in lines for entry in line[field]):
        sums[each[key]] = sums.get(each[key], 0) + each["amount"]
    return [{"amount": amount, key: name} for name, amount in sums.items()]


def _by_rate(taxes: list[Json]) -> list[Json]:
    found: dict[Any, Json] = {}
    for tax in taxes:
        rate = tax["tax_rate_details"]["tax_rate"]
        if rate in found:
            found[rate]["amount"] += tax["amount"]
            found[rate]["taxable_amount"] += tax["taxable_amount"]
        else:
            found[rate] = dict(tax)
    return list(found.values())


def rounded(amount: Decimal) -> int:
    """Return whole minor units, rounded half up."""
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))

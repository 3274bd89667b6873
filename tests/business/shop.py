"""The business at Stripe, through Stripe's own SDK: customers, subscriptions, refunds, disputes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import stripe

from tests.business.plan import PRICES, Act, Customer, Fate

_BROKEN_CARD = "pm_card_chargeCustomerFail"
_GOOD_CARD = "pm_card_visa"
_EVIDENCE = {Fate.DISPUTE_WON: "winning_evidence", Fate.DISPUTE_LOST: "losing_evidence"}
_PAGE = 100


def client_of(address: str, key: str) -> stripe.StripeClient:
    """A client of the imitated Stripe."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": address},
        max_network_retries=2,
        http_client=stripe.RequestsClient(timeout=30),
    )


@dataclass
class Shop:
    """What the business knows: its prices, and its customers' ids at Stripe by their numbers."""

    stripe: stripe.StripeClient
    prices: dict[tuple[str, str, int], str] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    subscriptions: dict[int, Any] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)

    def do(self, act: Act, customer: Customer) -> None:
        """Do one act of a customer."""
        work = {
            Act.JOIN: self._join,
            Act.UPGRADE: self._upgrade,
            Act.BREAK_CARD: self._break_card,
            Act.MEND_CARD: self._mend_card,
            Act.REFUND: self._refund,
            Act.CANCEL: self._cancel,
        }
        work[act](customer)
        self.done[str(act)] = self.done.get(str(act), 0) + 1

    def answer(self, customers: Sequence[Customer]) -> None:
        """Answer all disputes that wait for it, with evidence that wins for some customers."""
        numbers = {owner: number for number, owner in self.ids.items()}
        for dispute in self.stripe.v1.disputes.list({"limit": _PAGE}).auto_paging_iter():
            if dispute.status == "needs_response":
                charge = self.stripe.v1.charges.retrieve(str(dispute.charge))
                fate = customers[numbers[str(charge.customer)]].fate
                given: Any = {"evidence": {"uncategorized_text": _EVIDENCE[fate]}}
                self.stripe.v1.disputes.update(dispute.id, given)
                self.done["answer"] = self.done.get("answer", 0) + 1

    def at_risk(self) -> dict[str, int]:
        """What Stripe has taken for disputes that are not decided, by currency in upper case."""
        found: dict[str, int] = {}
        for dispute in self.stripe.v1.disputes.list({"limit": _PAGE}).auto_paging_iter():
            if dispute.status in ("needs_response", "under_review"):
                code = dispute.currency.upper()
                found[code] = found.get(code, 0) + dispute.amount
        return found

    def taken(self) -> tuple[dict[str, int], dict[str, int]]:
        """What Stripe's API says was captured and refunded, by currency in upper case."""
        captured: dict[str, int] = {}
        for charge in self.stripe.v1.charges.list({"limit": _PAGE}).auto_paging_iter():
            if charge.captured:
                code = charge.currency.upper()
                captured[code] = captured.get(code, 0) + charge.amount_captured
        refunded: dict[str, int] = {}
        for refund in self.stripe.v1.refunds.list({"limit": _PAGE}).auto_paging_iter():
            if refund.status == "succeeded":
                code = refund.currency.upper()
                refunded[code] = refunded.get(code, 0) + refund.amount
        return captured, refunded

    def _price(self, customer: Customer, plan: int) -> str:
        key = (customer.currency, customer.interval, plan)
        if key not in self.prices:
            product = self.stripe.v1.products.create({"name": f"plan {plan}"})
            given: Any = {
                "product": product.id,
                "currency": customer.currency,
                "unit_amount": PRICES[customer.currency][plan],
                "recurring": {"interval": customer.interval},
            }
            self.prices[key] = self.stripe.v1.prices.create(given).id
        return self.prices[key]

    def _join(self, customer: Customer) -> None:
        method = self.stripe.v1.payment_methods.attach
        made = self.stripe.v1.customers.create({"email": f"c{customer.number}@example.com"})
        self.ids[customer.number] = made.id
        self._use(customer, method(customer.card, {"customer": made.id}).id)
        given: Any = {"customer": made.id, "items": [{"price": self._price(customer, 0)}]}
        self.subscriptions[customer.number] = self.stripe.v1.subscriptions.create(given)

    def _use(self, customer: Customer, method: str) -> None:
        settings: Any = {"invoice_settings": {"default_payment_method": method}}
        self.stripe.v1.customers.update(self.ids[customer.number], settings)

    def _upgrade(self, customer: Customer) -> None:
        kept = self.subscriptions[customer.number]
        item = kept["items"].data[0].id
        given: Any = {
            "items": [{"id": item, "price": self._price(customer, 1)}],
            "proration_behavior": "always_invoice",
        }
        self.stripe.v1.subscriptions.update(kept.id, given)

    def _break_card(self, customer: Customer) -> None:
        owner: Any = {"customer": self.ids[customer.number]}
        self._use(customer, self.stripe.v1.payment_methods.attach(_BROKEN_CARD, owner).id)

    def _mend_card(self, customer: Customer) -> None:
        owner: Any = {"customer": self.ids[customer.number]}
        self._use(customer, self.stripe.v1.payment_methods.attach(_GOOD_CARD, owner).id)
        is_open: Any = {**owner, "status": "open"}
        for invoice in self.stripe.v1.invoices.list(is_open).data:
            self.stripe.v1.invoices.pay(invoice.id)

    def _refund(self, customer: Customer) -> None:
        owner: Any = {"customer": self.ids[customer.number], "limit": 1}
        (charge,) = self.stripe.v1.charges.list(owner).data
        amount = charge.amount if customer.number % 2 else charge.amount // 3
        self.stripe.v1.refunds.create({"charge": charge.id, "amount": amount})

    def _cancel(self, customer: Customer) -> None:
        self.stripe.v1.subscriptions.cancel(self.subscriptions[customer.number].id)

"""Enhanced evidence: Visa Compelling Evidence 3.0 and Visa compliance.

Whether a dispute can be answered so follows from its staged evidence.
https://docs.stripe.com/disputes/api/visa-ce3, /disputes/api/visa-compliance
"""

from __future__ import annotations

from ops.sandbox.store import Json
from ops.sandbox.stripe.wire import error

CE3, COMPLIANCE = "visa_compelling_evidence_3", "visa_compliance"
NETWORK_FEE = 50_000
"""What Visa takes to decide a compliance dispute, in USD cents."""
_DEVICE = ("customer_device_fingerprint", "customer_device_id")
_SECONDARY = ("shipping_address", "customer_email_address", "customer_account_id")
_PRIORS = 2
_UNPAID = (
    "You must acknowledge the network fee of this dispute before you submit evidence: set "
    "`evidence[enhanced_evidence][visa_compliance][fee_acknowledged]` to `true`."
)


def assess(dispute: Json) -> None:
    """Set `enhanced_eligibility` by the evidence that the dispute has."""
    found: Json = {}
    given = dispute["evidence"]["enhanced_evidence"]
    for name in dispute["enhanced_eligibility_types"]:
        evidence = given.get(name) or {}
        if name == CE3:
            missing = _missing(evidence)
            found[name] = {
                "required_actions": missing,
                "status": "requires_action" if missing else "qualified",
            }
        else:
            is_paid = evidence.get("fee_acknowledged")
            status = "fee_acknowledged" if is_paid else "requires_fee_acknowledgement"
            found[name] = {"status": status}
    dispute["evidence_details"]["enhanced_eligibility"] = found


def submit(dispute: Json) -> bool:
    """Close the eligibility of a dispute whose evidence is submitted; return whether the network
    takes its fee. Raises Stripe's error if that was not acknowledged."""
    found = dispute["evidence_details"]["enhanced_eligibility"]
    if COMPLIANCE in found and not is_fee_paid(dispute):
        raise error(400, _UNPAID, param="evidence[enhanced_evidence]", executed=True)
    if CE3 in found and found[CE3]["status"] != "qualified":
        found[CE3]["status"] = "not_qualified"
    return COMPLIANCE in found


def is_fee_paid(dispute: Json) -> bool:
    """Return whether the network's fee was acknowledged."""
    found = dispute["evidence_details"]["enhanced_eligibility"].get(COMPLIANCE)
    return found is not None and found["status"] == "fee_acknowledged"


def _missing(evidence: Json) -> list[str]:
    disputed = evidence.get("disputed_transaction") or {}
    priors = evidence.get("prior_undisputed_transactions") or []
    has = {
        "customer_identifiers": bool(priors) and all(_matches(disputed, each) for each in priors),
        "disputed_transaction_description": disputed.get("product_description"),
        "merchandise_or_services": disputed.get("merchandise_or_services"),
        "prior_undisputed_transaction_description": bool(priors)
        and all(each.get("product_description") for each in priors),
        "prior_undisputed_transactions": len(priors) >= _PRIORS,
    }
    return [f"missing_{name}" for name, is_there in has.items() if not is_there]


def _matches(disputed: Json, prior: Json) -> bool:
    """Whether the same customer made both: two main elements, or a main and a secondary one."""

    def same(name: str) -> bool:
        return bool(disputed.get(name)) and disputed.get(name) == prior.get(name)

    main = same("customer_purchase_ip") + any(same(name) for name in _DEVICE)
    return main == 2 or (main == 1 and any(same(name) for name in _SECONDARY))

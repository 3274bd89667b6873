"""Tells in the events of a workflow that a step asks another model than the one before."""

from app import db
from app.payload import dumps
from app.protocol.claims import Claim


def tell_passed_over(claim: Claim, model: str, code: str, checks: tuple[str, ...]) -> bool:
    """Append the event that the step asks another model than this one, for the reason `code`.

    `checks` are those that the model's answer has not passed. Returns False if the claim is lost.
    """
    told = {"model": model, "code": code} | ({"checks": list(checks)} if checks else {})
    row = db.call(
        "SELECT pass_over_v1(%s, %s, %s, %s) AS told",
        (claim.workflow_id, claim.key, claim.fence, dumps(told)),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return bool(row["told"])

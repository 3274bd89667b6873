"""Steps that wait because their user has used up its share of the workers' time."""

from app import db
from app.payload import dumps
from app.protocol.claims import Claim

WAITS_FOR_SHARE = "waits_for_share"
"""The code of the error of a step that waits for its user's share."""
CALLED = "called"
"""The verdict for a step that must not wait, because a call of it was recorded."""

_ERROR = dumps(
    {
        "code": WAITS_FOR_SHARE,
        "message": "the expressions of your workflows have used up your share of the workers' time,"
        " so this step waits until it is due; expressions that read fewer values or nest fewer"
        " projections take less, and an operator can raise EXPRESSION_SHARE",
    }
)


def await_share(claim: Claim, seconds: float) -> str:
    """Let the claimed step wait for `seconds`, before its expressions are evaluated.

    Returns the verdict of `await_share_v1`. Raises Unavailable if PostgreSQL does not come back in
    time.
    """
    row = db.call(
        "SELECT await_share_v1(%s, %s, %s, %s, %s, %s) AS verdict",
        (claim.workflow_id, claim.key, claim.fence, _ERROR, WAITS_FOR_SHARE, seconds),
        seconds=db.OUTCOME_PATIENCE_SECONDS,
    )
    assert row is not None
    return str(row["verdict"])

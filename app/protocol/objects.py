"""Objects that exist at a platform before a step changes them, and the workflows that have them.

Invariant: a step changes such an object only if its workflow, or a related one, made the object or
was the first to claim it. Workflows are related if they come from one workflow by forks and as
children.
"""

from uuid import UUID

from app import db
from app.protocol.claims import Claim


def claim_object(claim: Claim, platform: str, object_id: str, maker: UUID | None) -> UUID | None:
    """Claim an object for the claim's workflow.

    `maker` is the workflow that the object's mark names, None if the object has no mark. Returns
    None if the workflow may change the object, else the workflow that has it.
    """
    row = db.call(
        "SELECT * FROM claim_object_v1(%s, %s, %s, %s, %s)",
        (claim.workflow_id, claim.key, platform, object_id, maker),
    )
    assert row is not None
    return None if row["is_related"] else row["holder"]


def is_of_same_organisation(workflow_id: UUID, maker: UUID) -> bool:
    """Whether both workflows are of one organisation; `maker` may be archived or erased. False if
    there is no such workflow."""
    row = db.call(_ORGANISATIONS, (workflow_id, maker, maker))
    assert row is not None
    return bool(row["is_same"])


_ORGANISATIONS = """
SELECT EXISTS (
  SELECT FROM workflows w
   WHERE w.id = %s AND w.organisation_id = coalesce(
     (SELECT organisation_id FROM workflows WHERE id = %s),
     (SELECT organisation_id FROM archived WHERE workflow_id = %s))) AS is_same
"""

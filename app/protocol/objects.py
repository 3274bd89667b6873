"""Objects at a platform that several workflows could use, and who has each.

Invariant: a step changes an object that exists before it only if its workflow, or a related one,
made the object or was the first to claim it. Workflows are related if they come from one workflow
by forks and as children. What an organisation has claimed, each of its workflows may change, and
the workflows of no other.
"""

from collections.abc import Sequence
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


def claim_for_organisation(claim: Claim, platform: str, object_id: str) -> bool:
    """Claim an object for the organisation of the claim's workflow, which then has it for ever.
    Returns False if another organisation has it."""
    given = (claim.workflow_id, claim.key, platform, object_id)
    row = db.call("SELECT is_own FROM claim_for_organisation_v1(%s, %s, %s, %s)", given)
    assert row is not None
    return bool(row["is_own"])


def is_of_other_organisation(workflow_id: UUID, platform: str, object_id: str) -> bool:
    """Whether another organisation than the workflow's has claimed an object, which stays as it
    is."""
    row = db.call(_OTHER, (platform, object_id, workflow_id))
    assert row is not None
    return bool(row["is_other"])


def claim_effect(workflow_id: UUID, step_key: str, platform: str, object_id: str) -> bool:
    """Claim an effect that a lost call of the step may have made. Returns False if another step has
    claimed it."""
    given = (workflow_id, step_key, platform, object_id)
    row = db.call("SELECT is_own FROM claim_effect_v1(%s, %s, %s, %s)", given)
    assert row is not None
    return bool(row["is_own"])


def claimed_by_others(
    workflow_id: UUID, step_key: str, platform: str, object_ids: Sequence[str]
) -> set[str]:
    """Those of the objects that another step has claimed; nothing is claimed."""
    given = (platform, [*object_ids], workflow_id, step_key)
    return {row["object_id"] for row in db.patiently(lambda: db.rows(_CLAIMED, given))}


def is_of_same_organisation(workflow_id: UUID, maker: UUID) -> bool:
    """Whether both workflows are of one organisation; `maker` may be archived or erased. False if
    there is no such workflow."""
    row = db.call(_ORGANISATIONS, (workflow_id, maker, maker))
    assert row is not None
    return bool(row["is_same"])


_OTHER = """
SELECT EXISTS (
  SELECT FROM platform_objects o, workflows w
   WHERE o.platform = %s AND o.object_id = %s AND w.id = %s
     AND o.organisation_id <> w.organisation_id) AS is_other
"""
_CLAIMED = """
SELECT object_id FROM platform_objects
 WHERE platform = %s AND object_id = ANY (%s) AND (workflow_id, step_key) <> (%s, %s)
"""
_ORGANISATIONS = """
SELECT EXISTS (
  SELECT FROM workflows w
   WHERE w.id = %s AND w.organisation_id = coalesce(
     (SELECT organisation_id FROM workflows WHERE id = %s),
     (SELECT organisation_id FROM archived WHERE workflow_id = %s))) AS is_same
"""

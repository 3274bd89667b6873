"""Deployments and models of the account belong to one organisation of the installation each.

Organisations may share one account at Replicate, which tells none of them apart. So what a step
makes or trains is claimed for its organisation before the call is sent, and the steps of others
neither change nor run it. What no organisation has claimed, such as a public model, all may run.
"""

from app.engine.call import Call
from app.errors import Permanent
from app.protocol import objects

DEPLOYMENT, MODEL = "deployment", "model"


def claim(call: Call, kind: str, name: str) -> None:
    """Claim `owner/name` for the step's organisation. Raises Permanent if another one has it."""
    call.record_held()
    if not objects.claim_for_organisation(call.claim, call.action.platform, _object(kind, name)):
        raise _belongs_to_other(kind, name)


def require(call: Call, kind: str, name: str) -> None:
    """Make sure that no other organisation has `owner/name`. Raises Permanent if one has."""
    call.record_held()
    found = (call.workflow_id, call.action.platform, _object(kind, name))
    if objects.is_of_other_organisation(*found):
        raise _belongs_to_other(kind, name)


def _object(kind: str, name: str) -> str:
    # An address of the API may find a name in any case.
    return f"{kind}:{name.lower()}"


def _belongs_to_other(kind: str, name: str) -> Permanent:
    return Permanent(
        f"the {kind} {name} belongs to another organisation",
        code="belongs_to_other",
        detail={"object": name},
    )

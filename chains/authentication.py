"""What a customer's browser needs to finish what a step waits for, for example a payment.

Invariant: it is read at the platform for each request, and stored nowhere.
"""

from uuid import UUID

from app.errors import (
    NotConfigured,
    NotFound,
    Outcome,
    Permanent,
    PlatformRefused,
    PlatformUnavailable,
)
from app.platform import Authentication
from app.queries.waits import awaited_of
from chains.actions import actions


def authentication_of(workflow_id: UUID, user_id: UUID, step_key: str) -> Authentication:
    """What the customer must do now for the step of a user's own workflow.

    Raises NotFound if the step does not wait for a customer, PlatformRefused if the platform
    refuses to tell, PlatformUnavailable if it does not answer or cannot be asked by this process.
    """
    awaited = awaited_of(workflow_id, user_id, step_key)
    action, external_id = awaited or ("", "")
    known = actions().get(action)
    if known is None or known.authentication is None:
        raise NotFound("the step does not wait for a customer", code="nothing_to_authenticate")
    try:
        return known.authentication(external_id)
    except Permanent as err:
        raise PlatformRefused(err.message, code=err.code) from err
    except NotConfigured as err:
        raise PlatformUnavailable(err.message, code=err.code) from err
    except Outcome as err:
        raise PlatformUnavailable(err.message) from err

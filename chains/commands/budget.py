"""Changes the budget of a running workflow."""

from decimal import Decimal
from uuid import UUID

from app import db
from app.errors import Conflict, InvalidInput
from chains.commands.command import Caller, Done, own_workflow, refuse_ended

MICRO_USD = 1_000_000
_NO_BUDGET = "the workflow has no budget of its own; change that of the one that `budget_of` names"


def change_budget(
    caller: Caller, workflow_id: UUID, budget_usd: str, *, reason: str | None = None
) -> Done:
    """Change what the workflow and its children may cost in all, for example to `"2.50"`.

    Steps that wait for the budget, also those of children, ask again at once. Raise NotFound if the
    caller has no such workflow, Conflict if it is not running or has no budget, and InvalidInput if
    more has been spent and reserved already.
    """
    subject = own_workflow(caller, workflow_id)
    amount = int(Decimal(budget_usd) * MICRO_USD)
    row = db.call(
        "SELECT change_budget_v1(%s, %s, %s, %s) AS verdict",
        (workflow_id, amount, caller.on_record, reason),
    )
    assert row is not None
    if row["verdict"] == "no_budget":
        raise Conflict(_NO_BUDGET, code="no_budget")
    if row["verdict"] == "too_low":
        message = "more than that has been spent and reserved already"
        raise InvalidInput(message, field="/budget_usd")
    if row["verdict"] == "not_running":
        if subject.status == "compensating":
            raise Conflict("the workflow is stopping", code="not_running")
        raise refuse_ended(workflow_id)
    # One transaction for each workflow: none may lock the row of a workflow above its own and then
    # that of one below. If this process dies here, the steps ask again within a minute.
    for waiting in db.rows(_WAITING, (workflow_id,)):
        db.call("SELECT wake_for_budget_v1(%s)", (waiting["id"],))
    return Done(workflow_id, "changed")


# The workflow and those below it of which a step waits for a budget.
_WAITING = """
WITH RECURSIVE below AS (
  SELECT id FROM workflows WHERE id = %s
  UNION ALL
  SELECT w.id FROM below JOIN workflows AS w ON w.parent_id = below.id)
SELECT id FROM below WHERE EXISTS (
  SELECT FROM steps WHERE workflow_id = id AND status = 'pending'
     AND error_code IN ('waits_for_budget', 'over_budget'))
"""

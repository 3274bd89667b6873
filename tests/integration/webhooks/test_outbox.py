"""Which events become messages, for whom, and that nothing is written if nobody wants it."""

from datetime import timedelta
from uuid import UUID

from app import db
from app.protocol.outcomes import Attempt, fail_step
from chains.repair.reconcile import reconcile
from chains.webhooks import endpoints, messages
from chains.webhooks.endpoints import Wanted
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.integration.webhooks.conftest import Post, pass_time


def told(endpoint_id: UUID) -> list[str]:
    """The types of the messages for an endpoint, in order."""
    rows = db.rows(
        "SELECT type FROM webhook_sendings JOIN webhook_messages AS m ON m.id = message_id"
        " WHERE endpoint_id = %s ORDER BY m.id",
        (endpoint_id,),
    )
    return [row["type"] for row in rows]


def count(table: str) -> int:
    row = db.row(f"SELECT count(*) AS n FROM {table}", ())
    assert row is not None
    return int(row["n"])


def test_a_workflow_is_told_from_its_start_to_its_end(post: Post) -> None:
    every = post.endpoint("/every")
    ends = post.endpoint("/ends", event_types=("workflow.succeeded", "workflow.failed"))
    post.happen()
    drive()
    assert told(every) == ["workflow.started", "workflow.succeeded"]
    assert told(ends) == ["workflow.succeeded"]
    # Both get the same message: its id is that of the event.
    assert count("webhook_messages") == 2


def test_what_another_user_does_is_not_told(post: Post) -> None:
    row = db.row("SELECT create_user_v1('eve@example.com') AS id", ())
    assert row is not None
    of_eve, _ = endpoints.create(row["id"], Wanted(post.receiver.url("/eve")))
    post.happen()
    assert (told(of_eve), count("webhook_messages")) == ([], 0)


def test_without_a_taker_no_message_is_written(post: Post) -> None:
    post.endpoint("/failures", event_types=("step.failed",))
    post.happen()
    drive()
    assert (count("webhook_messages"), count("webhook_sendings")) == (0, 0)


def test_a_message_and_its_event_are_committed_together(post: Post) -> None:
    endpoint = post.endpoint("/together")
    workflow = post.kernel.start("noop_chain")
    with db.engine().connect() as connection:
        sql = "SELECT append_event_v1(%s, 'WorkflowCancelled', NULL, '{}')"
        connection.exec_driver_sql(sql, (workflow,))
        seen = "SELECT count(*) FROM webhook_messages"
        assert connection.exec_driver_sql(seen).scalar_one() == 2
        connection.rollback()
    assert told(endpoint) == ["workflow.started"]


def test_a_failed_step_is_told_with_its_code(post: Post) -> None:
    endpoint = post.endpoint("/failed", event_types=("step.failed",))
    workflow = post.happen()[0]
    claim = post.kernel.claim(workflow, "first")
    error = {"code": "declined", "message": "no"}
    fail_step(claim, Attempt(None, 0, []), error)
    row = db.row("SELECT data FROM webhook_messages", ())
    assert row is not None
    seq = next(each["seq"] for each in post.kernel.events(workflow) if each["type"] == "StepFailed")
    assert told(endpoint) == ["step.failed"]
    assert row["data"] == {
        "workflow_id": str(workflow),
        "workflow_type": "noop_chain",
        "status": "running",
        "seq": seq,
        "step": "first",
        "code": "declined",
    }


APPROVAL = {"approval": "ask", "signal": "publish", "timeout": "1h"}


def test_an_approval_is_told_and_another_wait_is_not(post: Post) -> None:
    endpoint = post.endpoint("/asked", event_types=("approval.requested",))
    node = {"sequence": [{"wait": "pause", "for": "1m"}, APPROVAL]}
    post.kernel.start(post.kernel.register(node))
    drive()
    assert told(endpoint) == []
    post.kernel.start(post.kernel.register(APPROVAL))
    drive()
    assert told(endpoint) == ["approval.requested"]


def test_a_reminder_is_told_once_and_says_which_it_is(post: Post) -> None:
    endpoint = post.endpoint("/reminded", event_types=("approval.reminded",))
    workflow = post.kernel.start(post.kernel.register({**APPROVAL, "remind": ["10m", "20m"]}))
    drive()
    for minutes in (5, 25):
        pass_time(timedelta(minutes=minutes))
        reconcile()
        reconcile()
    row = db.row("SELECT seq, data FROM webhook_messages", ())
    assert row is not None
    assert told(endpoint) == ["approval.reminded"]
    assert post.kernel.events(workflow)[-1]["seq"] == row["seq"]
    assert {name: row["data"][name] for name in ("step", "signal", "reminder", "of")} == {
        "step": "ask",
        "signal": "publish",
        "reminder": 2,
        "of": 2,
    }


def test_children_are_told_only_to_whom_wants_them(post: Post) -> None:
    child = post.kernel.register({"step": "one", "action": "control.noop"})
    parent = post.kernel.register({"workflow": "call", "type": child})
    plain = post.endpoint("/plain", event_types=("workflow.started",))
    whole = post.endpoint("/whole", event_types=("workflow.started",), with_children=True)
    post.kernel.start(parent)
    drive()
    assert told(plain) == ["workflow.started"]
    assert told(whole) == ["workflow.started"] * 2


def test_the_types_of_events_that_are_told_are_the_same_everywhere(kernel: Kernel) -> None:
    row = db.row("SELECT pg_get_functiondef('append_event_v1'::regproc) AS text", ())
    assert row is not None
    listed = row["text"].partition("p_type IN (")[2].partition(")")[0].replace("'", "").split(",")
    types = [
        each["type"]
        for each in db.rows(
            "SELECT webhook_type_v1(name) AS type FROM unnest(%s::text[]) WITH ORDINALITY"
            " AS given (name, n) ORDER BY n",
            ([each.strip() for each in listed],),
        )
    ]
    assert tuple(types) == messages.EVENT_TYPES

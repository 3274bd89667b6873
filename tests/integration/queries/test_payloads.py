"""An answer holds a bounded part of the payloads of a workflow, and each payload can be read."""

from app import queries
from app.queries.payloads import MOST_BYTES
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.unit.definitions import noop
from tests.web.conftest import change


def test_payloads_of_steps_beyond_the_bound_are_left_out_and_can_be_read_one_by_one(
    kernel: Kernel,
) -> None:
    steps = [noop(key) for key in "abcd"]
    workflow = kernel.start(kernel.register({"sequence": steps}))
    drive()
    size = MOST_BYTES // 3
    change(
        "UPDATE steps SET input = '{}', output = to_jsonb(repeat('x', :size))"
        " WHERE workflow_id = :id AND key <> 'a'",
        size=size,
        id=workflow,
    )
    shown = queries.workflow_detail(workflow, kernel.user_id)
    found = {step["key"]: step["output"] for step in shown["steps"]}
    assert shown["is_cut"]
    assert found["a"] is not None
    assert found["b"] == found["c"] == "x" * size
    assert found["d"] is None
    shown = queries.workflow_detail(workflow, kernel.user_id, step="d")
    assert not shown["is_cut"]
    outputs = {step["key"]: step["output"] for step in shown["steps"]}
    assert outputs == {"a": None, "b": None, "c": None, "d": "x" * size}

"""The webhooks of Vercel: the step that a deployment belongs to."""

from dataclasses import replace
from datetime import datetime

import pytest

from app.platform import Json, Trace
from app.settings import Settings
from tests.contract.vercel.cases import CASES


@pytest.mark.parametrize(
    ("kind", "meta", "is_traced"),
    [
        ("deployment.created", {"reference": "w/s"}, True),
        ("deployment.succeeded", {"reference": "w/s"}, True),
        ("deployment.promoted", {"reference": "w/s"}, False),
        ("deployment.created", {"reference": "w/s", "action": "redeploy"}, False),
        ("deployment.succeeded", {"reference": "w/s", "action": "promote"}, False),
        ("deployment.created", {"reference": "w/s", "originalDeploymentId": "dpl_0"}, False),
    ],
)
def test_a_deployment_tells_whose_it_is_unless_a_person_made_it(
    kind: str, meta: dict[str, str], is_traced: bool, settings: Settings
) -> None:
    def body(at: datetime) -> Json:
        event = CASES.hook.body(at)
        return {**event, "type": kind, "payload": {"deployment": {"id": "dpl_1", "meta": meta}}}

    cases = replace(CASES, webhook=replace(CASES.hook, body=body))
    delivery = cases.verify(*cases.signed())
    assert (delivery.trace == Trace("dpl_1", reference="w/s")) is is_traced
    assert (delivery.external_id is not None) is (kind == "deployment.succeeded")

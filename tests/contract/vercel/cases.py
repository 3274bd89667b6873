"""The cases of Vercel."""

import hashlib
import hmac
from dataclasses import replace
from datetime import datetime, timedelta

from tasks.vercel.client import api
from tests.contract.cases import Call, Cases, Claim, Effect, Headers, Hook
from tests.contract.pictures import small, upload
from tests.contract.stage import Step

SITE = {"name": "gallery", "files": [{"file": "index.html", "data": "hello"}]}


def deploy(claim: Claim) -> Step:
    """A claimed step that publishes a page."""
    step = claim("vercel.deploy", {})
    picture = {"id": upload(step, small("astronaut.png")), "url": "http://unused"}
    given = {"title": "A <gallery>", "caption": "Look & see", "pictures": [picture]}
    return replace(step, given=given)


def sign(body: bytes, at: datetime, secret: str) -> Headers:
    """Sign as https://vercel.com/docs/webhooks/webhooks-api says."""
    return {"x-vercel-signature": hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()}


DEPLOY = Effect(
    "vercel.deploy",
    deploy,
    "deployments.create",
    "deployments",
    suspends=True,
    is_looked_up=True,
    undone="removals",
    results=("removed", "already"),
    lag="vercel__list_lag_seconds",
    held={"vercel__build_seconds": 60.0},
    reads="deployments.get",
)
CASES = Cases(
    "vercel",
    Call(
        "deployments.create",
        lambda: api().create_deployment(SITE),
        "VERCEL_BASE_URL",
        "VERCEL_TOKEN",
    ),
    Hook(
        sign,
        lambda at: {
            "id": "event_1",
            "type": "deployment.succeeded",
            "createdAt": int(at.timestamp() * 1000),
            "payload": {"deployment": {"id": "dpl_1"}},
        },
        ("event_1", "dpl_1", "deployment.succeeded"),
        timedelta(hours=24, seconds=300),
    ),
    (DEPLOY,),
)

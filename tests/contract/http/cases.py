"""The cases of HTTP: a service for jobs, which finds a job by the reference of its step."""

import json
import os
from typing import Any

from app.platform import Json
from tasks.http import client
from tests.contract.cases import Call, Cases, Claim, Effect
from tests.contract.stage import Step

SECRET = {"Authorization": "sandbox_jobs"}


def jobs() -> str:
    """The address of the service, as the settings name it."""
    secrets = json.loads(os.environ["HTTP_SECRETS"])
    return f"{secrets['sandbox_jobs']['to'][0]}/jobs"


def posting(**more: Any) -> Json:
    """The input of a step that creates a job."""
    body = {"reference": "{playalter.reference}", "input": "two words"}
    return {"url": jobs(), "method": "POST", "secrets": SECRET, "json": body, **more}


def by_reference() -> Json:
    """The lookup of a job in the list."""
    query = {"reference": "{playalter.reference}"}
    return {"url": jobs(), "secrets": SECRET, "query": query, "at": "jobs"}


def create(claim: Claim) -> Step:
    """A claimed step that creates a job, which can be looked up."""
    return claim("http.request", posting(effect="lookup", lookup=by_reference()))


CREATE = Effect("http.request", create, "jobs.create", "jobs", is_looked_up=True)
CASES = Cases(
    "http",
    Call("jobs.create", lambda: client.change(posting(effect="person"), "key-1"), "", ""),
    None,
    (CREATE,),
    has_limits=False,
    has_circuits=False,
)

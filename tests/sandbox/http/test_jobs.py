"""The imitated service for jobs: a job is made once per key, found by its reference, and ends."""

from __future__ import annotations

import json

import requests

from tests.sandbox.running import Sandbox, until


def test_a_job_is_made_once_found_cancelled_and_counted(
    sandbox: Sandbox, http: requests.Session
) -> None:
    lent = json.loads(sandbox.env("HTTP_SECRETS"))["sandbox_jobs"]
    jobs = f"{lent['to'][0]}/jobs"
    assert http.get(jobs).status_code == 401
    http.headers["Authorization"] = lent["value"]
    sandbox.settings(http__job_seconds=0.1)
    given = {"json": {"reference": "r1", "input": "one two"}, "headers": {"Idempotency-Key": "k"}}
    made, again = http.post(jobs, **given), http.post(jobs, **given)  # type: ignore[arg-type]
    assert (made.status_code, made.json()["state"]) == (201, "running")
    assert again.json()["id"] == made.json()["id"]
    address = f"{jobs}/{made.json()['id']}"
    done = until(lambda: (seen := http.get(address).json())["state"] == "done" and seen)
    assert done["result"] == {"words": 2}
    listed = [http.get(jobs, params={"reference": name}).json()["jobs"] for name in ("r1", "r2")]
    assert [len(each) for each in listed] == [1, 0]
    assert [http.delete(address).json()["state"] for _ in range(2)] == ["cancelled"] * 2
    assert http.get(f"{jobs}/none").status_code == 404
    assert (sandbox.books()["jobs"], sandbox.books()["jobs_cancelled"]) == (1, 1)

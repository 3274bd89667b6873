"""Workers and fronts whose clocks are wrong by an hour: the database's clock is what counts."""

import base64
import hashlib
import hmac
import json
import sys
import time
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import requests

from ops.laptop.ports import LOOPBACK, Port, free_port
from ops.laptop.service import Service
from ops.laptop.supervisor import Supervisor
from tests.e2e.campaign import Campaign, Customer
from tests.e2e.stack import Json, Stack
from tests.e2e.wrong_clock import HOUR, with_clock_off

AHEAD = ("stripe", "openai", "agora")
BEHIND = ("replicate", "vercel", "n8n")
LEASE_SECONDS = 3
SLEEPERS = 4
DAY = 24 * HOUR
CHANNEL_SECONDS = 14_400
PAID = {"authorizations": 1, "captures": 1, "refunds": 0, "predictions": 2, "deployments": 1}


def _sleepers(stack: Stack) -> str:
    """Start a workflow of parallel steps that outlast their leases; its id."""
    each = {
        "map": "naps",
        "over": {"$": "input.items"},
        "max_concurrency": SLEEPERS,
        "do": {"step": "nap", "action": "control.sleep", "with": {"seconds": LEASE_SECONDS + 1.5}},
    }
    body = {"name": "sleepers", "do": each}
    assert stack.api("POST", "/v1/definitions?activate=true", json=body).ok
    given = {"type": "sleepers", "input": {"items": list(range(SLEEPERS))}}
    answer = stack.api("POST", "/v1/workflows", json=given)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.mark.timeout(240)
def test_workers_an_hour_ahead_and_behind_beside_a_right_one_lose_and_double_nothing(
    stack: Stack, customer: Customer
) -> None:
    # Every paid step is done by a wrong one; those that outlast their leases are shared by all.
    ahead = stack.worker_of("ahead", *AHEAD, "control", processes=2)
    behind = stack.worker_of("behind", *BEHIND, "control", processes=2)
    wrong = (with_clock_off(ahead, HOUR), with_clock_off(behind, -HOUR))
    with stack.other_workers(*wrong, stack.worker_of("right", "control")):
        naps = Campaign(stack, _sleepers(stack))
        campaign = customer.start(2)
        naps.ended("succeeded")
        shown = campaign.ended("succeeded")
    assert campaign.paid() == PAID, campaign.dump()
    assert campaign.counts()["notifications"] == 1
    for workflow in (naps, campaign):
        kinds = [event["type"] for event in workflow.events()]
        assert not {"StepLeaseExpired", "StepOutcomeUnknown", "StepRetryScheduled"} & set(kinds)
    once = stack.rows(
        "SELECT claims FROM steps WHERE workflow_id = %s AND action = 'control.sleep'", naps.id
    )
    assert [row["claims"] for row in once] == [1] * SLEEPERS
    _links_end_in_a_day(stack, shown)
    channel = shown["output"]["channel"]
    assert abs(channel["expires_at"] - time.time() - CHANNEL_SECONDS) < 120
    _let_in(stack, channel)
    for name in ("ahead", "behind"):
        log = (stack.profile.data.path / "logs" / f"{name}.log").read_text()
        assert "clock.differs" in log


def _let_in(stack: Stack, channel: Json) -> None:
    """Agora takes the token that the worker made."""
    agora = stack.control("GET", "/")["vendors"]["agora"]
    door = {name: channel[name] for name in ("token", "channel", "uid")}
    assert stack.post(f"{agora}/sandbox/join", door).json()["result"] == "joined"


def _links_end_in_a_day(stack: Stack, shown: Json) -> None:
    """The links that the worker signed are good, and for a day from now on."""
    pictures = [
        step["output"]["picture"]["url"]
        for step in shown["steps"]
        if step["key"].startswith("swap[")
    ]
    assert len(pictures) == 2
    for url in pictures:
        assert stack.get(url).status_code == 200
        (expires,) = parse_qs(urlsplit(url).query)["expires"]
        assert abs(int(expires) - time.time() - DAY) < 120


def _front(stack: Stack, name: str, off: int) -> tuple[str, Service]:
    """Another front of the instance, whose clock is wrong, and its address."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    web = next(each for each in stack.profile.services() if each.name == "web")

    def is_ready() -> bool:
        try:
            return requests.get(f"{url}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    # Not by `playalter web`, which becomes gunicorn: libfaketime would leave its shared memory.
    argv = [sys.executable, "-m", "gunicorn", "web:create_app_from_environment()"]
    argv += ["--bind", f"{LOOPBACK}:{port}", "--worker-class", "web.server.Worker"]
    moved = replace(
        web,
        name=name,
        argv=(*argv, "--threads", "4", "--graceful-timeout", "3", "--no-control-socket"),
        depends_on=(),
        ready=is_ready,
        ports=(Port(port, name, "WEB_PORT"),),
        log=web.log.with_name(f"{name}.log"),
    )
    return url, with_clock_off(moved, off)


def _delivery(stack: Stack, age: float) -> tuple[dict[str, str], bytes]:
    """A webhook as n8n signs it, `age` seconds ago."""
    secret = stack.profile.environment()["N8N_WEBHOOK_SECRET"].removeprefix("whsec_")
    body = json.dumps({"reference": f"w/{uuid4()}", "status": "ok"}).encode()
    message, stamp = f"msg_{uuid4().hex}", str(int(time.time() - age))
    signed = hmac.new(
        base64.b64decode(secret), f"{message}.{stamp}.".encode() + body, hashlib.sha256
    )
    headers = {
        "webhook-id": message,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(signed.digest()).decode()}",
        "Content-Type": "application/json",
    }
    return headers, body


def _link(stack: Stack, artifact: str, ends_in: int) -> str:
    """The path of a signed link."""
    secret = stack.profile.environment()["LINK_SECRET"].encode()
    expires = int(time.time()) + ends_in
    signature = hmac.new(secret, f"{artifact}:{expires}".encode(), hashlib.sha256).hexdigest()
    return f"/files/{artifact}?expires={expires}&signature={signature}"


@pytest.mark.timeout(120)
def test_fronts_whose_clocks_are_wrong_judge_webhooks_and_links_by_the_database(
    stack: Stack, customer: Customer
) -> None:
    artifact = customer.source
    fronts = [_front(stack, "front_ahead", HOUR), _front(stack, "front_behind", -HOUR)]
    services = [service for _, service in fronts]
    with Supervisor(services, keep_open=[stack.profile.data.lock]):
        for url, _ in fronts:
            for age, status in ((0, 200), (HOUR, 400), (-HOUR, 400)):
                headers, body = _delivery(stack, age)
                answer = requests.post(f"{url}/hooks/n8n", data=body, headers=headers, timeout=15)
                assert answer.status_code == status, (url, age, answer.text)
            for ends_in, status in ((600, 200), (-600, 403)):
                answer = requests.get(url + _link(stack, artifact, ends_in), timeout=15)
                assert answer.status_code == status, (url, ends_in, answer.text)
            _signs_for_a_day(stack, url, artifact)


def _signs_for_a_day(stack: Stack, url: str, artifact: str) -> None:
    shown = requests.get(
        f"{url}/v1/artifacts/{artifact}?metadata=true",
        headers={"Authorization": f"Bearer {stack.key}"},
        timeout=15,
    ).json()
    (expires,) = parse_qs(urlsplit(shown["url"]).query)["expires"]
    assert abs(int(expires) - time.time() - DAY) < 120

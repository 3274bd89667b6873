"""What only Agora does: the token, and the name of a channel."""

from dataclasses import replace
from datetime import datetime, timedelta

import requests

from app import clock
from tasks.agora.actions import channel_name
from tasks.agora.client import api
from tasks.agora.settings import AgoraSettings
from tasks.agora.token import JOIN_CHANNEL, Grant, build
from tests.contract.agora.cases import open_channel
from tests.contract.cases import Claim
from tests.contract.vendors import Vendors

# The vector of Agora's own tests (AgoraIO/Tools, AccessToken2Test, test_service_rtc).
AGORA_TOKEN = (
    "007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1Tu6UUGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxNDcw"
    "Mk4yN3b8IMEQwMTAwMoAwBIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiVwMRhYWRsYmhkbmxgDCaiTj"
)


def test_the_token_is_agoras_own() -> None:
    grant = Grant(
        app_id="970CA35de60c44645bbae8a215061b33",
        channel="7d72365eb983485397e3e3f9d460bdda",
        uid=2882341273,
        issued_at=1111111,
        seconds=600,
        salt=1,
        privileges=(JOIN_CHANNEL,),
    )
    assert build(grant, "5CFd2fd1755d40ecb72977518be15d3b") == AGORA_TOKEN


def test_a_channel_is_named_by_its_step() -> None:
    names = {channel_name(reference) for reference in ("w/a", "w/b", "v/a", "w/a")}
    assert len(names) == 3
    assert all(len(name) <= 64 for name in names)


def test_the_token_lets_in_until_the_channel_is_closed(step: Claim, vendors: Vendors) -> None:
    prepared = open_channel(step)
    opened = prepared.run()
    entry = {name: opened[name] for name in ("channel", "uid", "token")}
    address = vendors.urls["agora"] + "/sandbox/join"
    assert requests.post(address, json=entry, timeout=5).status_code == 200
    forged = {**entry, "channel": "another"}
    assert requests.post(address, json=forged, timeout=5).status_code == 403
    prepared.undo()
    assert requests.post(address, json=entry, timeout=5).status_code == 403


def test_the_channel_of_a_retried_step_is_closed_until_its_last_token_has_expired(
    step: Claim, vendors: Vendors
) -> None:
    prepared = replace(open_channel(step), given={"seconds": 7200})
    prepared.run()
    again = replace(prepared.retried(), given={"seconds": 60})
    again.run()
    again.undo()
    settings = AgoraSettings.current()
    rules = requests.get(
        vendors.urls["agora"] + "/dev/v1/kicking-rule",
        params={"appid": settings.app_id},
        auth=(settings.customer_id, settings.customer_secret.get_secret_value()),
        timeout=5,
    )
    (rule,) = rules.json()["rules"]
    assert datetime.fromisoformat(rule["ts"]) - clock.now() > timedelta(seconds=7100)


def test_a_rule_that_expires_before_the_token_has_not_closed_the_channel(
    step: Claim, vendors: Vendors
) -> None:
    prepared = replace(open_channel(step), given={"seconds": 7200})
    channel = prepared.run()["channel"]
    api().close(channel, 10)
    assert prepared.undo()["result"] == "closed"
    assert prepared.undo()["result"] == "already"
    assert vendors.count("kicking_rules") == 2

"""What the imitated OpenAI and Replicate bill, by prices that are those which ship."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import openai
import pytest
import requests
from replicate.client import Client

from ops.sandbox.billing.bills import PRICES
from ops.sandbox.replicate.gallery import HELLO_WORLD, PAINTER
from tasks import tariffs
from tests.sandbox.running import Sandbox, until

MODEL = "gpt-6-luna"
_OWN = "playalter-sandbox/"


def bills(sandbox: Sandbox) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.control("GET", "/bills")["bills"]
    return found


def billed(sandbox: Sandbox, object_id: str) -> dict[str, Any]:
    return until(lambda: next((b for b in bills(sandbox) if b["object_id"] == object_id), None))


@pytest.mark.parametrize("vendor", PRICES)
def test_the_vendors_prices_are_those_that_ship(vendor: str) -> None:
    on = date(2026, 11, 30)
    shipped = {
        (each.item, each.unit): each.micro_usd
        for each in tariffs.shipped(vendor).prices
        if each.starts_on <= on and not each.context_over
    }
    for item, units in PRICES[vendor]["micro_usd"].items():
        for unit, usd in units.items():
            assert item.startswith(_OWN) or shipped[item, unit] == Decimal(usd), (item, unit)
    tiers = tariffs.shipped(vendor).tiers or {}
    assert all(tiers[name] == Decimal(each) for name, each in PRICES[vendor]["tiers"].items())


def test_texts_are_billed_by_their_tokens_and_their_tier(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    sandbox.settings(openai__reasoning_tokens=100)
    made = openai_client.responses.create(
        model=MODEL,
        input="A circus",
        service_tier="priority",
        extra_headers={"Idempotency-Key": "k"},
    )
    assert made.usage is not None
    found = billed(sandbox, made.id)
    assert (found["item"], found["tier"], found["key"]) == (MODEL, "priority", "k")
    read, written = made.usage.input_tokens, made.usage.output_tokens
    assert sum(found["used"].values()) == read + written
    plain = read - made.usage.input_tokens_details.cache_write_tokens
    kept = made.usage.input_tokens_details.cache_write_tokens
    price = Decimal(plain) / 10 + Decimal(kept) / 8 + Decimal(written) / 2
    assert Decimal(found["micro_usd"]) == 2 * price
    chat = openai_client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "A circus"}]
    )
    assert chat.usage is not None
    assert sum(billed(sandbox, chat.id)["used"].values()) == chat.usage.total_tokens
    openai_client.embeddings.create(model="text-embedding-3-small", input="A circus in the rain")
    assert bills(sandbox)[-1]["micro_usd"] == "0.10"


def test_a_response_in_the_background_is_billed_at_its_end_and_a_stopped_one_is_free(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    sandbox.settings(openai__hold=True)
    ended, stopped = (
        openai_client.responses.create(model=MODEL, input="A circus", background=True)
        for _ in range(2)
    )
    openai_client.responses.cancel(stopped.id)
    assert bills(sandbox) == []
    sandbox.settings(openai__hold=False)
    assert billed(sandbox, ended.id)["tier"] == "default"
    assert len(bills(sandbox)) == 1


def test_a_response_that_fails_is_free(sandbox: Sandbox, openai_client: openai.OpenAI) -> None:
    sandbox.fault(vendor="openai", operation="responses.create", kind="fail")
    assert openai_client.responses.create(model=MODEL, input="A circus").status == "failed"
    assert bills(sandbox) == []


def test_predictions_are_billed_by_their_time_or_by_their_pictures(
    sandbox: Sandbox, replicate_client: Client
) -> None:
    run = replicate_client.predictions.create
    timed = run(version=HELLO_WORLD.version, input={"text": "Ada"})
    timed.wait()
    found, metrics = billed(sandbox, timed.id), timed.metrics or {}
    assert found["item"] == "gpu-l40s"
    assert found["used"] == {"seconds": metrics["predict_time"]}
    assert Decimal(found["micro_usd"]) == 975 * Decimal(str(metrics["predict_time"]))
    sold = replicate_client.models.predictions.create(PAINTER.full_name, input={"prompt": "red"})
    sold.wait()
    found = billed(sandbox, sold.id)
    assert (found["used"], found["micro_usd"]) == ({"pictures": 1}, "3000")


def test_a_prediction_that_was_aborted_is_free(sandbox: Sandbox, replicate_client: Client) -> None:
    sandbox.fault(vendor="replicate", kind="fail", **{"as": "aborted"})
    made = replicate_client.predictions.create(version=HELLO_WORLD.version, input={"text": "Ada"})
    address = f"{sandbox.env('REPLICATE_BASE_URL')}/v1/predictions/{made.id}"
    token = {"Authorization": f"Bearer {sandbox.env('REPLICATE_API_TOKEN')}"}
    until(
        lambda: (
            requests.get(address, headers=token, timeout=5).json()["status"] == "aborted" or None
        )
    )
    assert bills(sandbox) == []

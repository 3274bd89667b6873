"""The models of the imitated OpenAI, and their ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import openai
import pytest

from tests.sandbox.openai import ends
from tests.sandbox.running import Sandbox

DAY = 86_400


def chat(client: openai.OpenAI, model: str) -> Any:
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Brief: a fair"}]
    )


def test_models_and_their_ends_are_those_of_the_sdk() -> None:
    assert json.loads(ends.TARGET.read_text()) == ends.models()


def test_only_models_that_have_not_ended_are_listed(openai_client: openai.OpenAI) -> None:
    today = datetime.now(UTC).date().isoformat()
    found = {each.id: each for each in openai_client.models.list()}
    assert set(found) == {name for name, day in ends.models().items() if not day or day > today}
    assert found["gpt-6-luna"].shutdown_date is None
    assert found["gpt-5.4-nano-2026-03-17"].shutdown_date == "2027-04-01"
    assert openai_client.models.retrieve("gpt-5.5").owned_by == "system"
    with pytest.raises(openai.NotFoundError) as ended:
        openai_client.models.retrieve("gpt-4.1-nano")
    assert (ended.value.code, ended.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.PermissionDeniedError):
        openai_client.models.delete("gpt-6-luna")
    with pytest.raises(openai.NotFoundError):
        openai_client.models.delete("gpt-nothing")


@pytest.mark.parametrize("model", ["gpt-4.1-nano", "gpt-4.1-nano-2025-04-14", "o1"])
def test_model_that_has_ended_writes_nothing(
    sandbox: Sandbox, openai_client: openai.OpenAI, model: str
) -> None:
    with pytest.raises(openai.NotFoundError, match="has been deprecated") as ended:
        chat(openai_client, model)
    assert ended.value.code == "model_not_found"
    assert sandbox.books()["captions"] == 0


def test_model_ends_in_the_time_of_the_sandbox(
    sandbox: Sandbox, openai_client: openai.OpenAI
) -> None:
    end = datetime.fromisoformat(ends.models()["gpt-5.4-nano"] or "").replace(tzinfo=UTC)
    left = end.timestamp() - datetime.now(UTC).timestamp()
    if left > DAY:
        sandbox.control("POST", "/stripe/advance", {"seconds": left - 0.5 * DAY})
        assert chat(openai_client, "gpt-5.4-nano")
    sandbox.control("POST", "/stripe/advance", {"seconds": DAY})
    with pytest.raises(openai.NotFoundError, match="has been deprecated"):
        chat(openai_client, "gpt-5.4-nano")
    assert chat(openai_client, "gpt-6-luna")

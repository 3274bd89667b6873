"""The tests of OpenAI: answers that the sandbox does not give come from a relay that changes those
that it gives, and models are kept from ending.

The tests outlive the models that OpenAI ends within months, and for which it has named no
successor: those that speak, translate, or tell times.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from urllib.parse import urlsplit

import pytest

from app.platform import Json
from app.settings import Settings
from app.tariffs import current
from app.tariffs.rows import End
from tests.contract.cases import Claim
from tests.contract.fuzz.mutations import Answer
from tests.contract.fuzz.relay import relay
from tests.contract.stage import Step
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel

Alter = Callable[[Callable[[Json], object]], None]

ENDING = (
    *("gpt-4o-mini-tts", "tts-1", "whisper-1"),
    *("gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize"),
)


@pytest.fixture
def alter(step: Claim, vendors: Vendors, configure: Callable[..., Settings]) -> Iterator[Alter]:
    """Let a function change the JSON of each answer of OpenAI from now on."""
    whole = urlsplit(vendors.env["OPENAI_BASE_URL"])
    with relay() as between:
        between.target = f"{whole.scheme}://{whole.netloc}"
        base = between.url + whole.path
        configure(DATABASE_URL=os.environ["DATABASE_URL"], OPENAI_BASE_URL=base)

        def alter(change: Callable[[Json], object]) -> None:
            def changed(answer: Answer) -> Answer:
                seen = json.loads(answer.body)
                change(seen)
                return replace(answer, body=json.dumps(seen).encode())

            between.change = changed

        yield alter


@pytest.fixture
def step(step: Callable[..., Step]) -> Callable[..., Step]:
    """Claim a step, on a database where these models have not ended."""
    keep_models()
    return step


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    """A user's whole workflows, where these models have not ended."""
    keep_models()
    return kernel


def keep_models() -> None:
    """Record another end of these models. Call this before the prices are read."""
    for model in ENDING:
        current.keep_end("openai", End(model, date(2100, 1, 1)))

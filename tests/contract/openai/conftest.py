"""The tests of OpenAI outlive the models that it ends within months, and for which it has named no
successor: those that speak, translate, or tell times."""

from collections.abc import Callable
from datetime import date

import pytest

from app.tariffs import current
from app.tariffs.rows import End
from tests.contract.stage import Step
from tests.integration.conftest import Kernel

ENDING = (
    *("gpt-4o-mini-tts", "tts-1", "whisper-1"),
    *("gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize"),
)


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

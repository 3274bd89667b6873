"""Answers of OpenAI that the sandbox does not give: a relay changes those that it gives."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from app.platform import Json
from app.settings import Settings
from tests.contract.cases import Claim
from tests.contract.fuzz.mutations import Answer
from tests.contract.fuzz.relay import relay
from tests.contract.vendors import Vendors

Alter = Callable[[Callable[[Json], object]], None]


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

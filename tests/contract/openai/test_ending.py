"""Models that OpenAI ends: steps that need one are refused from that day on."""

import os
from collections.abc import Callable

import pytest

from app import db
from app.errors import Permanent
from app.settings import Settings
from app.tariffs import current, in_use
from app.tariffs.rows import End
from tests.contract.cases import Claim
from tests.contract.openai.cases import caption
from tests.contract.vendors import Vendors

Configure = Callable[..., Settings]


def choose(configure: Configure, **settings: str) -> None:
    configure(DATABASE_URL=os.environ["DATABASE_URL"], **settings)


def test_a_model_that_has_ended_is_not_asked(
    configure: Configure, step: Claim, vendors: Vendors
) -> None:
    asked = caption(step)
    choose(configure, OPENAI_CAPTION_MODEL="gpt-4.1-nano")
    with pytest.raises(Permanent, match=r"ended the model gpt-4\.1-nano on 2026-10-23.*gpt-6-luna"):
        asked.run()
    assert vendors.count("captions") == 0


def test_a_model_ends_by_the_clock_that_is_moved(
    configure: Configure, step: Claim, vendors: Vendors
) -> None:
    choose(configure, OPENAI_CAPTION_MODEL="gpt-5.4-nano")
    made = caption(step).run()
    assert in_use.in_use() == [("openai", made["model"])]
    db.row("INSERT INTO clock_offset (amount) VALUES ('2000 days')", ())
    with pytest.raises(Permanent) as caught:
        caption(step).run()
    assert caught.value.code == "model_ended"
    assert caught.value.detail == {
        "model": "gpt-5.4-nano",
        "ended_on": "2027-04-01",
        "successor": "gpt-6-luna",
    }
    assert vendors.count("captions") == 1


def test_a_caption_that_was_made_before_the_end_is_used(
    configure: Configure, step: Claim, vendors: Vendors
) -> None:
    choose(configure, OPENAI_CAPTION_MODEL="gpt-5.4-nano")
    asked = caption(step)
    made = asked.run()
    db.row("INSERT INTO clock_offset (amount) VALUES ('2000 days')", ())
    assert asked.run() == made
    assert vendors.count("captions") == 1


def test_a_moderation_by_a_model_that_has_ended_is_refused(step: Claim, vendors: Vendors) -> None:
    asked = step("openai.moderate", {"brief": "A nice day"})
    asked.run()
    current.keep_end("openai", End("omni-moderation-latest", current.today(), "omni-2"))
    current.forget()
    with pytest.raises(Permanent, match=r"choose omni-2 \(OPENAI_MODERATION_MODEL\)"):
        asked.run()
    assert vendors.count("moderations") == 1

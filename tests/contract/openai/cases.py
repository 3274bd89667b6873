"""The cases of OpenAI."""

from tasks.openai.client import api
from tests.contract.cases import Call, Cases, Claim, Effect, Hook, sign_standard
from tests.contract.stage import Step


def caption(claim: Claim) -> Step:
    """A claimed step that writes a caption."""
    return claim("openai.caption", {"brief": "Heroes of space on stage"})


def dearest_caption(claim: Claim) -> Step:
    """A claimed step with the longest brief and style, of letters that have four bytes each."""
    return claim("openai.caption", {"brief": "\U0001f3aa" * 8000, "style": "\U0001f3ad" * 200})


def moderate(claim: Claim) -> Step:
    """A claimed step that checks a brief."""
    return claim("openai.moderate", {"brief": "Heroes of space on stage"})


CASES = Cases(
    "openai",
    Call(
        "moderations.create",
        lambda: api().moderate("omni-moderation-latest", "a nice day"),
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        is_repeatable=True,
    ),
    Hook(
        sign_standard,
        lambda at: {"id": "evt_1", "type": "response.completed", "data": {"id": "resp_1"}},
        ("msg_1", "resp_1", "response.completed"),
    ),
    (
        Effect("openai.moderate", moderate, "moderations.create", "", is_repeatable=True),
        Effect(
            "openai.caption",
            caption,
            "chat.completions.create",
            "captions",
            errors_do_nothing=True,
            # The model reasons as long as it may, at each of the calls, and writes nothing.
            dear={"openai__reasoning_tokens": 50_000},
            dearest=dearest_caption,
        ),
    ),
)

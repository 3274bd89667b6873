"""The cases of OpenAI."""

from tasks.openai.client import api
from tests.contract.cases import Call, Cases, Claim, Effect, Hook, sign_standard
from tests.contract.stage import Step


def caption(claim: Claim) -> Step:
    """A claimed step that writes a caption."""
    return claim("openai.caption", {"brief": "Heroes of space on stage"})


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
    (Effect("openai.caption", caption, "chat.completions.create", "captions"),),
)

"""Work at the platforms: one folder each, with the same file names; no SDK is imported here.

`client.py` makes typed calls and speaks app.errors, `actions.py` has each action with its lookup
and compensation, `webhook.py` verifies. A new platform is one folder and one line below.
"""

from functools import lru_cache

from app.platform import Action, Platform
from tasks import agora, control, n8n, openai, replicate, stripe, vercel

PLATFORMS: tuple[Platform, ...] = (
    stripe.PLATFORM,
    openai.PLATFORM,
    replicate.PLATFORM,
    vercel.PLATFORM,
    agora.PLATFORM,
    n8n.PLATFORM,
)


@lru_cache(maxsize=1)
def actions() -> dict[str, Action]:
    """All actions by name, those of `control` included."""
    ours = [*(each for platform in PLATFORMS for each in platform.actions), *control.ACTIONS]
    return {each.name: each for each in ours}

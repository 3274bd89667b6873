"""Work at the platforms: one folder each, with the same file names; no SDK is imported here.

`settings.py` has what differs between installations, `client.py` makes typed calls and speaks
app.errors, `actions.py` has each action with its lookup and compensation, `webhook.py` verifies. A
new platform is one folder and one line below.
"""

from contextlib import suppress
from functools import lru_cache

from app.errors import NotConfigured
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


def check_settings() -> None:
    """Raise SettingsInvalid, which ends the process, where a platform's setting is wrong; one that
    is missing is asked for by what needs it."""
    for platform in PLATFORMS:
        if platform.settings is not None:
            with suppress(NotConfigured):
                platform.settings.current()

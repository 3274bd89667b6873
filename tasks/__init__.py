"""Work at the platforms: one folder each, with the same file names; no SDK is imported here.

`settings.py` has what differs between installations, `client.py` makes typed calls and speaks
app.errors, `actions.py` has each action with its lookup and compensation, `webhook.py` verifies. A
new platform of ours is one folder and one line below; a package of others brings one by an entry
point (tasks/installed.py, ops/guide/platforms.md).
"""

from contextlib import suppress
from functools import lru_cache

from app.errors import NotConfigured
from app.platform import Action, Platform
from app.settings import chosen_platforms
from tasks import agora, control, installed, n8n, openai, replicate, stripe, vercel

PLATFORMS: tuple[Platform, ...] = (
    stripe.PLATFORM,
    openai.PLATFORM,
    replicate.PLATFORM,
    vercel.PLATFORM,
    agora.PLATFORM,
    n8n.PLATFORM,
)
"""Those that ship; `platforms()` are those that are used."""


@lru_cache(maxsize=1)
def platforms() -> tuple[Platform, ...]:
    """The platforms of this process: ours, then those of other packages, as far as the setting
    PLATFORMS names them. Raises PlatformInvalid, which ends the process, where one is unusable."""
    return installed.platforms(PLATFORMS, installed.found(), chosen_platforms())


@lru_cache(maxsize=1)
def actions() -> dict[str, Action]:
    """All actions of these platforms by name, and those of `control`."""
    every = [*(each for platform in platforms() for each in platform.actions), *control.ACTIONS]
    return {each.name: each for each in every}


def check() -> None:
    """End the process with one message where a platform cannot be used (PlatformInvalid) or has a
    wrong setting (SettingsInvalid). A missing setting is asked for by what needs it."""
    for platform in platforms():
        if platform.settings is not None:
            with suppress(NotConfigured):
                platform.settings.current()


def forget() -> None:
    """Let go of what is known of the platforms: others may be installed, or chosen."""
    platforms.cache_clear()
    actions.cache_clear()

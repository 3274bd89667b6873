"""The platforms. Each has one folder, and all folders have the same file names.

`settings.py` has what differs between installations. `client.py` makes typed calls and raises the
exceptions of app.errors. `actions.py` has each action with its lookup and its compensation.
`webhook.py` verifies webhooks. To add a platform here, add one folder and one line below. Another
package adds a platform by an entry point (see tasks/installed.py and ops/guide/platforms.md).
This module imports no vendor's SDK.
"""

from contextlib import suppress
from functools import lru_cache

from app.errors import NotConfigured
from app.platform import Action, Platform
from app.settings import chosen_platforms
from tasks import agora, control, http, installed, n8n, openai, replicate, stripe, vercel

PLATFORMS: tuple[Platform, ...] = (
    stripe.PLATFORM,
    openai.PLATFORM,
    replicate.PLATFORM,
    vercel.PLATFORM,
    agora.PLATFORM,
    n8n.PLATFORM,
    http.PLATFORM,
)
"""The platforms of this package. `platforms()` returns those that are used."""


@lru_cache(maxsize=1)
def platforms() -> tuple[Platform, ...]:
    """The platforms that this process uses: ours, then those of other packages.

    The setting PLATFORMS selects them. Raises PlatformInvalid, which ends the process, if one
    cannot be used.
    """
    return installed.platforms(PLATFORMS, installed.found(), chosen_platforms())


@lru_cache(maxsize=1)
def actions() -> dict[str, Action]:
    """All actions of these platforms and of `control`, by their names."""
    every = [*(each for platform in platforms() for each in platform.actions), *control.ACTIONS]
    return {each.name: each for each in every}


def check() -> None:
    """Check all platforms that are used. Call it when a process starts.

    Raises PlatformInvalid if a platform cannot be used, and SettingsInvalid if a setting is wrong;
    both end the process. A missing setting is no error before it is needed.
    """
    for platform in platforms():
        if platform.settings is not None:
            with suppress(NotConfigured):
                platform.settings.current()


def forget() -> None:
    """Discard the known platforms, so that they are found again after a change of settings."""
    platforms.cache_clear()
    actions.cache_clear()

"""An operator, and the command of a user."""

from collections.abc import Callable
from functools import partial
from subprocess import CompletedProcess

import pytest

from app.identity import keys
from app.settings import Settings
from tests import forked
from tests.web.conftest import Caller

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def operator(settings: Settings) -> Caller:
    """A user with an admin key."""
    return Caller(*keys.create_key("root@example.com", is_admin=True))


@pytest.fixture
def playalter(server: str, caller: Caller) -> Run:
    """The command, with the environment of a user of this test's server."""
    return partial(forked.playalter, PLAYALTER_URL=server, PLAYALTER_API_KEY=caller.key)

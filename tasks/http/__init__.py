"""HTTP: calls any address that the definition's author names and the guard permits."""

from app.platform import Platform
from tasks.http import actions, client
from tasks.http.settings import HttpSettings

PLATFORM = Platform(
    name="http", actions=(actions.request,), probe=client.probe, settings=HttpSettings
)

"""Open a channel for a live premiere: a name and a token for its host.

Invariant: the channel's name follows from workflow and step, so that it can be closed although
nothing about it was recorded.
"""

import hashlib
import secrets

from pydantic import Field

from app import clock
from app.engine.call import Call
from app.platform import ActionInput, Effect, Json, Undo, action
from app.settings import needed
from tasks.agora.client import MAX_BAN_MINUTES, api
from tasks.agora.settings import AgoraSettings
from tasks.agora.token import Grant, build

_MAX_UID = 2**31 - 1


class OpenChannelInput(ActionInput):
    """`seconds`: how long the token lets its host in; no rule can ban for longer than a day."""

    title: str | None = Field(default=None, max_length=200)
    seconds: int = Field(default=14_400, ge=60, le=MAX_BAN_MINUTES * 60)


@action("agora.open_channel", input=OpenChannelInput, effect=Effect.NONE)
def open_channel(call: Call, given: OpenChannelInput) -> Json:
    """{channel, app_id, uid, token, expires_at (Unix seconds), title}."""
    settings = AgoraSettings.current()
    certificate = needed(settings.app_certificate, "AGORA_APP_CERTIFICATE")
    name = channel_name(call.reference)
    request: Json = {
        "app_id": needed(settings.app_id, "AGORA_APP_ID"),
        "channel": name,
        "uid": _host_uid(name),
        "issued_at": int(clock.timestamp()),
        "seconds": given.seconds,
        "salt": secrets.randbelow(99_999_999) + 1,
    }

    def perform(recorded: Json, _key: str) -> Json:
        return {
            "channel": recorded["channel"],
            "app_id": recorded["app_id"],
            "uid": recorded["uid"],
            "token": build(Grant(**recorded), certificate),
            "expires_at": recorded["issued_at"] + recorded["seconds"],
        }

    # Nothing is sent, but from here on the token may be known, and the channel has to be closed:
    # the intent is what tells the undoing so.
    return call.once("channels.open", request, perform) | {"title": given.title}


@open_channel.compensation
def close_channel(call: Call, undo: Undo) -> Json:
    """Keep everybody out until the token has expired."""
    opened = undo.response("channels.open")
    channel = opened["channel"] if opened else channel_name(call.reference)
    minutes = MAX_BAN_MINUTES
    if opened:
        minutes = int((opened["expires_at"] - clock.timestamp()) // 60) + 1
    agora = api()
    if minutes <= 0 or agora.is_closed(channel):
        return {"result": "already", "channel": channel}
    return {"result": "closed", "channel": channel, "rule": agora.close(channel, minutes)}


def channel_name(reference: str) -> str:
    """At most 64 characters of Agora's set, the same for every attempt of a step."""
    return "playalter-" + hashlib.sha256(reference.encode()).hexdigest()[:40]


def _host_uid(channel: str) -> int:
    return int.from_bytes(hashlib.sha256(channel.encode()).digest()[:4]) % _MAX_UID + 1

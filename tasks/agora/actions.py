"""Open a channel for a live premiere: make its name and a token for its host.

Invariant: the channel's name is computed from the workflow and the step. So the channel can be
closed even if nothing about it was recorded.
"""

import hashlib
import secrets

from pydantic import Field

from app import clock
from app.engine.call import Call
from app.platform import ActionInput, ActionOutput, Effect, Json, Undo, action
from app.settings import needed
from tasks.agora.client import MAX_BAN_MINUTES, api
from tasks.agora.settings import AgoraSettings
from tasks.agora.token import Grant, build

_MAX_UID = 2**31 - 1


class OpenChannelInput(ActionInput):
    """`seconds` is the life of the host's token: at most a day, since no ban can last longer."""

    title: str | None = Field(default=None, max_length=200)
    seconds: int = Field(default=14_400, ge=60, le=MAX_BAN_MINUTES * 60)


@action("agora.open_channel", input=OpenChannelInput, effect=Effect.NONE)
def open_channel(call: Call, given: OpenChannelInput) -> Json:
    """Make the token: {channel, app_id, uid, token, expires_at (Unix seconds), title}."""
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

    # Nothing is sent to Agora. The intent is recorded because from now on somebody may have the
    # token. A step with an intent is undone, and so its channel is closed.
    return call.once("channels.open", request, perform, is_last=True) | {"title": given.title}


class OpenChannel(ActionOutput):
    """The channel and its host's token, which ends at `expires_at` (Unix seconds)."""

    channel: str
    app_id: str
    uid: int
    token: str
    expires_at: int
    title: str | None


open_channel.describe(output=OpenChannel, example={"title": "The premiere", "seconds": 3600})


@open_channel.compensation
def close_channel(call: Call, undo: Undo) -> Json:
    """Ban everybody from the channel until the token has expired."""
    opened = undo.response("channels.open")
    channel = opened["channel"] if opened else channel_name(call.reference)
    now, minutes = clock.timestamp(), MAX_BAN_MINUTES
    # Without a record, a rule of an earlier try of this compensation is good enough.
    until = now + 60.0
    if opened:
        # Each generation of the step has given out a token for the channel. Wait for the last.
        until = max(each.response["expires_at"] for each in undo.intents if each.response)
        minutes = int((until - now) // 60) + 1
    agora = api()
    # A rule of somebody else may expire before the token does.
    if minutes <= 0 or agora.is_closed(channel, until):
        return {"result": "already", "channel": channel}
    return {"result": "closed", "channel": channel, "rule": agora.close(channel, minutes)}


def channel_name(reference: str) -> str:
    """The name of a step's channel, the same for every attempt.

    It has at most 64 characters, all of which Agora allows.
    """
    return "playalter-" + hashlib.sha256(reference.encode()).hexdigest()[:40]


def _host_uid(channel: str) -> int:
    return int.from_bytes(hashlib.sha256(channel.encode()).digest()[:4]) % _MAX_UID + 1

"""The sounds that are heard: artifacts of the user, and what an address of the web holds."""

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.outbound import http
from app.outbound.fetching import fetch
from app.platform import Json
from tasks.openai.audio import lengths
from tasks.openai.audio.inputs import Heard

MOST_BYTES = 25 * 1024 * 1024
_READ_SECONDS = 60.0


def read(call: Call, given: Heard) -> bytes:
    """The sound of a step.

    Raises Permanent `no_audio` if it cannot be sent, and `audio_too_long` if it may be longer than
    the step says.
    """
    of = f"artifact {given.audio}" if given.url is None else "what the `url` holds"
    data = _content(call, given)
    if len(data) > MOST_BYTES or lengths.format_of(data) is None:
        raise Permanent(
            f"{of} is no sound of at most 25 MiB in one of the formats FLAC, MP3, MP4, M4A, Ogg,"
            " WAV and WebM",
            code="no_audio",
        )
    minutes = lengths.most_seconds(data) / 60
    if minutes > given.max_minutes:
        raise Permanent(
            f"{of} may last {minutes:.1f} minutes: set the step's `max_minutes`"
            f" ({given.max_minutes} now) to what you want to pay for",
            code="audio_too_long",
        )
    return data


def shown(call: Call, given: Heard) -> Json:
    """What is heard, for an equal request: a sound of ours by its content. Behind an address there
    may be a new one each time, which only the age of the result bounds."""
    if given.audio is None:
        return {"url": given.url}
    return {"audio": call.artifacts.digest(given.audio)}


def _content(call: Call, given: Heard) -> bytes:
    if given.audio is not None:
        return call.artifacts.read(given.audio).data
    assert given.url is not None
    with http.operation(
        "openai",
        "sound.download",
        repeatable=True,
        read_seconds=_READ_SECONDS,
        max_bytes=MOST_BYTES,
        slow_seconds=_READ_SECONDS,
    ):
        reply = fetch(given.url, lambda _: {})
    # Whatever host it was, its answer is not quoted.
    said = f"the host of the `url` answered {reply.status}"
    if reply.status >= 500 or reply.status in (408, 429):
        raise Retryable(said, code="audio_not_served", after=reply.retry_after)
    if reply.status != 200:
        raise Permanent(said, code="audio_not_served")
    return reply.body

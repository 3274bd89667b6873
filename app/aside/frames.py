"""What goes through the pipes between a process and its child: frames of a JSON head and bytes."""

import json
import os
import select
import struct
import time
from typing import Any

Head = dict[str, Any]

_SIZES = struct.Struct("!IQ")
_CHUNK = 2**20


def packed(head: Head, data: bytes) -> bytes:
    """A frame."""
    text = json.dumps(head).encode()
    return _SIZES.pack(len(text), len(data)) + text + data


def unpacked(received: bytes | bytearray) -> tuple[Head, bytes] | None:
    """What is in a frame; None while it is not complete."""
    if len(received) < _SIZES.size:
        return None
    text, data = _SIZES.unpack_from(received)
    start = _SIZES.size + text
    if len(received) < start + data:
        return None
    return json.loads(received[_SIZES.size : start]), bytes(received[start : start + data])


def exchanged(to: int, back: int, request: bytes, until: float) -> tuple[Head, bytes]:
    """Send a frame and receive the frame that answers it.

    `to` does not block. Raises TimeoutError at the time.monotonic() `until`, and EOFError or
    OSError if the other process has ended.
    """
    poll = select.poll()
    poll.register(to, select.POLLOUT)
    poll.register(back, select.POLLIN)
    left, received = memoryview(request), bytearray()
    while (answer := unpacked(received)) is None:
        seconds = until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        ready = dict(poll.poll(seconds * 1000))
        if to in ready:
            left = left[os.write(to, left) :]
            if not left:
                poll.unregister(to)
        if back in ready:
            received += _read(back)
    return answer


def received_from(pipe: int, seconds: float) -> tuple[Head, bytes] | None:
    """The next frame; None if its sender has ended, or begins none within `seconds`."""
    received = bytearray()
    if not select.select([pipe], [], [], seconds)[0]:
        return None
    while (frame := unpacked(received)) is None:
        try:
            received += _read(pipe)
        except EOFError:
            return None
    return frame


def send(pipe: int, frame: bytes) -> None:
    """Write a frame to a pipe that blocks."""
    left = memoryview(frame)
    while left:
        left = left[os.write(pipe, left) :]


def _read(pipe: int) -> bytes:
    found = os.read(pipe, _CHUNK)
    if not found:
        raise EOFError
    return found

"""Messages between the executor and its processes: four bytes of length, then JSON. Both sides limit the length, and
nothing is pickled."""

import json
import socket
import struct

from tl.forms.values import refuse_constant

MAX_FRAME = 16 << 20  # bytes; a call has at most a million characters, each at most twelve bytes as an ASCII escape
_LENGTH = struct.Struct("!I")
_ENCODER = json.JSONEncoder(allow_nan=False)
_DECODER = json.JSONDecoder(parse_constant=refuse_constant)


class FrameError(ValueError):
    """Bytes that are not a message: too long, or not one JSON object."""


def encode(message: dict) -> bytes:
    """The bytes of a message. Raises `ValueError` for NaN, and `FrameError` if it is too long."""
    body = _ENCODER.encode(message).encode("ascii")
    if len(body) > MAX_FRAME:
        raise FrameError(f"a message of {len(body)} bytes; at most {MAX_FRAME} are allowed")
    return _LENGTH.pack(len(body)) + body


def take(buffer: bytearray) -> dict | None:
    """Remove the first message from `buffer` and return it; None while it is incomplete."""
    if len(buffer) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(buffer)
    if length > MAX_FRAME:
        raise FrameError(f"a message of {length} bytes; at most {MAX_FRAME} are allowed")
    end = _LENGTH.size + length
    if len(buffer) < end:
        return None
    body = bytes(buffer[_LENGTH.size : end])
    del buffer[:end]
    try:
        message = _DECODER.decode(body.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise FrameError("not a JSON object")
    return message


def receive(connection: socket.socket, buffer: bytearray) -> dict | None:
    """Wait for the next message of a blocking socket; None once the other side has closed it."""
    while (message := take(buffer)) is None:
        data = connection.recv(1 << 16)
        if not data:
            return None
        buffer += data
    return message

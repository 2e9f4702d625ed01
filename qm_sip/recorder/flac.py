"""A FLAC file's metadata blocks, read and rewritten: just enough for a VORBIS_COMMENT block of our own.

libsndfile keeps ten fixed tags, ours are others. RFC 9639: section 8 (metadata blocks), 8.6 (Vorbis comment).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

MARKER = b"fLaC"
VORBIS_COMMENT = 4
VENDOR = "qm_sip"
_LAST = 0x80


class FlacError(ValueError):
    """These bytes are not a FLAC file."""


def read_blocks(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """Return the metadata blocks (type, body) and where the audio frames begin."""
    if data[:4] != MARKER:
        raise FlacError("no FLAC marker")
    found, place, last = [], 4, False
    while not last:
        if place + 4 > len(data):
            raise FlacError("the metadata ends early")
        kind, length = data[place], int.from_bytes(data[place + 1 : place + 4], "big")
        last, place = bool(kind & _LAST), place + 4
        if place + length > len(data):
            raise FlacError("a metadata block ends early")
        found.append((kind & 0x7F, data[place : place + length]))
        place += length
    return found, place


def with_tags(data: bytes, tags: Iterable[tuple[str, str]]) -> bytes:
    """Replace the file's comments by these, directly behind STREAMINFO."""
    kept, audio = read_blocks(data)
    kept = [block for block in kept if block[0] != VORBIS_COMMENT]
    kept.insert(1, (VORBIS_COMMENT, _write_comment(tags)))
    head = b"".join(_write_block(kind, body, last=i == len(kept) - 1) for i, (kind, body) in enumerate(kept))
    return MARKER + head + data[audio:]


def read_tags(data: bytes) -> list[tuple[str, str]]:
    """Return the file's comments in their order."""
    return [
        tag for kind, body in read_blocks(data)[0] if kind == VORBIS_COMMENT for tag in _read_comment(body)
    ]


def _write_block(kind: int, body: bytes, *, last: bool) -> bytes:
    return bytes([kind | (_LAST if last else 0)]) + len(body).to_bytes(3, "big") + body


def _write_comment(tags: Iterable[tuple[str, str]]) -> bytes:
    comments = [f"{name}={value}" for name, value in tags]
    return _counted(VENDOR) + struct.pack("<I", len(comments)) + b"".join(map(_counted, comments))


def _counted(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw


def _read_comment(body: bytes) -> Iterator[tuple[str, str]]:
    try:
        place = 4 + struct.unpack_from("<I", body, 0)[0]
        count = struct.unpack_from("<I", body, place)[0]
        place += 4
        for _ in range(count):
            length = struct.unpack_from("<I", body, place)[0]
            name, _, value = body[place + 4 : place + 4 + length].decode().partition("=")
            yield name, value
            place += 4 + length
    except (struct.error, UnicodeDecodeError):
        raise FlacError("the comments are malformed") from None

"""Reading the journal: what the media engine kept of a running call, sealed as it was written.

A journal is the only witness of a recording until it is rendered, so reading it obeys three rules:

- whatever is whole is used, whatever is torn is where it ends: a crash leaves a journal that is complete
  up to its last whole chunk (I7);
- a `Cut` is obeyed before anything else looks at a packet (I7), wherever in the file it stands;
- nothing that arrived before `kept_from` is used, even if it should be there (I2).

Layout, all little endian: `QMJ1\\n`; u32 length and the envelope, JSON in clear; then chunks of u32
ciphertext length, u64 index, ciphertext. ChaCha20-Poly1305 (RFC 8439), nonce = four zero bytes and the
index, additional data = recording id and the index; so a chunk can neither be moved, repeated nor taken
to another recording. Chunk 0 holds the header, later chunks hold records.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from qm_sip.errors import QmSipError

MAGIC = b"QMJ1\n"
KEY_BYTES = 32
ENVELOPE_MOST = 1 << 20
CHUNK_MOST = 1 << 26
TAG_BYTES = 16

PACKET, CODEC, CUT, GAP, END = 1, 2, 3, 4, 5
GAP_STATES = {1: "hold", 2: "lease", 3: "paused", 4: "dropped-overrun", 5: "pause"}
PRIVATE = "private"  # why anything is cut: the agent made the call private

_CHUNK = struct.Struct("<IQ")
_RECORD = struct.Struct("<BH")
_PACKET = struct.Struct("<BBHIIQ")
_TWO_TIMES = struct.Struct("<QQ")
_GAP = struct.Struct("<BQQ")
_END = struct.Struct("<Q")


class JournalError(QmSipError):
    """This file is not a journal that can be read with this key."""


class JournalMissing(JournalError):
    """The journal or its key is not where it should be."""


class JournalEmpty(JournalError):
    """The journal ends before its first whole chunk: nothing was ever kept in it."""


@dataclass(frozen=True)
class Envelope:
    """The part in clear: which recording, and its key wrapped to the recipients of each purpose (I6)."""

    recording: str
    wrapped: Mapping[str, bytes]  # purpose -> age file holding the journal's key


@dataclass(frozen=True)
class Header:
    """What was fixed before the first sample (I3); `given` is as the call handed it to the engine."""

    given: Mapping[str, Any]
    opened_ns: int
    kept_from_ns: int
    mono_ns: int  # the same instant on both clocks:
    wall_ns: int
    purposes: tuple[str, ...]


class Packet(NamedTuple):
    """One RTP packet as it arrived; `law` is the codec in force when it came: its name, and its clock if that is not
    8000 ("PCMA", "G722", "OPUS/48000/2").
    """

    channel: int
    sequence: int
    timestamp: int
    ssrc: int
    arrival_ns: int
    law: str
    payload: bytes


@dataclass(frozen=True)
class Gap:
    """A stretch of the recording in which nothing was kept, and why."""

    state: str  # hold | lease | paused | dropped-overrun | pause | private | unknown (a later program's)
    from_ns: int
    to_ns: int


@dataclass(frozen=True)
class Journal:
    """A journal, read. `packets` are in order of arrival in the file, without any that a cut took away."""

    envelope: Envelope
    header: Header
    packets: tuple[Packet, ...]
    gaps: tuple[Gap, ...]
    end_ns: int
    ended: str | None  # the reason in the end record; None if the writer died
    torn_bytes: int  # what could not be used at the end of the file
    cut_packets: int
    early_packets: int  # arrived before kept_from: refused (I2)


@dataclass
class _Found:
    """What the records said, before the cuts are obeyed."""

    packets: list[Packet] = field(default_factory=list)
    codecs: dict[tuple[int, int], str] = field(default_factory=dict)
    cuts: list[Gap] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    end: tuple[int, str] | None = None


def read_key(path: Path) -> bytes:
    """Read a running journal's key from its tmpfs file."""
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise JournalError(f"a journal key has {KEY_BYTES} bytes, this file has {len(key)}")
    return key


def read_envelope(data: bytes) -> tuple[Envelope, int]:
    """Return the envelope and where the first chunk begins."""
    if data[: len(MAGIC)] != MAGIC:
        if MAGIC.startswith(data[: len(MAGIC)]):
            raise JournalEmpty("the file ends before the journal's envelope")
        raise JournalError("this is not a journal")
    start = len(MAGIC) + 4
    if len(data) < start:
        raise JournalEmpty("the file ends before the journal's envelope")
    length = int.from_bytes(data[len(MAGIC) : start], "little")
    if length > ENVELOPE_MOST:
        raise JournalError("the journal's envelope is too large")
    if len(data) < start + length:
        raise JournalEmpty("the file ends within the journal's envelope")
    return _envelope(data[start : start + length]), start + length


def without_purpose(data: bytes, purpose: str) -> bytes:
    """The same journal, which that purpose's recipients cannot open any more: their wrapped key is gone from it."""
    _, place = read_envelope(data)
    start = len(MAGIC) + 4
    raw = _json_object(data[start:place], "envelope")
    raw["wrapped"] = {name: key for name, key in raw.get("wrapped", {}).items() if name != purpose}
    text = json.dumps(raw, separators=(",", ":")).encode()
    return MAGIC + len(text).to_bytes(4, "little") + text + data[place:]


def _envelope(text: bytes) -> Envelope:
    raw = _json_object(text, "envelope")
    if raw.get("v") != 1 or raw.get("aead") != "chacha20poly1305":
        raise JournalError("the journal is of a version this program does not know")
    recording, wrapped = raw.get("recording"), raw.get("wrapped", {})
    if not isinstance(recording, str) or not recording or not isinstance(wrapped, dict):
        raise JournalError("the journal's envelope is malformed")
    try:
        keys = {str(purpose): base64.b64decode(key, validate=True) for purpose, key in wrapped.items()}
    except (binascii.Error, TypeError, ValueError):
        raise JournalError("a wrapped key in the journal's envelope is malformed") from None
    return Envelope(recording, keys)


def _json_object(text: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise JournalError(f"the journal's {what} is not JSON") from None
    if not isinstance(value, dict):
        raise JournalError(f"the journal's {what} is not an object")
    return value


def chunk_seal(recording: str, index: int) -> tuple[bytes, bytes]:
    """Nonce and additional data of one chunk."""
    number = index.to_bytes(8, "little")
    return b"\0\0\0\0" + number, recording.encode() + number


def _chunks(data: bytes, start: int, recording: str, key: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield (plaintext, where it ended) of each chunk, up to the first torn or out of its place."""
    cipher, place, expected = ChaCha20Poly1305(key), start, 0
    while place + _CHUNK.size <= len(data):
        length, index = _CHUNK.unpack_from(data, place)
        begin = place + _CHUNK.size
        if index != expected or not TAG_BYTES <= length <= CHUNK_MOST or begin + length > len(data):
            return
        nonce, additional = chunk_seal(recording, index)
        try:
            plain = cipher.decrypt(nonce, data[begin : begin + length], additional)
        except InvalidTag:
            return
        place, expected = begin + length, expected + 1
        yield plain, place


def read_journal(data: bytes, key: bytes) -> Journal:
    """Read a whole journal with its key. Raises JournalError, and nothing else, whatever the bytes are."""
    if len(key) != KEY_BYTES:
        raise JournalError(f"a journal key has {KEY_BYTES} bytes")
    envelope, place = read_envelope(data)
    chunks = _chunks(data, place, envelope.recording, key)
    first = next(chunks, None)
    if first is None:
        raise _no_first_chunk(data, place)
    header, place = _header(first[0]), first[1]
    found = _Found()
    for plain, end_of_chunk in chunks:
        if not _read_records(plain, found):
            break
        place = end_of_chunk
        if found.end is not None:
            break
    return _obey_cuts(envelope, header, found, len(data) - place)


def _no_first_chunk(data: bytes, place: int) -> JournalError:
    """Tell a journal that was never begun (nothing lost) from one whose header cannot be opened."""
    whole = False
    if len(data) >= place + _CHUNK.size:
        length, _ = _CHUNK.unpack_from(data, place)
        whole = length <= CHUNK_MOST and len(data) >= place + _CHUNK.size + length
    if whole:
        return JournalError("the journal's header cannot be opened with this key")
    return JournalEmpty("the journal ends before its header")


def _header(plain: bytes) -> Header:
    raw = _json_object(plain, "header")
    try:
        clock = raw["wall_ns_at_mono"]
        numbers = (raw["opened_ns"], raw["kept_from_ns"], clock["mono_ns"], clock["wall_ns"])
        given, purposes, use = raw["header"], raw["purposes"], raw["use"]
    except (KeyError, TypeError):
        raise JournalError("the journal's header lacks a field") from None
    if not all(type(n) is int and 0 <= n < 1 << 63 for n in numbers):
        raise JournalError("a time in the journal's header is malformed")
    if not isinstance(given, dict) or not isinstance(purposes, list) or use != "record":
        raise JournalError("the journal's header is malformed")
    return Header(given, *numbers, purposes=tuple(str(purpose) for purpose in purposes))


def _read_records(plain: bytes, found: _Found) -> bool:
    """Take in the records of one chunk. False at the first one that is malformed: the journal ends there.

    The one loop that runs for every packet of every recording: written for speed.
    """
    place, size, codecs = 0, len(plain), found.codecs
    keep, read, make = found.packets.append, _PACKET.unpack_from, Packet._make
    while place < size:
        if place + _RECORD.size > size:
            return False
        kind, length = _RECORD.unpack_from(plain, place)
        place += _RECORD.size
        after = place + length
        if after > size:
            return False
        if kind == PACKET and length >= _PACKET.size:
            channel, payload_type, sequence, timestamp, ssrc, arrival = read(plain, place)
            law = codecs.get((channel, payload_type), "")
            keep(
                make((channel, sequence, timestamp, ssrc, arrival, law, plain[place + _PACKET.size : after]))
            )
        elif not _read_rare(kind, plain[place:after], found):
            return False
        elif found.end is not None:
            return True
        place = after
    return True


def _read_rare(kind: int, body: bytes, found: _Found) -> bool:
    """Take in a record that is not a packet. An unknown kind is a later program's: skipped."""
    if kind == PACKET:
        return False
    if kind == CODEC:
        if len(body) < 3:
            return False
        found.codecs[body[0], body[1]] = body[2:].decode("utf-8", "replace").upper().removesuffix("/8000")
    elif kind == CUT:
        if len(body) != _TWO_TIMES.size:
            return False
        found.cuts.append(Gap(PRIVATE, *_TWO_TIMES.unpack(body)))
    elif kind == GAP:
        if len(body) != _GAP.size:
            return False
        state, begin, end = _GAP.unpack(body)
        found.gaps.append(Gap(GAP_STATES.get(state, "unknown"), begin, end))
    elif kind == END:
        if len(body) < _END.size:
            return False
        found.end = (_END.unpack_from(body)[0], body[_END.size :].decode("utf-8", "replace"))
    return True


def _obey_cuts(envelope: Envelope, header: Header, found: _Found, torn: int) -> Journal:
    """Drop what was cut or came too early, before anything else sees it; settle where it ends."""
    in_time = [packet for packet in found.packets if packet.arrival_ns >= header.kept_from_ns]
    last = max((packet.arrival_ns for packet in in_time), default=header.kept_from_ns)
    end_ns, ended = found.end if found.end is not None else (last, None)
    end_ns = max(_before_cuts(end_ns, found.cuts), header.kept_from_ns)
    uncut = (
        [packet for packet in in_time if not _in_any(packet.arrival_ns, found.cuts)]
        if found.cuts
        else in_time
    )
    kept = [packet for packet in uncut if packet.arrival_ns <= end_ns]
    return Journal(
        envelope=envelope,
        header=header,
        packets=tuple(kept),
        gaps=_settle(found.gaps + found.cuts, header.kept_from_ns, end_ns),
        end_ns=end_ns,
        ended=ended,
        torn_bytes=torn,
        cut_packets=len(in_time) - len(uncut),
        early_packets=len(found.packets) - len(in_time),
    )


def _before_cuts(end_ns: int, cuts: list[Gap]) -> int:
    """A cut that reaches to the end takes the end with it: what was private has no length in the file either."""
    for gap in sorted(cuts, key=lambda gap: gap.to_ns, reverse=True):
        if gap.to_ns >= end_ns:
            end_ns = min(end_ns, gap.from_ns)
    return end_ns


def _in_any(instant: int, gaps: list[Gap]) -> bool:
    return any(gap.from_ns <= instant <= gap.to_ns for gap in gaps)


def _settle(gaps: list[Gap], begin: int, end: int) -> tuple[Gap, ...]:
    """Clip gaps to the recording; an open one (to = 0) lasts until its closing twin, or to the end."""
    closed = {(gap.state, gap.from_ns) for gap in gaps if gap.to_ns}
    settled = set()
    for gap in gaps:
        if gap.to_ns == 0 and (gap.state, gap.from_ns) in closed:
            continue
        left, right = max(gap.from_ns, begin), min(gap.to_ns or end, end)
        if left < right:
            settled.add((left, right, gap.state))
    return tuple(Gap(state, left, right) for left, right, state in sorted(settled))

"""From a journal to the final file: one FLAC in memory, sealed before a byte of it is written.

The FLAC lives in this process's memory only (I6). It is encrypted with age (C2SP age.md) to an identity
made for this one recording; that identity is wrapped once per purpose, to the recipients of that
purpose, and kept in rows of its own: a purpose ends when its row goes, and nothing of it needs
rewriting.

This module needs pyrage, which holds the GIL: import it in the renderer and the command line, never in
the server.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyrage
import soundfile

from qm_sip.recorder import flac
from qm_sip.recorder.journal import Journal, JournalEmpty, JournalError
from qm_sip.recorder.timeline import CHANNELS, Timeline, blocks, lay_out

# libFLAC's level 2 of 8 (soundfile counts 0 to 1): a quarter less time than its default, for 3 % more bytes.
COMPRESSION = 0.25


@dataclass(frozen=True)
class Rendered:
    """A recording as a FLAC file in memory, and what is worth knowing about it."""

    recording: str
    flac: bytes
    sha256: str  # of `flac`, tags and all: computed after tagging
    timeline: Timeline
    ended: str | None
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sealed:
    """The same, encrypted: the file, and for each purpose the identity that opens it, wrapped."""

    ciphertext: bytes
    sha256: str  # of `ciphertext`
    wrapped: Mapping[str, str]  # purpose -> base64 of an age file holding the identity


def render(journal: Journal) -> Rendered:
    """Render a journal. Raises JournalEmpty if it spans no time at all, or all that was in it has been cut."""
    timeline = lay_out(journal)
    if timeline.length == 0:
        raise JournalEmpty("the journal holds no audio")
    if journal.cut_packets and not journal.packets:
        raise JournalEmpty("all that was kept has been cut")
    tags = tuple(tags_of(journal, timeline))
    data = flac.with_tags(encode(timeline), tags)
    return Rendered(
        journal.envelope.recording, data, hashlib.sha256(data).hexdigest(), timeline, journal.ended, tags
    )


def encode(timeline: Timeline) -> bytes:
    """Encode a timeline as FLAC, a minute at a time."""
    memory = io.BytesIO()
    with soundfile.SoundFile(
        memory,
        "w",
        timeline.rate,
        CHANNELS,
        subtype="PCM_16",
        format="FLAC",
        compression_level=COMPRESSION,
    ) as sink:
        for block in blocks(timeline):
            sink.write(block)
    return memory.getvalue()


def tags_of(journal: Journal, timeline: Timeline) -> Iterator[tuple[str, str]]:
    """The tags: whose rules apply to this file, never who speaks in it (standards, section 14).

    All but the gaps come from the journal's header, which was fixed before the first sample (I3).
    """
    given = journal.header.given
    yield "QM_RECORDING_ID", journal.envelope.recording
    yield "QM_CLASS", _text(given, "class")
    for purpose in journal.header.purposes:
        yield "QM_PURPOSE", purpose
    yield "QM_REGULATION", _text(given, "regulation")
    for digest in _texts(given, "announcement"):
        yield "QM_ANNOUNCEMENT_SHA256", digest
    for purpose, until in sorted(_mapping(given, "destroy_by").items()):
        yield "QM_DELETE_AFTER", f"{purpose} {until}"
    yield "QM_CHANNELS", "customer agent"
    for state, begin, end in timeline.gaps:
        yield "QM_GAP", f"{state} {begin / timeline.rate:.3f} {end / timeline.rate:.3f}"
    for side, track in zip(("customer", "agent"), timeline.tracks, strict=True):
        if track.comfort:
            yield "QM_COMFORT_NOISE", f"{side} {track.comfort / timeline.rate:.3f}"


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return "unknown" if value is None else str(value)


def _texts(given: Mapping[str, Any], name: str) -> list[str]:
    value = given.get(name)
    return [str(item) for item in value] if isinstance(value, list) else []


def _mapping(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = given.get(name)
    return value if isinstance(value, dict) else {}


def seal(data: bytes, recipients: Mapping[str, Sequence[str]]) -> Sealed:
    """Encrypt to a fresh identity, wrapped for each purpose. A purpose without a recipient is refused."""
    if not recipients:
        raise JournalError("no purpose to seal the recording for")
    identity = pyrage.x25519.Identity.generate()
    ciphertext = pyrage.encrypt(data, [identity.to_public()])
    wrapped = {purpose: _wrap(str(identity), purpose, keys) for purpose, keys in recipients.items()}
    return Sealed(ciphertext, hashlib.sha256(ciphertext).hexdigest(), wrapped)


def _wrap(identity: str, purpose: str, recipients: Sequence[str]) -> str:
    if not recipients:
        raise JournalError(f"purpose {purpose} has no recipient")
    try:
        public = [pyrage.x25519.Recipient.from_str(recipient) for recipient in recipients]
    except pyrage.RecipientError:
        raise JournalError(f"a recipient of purpose {purpose} is not an age recipient") from None
    return base64.b64encode(pyrage.encrypt(identity.encode(), public)).decode()

"""Session descriptions: what a B2BUA reads of them, and the few edits it makes.

RFC 8866 for the lines, RFC 3264 for offers and answers, RFC 3605 (a=rtcp). We
own `o=` of each leg (RFC 3264 5, 8): its session id for the life of the leg, its version up by one per
change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from qm_sip.sip.codecs import offered as offered_formats
from qm_sip.sip.codecs import rtpmap, spoken, voice_of
from qm_sip.sip.sdp_model import (
    DIRECTIONS,
    Direction,
    Format,
    Media,
    Origin,
    Sdp,
    SdpError,
    number_up_to,
)

__all__ = [
    "Direction",
    "Format",
    "Media",
    "Origin",
    "OriginOf",
    "Sdp",
    "SdpError",
    "answer",
    "keep_formats",
    "offer",
    "reject_stream",
    "rewrite_origin",
    "with_direction",
    "with_media",
    "with_numbers_of",
    "with_record",
    "without_record",
]

_TRANSPORT: Final = frozenset(
    [
        "rtcp",
        "rtcp-mux",
        "rtcp-mux-only",
        "candidate",
        "remote-candidates",
        "end-of-candidates",
        "ice-ufrag",
        "ice-pwd",
        "ice-options",
        "ice-lite",
        "ice-mismatch",
        "crypto",
        "fingerprint",
        "setup",
        "tls-id",
        "key-mgmt",
        "rtcp-rsize",
    ]
)


# ---------------------------------------------------------------------- edits


class OriginOf:
    """Our o= on one leg: the session id stays, the version goes up by one when the description has
    changed.
    """

    def __init__(self, session_id: int) -> None:
        self.session_id, self.version = session_id, session_id
        self._last: tuple[object, ...] | None = None

    def stamp(self, sdp: Sdp, address: str) -> Sdp:
        """The description under our origin; a description equal to the last one keeps its version (RFC
        3264 8).
        """
        plain = (
            *(line for line in sdp.session if line[:2] != "o="),
            *sdp.media,
            sdp.end,
            sdp.finished,
            address,
        )
        if self._last is not None and plain != self._last:
            self.version += 1
        self._last = plain
        return rewrite_origin(sdp, self.session_id, self.version, address)


def rewrite_origin(sdp: Sdp, session_id: int, version: int, address: str) -> Sdp:
    """Put our own o= in place of the other side's, user name included: it may be a person's."""
    origin = Origin("-", str(session_id), str(version), "IN", _family(address), address)
    session = tuple([f"o={origin}" if line[:2] == "o=" else line for line in sdp.session])
    return Sdp(session, sdp.media, sdp.end, sdp.finished)


def with_media(sdp: Sdp, address: str, port: int, rtcp_port: int | None = None) -> Sdp:
    """Send the audio here: c=, the audio m-line's port and a=rtcp become ours, every other stream is
    rejected.

    Attributes that name the other side's transport (ICE, DTLS, crypto, rtcp-mux) are taken out: we do not
    do them.
    """
    target = sdp.audio
    if target is None:
        raise SdpError("the session description has no audio")
    session = _with_connection(_without_transport(sdp.session), address)
    media = []
    for stream in sdp.media:
        if stream is not target:
            media.append(reject_stream(stream))
            continue
        lines = [line for line in _without_transport(stream.lines) if line[:2] != "c="]
        lines[0] = _m_line(stream, port=port)
        if rtcp_port is not None and rtcp_port != port + 1:
            lines.append(f"a=rtcp:{rtcp_port} IN {_family(address)} {address}")
        media.append(Media(tuple(lines)))
    return replace(sdp, session=session, media=tuple(media))


def reject_stream(stream: Media) -> Media:
    """A stream turned off: port 0, and nothing else said of it but its formats (RFC 3264 6)."""
    formats = stream.formats or ["0"]
    return Media((" ".join([f"m={stream.fields[0]} 0 {stream.protocol}", *formats]),))


def keep_formats(
    sdp: Sdp, names: Collection[str] = ("PCMA", "PCMU", "telephone-event"), *, ordered: bool = False
) -> Sdp:
    """Leave only these voices and what goes with them in the audio, with their rtpmap and fmtp; `ordered`: in that
    order. SdpError if no voice is left.
    """
    target = sdp.audio
    if target is None:
        raise SdpError("the session description has no audio")
    kept = spoken(target.codecs, names, ordered=ordered)
    if not any(voice_of(one) for one in kept):
        raise SdpError("none of the audio formats offered is spoken here")
    stream = _only(target, [one.payload_type for one in kept])
    return sdp.with_media_at(sdp.media.index(target), stream)


def with_numbers_of(sdp: Sdp, like: Sdp | None) -> Sdp:
    """The audio under the payload numbers that the reader himself gave the same encodings: one leg knows an encoding
    under one number (RFC 3264 8.3.2), whatever the other leg calls it.
    """
    target, theirs = sdp.audio, like.audio if like is not None else None
    if target is None or theirs is None:
        return sdp
    shapes = {_shape(one): one.payload_type for one in reversed(theirs.codecs)}
    new = {one.payload_type: shapes[_shape(one)] for one in target.codecs if _shape(one) in shapes}
    for one in target.codecs:
        if one.payload_type not in new:
            new[one.payload_type] = _free(one.payload_type, new)
    if all(old == number for old, number in new.items()) or len(set(new.values())) < len(new):
        return sdp
    lines = [_m_line(target, port=target.port, formats=[_renumbered(word, new) for word in target.formats])]
    lines += [_line_renumbered(line, new) for line in target.lines[1:]]
    return sdp.with_media_at(sdp.media.index(target), Media(tuple(lines)))


def _shape(one: Format) -> tuple[str, int, int]:
    return one.name, one.clock, one.channels


def _free(number: int, taken: Mapping[int, int]) -> int:
    """That number, or another dynamic one if it stands for something else."""
    used = set(taken.values())
    return next((n for n in (number, *range(127, 95, -1)) if n not in used), number)


def _renumbered(word: str, new: Mapping[int, int]) -> str:
    number = number_up_to(word, 127)
    return word if number is None else str(new.get(number, number))


def _line_renumbered(line: str, new: Mapping[int, int]) -> str:
    key, colon, value = line.partition(":")
    if key not in ("a=rtpmap", "a=fmtp", "a=rtcp-fb") or not value.split():
        return line
    word = value.split(None, 1)[0]
    return f"{key}{colon}{value.replace(word, _renumbered(word, new), 1)}"


def with_direction(sdp: Sdp, direction: Direction) -> Sdp:
    """Set the audio's direction."""
    target = sdp.audio
    if target is None:
        raise SdpError("the session description has no audio")
    lines = [line for line in target.lines if line[2:] not in DIRECTIONS or line[:2] != "a="]
    session = tuple(line for line in sdp.session if line[2:] not in DIRECTIONS or line[:2] != "a=")
    media = Media((*lines, f"a={direction.value}"))
    return replace(sdp.with_media_at(sdp.media.index(target), media), session=session)


def with_record(sdp: Sdp, indication: str) -> Sdp:
    """Say whether we record, for the whole session (RFC 7866 7.1.1), unless the description says already who does."""
    if recorded(sdp):
        return sdp
    return replace(sdp, session=(*sdp.session, f"a=record:{indication}"))


def without_record(sdp: Sdp) -> Sdp:
    """Leave out what the other side says of recording, and wishes of whoever records: that is us."""
    session = tuple(line for line in sdp.session if not _of_record(line))
    media = tuple(Media(tuple(line for line in one.lines if not _of_record(line))) for one in sdp.media)
    return replace(sdp, session=session, media=media)


def recorded(sdp: Sdp) -> bool:
    """Whether a description says anything of a recording."""
    lines = (*sdp.session, *(line for one in sdp.media for line in one.lines))
    return any(line.startswith("a=record:") for line in lines)


def _of_record(line: str) -> bool:
    return line.startswith(("a=record:", "a=recordpref:"))


# ---------------------------------------------------------------------- building


def offer(
    session_id: int,
    version: int,
    address: str,
    port: int,
    *,
    names: Sequence[str] = ("PCMA", "PCMU", "telephone-event"),
    direction: Direction = Direction.SENDRECV,
    rtcp_port: int | None = None,
) -> Sdp:
    """An offer of our own: one audio stream in these voices."""
    formats = offered_formats(names)
    return _build(session_id, version, address, [_stream(port, formats, direction, address, rtcp_port)])


def answer(
    offered: Sdp,
    session_id: int,
    version: int,
    address: str,
    port: int,
    *,
    names: Sequence[str] = ("PCMA", "PCMU", "telephone-event"),
    direction: Direction | None = None,
    rtcp_port: int | None = None,
) -> Sdp:
    """An answer of our own (RFC 3264 6): as many m-lines as offered, all but the audio rejected, the
    offerer's payload numbers and order, and the mirrored direction. SdpError if nothing can be agreed
    upon."""
    target = keep_formats(offered, names).audio
    assert target is not None
    chosen = offered.audio
    way = direction or offered.direction_of(target).mirrored
    streams = [
        _stream(port, target.codecs, way, address, rtcp_port) if media is chosen else reject_stream(media)
        for media in offered.media
    ]
    return _build(session_id, version, address, streams)


def _build(session_id: int, version: int, address: str, media: Iterable[Media]) -> Sdp:
    origin = Origin("-", str(session_id), str(version), "IN", _family(address), address)
    session = ("v=0", f"o={origin}", "s=-", f"c=IN {_family(address)} {address}", "t=0 0")
    return Sdp(session, tuple(media))


def _stream(
    port: int, formats: Sequence[Format], direction: Direction, address: str, rtcp_port: int | None
) -> Media:
    lines = [" ".join([f"m=audio {port} RTP/AVP", *(str(one.payload_type) for one in formats)])]
    for one in formats:
        lines.append(f"a=rtpmap:{one.payload_type} {rtpmap(one)}")
        if one.name == "telephone-event":
            lines.append(f"a=fmtp:{one.payload_type} 0-16")
    lines.append("a=ptime:20")
    if rtcp_port is not None and rtcp_port != port + 1:
        lines.append(f"a=rtcp:{rtcp_port} IN {_family(address)} {address}")
    lines.append(f"a={direction.value}")
    return Media(tuple(lines))


# ---------------------------------------------------------------------- lines


def _with_connection(lines: Sequence[str], address: str) -> tuple[str, ...]:
    """Our c= where one stood, else where it belongs: before b=, t= and what follows (RFC 8866 5)."""
    ours = f"c=IN {_family(address)} {address}"
    if any(line[:2] == "c=" for line in lines):
        return tuple(ours if line[:2] == "c=" else line for line in lines)
    at = next((i for i, line in enumerate(lines) if line[0] in "btrzka"), len(lines))
    return (*lines[:at], ours, *lines[at:])


def _without_transport(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        line for line in lines if line[:2] != "a=" or line[2:].partition(":")[0].strip() not in _TRANSPORT
    )


def _m_line(stream: Media, *, port: int, formats: Iterable[str] | None = None) -> str:
    words = stream.fields
    return " ".join([f"m={words[0]}", str(port), words[2], *(words[3:] if formats is None else formats)])


def _only(stream: Media, numbers: Sequence[int]) -> Media:
    """A stream without the other payload types, and without their rtpmap, fmtp and rtcp-fb; in that order."""
    lines = [_m_line(stream, port=stream.port, formats=map(str, numbers))]
    for line in stream.lines[1:]:
        key, _, value = line[2:].partition(":")
        if line[:2] == "a=" and key in ("rtpmap", "fmtp", "rtcp-fb"):
            word = value.split(None, 1)[0] if value.split() else ""
            if word != "*" and number_up_to(word, 127) not in numbers:
                continue
        lines.append(line)
    return Media(tuple(lines))


def _family(address: str) -> str:
    return "IP6" if ":" in address else "IP4"

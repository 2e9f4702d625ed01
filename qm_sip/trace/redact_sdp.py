"""A session description said again, by allow-list: streams, ports, codecs and directions stay, addresses become
pseudonyms, and free text, keys and candidates go.
"""

from __future__ import annotations

import re
from typing import Final

from qm_sip.sip.sdp_model import DIRECTIONS, Media, Sdp, SdpError
from qm_sip.trace.pseudonyms import Pseudonyms


def words(text: str) -> frozenset[str]:
    """A set of words, written as a line of them."""
    return frozenset(text.split())


_KINDS: Final = frozenset({"audio", "video", "image", "text", "application", "message"})
_PROTOCOLS: Final = words(
    "RTP/AVP RTP/AVPF RTP/SAVP RTP/SAVPF UDP/TLS/RTP/SAVP UDP/TLS/RTP/SAVPF udptl UDPTL TCP UDP"
)
CODECS: Final = words(
    "PCMU PCMA G722 G729 GSM OPUS G726-32 G723 ILBC SPEEX AMR AMR-WB EVS CN RED L16 TELEPHONE-EVENT"
    " H264 H265 VP8 VP9 T140 SILK"
)
_PLAIN: Final = DIRECTIONS | {"rtcp-mux", "rtcp-rsize", "ice-lite", "end-of-candidates"}
_NUMBERED: Final = re.compile(r"(?:ptime|maxptime):\d{1,3}", re.ASCII)
_RTPMAP: Final = re.compile(r"rtpmap:(\d{1,3}) ([A-Za-z0-9-]+)/(\d{1,6})(/[1-8])?", re.ASCII)
_EVENTS: Final = re.compile(r"fmtp:(\d{1,3}) 0-1[156]", re.ASCII)
_RTCP: Final = re.compile(r"rtcp:(\d{1,5})(?: .*)?", re.ASCII)
_SETUP: Final = re.compile(r"setup:(?:active|passive|actpass|holdconn)", re.ASCII)
_ADDRESS: Final = re.compile(r"IN IP([46]) ([^\s/]+)(?:/\d{1,3})?\s*", re.ASCII)


def redact_sdp(data: bytes, names: Pseudonyms) -> bytes:
    """The whole description; one that cannot be read is a count of bytes."""
    try:
        sdp = Sdp.parse(data)
    except SdpError:
        return f"[{len(data)} bytes redacted]\r\n".encode()
    lines = [said for line in sdp.session if (said := _session(line, names))]
    for media in sdp.media:
        lines += [_m_line(media), *(said for line in media.lines[1:] if (said := _media(line, names)))]
    return ("\r\n".join(lines) + "\r\n").encode("ascii", "replace")


def _session(line: str, names: Pseudonyms) -> str:
    match line[:2]:
        case "v=":
            return "v=0"
        case "o=":
            return _origin(line[2:], names)
        case "s=":
            return "s=-"
        case "t=":
            return "t=0 0"
    return _media(line, names)


def _origin(value: str, names: Pseudonyms) -> str:
    """Ids as small numbers: that a version has changed can be seen, and nothing else."""
    words = value.split()
    if len(words) != 6:
        return ""  # a second o=, which nobody else reads
    session, version = names.number("sdp", words[1]), names.number("sdp-version", f"{words[1]} {words[2]}")
    return f"o=- {session} {version} {_place(' '.join(words[3:]), names)}"


def _place(value: str, names: Pseudonyms) -> str:
    found = _ADDRESS.fullmatch(value)
    return f"IN IP{found[1]} {names.host(found[2])}" if found else "IN IP4 redacted.invalid"


def _m_line(media: Media) -> str:
    kind = media.kind if media.kind in _KINDS else "application"
    protocol = media.protocol if media.protocol in _PROTOCOLS else "unknown"
    formats = [word if re.fullmatch(r"\d{1,3}|\*|t38", word, re.ASCII) else "x" for word in media.formats]
    return f"m={kind} {media.port} {protocol} {' '.join(formats)}"


def _media(line: str, names: Pseudonyms) -> str:
    match line[:2]:
        case "c=":
            return f"c={_place(line[2:], names)}"
        case "b=":
            found = re.fullmatch(r"b=(AS|TIAS|CT|RS|RR):(\d{1,7})", line, re.ASCII)
            return line if found else ""
        case "a=":
            return f"a={_attribute(line[2:].rstrip())}"
    return ""


def _attribute(value: str) -> str:
    if value in _PLAIN or any(kind.fullmatch(value) for kind in (_NUMBERED, _EVENTS, _SETUP)):
        return value
    if found := _RTPMAP.fullmatch(value):
        name = found[2] if found[2].upper() in CODECS else "unknown"
        return f"rtpmap:{found[1]} {name}/{found[3]}{found[4] or ''}"
    if found := _RTCP.fullmatch(value):
        return f"rtcp:{found[1]}"
    name = value.partition(":")[0]
    return f"{name}:redacted" if name in ("crypto", "candidate", "fingerprint", "fmtp") else "redacted"

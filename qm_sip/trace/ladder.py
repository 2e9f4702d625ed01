"""The ladder of one call: three columns, one row a message, and what each meant in a few words.

        0.000  |--- INVITE ---->|                |  101 INVITE  SDP sendrecv RTP/AVP PCMA

Rows are plain values (the control socket's), so that a program can read what a person sees.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from qm_sip.sip.body import description
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import parse
from qm_sip.sip.sdp_model import Sdp, SdpError
from qm_sip.trace.redact import heading
from qm_sip.trace.redact_sdp import CODECS
from qm_sip.trace.store import Line

WIDTH = 22
Row = dict[str, Any]


def rows(lines: Iterable[Line], own: Collection[str]) -> Iterator[Row]:
    """One row for each message. A copy of one that passed the same way before is `again`. `own`: addresses of ours."""
    seen: set[tuple[str, bool, bytes]] = set()
    began: float | None = None
    for line in lines:
        began = line.at if began is None else began
        known = (line.leg, line.inbound, line.data or b"")
        what, cseq = line.bare or heading(line.data or b"")
        yield {
            "number": line.number,
            "at": round(line.at - began, 6),
            "leg": line.leg,
            "way": "in" if line.inbound else "out",
            "what": what,
            "cseq": cseq,
            "sdp": sdp_of(line.data, {line.local.host, *own}) if line.data is not None else None,
            "again": line.data is not None and known in seen,
            "transport": line.peer.transport,
        }
        seen.add(known)


def sdp_of(data: bytes, ours: Collection[str]) -> str | None:
    """What a description says, in a few words: direction, profile, codecs, and whether audio is to come to us."""
    try:
        body = description(parse(data))
        if body is None:
            return None
        sdp = Sdp.parse(body)
    except (SipParseError, SdpError):
        return "unreadable"
    audio = sdp.audio
    if audio is None:
        return "no audio"
    if audio.rejected:
        return "audio off"
    codecs = [one.name if one.name.upper() in CODECS else "other" for one in audio.codecs]
    place = sdp.address_of(audio)
    where = "held" if place == "0.0.0.0" else "at qm_sip" if place in ours else ""
    profile = audio.protocol if audio.protocol.replace("/", "").isalpha() else "other"
    return " ".join(filter(None, [sdp.direction_of(audio).value, profile, ",".join(codecs), where]))


def draw(found: Sequence[Mapping[str, Any]], caller: str, callee: str) -> Iterator[str]:
    """The rows as lines of text."""
    gap = WIDTH + 1
    yield f"{'':10} {f'caller {caller}'.strip():{gap}}{'qm_sip':{gap}}{f'callee {callee}'.strip()}".rstrip()
    for row in found:
        yield _draw(row)


def _draw(row: Mapping[str, Any]) -> str:
    left = row["leg"] == "caller"
    to_right = (row["way"] == "in") == left
    arrow = _arrow(str(row["what"]), to_right)
    columns = f"|{arrow}|{'':{WIDTH}}|" if left else f"|{'':{WIDTH}}|{arrow}|"
    sdp = f"SDP {row['sdp']}" if row["sdp"] else ""
    again = "again" if row["again"] else ""
    leg = "" if row["leg"] in ("caller", "callee") else str(row["leg"])
    said = "  ".join(filter(None, [str(row["cseq"]), leg, sdp, again]))
    return f"{row['at']:10.3f} {columns}  {said}".rstrip()


def _arrow(label: str, to_right: bool) -> str:
    text = f" {label[: WIDTH - 5]} "
    return f"{text:-^{WIDTH - 1}}>" if to_right else f"<{text:-^{WIDTH - 1}}"

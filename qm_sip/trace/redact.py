"""A message said again without anybody in it, by allow-list.

Nothing of the original is copied but what this page names: known methods, statuses with their RFC phrase, known
tokens, small numbers. Every user, display name, host, Call-ID, tag and branch becomes a pseudonym that is the same
throughout one trace, so that the ladder can still be read. A header that is not named here loses its value and its
name; a body that is no session description is a count of bytes. What cannot be parsed is shown as that.
"""

from __future__ import annotations

import re
from typing import Final

from qm_sip.sip.body import description
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import MalformedMessage, Request, Response, parse
from qm_sip.sip.reply import REASONS
from qm_sip.trace.pseudonyms import Pseudonyms
from qm_sip.trace.redact_sdp import redact_sdp
from qm_sip.trace.store import Heading
from qm_sip.trace.values import NAMES, REDACTED, REDACTORS, cseq_of, method_of, uri_of


def redact(data: bytes, names: Pseudonyms) -> bytes:
    """The whole message."""
    message, whole = _read(data)
    if message is None:
        return f"[unreadable, {len(data)} bytes]\r\n\r\n".encode()
    lines = [_start(message, names)]
    for h in message.headers:
        if h.key not in ("content-type", "content-length"):
            lines.append(_header(h.key, h.value, names))
    kind, body = _body(message, names) if whole else ("", b"")
    lines += [f"Content-Type: {kind}"] if kind else []
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("ascii", "replace") + body


def heading(data: bytes) -> Heading:
    """What kind of message it is: method or status and phrase, and its CSeq."""
    message, _ = _read(data)
    if message is None:
        return Heading("unreadable", "")
    cseq = cseq_of(message.get("cseq") or "", Pseudonyms())
    if isinstance(message, Request):
        return Heading(method_of(message.method), cseq)
    return Heading(f"{message.status} {REASONS.get(message.status, '')}".strip(), cseq)


def _read(data: bytes) -> tuple[Request | Response | None, bool]:
    """As much of it as can be read, and whether that is all."""
    try:
        return parse(data), True
    except MalformedMessage as error:
        found = error.partial
        return (found if isinstance(found, Request | Response) else None), False
    except SipParseError:
        return None, False


def _start(message: Request | Response, names: Pseudonyms) -> str:
    if isinstance(message, Request):
        return f"{method_of(message.method)} {uri_of(message.uri, names)} SIP/2.0"
    return f"SIP/2.0 {message.status} {REASONS.get(message.status, REDACTED)}"


def _header(key: str, value: str, names: Pseudonyms) -> str:
    name = NAMES.get(key)
    if name is None:
        return "X-Redacted: redacted"
    redactor = REDACTORS.get(key)
    if redactor is None:
        return f"{name}: {REDACTED}"
    try:
        return f"{name}: {redactor(value, names)}"
    except SipParseError:
        return f"{name}: {REDACTED}"


def _body(message: Request | Response, names: Pseudonyms) -> tuple[str, bytes]:
    if not message.body:
        return "", b""
    sdp = description(message)
    if sdp is not None:
        return "application/sdp", redact_sdp(sdp, names)
    return "text/plain", f"[{len(message.body)} bytes redacted]\r\n".encode()


# --------------------------------------------------------------------------- what is never shown

_SECRETS: Final = re.compile(
    rb"(\n(?:proxy-)?authorization|\nx-qm-receipt)([ \t]*):[^\r\n]*((?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE
)


def without_secrets(data: bytes) -> bytes:
    """The original, but for what would let its reader log in as somebody else or use a receipt."""
    head, blank, body = data.partition(b"\r\n\r\n")
    return _SECRETS.sub(rb"\1: redacted", head) + blank + body

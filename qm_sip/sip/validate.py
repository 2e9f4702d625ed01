"""Does a message that could be read make sense as a whole? Raises SipParseError with the status owed.

RFC 3261 8.1.1 (what every request must carry), 8.2.2, 16.3, 18.3; verdicts of RFC 4475.
"""

from __future__ import annotations

from typing import Final

from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Message, Request, Response
from qm_sip.sip.rack import RAck
from qm_sip.sip.session_expires import SessionExpires, min_se

_ONCE: Final = ("from", "to", "call-id", "cseq")
_SINGLE: Final = frozenset({*_ONCE, "max-forwards", "content-type", "content-length"})
_LISTS: Final = ("require", "supported", "accept", "request-disposition")
"""Lists that are read later, some when a call is being answered: what cannot be read is said at the door."""
_SCHEMES: Final = ("sip", "tel")
"""Not sips: it promises TLS up to the called party, and we cannot see further than our next hop (RFC 5630)."""


def check(message: Request | Response) -> None:
    """Raise unless the message may be acted upon."""
    if isinstance(message, Request):
        check_request(message)
    else:
        check_response(message)


def check_request(request: Request) -> None:
    """400 for what is broken, 505 for another version, 416 for a target we cannot have (8.2.2.1)."""
    if request.version.upper() != "SIP/2.0":
        raise SipParseError("only SIP/2.0 is spoken here", 505)
    _check_common(request)
    if request.cseq.method != request.method:
        raise SipParseError("CSeq names another method than the request line")
    _ = request.max_forwards
    if request.uri.startswith("<"):
        raise SipParseError("the Request-URI stands in angle brackets")
    if request.target.scheme not in _SCHEMES:
        raise SipParseError("the scheme of the Request-URI is not known here", 416)
    if request.target.headers:
        raise SipParseError("the Request-URI carries headers")  # 19.1.1
    for name in _LISTS:
        _ = request.values(name)
    if request.method in ("INVITE", "UPDATE"):
        _ = request.contacts, request.record_route
        _ = SessionExpires.of(request), min_se(request)
    elif request.method == "PRACK":
        _ = RAck.parse(request.require("rack"))


def check_response(response: Response) -> None:
    """A response that fails this is dropped."""
    _check_common(response)
    if len(response.vias) != 1:
        raise SipParseError("the response is not for us alone")  # 8.1.3.3
    if response.status < 300 and response.cseq.method == "INVITE":
        _ = response.values("require")
        _ = response.contacts, response.record_route


def _check_common(message: Message) -> None:
    keys = [h.key for h in message.headers if h.key in _SINGLE]
    for key in _ONCE:
        if keys.count(key) != 1:
            raise SipParseError(f"{key} must stand in a message exactly once")
    if len(set(keys)) != len(keys):
        raise SipParseError("a header that may stand only once stands there more often")
    if not message.call_id:
        raise SipParseError("Call-ID is empty")
    for via in message.vias:
        if via.version != "2.0":
            raise SipParseError("a Via is not of SIP/2.0")
    _ = message.from_, message.to, message.cseq

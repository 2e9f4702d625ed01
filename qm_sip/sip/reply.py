"""Answers: a response to a request, and the mark its arrival leaves on it (RFC 3261 8.2.6, 18.2, RFC
3581).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from qm_sip.sip.events import Address
from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Header, Request, Response, header

# The reason phrases of RFC 3261 21, RFC 3262-3329, RFC 4412, RFC 6442, RFC 8197 ... that we send or pass on.
REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    199: "Early Dialog Terminated",
    200: "OK",
    202: "Accepted",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    493: "Undecipherable",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    580: "Precondition Failure",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
    607: "Unwanted",
    608: "Rejected",
}

_COPIED: Final = ("via", "from", "to", "call-id", "cseq")


def mark_arrival(request: Request, source: Address) -> Request:
    """The request with `received` and `rport` in its topmost Via (18.2.1, RFC 3581 4); of a connection always, so
    that the answer finds it.
    """
    via = request.via
    marked = via.received_from(source.host, source.port, always=source.reliable)
    if marked == via:
        return request
    return request.marked(marked)


def reply_address(request: Request, local: Address) -> Address:
    """Where the responses to a marked request that came to `local` go (18.2.2): on a stream, to the other end of its
    connection.
    """
    return Address(*request.via.reply_to(), local.transport)


def reconnect_address(request: Request, local: Address) -> Address:
    """Where they go when that connection is gone (18.2.2): the port that the sender says it listens on."""
    host, _ = request.via.reply_to()
    return Address(host, request.via.sent_by[1], local.transport)


def reply(
    request: Request,
    status: int,
    *,
    reason: str = "",
    tag: str = "",
    headers: Iterable[Header] = (),
    body: bytes = b"",
) -> Response:
    """A response (8.2.6): Via, From, To, Call-ID and CSeq as they came, the To tag added unless it is a
    100.
    """
    copied = [h for h in request.headers if h.key in _COPIED]
    if status > 100 and tag and _untagged(request):
        copied = [_tagged(h, tag) if h.key == "to" else h for h in copied]
    length = header("Content-Length", str(len(body)))
    return Response(
        status, reason or REASONS.get(status, _by_class(status)), [*copied, *headers, length], body
    )


def _untagged(request: Request) -> bool:
    """Whether a tag is to be added to To; a To that cannot be read goes back as it came."""
    try:
        return request.to.tag is None
    except SipParseError:
        return False


def _tagged(to: Header, tag: str) -> Header:
    return Header(to.key, f"{to.value};tag={tag}", f"{to.raw.rstrip()};tag={tag}")


def _by_class(status: int) -> str:
    names = {1: "Progress", 2: "OK", 3: "Redirected", 4: "Request Failure", 5: "Server Failure"}
    return names.get(status // 100, "Global Failure")

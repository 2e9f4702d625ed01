"""SIP messages: bytes become a start line, an ordered list of raw headers and a body, and go back unchanged.

RFC 3261 section 7. Three promises:

* A header nobody changed leaves byte for byte as it came, white space, folding and foreign bytes
  included: text is decoded as UTF-8 with surrogateescape, and `Header.raw` is what stood there.
* Reading takes linear time and bounded memory: 64 KiB a message, 256 headers, 64 Via.
* The one exception is `SipParseError`, which carries the status owed and, in `MalformedMessage.partial`,
  what could be read, so that an answer can be sent.

Typed views (`message.to`, `message.vias` ...) are parsed when first asked for and kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeVar, cast

from qm_sip.sip.address import NameAddr, Uri
from qm_sip.sip.cseq import CSeq
from qm_sip.sip.grammar import SipParseError, digits, is_token, split_outside
from qm_sip.sip.via import Via

T = TypeVar("T")

MAX_BYTES: Final = 65_536
MAX_HEADERS: Final = 256
MAX_VIAS: Final = 64

# RFC 3261 7.3.3 and 20, RFC 3515, 3892, 3903, 4028, 4412, 6665.
_COMPACT: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

_BREAK: Final = re.compile(r"[\r\n]")


class MalformedMessage(SipParseError):
    """A message that could be read in part: `partial` serves to answer it."""

    def __init__(self, problem: str, status: int, partial: Message) -> None:
        super().__init__(problem, status)
        self.partial = partial


class Header(NamedTuple):
    """One header. `key`: lower-case long name; `value`: unfolded and stripped; `raw`: the line(s) without
    CRLF.
    """

    key: str
    value: str
    raw: str


# What `Header(...)` does, without the function in between: a message is made of some ten of them.
_new: Final = cast(Callable[[type[Header], tuple[str, str, str]], Header], tuple.__new__)


def header(name: str, value: str) -> Header:
    """A header of our own making. A line break in it would be an injection, so it is a programming error."""
    key = _KNOWN.get(name) or (canonical(name) if is_token(name) else "")
    if not key or "\n" in value or "\r" in value:
        raise ValueError(f"header {name!r} cannot be written on one line")
    return _new(Header, (key, value, f"{name}: {value}"))


def canonical(name: str) -> str:
    """The lower-case long form of a header name."""
    low = name.lower()
    return _COMPACT.get(low, low)


class Message:
    """What requests and responses share. Treat it as a value: make a new one instead of changing it."""

    __slots__ = ("_firsts", "_views", "body", "headers")

    def __init__(self, headers: Iterable[Header | tuple[str, str]] = (), body: bytes = b"") -> None:
        self.headers: tuple[Header, ...] = tuple(
            [h if isinstance(h, Header) else header(h[0], h[1]) for h in headers]
        )
        self.body = body
        self._firsts: dict[str, str] | None = None
        self._views: dict[str, Any] = {}

    @property
    def start_line(self) -> str:
        """The first line, without CRLF."""
        raise NotImplementedError

    def get(self, name: str) -> str | None:
        """The first value of a header, or None. Compact names count as their long form."""
        firsts = self._firsts
        if firsts is None:
            firsts = self._firsts = {h.key: h.value for h in reversed(self.headers)}
        return firsts.get(_KNOWN.get(name) or canonical(name))

    def all(self, name: str) -> list[str]:
        """Every value of a header, one per header line, in order."""
        key = canonical(name)
        return [h.value for h in self.headers if h.key == key]

    def values(self, name: str) -> list[str]:
        """Every value of a list header, lines joined and commas split (7.3.1)."""
        if self.get(name) is None:
            return []
        key = canonical(name)
        return [v for h in self.headers if h.key == key for v in split_outside(h.value, ",") if v]

    def to_bytes(self) -> bytes:
        """The message on the wire."""
        lines = [self.start_line, *[h.raw for h in self.headers], "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body

    def view(self, name: str, parse: Callable[[Message], T]) -> T:
        """A typed reading of this message, made once."""
        found = self._views.get(name)
        if found is None:
            found = self._views[name] = parse(self)
        return cast(T, found)

    def knows(self, like: Message, *names: str) -> None:
        """Take over the typed readings of headers that stand in another message with the same words."""
        for name in names:
            found = like._views.get(name)
            if found is not None and self.get(name) == like.get(name):
                self._views.setdefault(name, found)

    def require(self, name: str) -> str:
        """The value of a header that must be there."""
        value = self.get(name)
        if value is None:
            raise SipParseError(f"{name} is missing")
        return value

    @property
    def vias(self) -> tuple[Via, ...]:
        """All hops, topmost first; an empty place in the list is an error."""
        return cast("tuple[Via, ...] | None", self._views.get("vias")) or self.view("vias", _parse_vias)

    @property
    def via(self) -> Via:
        """The topmost hop; read alone, so that a broken one below cannot keep us from answering."""
        return cast("Via | None", self._views.get("via")) or self.view("via", _parse_via)

    @property
    def from_(self) -> NameAddr:
        """From (20.20)."""
        return cast("NameAddr | None", self._views.get("from")) or self.view("from", _parse_from)

    @property
    def to(self) -> NameAddr:
        """To (20.39)."""
        return cast("NameAddr | None", self._views.get("to")) or self.view("to", _parse_to)

    @property
    def call_id(self) -> str:
        """Call-ID (20.8), compared byte by byte."""
        return self.require("call-id")

    @property
    def cseq(self) -> CSeq:
        """CSeq (20.16)."""
        return cast("CSeq | None", self._views.get("cseq")) or self.view("cseq", _parse_cseq)

    @property
    def contacts(self) -> tuple[NameAddr, ...]:
        """Contact (20.10); `*` is not an address and is left out."""
        return self.view("contacts", _parse_contacts)

    @property
    def record_route(self) -> tuple[NameAddr, ...]:
        """Record-Route, topmost first."""
        return self.view("rr", _parse_record_route)

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards (20.22), or None: RFC 2543 did not have it."""
        value = self.get("max-forwards")
        return None if value is None else digits(value, 255, "Max-Forwards")

    @property
    def content_type(self) -> str:
        """The media type, lower case, without parameters; "" if there is no body type."""
        return (self.get("content-type") or "").partition(";")[0].strip().lower()

    def _content(self) -> tuple[object, ...]:
        return (self.start_line, tuple((h.key, h.value) for h in self.headers), self.body)

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Message) and type(other) is type(self)
        return same and cast(Message, other)._content() == self._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        # No names, numbers or addresses: messages end up in tracebacks (invariant I10).
        return f"<{type(self).__name__} {len(self.headers)} headers, {len(self.body)} bytes>"


def _parse_vias(message: Message) -> tuple[Via, ...]:
    top = message.via
    values = [value for h in message.headers if h.key == "via" for value in split_outside(h.value, ",")]
    return (top, *[Via.parse(value) for value in values[1:]])


def _parse_via(message: Message) -> Via:
    return Via.parse(split_outside(message.require("via"), ",")[0])


def _parse_from(message: Message) -> NameAddr:
    return NameAddr.parse(message.require("from"))


def _parse_to(message: Message) -> NameAddr:
    return NameAddr.parse(message.require("to"))


def _parse_cseq(message: Message) -> CSeq:
    return CSeq.parse(message.require("cseq"))


def _parse_contacts(message: Message) -> tuple[NameAddr, ...]:
    return tuple([NameAddr.parse(v) for v in message.values("contact") if v != "*"])


def _parse_record_route(message: Message) -> tuple[NameAddr, ...]:
    return tuple([NameAddr.parse(v) for v in message.values("record-route")])


class Request(Message):
    """A request (7.1)."""

    __slots__ = ("method", "uri", "version")

    def __init__(
        self,
        method: str,
        uri: str,
        headers: Iterable[Header | tuple[str, str]] = (),
        body: bytes = b"",
        version: str = "SIP/2.0",
    ) -> None:
        super().__init__(headers, body)
        self.method, self.uri, self.version = method, uri, version

    def marked(self, via: Via) -> Request:
        """The same request with another topmost hop. What has been read of it need not be read again."""
        headers = list(self.headers)
        at = next(i for i, h in enumerate(headers) if h.key == "via")
        rest = split_outside(headers[at].value, ",")[1:]
        headers[at] = header("Via", ", ".join([str(via), *rest]))
        made = Request(self.method, self.uri, headers, self.body, self.version)
        made._views = {name: view for name, view in self._views.items() if name != "vias"}
        made._views["via"] = via
        return made

    @property
    def start_line(self) -> str:
        """Method SP Request-URI SP SIP-Version."""
        return f"{self.method} {self.uri} {self.version}"

    @property
    def target(self) -> Uri:
        """The Request-URI, parsed."""
        return self.view("target", lambda _: Uri.parse(self.uri))

    def __repr__(self) -> str:
        return f"<Request {self.method}, {len(self.headers)} headers, {len(self.body)} bytes>"


class Response(Message):
    """A response (7.2)."""

    __slots__ = ("reason", "status", "version")

    def __init__(
        self,
        status: int,
        reason: str,
        headers: Iterable[Header | tuple[str, str]] = (),
        body: bytes = b"",
        version: str = "SIP/2.0",
    ) -> None:
        super().__init__(headers, body)
        self.status, self.reason, self.version = status, reason, version

    @property
    def start_line(self) -> str:
        """SIP-Version SP Status-Code SP Reason-Phrase."""
        return f"{self.version} {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.headers)} headers, {len(self.body)} bytes>"


def parse(data: bytes) -> Request | Response:
    """One datagram as a message. Raises SipParseError; `MalformedMessage` if enough was read to answer.

    Syntax only: whether the message makes sense as a whole is `validate.check`'s question.
    """
    if len(data) > MAX_BYTES:
        raise SipParseError("the message is larger than 64 KiB", 513)
    data = data.lstrip(b"\r\n")  # 7.5: CRLFs before the start line are ignored
    head, blank, body = data.partition(b"\r\n\r\n")
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    make = _start(lines[0])
    headers, problem = _headers(lines)
    message = make(headers, body)
    if not blank:
        problem = problem or "the headers do not end in an empty line"
    if problem:
        raise MalformedMessage(problem, 400, message)
    return _cut_body(message)


_Make = Callable[[list[Header], bytes], "Request | Response"]


def _start(line: str) -> _Make:
    """Read the start line; what comes back makes the message once headers and body are known."""
    if _BREAK.search(line):
        raise SipParseError("a line ends in a bare CR or LF")
    if line[:4].upper() == "SIP/":
        return _status_line(line)
    return _request_line(line)


def _status_line(line: str) -> _Make:
    version, _, rest = line.partition(" ")
    status, _, reason = rest.partition(" ")
    if len(status) != 3 or not status.isascii() or not status.isdigit() or not "100" <= status <= "699":
        raise SipParseError("a status code is not a number from 100 to 699")
    if version.upper() != "SIP/2.0":
        raise SipParseError("a response is not of SIP/2.0")
    code = int(status)
    return lambda headers, body: Response(code, reason, headers, body, version)


def _request_line(line: str) -> _Make:
    words = line.split(" ")
    if len(words) < 3 or not is_token(words[0]) or words[-1][:4].upper() != "SIP/":
        # Not even a method, a URI and a version: nothing to answer, except where the ends can be told
        # (4475 3.1.2).
        method, rest = words[0], line.rstrip().rpartition(" ")
        if not is_token(method) or rest[2][:4].upper() != "SIP/" or len(words) < 3:
            raise SipParseError("the first line is neither a request's nor a response's")
        return _broken_request(method, "white space ends the request line")
    if len(words) > 3 or not words[1]:
        return _broken_request(words[0], "the Request-URI has white space in it")
    method, uri, version = words
    return lambda headers, body: Request(method, uri, headers, body, version)


def _broken_request(method: str, problem: str) -> _Make:
    def make(headers: list[Header], body: bytes) -> Request:
        raise MalformedMessage(problem, 400, Request(method, "sip:invalid.invalid", headers, body))

    return make


def _headers(lines: list[str]) -> tuple[list[Header], str]:
    """The headers that can be read, and the first problem met (or "")."""
    headers: list[Header] = []
    problem = ""
    text = "".join(lines)
    clean = not _broken(text)  # in nearly all messages; only then is each line not looked at by itself
    at, last, vias = 1, len(lines), 0
    while at < last:
        line, begun, at = lines[at], at, at + 1
        while at < last and lines[at][:1] in _FOLD:
            at += 1  # a line that continues this one (7.3.1)
        name, colon, value = line.partition(":")
        key = _KNOWN.get(name) or _name(name)
        if not colon or not key or not (clean or not any(map(_broken, lines[begun:at]))):
            problem = problem or "a header line is not a name, a colon and a value"
        elif len(headers) >= MAX_HEADERS:
            return headers, "more than 256 headers"
        else:
            vias += key == "via"
            whole = at == begun + 1
            headers.append(
                _new(Header, (key, value.strip(" \t"), line))
                if whole
                else _unfold(key, value, lines[begun:at])
            )
    if vias > MAX_VIAS:
        problem = problem or "more than 64 Via headers"
    return headers, problem


def _unfold(key: str, value: str, lines: list[str]) -> Header:
    """A header that stood on several lines: one value, and the lines as they were."""
    parts = [value.strip(" \t"), *(line.strip(" \t") for line in lines[1:])]
    return Header(key, " ".join(filter(None, parts)), "\r\n".join(lines))


_FOLD: Final = (" ", "\t")


def _broken(line: str) -> bool:
    """A bare CR or LF: what one reader takes for one header, another takes for two."""
    return "\n" in line or "\r" in line


def _name(name: str) -> str:
    """The key of a header name not met before; "" if it is no token. Space before the colon is allowed
    (7.3.1).
    """
    name = name.rstrip(" \t")
    return canonical(name) if is_token(name) else ""


def _cut_body(message: Request | Response) -> Request | Response:
    """Content-Length on a datagram: the rest is dropped, a short body is an error, none means all (18.3)."""
    if message.get("content-length") is None:
        return message
    lengths = {h.value for h in message.headers if h.key == "content-length"}
    value = lengths.pop()
    if lengths or not (value.isascii() and value.isdigit()) or len(value) > 9:
        raise MalformedMessage("Content-Length is not one number", 400, message)
    length = int(value)
    if length > len(message.body):
        raise MalformedMessage("the body is shorter than its Content-Length", 400, message)
    message.body = message.body[:length]
    return message


_NAMES: Final = """
    Accept Accept-Contact Allow Allow-Events Authorization Call-ID Contact
    Content-Disposition Content-Encoding Content-Length Content-Type CSeq Date Diversion Event Expires From
    History-Info Max-Forwards Min-SE P-Asserted-Identity P-Preferred-Identity Privacy Proxy-Authenticate
    Proxy-Authorization RAck Reason Record-Route Refer-To Referred-By Remote-Party-ID Replaces Require
    Retry-After Route RSeq Server Session-Expires Session-ID Subject Supported Timestamp To Unsupported
    User-Agent Via Warning WWW-Authenticate
""".split()  # noqa: SIM905
# Spellings that need no further thought: the usual ones, lower case, and the compact letters in both cases.
_KNOWN: Final = (
    {n: n.lower() for n in _NAMES}
    | {n.lower(): n.lower() for n in _NAMES}
    | _COMPACT
    | {k.upper(): v for k, v in _COMPACT.items()}
)

"""Dialogs: who talks with whom, over which route, and in which order (RFC 3261 12)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from qm_sip.sip.address import NameAddr, Uri
from qm_sip.sip.events import Address
from qm_sip.sip.grammar import SipParseError, is_ip_address
from qm_sip.sip.message import Header, Message, Request, Response, header
from qm_sip.sip.via import default_port


class DialogId(NamedTuple):
    """What finds a dialog: never an address (12, 12.2.2)."""

    call_id: str
    local_tag: str
    remote_tag: str


class Path(NamedTuple):
    """How a request in the dialog goes out: its Request-URI, its Route headers, its first hop."""

    uri: str
    routes: tuple[str, ...]
    hop: Uri


@dataclass(frozen=True, slots=True)
class Dialog:
    """The shared facts of a dialog. A value: what changes makes a new one, except the two counters.

    `local` and `remote` are the From and To of our own requests, as header values with their tags.
    """

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    target: Uri
    routes: tuple[NameAddr, ...]
    first_hop: Address
    socket: Address
    counters: Counters = field(compare=False)

    @property
    def id(self) -> DialogId:
        """What finds it."""
        return DialogId(self.call_id, self.local_tag, self.remote_tag)

    @classmethod
    def of_server(cls, request: Request, local_tag: str, source: Address, socket: Address) -> Dialog:
        """The callee's dialog (12.1.1): the route set in the order of Record-Route."""
        return cls(
            call_id=request.call_id,
            local=f"{request.require('to')};tag={local_tag}",
            remote=request.require("from"),
            local_tag=local_tag,
            remote_tag=request.from_.tag or "",
            target=_contact(request) or request.from_.uri,
            routes=request.record_route,
            first_hop=source,
            socket=socket,
            counters=Counters(local=0, remote=request.cseq.number),
        )

    @classmethod
    def of_client(
        cls, request: Request, response: Response, first_hop: Address, socket: Address, counters: Counters
    ) -> Dialog:
        """The caller's dialog with one of the answering ends (12.1.2): Record-Route reversed."""
        return cls(
            call_id=request.call_id,
            local=request.require("from"),
            remote=response.require("to"),
            local_tag=request.from_.tag or "",
            remote_tag=response.to.tag or "",
            target=_contact(response) or request.target,
            routes=tuple(reversed(response.record_route)),
            first_hop=first_hop,
            socket=socket,
            counters=counters,
        )

    def refreshed(self, message: Message) -> Dialog:
        """The remote target as the Contact of an INVITE or UPDATE, or of its 2xx, gives it (12.2)."""
        contact = _contact(message)
        return self if contact is None or contact == self.target else replace(self, target=contact)

    def path(self) -> Path:
        """12.2.1.1. A first route without lr is a strict router: it gets the Request-URI, the target goes
        last.
        """
        if not self.routes:
            return Path(_request_uri(self.target), (), self.target)
        first = self.routes[0].uri
        if first.param("lr") is not None:
            routes = tuple(f"<{r.uri}>{_rest(r)}" for r in self.routes)
            return Path(_request_uri(self.target), routes, first)
        routes = (*(f"<{r.uri}>{_rest(r)}" for r in self.routes[1:]), f"<{self.target}>")
        return Path(_request_uri(first), routes, first)

    def headers(self, method: str, number: int, max_forwards: int) -> list[Header]:
        """What every request in the dialog carries, but for Via and Contact."""
        return [
            *(header("Route", route) for route in self.path().routes),
            header("Max-Forwards", str(max_forwards)),
            header("From", self.local),
            header("To", self.remote),
            header("Call-ID", self.call_id),
            header("CSeq", f"{number} {method}"),
        ]

    def destination(self) -> Address:
        """Where the next request goes: the first hop's address if it is an IP address of our family.

        A name is not looked up here: then the hop that the dialog began with is kept. A URI that names no transport
        means the one that the dialog began with (RFC 3263 4.1 would say UDP; but who calls over TCP and says nothing
        is, as a rule, not listening there). A dialog that began over TLS stays there, whatever a
        Contact says.
        """
        hop = self.path().hop
        if not is_ip_address(hop.host) or (":" in hop.host) != (":" in self.socket.host):
            return self.first_hop
        transport = (hop.param("transport") or self.first_hop.transport).lower()
        if self.first_hop.transport == "tls" and transport != "tls":
            return self.first_hop
        return Address(hop.host, hop.port or default_port(transport), transport)


@dataclass(slots=True)
class Counters:
    """CSeq in both directions. All forks of one INVITE count on from the same number."""

    local: int
    remote: int | None = None

    def next(self) -> int:
        """The number of our next request."""
        self.local += 1
        return self.local

    def accepts(self, number: int) -> bool:
        """Whether the peer's request is in order (12.2.2). A lower or equal number is late or doubled:
        500.
        """
        if self.remote is not None and number <= self.remote:
            return False
        self.remote = number
        return True


def _contact(message: Message) -> Uri | None:
    contacts = message.contacts
    return contacts[0].uri if contacts and contacts[0].uri.scheme in ("sip", "sips") else None


def _rest(route: NameAddr) -> str:
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in route.params)


def _request_uri(uri: Uri) -> str:
    """A Request-URI may not carry the method parameter or headers (12.2.1.1, 19.1.1)."""
    if not uri.headers and uri.param("method") is None:
        return uri.text
    kept = tuple(p for p in uri.params if p[0].lower() != "method")
    return Uri.sip(uri.host, uri.port, uri.user, kept).text


def require_tag(message: Message) -> str:
    """The remote tag that a dialog cannot be without."""
    tag = message.to.tag
    if not tag:
        raise SipParseError("a response that makes a dialog has no To tag")
    return tag

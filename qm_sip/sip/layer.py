"""The transaction layer: which transaction a message belongs to (RFC 3261 17.1.3, 17.2.3), by dictionary
key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from qm_sip.sip.events import Address
from qm_sip.sip.message import Header, Request, Response, header
from qm_sip.sip.reply import reconnect_address
from qm_sip.sip.timers import Timers
from qm_sip.sip.transaction import Event, Kind, TimerSettings, Transaction, User
from qm_sip.sip.via import MAGIC_COOKIE

Key = tuple[object, ...]
Send = Callable[[bytes, Address, Address], None]

# An ACK to a failure repeats these of its INVITE (17.1.1.3; 22.1 for the credentials).
_ACK_KEEPS: Final = frozenset(
    {"from", "call-id", "max-forwards", "route", "authorization", "proxy-authorization"}
)


def server_key(request: Request) -> Key:
    """17.2.3: branch, sent-by and method; for a peer of RFC 2543 what that RFC compared. ACK finds its
    INVITE.
    """
    method = "INVITE" if request.method == "ACK" else request.method
    via = request.via
    if via.branch.startswith(MAGIC_COOKIE) and len(via.branch) > len(MAGIC_COOKIE):
        return (via.branch, via.sent_by, method)
    top = str(via)
    return (request.uri, request.from_.tag, request.call_id, request.cseq.number, top, method)


def merge_key(request: Request) -> Key:
    """8.2.2.2: what two copies of one request have in common that came over different paths."""
    return (request.from_.tag, request.call_id, request.cseq)


class TransactionLayer:
    """All transactions of one user agent. It is the `Shell` of each."""

    def __init__(self, settings: TimerSettings, timers: Timers, send: Send) -> None:
        self.settings, self.timers, self.send = settings, timers, send
        self.clients: dict[Key, Transaction] = {}
        self.servers: dict[Key, Transaction] = {}
        self._merges: dict[Key, Transaction] = {}
        self._towards: dict[Address, dict[Transaction, None]] = {}  # in the order they began

    def __len__(self) -> int:
        """How many transactions have not terminated."""
        return len(self.clients) + len(self.servers)

    def request(
        self, request: Request, destination: Address, local: Address, user: User, now: float
    ) -> Transaction:
        """Send a request in a client transaction of its own."""
        kind = Kind.CLIENT_INVITE if request.method == "INVITE" else Kind.CLIENT
        key: Key = (request.via.branch, request.method)
        transaction = Transaction(kind, key, request, destination, local, user, self)
        self.clients[key] = transaction
        self._towards.setdefault(destination, {})[transaction] = None
        transaction.begin(now)
        return transaction

    def find_server(self, request: Request) -> Transaction | None:
        """The transaction that a request is a copy, or the ACK, of."""
        return self.servers.get(server_key(request))

    def find_invite(self, cancel: Request) -> Transaction | None:
        """The INVITE that a CANCEL means (9.2)."""
        key = server_key(cancel)
        return self.servers.get((*key[:-1], "INVITE"))

    def merged(self, request: Request) -> bool:
        """Whether a request has come over another path already (8.2.2.2)."""
        return merge_key(request) in self._merges

    def accept(
        self, request: Request, destination: Address, local: Address, user: User, now: float
    ) -> Transaction:
        """A new request: a server transaction for it. `destination` is where its responses go."""
        kind = Kind.SERVER_INVITE if request.method == "INVITE" else Kind.SERVER
        key = server_key(request)
        transaction = Transaction(kind, key, request, destination, local, user, self)
        self.servers[key] = transaction
        if destination.reliable:
            self._towards.setdefault(destination, {})[transaction] = None
        if request.to.tag is None:
            self._merges.setdefault(merge_key(request), transaction)
        transaction.begin(now)
        return transaction

    def find_client(self, response: Response) -> Transaction | None:
        """The transaction that a response belongs to: branch and CSeq method (17.1.3)."""
        return self.clients.get((response.via.branch, response.cseq.method))

    def unreachable(self, destination: Address, local: Address, now: float) -> None:
        """The network said that nothing listens there."""
        for transaction in self._between(destination, local):
            transaction.fire(Event.UNREACHABLE, now)

    def lost(self, remote: Address, local: Address, now: float) -> None:
        """A connection has ended. Requests that nobody has answered go out once more; answers that are still to come,
        and a failure that nobody has acknowledged, go where the peer says that it listens (18.2.2).
        """
        for transaction in self._between(remote, local):
            if transaction.kind in (Kind.CLIENT, Kind.CLIENT_INVITE):
                transaction.lost(now)
            else:
                self._forget_towards(transaction)
                transaction.destination = reconnect_address(transaction.request, local)
                self._towards.setdefault(transaction.destination, {})[transaction] = None
                transaction.lost(now)

    def _between(self, remote: Address, local: Address) -> list[Transaction]:
        return [t for t in self._towards.get(remote, ()) if t.local == local]

    def acknowledge(self, transaction: Transaction, response: Response) -> bytes:
        """17.1.1.3: same Via, Request-URI and Route as the INVITE, To from the response."""
        invite = transaction.request
        top = next(h for h in invite.headers if h.key == "via")
        kept: list[Header] = [top, *(h for h in invite.headers if h.key in _ACK_KEEPS)]
        to = next(h for h in response.headers if h.key == "to")
        last = [to, header("CSeq", f"{invite.cseq.number} ACK"), header("Content-Length", "0")]
        return Request("ACK", invite.uri, [*kept, *last]).to_bytes()

    def forget(self, transaction: Transaction, now: float) -> None:
        """Let go of a transaction that has terminated."""
        self._forget_towards(transaction)
        if transaction.kind in (Kind.CLIENT, Kind.CLIENT_INVITE):
            self.clients.pop(transaction.key, None)
            return
        self.servers.pop(transaction.key, None)
        key = merge_key(transaction.request)
        if self._merges.get(key) is transaction:
            del self._merges[key]

    def _forget_towards(self, transaction: Transaction) -> None:
        towards = self._towards.get(transaction.destination)
        if towards is not None:
            towards.pop(transaction, None)
            if not towards:
                del self._towards[transaction.destination]

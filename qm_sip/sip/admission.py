"""Who comes in: asked before a message is read, before a request is looked at, and before a call begins.

    hears        may this datagram be read at all? A stranger has so many a second, all strangers together so many more
    unknown      what a stranger is told, whatever it was that he sent
    admits       a request outside any dialog: is its source a peer, has it shown who it is, is there room
    admits_again one in a dialog: such a call is never refused for want of room

Nothing is kept of a request that is refused. A stranger is told the same whatever he asks for and whomever he asks for,
without a word of who is speaking: 403, or nothing. Whoever has shown a password, or is in a call with us, is
familiar for an hour and heard whatever others do from elsewhere.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from qm_sip.sip import incidents
from qm_sip.sip.digest_server import Answer, DigestServer, Realm, user_of
from qm_sip.sip.events import Address
from qm_sip.sip.incidents import Incident, Tell
from qm_sip.sip.limits import MOST_SOURCES, Bans, Bucket, Buckets, Seen, source_key
from qm_sip.sip.message import Header, Request, header
from qm_sip.sip.overload import Capacity, Full

FAMILIAR: Final = 3600.0
CROWD: Final = 20  # all strangers together have so many times what one has

SILENCE: Final = 0


class Refused(NamedTuple):
    """A status and its headers; 0: no answer. `bare`: without our name."""

    status: int
    headers: tuple[Header, ...] = ()
    bare: bool = False


class Admitted(NamedTuple):
    """Come in. The call is counted for this peer. `user`: whose password he has shown; "" if none was asked for."""

    account: str = ""
    user: str = ""


class Porter(Protocol):
    """Whoever is asked."""

    def hears(self, source: Address, now: float) -> bool:
        """Whether what came from there is read."""

    def unknown(self, method: str, source: Address, now: float) -> Refused | None:
        """What a stranger is told; None: it is no stranger, and is told what is wrong."""

    def admits(
        self, request: Request, source: Address, calls: Counter[str], now: float
    ) -> Refused | Admitted:
        """A request outside any dialog. `calls`: how many each peer has brought that still run."""

    def admits_again(self, request: Request, source: Address, origin: Address, now: float) -> Refused | None:
        """A request in a dialog that was made with `origin`."""

    def met(self, source: Address, now: float) -> None:
        """A message from there belonged to a call of ours."""

    def late(self, lag: float, now: float) -> None:
        """A timer rang so many seconds after it was due."""


class OpenDoor:
    """Everybody is heard; new requests are judged by one function."""

    def __init__(self, admit: Callable[[Request, Address], int | None]) -> None:
        self._admit = admit

    def hears(self, source: Address, now: float) -> bool:
        return True

    def unknown(self, method: str, source: Address, now: float) -> Refused | None:
        return None

    def admits(
        self, request: Request, source: Address, calls: Counter[str], now: float
    ) -> Refused | Admitted:
        status = self._admit(request, source)
        return Admitted() if status is None else Refused(status)

    def admits_again(self, request: Request, source: Address, origin: Address, now: float) -> Refused | None:
        return None

    def met(self, source: Address, now: float) -> None:
        pass

    def late(self, lag: float, now: float) -> None:
        pass


@dataclass(frozen=True)
class PeerRules:
    """What one peer must show, and how much it may bring."""

    realm: Realm | None = None
    in_dialog: bool = False
    """Whether it must show it in dialogs too."""
    capacity: Capacity = field(default_factory=Capacity)


@dataclass(frozen=True)
class Rules:
    """Everything that is decided at the door; a reload makes another one."""

    find: Callable[[Address], str | None]
    """Which peer a source is: by its address, or by what its connection has shown."""
    peers: Mapping[str, PeerRules] = field(default_factory=dict)
    silent: bool = False
    """Strangers get no answer."""
    stranger_rate: float = 5.0
    """Messages a second of one stranger; 0: no limit."""
    ban_after: int = 5
    ban_for: float = 600.0
    nonce_age: float = 300.0
    capacity: Capacity = field(default_factory=Capacity)
    urgent: Callable[[Request], bool] = lambda request: False
    """Whether a call is taken even where there is no room (emergency numbers)."""


class Doorkeeper:
    """The porter of a running server. See the module's docstring."""

    def __init__(self, rules: Rules, rng: random.Random, tell: Tell) -> None:
        self._rng, self._tell = rng, tell
        self.counts: Counter[str] = Counter()
        """What was refused, by kind; no address in it."""
        self._digest = DigestServer(rules.nonce_age, rng)
        self._familiar = Seen(FAMILIAR)
        self.use(rules)

    def use(self, rules: Rules) -> None:
        """Go by other rules from now on. Nonces stay good, and who is familiar; limits and bans begin anew."""
        self.rules = rules
        rate = rules.stranger_rate
        self._bans = Bans(rules.ban_after, rules.ban_for)
        self._digest.age = rules.nonce_age
        self._strangers = Buckets(rate, 2 * rate)
        self._crowd: Bucket | None = None
        self._places: dict[Address, bool] = {}  # source -> whether it is a peer by its address alone
        self._full = Full(rules.capacity, self._rng)
        self._peers = {name: Full(peer.capacity, self._rng) for name, peer in rules.peers.items()}

    # ------------------------------------------------------------------ before it is read

    def hears(self, source: Address, now: float) -> bool:
        if self._is_place(source) or self._familiar.knows(source.host, now):
            return True
        key = source_key(source.host)
        if self._bans.bans(key, now):
            self.counts["banned"] += 1
            return False
        if not self.rules.stranger_rate or (self._strangers.take(key, now) and self._has_room(now)):
            return True
        self.counts["silenced"] += 1
        self._tell(Incident(incidents.FLOOD, "", source), now)
        return False

    def _has_room(self, now: float) -> bool:
        if self._crowd is None:
            rate = CROWD * self.rules.stranger_rate
            self._crowd = Bucket(rate, rate, now)
        return self._crowd.take(now)

    def _is_place(self, source: Address) -> bool:
        """Whether it is a peer that need not show more than its address. (A connection can show something later.)"""
        if source.reliable:
            return self._needs_nothing(source)
        known = self._places.get(source)
        if known is None:
            if len(self._places) >= MOST_SOURCES:
                self._places.clear()
            known = self._places[source] = self._needs_nothing(source)
        return known

    def _needs_nothing(self, source: Address) -> bool:
        peer = self.rules.find(source)
        return peer is not None and self._rules_of(peer).realm is None

    def _rules_of(self, peer: str) -> PeerRules:
        return self.rules.peers.get(peer, _PLAIN)

    def met(self, source: Address, now: float) -> None:
        self._familiar.see(source.host, now)

    def late(self, lag: float, now: float) -> None:
        self._full.late(lag, now)

    # ------------------------------------------------------------------ when it has been read

    def unknown(self, method: str, source: Address, now: float) -> Refused | None:
        peer = self.rules.find(source)
        if peer is None:
            return self._stranger(method, source, now)
        proved = self._rules_of(peer).realm is None or self._familiar.knows(source.host, now)
        return None if proved else self._quiet()

    def _stranger(self, method: str, source: Address, now: float) -> Refused:
        self.counts["stranger"] += 1
        self._tell(Incident(incidents.STRANGER, method, source), now)
        return self._quiet()

    def _quiet(self) -> Refused:
        return Refused(SILENCE if self.rules.silent else 403, bare=True)

    def admits(
        self, request: Request, source: Address, calls: Counter[str], now: float
    ) -> Refused | Admitted:
        peer = self.rules.find(source)
        if peer is None:
            return self._stranger(request.method, source, now)
        rules = self._rules_of(peer)
        if rules.realm is not None and (refused := self._unproved(rules.realm, request, source, now)):
            return refused
        if request.method == "INVITE" and (refused := self._no_room(peer, request, calls, now)):
            return refused
        return Admitted(peer, user_of(request, rules.realm.name) if rules.realm is not None else "")

    def admits_again(self, request: Request, source: Address, origin: Address, now: float) -> Refused | None:
        peer = self.rules.find(origin)
        rules = self._rules_of(peer) if peer is not None else _PLAIN
        if rules.realm is None or not rules.in_dialog:
            return None
        return self._unproved(rules.realm, request, source, now, ban=False)

    # ------------------------------------------------------------------ who it is

    def _unproved(
        self, realm: Realm, request: Request, source: Address, now: float, *, ban: bool = True
    ) -> Refused | None:
        key = source_key(source.host)
        if ban and self._bans.bans(key, now):
            self.counts["banned"] += 1
            return Refused(SILENCE)
        answer = self._digest.judge(realm, request, source.host, now)
        if answer is Answer.RIGHT:
            self._familiar.see(source.host, now)
            return None
        self._note(answer, request, source, now)
        if answer is Answer.WRONG and self._bans.fail(key, now):
            self._tell(Incident(incidents.BAN, request.method, source), now)
        stale = answer in (Answer.STALE, Answer.REPLAYED)
        return Refused(401, tuple(self._digest.challenge(realm, source.host, now, stale=stale)), bare=True)

    def _note(self, answer: Answer, request: Request, source: Address, now: float) -> None:
        self.counts[_COUNTED[answer]] += 1
        if answer in _TOLD:
            self._tell(Incident(_TOLD[answer], request.method, source), now)

    # ------------------------------------------------------------------ whether there is room

    def _no_room(self, peer: str, request: Request, calls: Counter[str], now: float) -> Refused | None:
        if self.rules.urgent(request):
            return None
        own = self._peers.get(peer)
        for full, running, whose in ((own, calls[peer], "peer-"), (self._full, calls.total(), "")):
            if full is not None and (why := full.why_not(running, now)):
                self.counts[f"full-{whose}{why}"] += 1
                return Refused(503, (header("Retry-After", str(full.retry_after(why))),))
        return None


_PLAIN: Final = PeerRules()
_COUNTED: Final = {
    Answer.NONE: "challenged",
    Answer.WRONG: "password",
    Answer.STALE: "stale",
    Answer.REPLAYED: "replay",
}
_TOLD: Final = {Answer.WRONG: incidents.PASSWORD, Answer.REPLAYED: incidents.REPLAY}

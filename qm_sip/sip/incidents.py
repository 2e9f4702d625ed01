"""The security log: who was refused at the door, one line each, in a form that fail2ban reads.

    refused: kind=stranger method=INVITE transport=udp source=192.0.2.7 port=5060 more=0

`more` is how many of that kind from that source were not written since its last line: a source gets a line of one kind
each second at most, all sources together twenty, and what was left out beyond that is told in a line of its own. The
form is fixed, and nothing in it is the sender's choice: a method that is none is `other`. Only the addresses of
those who were refused stand here (I10).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from qm_sip.sip.events import Address
from qm_sip.sip.limits import MOST_SOURCES, Bucket, source_key

EACH: Final = 1.0  # seconds between two lines of one kind about one source
TOGETHER: Final = 20.0  # lines a second
METHODS: Final = frozenset(
    "INVITE ACK CANCEL BYE OPTIONS REGISTER PRACK SUBSCRIBE NOTIFY UPDATE MESSAGE REFER PUBLISH INFO".split()  # noqa: SIM905
)
STRANGER, PASSWORD, REPLAY, BAN, FLOOD = "stranger", "password", "replay", "ban", "flood"
TLS = "tls"
KINDS: Final = (STRANGER, PASSWORD, REPLAY, BAN, FLOOD, TLS)
"""stranger: no peer. password: a wrong one. replay: credentials used before. ban: too many wrong ones, not heard
for a while from now on. flood: more than a stranger may send, not heard while it goes on. tls: no handshake with it
(the other log says why, without the address).
"""


class Incident(NamedTuple):
    """Somebody was refused."""

    kind: str
    method: str
    source: Address


Tell = Callable[[Incident, float], None]


class _Said:
    __slots__ = ("at", "more")

    def __init__(self, at: float) -> None:
        self.at, self.more = at, 0


class SecurityLog:
    """Writes incidents down, but not as fast as a flood could make them."""

    def __init__(self, logger: logging.Logger, *, most: int = MOST_SOURCES) -> None:
        self._logger, self._most = logger, most
        self._said: OrderedDict[tuple[str, str], _Said] = OrderedDict()
        self._all: Bucket | None = None
        self._untold = 0

    def __call__(self, incident: Incident, now: float) -> None:
        key = (incident.kind, source_key(incident.source.host))
        said = self._said.get(key)
        if said is not None and now - said.at < EACH:
            said.more += 1
        elif not self._may_write(now):
            self._untold += 1
        else:
            more = said.more if said is not None else 0
            self._said[key] = _Said(now)
            self._said.move_to_end(key)
            if len(self._said) > self._most:
                self._said.popitem(last=False)
            self._write(incident, more)

    def _may_write(self, now: float) -> bool:
        if self._all is None:
            self._all = Bucket(TOGETHER, TOGETHER, now)
        return self._all.take(now)

    def _write(self, incident: Incident, more: int) -> None:
        if self._untold:
            self._logger.warning("refused: %d more of other sources, not written", self._untold)
            self._untold = 0
        self._logger.warning(
            "refused: kind=%s method=%s transport=%s source=%s port=%d more=%d",
            incident.kind,
            incident.method if incident.method in METHODS else "other",
            incident.source.transport,
            incident.source.host,
            incident.source.port,
            more,
        )

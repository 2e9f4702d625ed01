"""What a leg remembers of a request it has sent, as long as the transaction lives."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from qm_sip.sip.core import HeaderList
from qm_sip.sip.dialog import Dialog
from qm_sip.sip.digest import Place
from qm_sip.sip.events import Address
from qm_sip.sip.message import Request
from qm_sip.sip.timers import Timer
from qm_sip.sip.transaction import Transaction


class Purpose(Enum):
    """Why a request was sent: what its answer means."""

    CALL = auto()  # the first INVITE
    OFFER = auto()  # a re-INVITE
    BYE = auto()
    CANCEL = auto()
    REFRESH = auto()  # an UPDATE or re-INVITE of the session timer (RFC 4028)
    PRACK = auto()
    PASSED = auto()  # one the user asked for: INFO, UPDATE ...


@dataclass(slots=True, eq=False)
class Sent:
    """One request of ours. A repeat with credentials is a new transaction with the same `Sent`."""

    purpose: Purpose
    method: str
    headers: HeaderList = field(repr=False)  # who phones whom (invariant I10), and keys
    body: bytes | None = field(repr=False)
    dialog: Dialog | None = None
    tried: list[Place] = field(default_factory=list)
    attempts: int = 0
    raised: int = 0  # how often a 422 has made the session interval longer
    transaction: Transaction | None = None
    guard: Timer | None = None
    instead: Address | None = None
    """Where it goes if nobody is where it was sent."""
    moved: bool = False  # it has gone there
    ticket: int = 0  # of a PASSED one: by what its user knows it

    # Of an INVITE only:
    provisional: bool = False  # a 1xx has come, so a CANCEL may be sent (9.1)
    cancel: HeaderList | None = None  # it is to be cancelled, with these headers
    cancelled: bool = False  # the CANCEL is out
    acks: dict[str, bytes | None] = field(default_factory=dict)
    """Per To tag the ACK of its 2xx; None: the user still owes the answer that it will carry."""

    @property
    def request(self) -> Request:
        """The request of the newest transaction."""
        assert self.transaction is not None
        return self.transaction.request


@dataclass(slots=True, eq=False)
class Unacknowledged:
    """A 2xx of ours that waits for its ACK (13.3.1.4): repeated T1 .. T2, given up after 64*T1."""

    data: bytes = field(repr=False)
    transaction: Transaction
    give_up: float
    interval: float
    timer: Timer | None = None

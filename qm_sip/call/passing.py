"""Requests within a call that are no offers: passed to the other side, or answered here.

| request | what becomes of it |
|---|---|
| UPDATE without SDP | 200; who it names is looked at, and within trust the other side is told, if it takes UPDATE |
| INFO with a key press | 200; a code of ours is obeyed, anything else goes on (`call.keypad`) |
| INFO of a package | within trust to a side whose Recv-Info names it, and it answers; else 469 (RFC 6086 4.2.2) |
| INFO of another kind | within trust if a peer's `bodies` names it; else 415. Without a body 200 |
| MESSAGE | within trust, and the other side answers; else 403. Past 1300 bytes not over UDP: 513 (RFC 3428 8) |
| anything else | 501 |

Whoever passes a request on answers it when the other side has: the two transactions are joined by a ticket. What a
message says, and which key was pressed, is written nowhere.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from qm_sip.call.headers import Headers, In, values
from qm_sip.call.keypad import KINDS, is_dtmf
from qm_sip.call.media_plan import other
from qm_sip.call.states import State
from qm_sip.call.statuses import passable
from qm_sip.media.protocol import LegName
from qm_sip.sip.body import parts
from qm_sip.sip.message import Message, Request

if TYPE_CHECKING:
    from qm_sip.call.call import Call

MOST: Final = 1300
_CONTENT: Final = ("Content-Type", "Content-Disposition", "Content-Encoding", "Content-Language")


class Passing:
    """See the module's docstring."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._tickets = count(1)
        self._asked: dict[int, tuple[LegName, int]] = {}  # by ticket: who waits for the answer
        self._packages: dict[LegName, frozenset[str]] = {}  # what each side takes (Recv-Info)
        self._takes: dict[LegName, frozenset[str]] = {}  # methods (Allow)
        self._named: dict[LegName, Headers] = {}  # who each side was said to be, as last passed on

    def heard(self, leg: LegName, message: Message) -> None:
        """What that side says it takes."""
        if message.get("Allow") is not None:
            self._takes[leg] = frozenset(values(message, "Allow"))
        if message.get("Recv-Info") is not None:
            self._packages[leg] = frozenset(
                word.partition(";")[0].lower() for word in values(message, "Recv-Info")
            )

    def asked(self, leg: LegName, token: int, request: Request, now: float) -> None:
        """A request of that side, not answered yet."""
        match request.method:
            case "UPDATE":
                self._update(leg, token, request, now)
            case "INFO":
                self._info(leg, token, request, now)
            case "MESSAGE":
                self._message(leg, token, request, now)
            case _:
                self._answer(leg, token, 501, now)

    def answered(self, ticket: int, status: int, now: float, *, ours: bool) -> None:
        """The other side has answered what was passed on. `ours`: it has not, and will not."""
        waiting = self._asked.pop(ticket, None)
        if waiting is not None:
            passed = status if 200 <= status < 300 else passable(status, ours=ours)
            self._answer(*waiting, passed, now)

    # ---------------------------------------------------------------- each method

    def _update(self, leg: LegName, token: int, request: Request, now: float) -> None:
        call, across = self._call, other(leg)
        self._answer(leg, token, 200, now)
        call.who.is_there(leg, request, now)
        named = call.way.borders[leg].carry(request, In.OFFER)
        news = any(name == "P-Asserted-Identity" for name, _ in named) and named != self._named.get(leg)
        if news and call.way.borders[leg].within and not call.unsaid and self._may_pass(across, "UPDATE"):
            self._named[leg] = named
            call.desk.ua.request(call.legs[across], "UPDATE", named, now=now)

    def _info(self, leg: LegName, token: int, request: Request, now: float) -> None:
        package = (request.get("Info-Package") or "").partition(";")[0].strip().lower()
        if package:
            taken = self._packages.get(other(leg), frozenset()) if self._call.way.borders[leg].within else ()
            if package in taken and self._call.state is State.TALKING:
                self._pass(leg, token, request, In.INFO, now)
            else:
                self._answer(leg, token, 469, now, [("Recv-Info", ", ".join(sorted(taken)))])
        elif is_dtmf(request):
            self._answer(leg, token, 200, now)
            self._call.keypad.by_info(leg, request, now)
        elif not request.body:
            self._answer(leg, token, 200, now)
        elif self._call.state is State.TALKING and self._is_wanted(leg, request):
            self._pass(leg, token, request, In.INFO, now)
        else:
            # Asterisk never answers an INFO it does not know: it is passed on only where somebody wants it.
            self._answer(leg, token, 415, now, [("Accept", ", ".join(KINDS))])

    def _is_wanted(self, leg: LegName, request: Request) -> bool:
        found, border = parts(request), self._call.way.borders[leg]
        return border.within and bool(found) and all(border.keeps(part) for part in found)

    def _message(self, leg: LegName, token: int, request: Request, now: float) -> None:
        way = self._call.way
        if not way.borders[leg].within:
            self._answer(leg, token, 403, now)
        elif self._call.state is not State.TALKING:
            self._answer(leg, token, 480, now)
        elif len(request.to_bytes()) > MOST and not way.reliable:
            self._answer(leg, token, 513, now)
        else:
            self._pass(leg, token, request, In.MESSAGE, now)

    # ---------------------------------------------------------------- both legs

    def _pass(self, leg: LegName, token: int, request: Request, into: In, now: float) -> None:
        call, ticket = self._call, next(self._tickets)
        self._asked[ticket] = (leg, token)
        content = [(name, value) for name in _CONTENT if (value := request.get(name))]
        passed = [*call.way.borders[leg].carry(request, into), *content]
        across = call.legs[other(leg)]
        call.desk.ua.request(across, request.method, passed, request.body or None, ticket=ticket, now=now)

    def _may_pass(self, leg: LegName, method: str) -> bool:
        return self._call.state is State.TALKING and method in self._takes.get(leg, frozenset())

    def _answer(self, leg: LegName, token: int, status: int, now: float, more: Headers | None = None) -> None:
        self._call.desk.ua.respond(self._call.legs[leg], token, status, more or [], now=now)

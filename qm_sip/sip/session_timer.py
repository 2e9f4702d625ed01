"""Session timers: a call whose other end has vanished ends by itself (RFC 4028).

The theory. Both ends agree in an INVITE or UPDATE and its 2xx on an interval and on who of them, the *refresher*, sends
another INVITE or UPDATE before half of it is over (7.2, 9, 10). That refresh starts the interval anew; without one the
call is ended a little before the interval is (10). `uac` and `uas` mean the two ends of the transaction at hand, so the
same refresher is called the one or the other as the requests go (7.4). An INVITE or UPDATE that says nothing of it
turns the timer off; so each of ours in a confirmed dialog says it.

This is one leg's timer: it reads and writes the headers and rings; the leg sends what is to be sent. What has been
agreed on one leg has nothing to do with the other leg of a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from qm_sip.sip.grammar import SipParseError
from qm_sip.sip.message import Request, Response
from qm_sip.sip.session_expires import SHORTEST, SessionExpires, knows_timers, min_se
from qm_sip.sip.timers import Timer, Timers

# Who refreshes, by whether the asking end knows timers and whom it asks for (9, table 2). Where the choice is ours we
# take it: then the call does not hang on somebody else's timer.
_REFRESHER: Final[Mapping[tuple[bool, str], str]] = {
    (True, "uac"): "uac",
    (True, "uas"): "uas",
    (True, ""): "uas",
    (False, "uac"): "uas",
    (False, "uas"): "uas",
    (False, ""): "uas",
}

Told = list[tuple[str, str]]


class SessionTimer:
    """See the module's docstring. `refresh` and `expired` are called when it is time for them."""

    def __init__(
        self,
        timers: Timers,
        wanted: int,
        least: int,
        refresh: Callable[[float], None],
        expired: Callable[[float], None],
    ) -> None:
        self.wanted, self.least = wanted, least
        self.agreed = 0  # seconds; 0: this session has no timer
        self.ours = False  # the refreshing is
        self._timers, self._refresh, self._expired = timers, refresh, expired
        self._peer_least = 0  # what a 422 taught us
        self._running: list[Timer] = []

    # ------------------------------------------------------------------ we ask

    def asking(self) -> Told:
        """The headers of our INVITE or UPDATE (7.1, 7.4)."""
        interval = self.agreed or self.wanted
        if not interval:
            return []
        who = ("uac" if self.ours else "uas") if self.agreed else ""
        least = max(self.least, self._peer_least)
        told = [("Session-Expires", str(SessionExpires(max(interval, least), who)))]
        return [*told, ("Min-SE", str(least))] if least != SHORTEST else told

    def raised(self, response: Response) -> bool:
        """A 422 (7.3). True if there is a longer interval to try than the one that was too short."""
        try:
            wanted = min_se(response)
        except SipParseError:
            return False
        asked = max(self.agreed or self.wanted, self._peer_least)
        if wanted <= asked:
            return False
        self._peer_least = wanted
        return True

    def granted(self, response: Response, now: float) -> None:
        """The 2xx to our INVITE or UPDATE (7.2): without a Session-Expires that can be read there is no timer."""
        try:
            says = SessionExpires.of(response)
        except SipParseError:
            says = None
        if says is None or not says.seconds:
            self.stop()
        else:
            self._start(max(says.seconds, self.least), says.refresher != "uas", now)

    # ------------------------------------------------------------------ we are asked

    def granting(self, request: Request, now: float) -> Told:
        """The headers of our 2xx, which starts the timer (9)."""
        says, known = SessionExpires.of(request), knows_timers(request)
        interval = self._interval(says, min_se(request), known=known)
        if not interval:
            self.stop()
            return []
        who = _REFRESHER[known, says.refresher if says else ""]
        self._start(interval, who == "uas", now)
        told = [("Session-Expires", str(SessionExpires(interval, who)))]
        return [("Require", "timer"), *told] if who == "uac" else told

    def _interval(self, says: SessionExpires | None, least: int, *, known: bool) -> int:
        """His, or ours if that is shorter: never longer than his, never shorter than he or anybody on the way lets."""
        shortest = max(least, self.least)
        if says is None:
            return max(self.wanted, shortest) if known and self.wanted else 0
        if says.seconds < self.least:
            return 0  # too short for us, and he would not understand a 422
        return min(says.seconds, max(self.wanted, shortest)) if self.wanted else says.seconds

    # ------------------------------------------------------------------ time

    def _start(self, interval: int, ours: bool, now: float) -> None:
        self.stop()
        self.agreed, self.ours = interval, ours
        end = now + interval - min(32.0, interval / 3)
        self._running = [self._timers.start(end, self._expired)]
        if ours:
            self._running.append(self._timers.start(now + interval / 2, self._refresh))

    def again(self, seconds: float, now: float) -> None:
        """A refresh of ours has not succeeded: another, so much later. The end stays where it was."""
        if self.agreed:
            self._running = [timer for timer in self._running if timer.running]
            self._running.append(self._timers.start(now + seconds, self._refresh))

    def stop(self) -> None:
        """No timer from now on."""
        for timer in self._running:
            timer.cancel()
        self._running, self.agreed = [], 0

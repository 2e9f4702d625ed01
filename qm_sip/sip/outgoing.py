"""A leg that we call: the client's side of INVITE (RFC 3261 13.2, 9.1, RFC 3262 4).

A next hop may have several addresses. The next one is tried when the one before said 503, was not there, or said
nothing at all (RFC 3263 4.3): a new transaction of the same call. The INVITE that was left behind is not forgotten: if
somebody answers it after all, it is cancelled at his first 1xx, or acknowledged and ended at his 2xx.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qm_sip.sip import events
from qm_sip.sip.asking import Phase, has_sdp
from qm_sip.sip.body import description
from qm_sip.sip.core import DEAF_FOR, Core, HeaderList
from qm_sip.sip.dialog import Counters, Dialog
from qm_sip.sip.digest import Credentials
from qm_sip.sip.events import Address, LegId
from qm_sip.sip.leg import Leg
from qm_sip.sip.message import Message, Request, Response, header
from qm_sip.sip.rack import RAck
from qm_sip.sip.reliable import TAG, ReliableReceiver
from qm_sip.sip.sent import Purpose, Sent
from qm_sip.sip.settings import Prack

LONGEST_SILENCE = 600.0
"""Seconds of a Retry-After that are believed."""


@dataclass(frozen=True, slots=True)
class Calling:
    """What an INVITE is made of, to make it again with credentials."""

    uri: str
    to: str
    from_: str
    destination: Address
    max_forwards: int
    prack: Prack = Prack.YES
    others: tuple[Address, ...] = ()
    """Where else, in order."""


class OutgoingLeg(Leg):
    """Calls until somebody answers, all refuse, nobody is there, or our user gives up."""

    owns_call_id = True

    def __init__(
        self,
        name: LegId,
        core: Core,
        calling: Calling,
        headers: HeaderList,
        body: bytes | None,
        local: Address,
        credentials: Credentials | None,
        now: float,
        stamped: HeaderList = (),
    ) -> None:
        first, *others = core.silent.last((calling.destination, *calling.others), now)
        destination, local = core.way(first, local)
        super().__init__(name, core, local, credentials, calling.prack)
        self.stamped = stamped
        self.calling = replace(calling, destination=destination, others=tuple(others))
        self.origin = destination
        self._tag = core.token()
        self.call_id = f"{core.token()}{core.token()}"
        self._number = core.rng.randint(1, 9_999)
        self._told = False  # our user has been told how it ended
        self._forks: dict[str, Dialog] = {}
        self._receiver = ReliableReceiver()
        self._settled: set[str] = set()  # tags of ends whose first exchange of descriptions is complete
        self._unpracked: dict[str, Response] = {}  # offers whose PRACK waits for our user's answer
        core.enter(self, self.call_id)
        self.invite = Sent(Purpose.CALL, "INVITE", headers, body)
        self.send_again(self.invite, now)

    def tag(self) -> str:
        return self._tag

    def send_again(self, sent: Sent, now: float) -> None:
        if sent.purpose is not Purpose.CALL:
            super().send_again(sent, now)
            return
        self._number += 1
        login = self.digest.headers("INVITE", self.calling.uri)
        request = Request(
            "INVITE",
            self.calling.uri,
            [
                self.core.via(self.local),
                header("Max-Forwards", str(self.calling.max_forwards)),
                header("From", f"{self.calling.from_};tag={self._tag}"),
                header("To", self.calling.to),
                header("Call-ID", self.call_id),
                header("CSeq", f"{self._number} INVITE"),
                *self.core.request_headers(
                    self.local, [*login, *self.extensions(sent), *self.stamped, *sent.headers], sent.body
                ),
            ],
            sent.body or b"",
        )
        self.start(sent, request, self.calling.destination, self.local, now)
        if self.calling.others:
            wait = self.core.settings.next_hop_wait
            self._patience = self.core.timers.start(now + wait, lambda at: self._nothing_heard(sent, at))

    # ------------------------------------------------------------------ the next address of a next hop

    def _nothing_heard(self, sent: Sent, now: float) -> None:
        if sent is self.invite and not sent.provisional and self.phase is Phase.EARLY and sent.cancel is None:
            self._elsewhere(now, DEAF_FOR)

    def _elsewhere(self, now: float, silent_for: float) -> None:
        """Leave this INVITE to itself and send another."""
        self.core.silent.add(self.calling.destination, now + silent_for, now)
        left = self.invite
        left.cancel = ()
        there, *others = self.calling.others
        destination, self.local = self.core.way(there, self.local)
        self.calling = replace(self.calling, destination=destination, others=tuple(others))
        self.invite = Sent(Purpose.CALL, "INVITE", left.headers, left.body)
        self.send_again(self.invite, now)

    def _left_behind(self, sent: Sent, response: Response, now: float) -> None:
        """Somebody answers an INVITE that we have given up for another."""
        if response.status < 200:
            if not sent.cancelled:
                self.send_cancel(sent, (), now)
            return
        if response.status < 300 and sent.transaction is not None:
            counters = Counters(local=sent.request.cseq.number)
            there, here = sent.transaction.destination, sent.transaction.local
            dialog = Dialog.of_client(sent.request, response, there, here, counters)
            if not self._ack_again(sent, dialog):
                self._ack(sent, dialog, None)
                self._send_in_dialog(Sent(Purpose.BYE, "BYE", (), None), dialog, now)

    def extensions(self, sent: Sent) -> HeaderList:
        if sent.purpose is not Purpose.CALL:
            return super().extensions(sent)
        required = [("Require", TAG)] if self.prack is Prack.REQUIRED else []
        return [("Supported", self.core.supported(self.prack)), *required, *self.session.asking()]

    # ------------------------------------------------------------------ what the user asks for

    def cancel(self, headers: HeaderList, now: float) -> None:
        """Give up. The CANCEL waits for the first 1xx (9.1); after the answer it is a BYE."""
        if self.phase is Phase.UP:
            self.bye(headers, now)
        elif self.phase is Phase.EARLY and self.invite.cancel is None:
            self.invite.cancel = headers
            self._cancel_now(now)

    def bye(self, headers: HeaderList, now: float) -> None:
        if self.phase is Phase.EARLY:
            self.cancel(headers, now)
        else:
            super().bye(headers, now)

    def _cancel_now(self, now: float) -> None:
        sent = self.invite
        if sent.cancel is not None and sent.provisional and not sent.cancelled:
            self.send_cancel(sent, sent.cancel, now)

    # ------------------------------------------------------------------ what the called party answers

    def on_provisional(self, sent: Sent, response: Response, now: float) -> None:
        if sent.purpose is Purpose.CALL and sent is not self.invite:
            self._left_behind(sent, response, now)
        if sent is not self.invite or self.phase is not Phase.EARLY:
            return
        self.core.silent.heard(self.calling.destination)
        if sent.guard is None:
            self._guard(sent, self.core.settings.ring_timeout, now)
        self._cancel_now(now)
        if response.status > 100:
            dialog = self._fork(response)
            if dialog is not None:
                self.learn(response)
            fresh = self._acknowledged(dialog, response, now) if dialog is not None else not response.to.tag
            if fresh and not self._told and sent.cancel is None:
                self.core.emit(events.Progressed(self.name, response))

    def _acknowledged(self, dialog: Dialog, response: Response, now: float) -> bool:
        """RFC 3262 4: PRACK for a reliable 1xx. False if it is none to look at: a copy, or one before it is missing."""
        number = self._receiver.number(response)
        if number is None or self.prack is Prack.NO:
            return True
        if not self._receiver.takes(response, number):
            return False
        tag = dialog.remote_tag
        described = tag not in self._settled and has_sdp(response)
        if described and not has_sdp(self.invite.request):
            self._unpracked[tag] = response
            return True
        if described:
            self._settled.add(tag)
            self.dialog = dialog
        self._send_prack(dialog, response, None, now)
        return True

    def _send_prack(self, dialog: Dialog, response: Response, body: bytes | None, now: float) -> None:
        rack = RAck(self._receiver.number(response) or 0, response.cseq)
        self._send_in_dialog(Sent(Purpose.PRACK, "PRACK", [("RAck", str(rack))], body), dialog, now)

    def acknowledge(self, body: bytes | None, now: float, tag: str = "") -> None:
        """The answer to an early offer goes in its PRACK (RFC 3262 5)."""
        owed = tag or next(reversed(self._unpracked), "")
        response = self._unpracked.pop(owed, None) if self.phase is Phase.EARLY else None
        if response is None:
            super().acknowledge(body, now)
            return
        self._settled.add(owed)
        self.dialog, self.said = self._forks[owed], body or self.said
        self._send_prack(self._forks[owed], response, body, now)

    def settled(self, dialog: Dialog) -> bool:
        return self.phase is Phase.UP or dialog.remote_tag in self._settled

    def _fork(self, response: Response) -> Dialog | None:
        """The dialog with the end that sent this response; several ends may answer one INVITE (12.1.2)."""
        tag = response.to.tag or ""
        known = self._forks.get(tag)
        if known is not None:
            return known
        if len(self._forks) >= self.core.settings.max_forks or (not tag and response.status < 200):
            return None
        counters = Counters(local=self._number)
        dialog = Dialog.of_client(
            self.invite.request, response, self.calling.destination, self.local, counters
        )
        self._forks[tag] = dialog
        self.core.dialogs[dialog.id] = self
        if self.phase is Phase.EARLY:
            self.dialog = dialog
        return dialog

    def on_guard(self, sent: Sent, now: float) -> None:
        """It rang too long, or its CANCEL brought nothing."""
        if sent is self.invite and self.phase is Phase.EARLY:
            cancelled = sent.cancelled
            self._tell(487 if sent.cancel is not None else 408, None)
            sent.cancel = sent.cancel or ()
            if cancelled:
                self.end(now)
        super().on_guard(sent, now)

    def on_final(self, sent: Sent, status: int, response: Response | None, now: float) -> None:
        if sent is not self.invite:
            if sent.purpose is Purpose.CALL and response is not None:
                self._left_behind(sent, response, now)
            super().on_final(sent, status, response, now)
        elif self._may_go_on(sent, status, response):
            self._elsewhere(now, self._holds_for(response))
        elif response is not None and status < 300:
            self._answered(sent, response, now)
        elif self.phase is Phase.EARLY:
            given_up = sent.cancel is not None and response is None
            self._tell(487 if given_up else status, response)
            self.end(now)

    def _may_go_on(self, sent: Sent, status: int, response: Response | None) -> bool:
        """RFC 3263 4.3: a 503, or nobody there; what a peer says himself of the called party holds everywhere."""
        nobody = status == 503 or (status == 408 and response is None)
        return nobody and bool(self.calling.others) and sent.cancel is None and self.phase is Phase.EARLY

    @staticmethod
    def _holds_for(response: Response | None) -> float:
        """For how many seconds others are tried first: as long as a 503 says, else a minute."""
        text = (
            (response.get("retry-after") or "").partition("(")[0].partition(";")[0].strip()
            if response
            else ""
        )
        return (
            min(float(text), LONGEST_SILENCE)
            if text.isascii() and text.isdigit() and len(text) < 6
            else DEAF_FOR
        )

    def _answered(self, sent: Sent, response: Response, now: float) -> None:
        dialog = self._fork(response)
        if dialog is None or self._ack_again(sent, dialog):
            return
        # The 2xx decides route set and target, whatever a 1xx had said (13.2.2.4).
        made = Dialog.of_client(sent.request, response, self.calling.destination, self.local, dialog.counters)
        self._forks[dialog.remote_tag] = made
        if self.phase is Phase.EARLY and sent.cancel is None and not self._told:
            self._confirm(sent, made, response, now)
        else:
            self._drop(sent, made, now)

    def _confirm(self, sent: Sent, dialog: Dialog, response: Response, now: float) -> None:
        self.phase = Phase.UP
        self.dialog = dialog
        if sent.guard is not None:
            sent.guard.cancel()
        tag = dialog.remote_tag
        self.learn(response)
        self.said = description(sent.request) or self.said
        if (
            not has_sdp(sent.request)
            and tag not in self._settled
            and (has_sdp(response) or tag in self._unpracked)
        ):
            sent.acks[tag] = None
        else:
            self._ack(sent, dialog, None)
        self._unpracked.clear()
        self.session.granted(response, now)
        self._told = True
        self.core.emit(events.Answered(self.name, response))

    def _drop(self, sent: Sent, dialog: Dialog, now: float) -> None:
        """A 2xx nobody wants: a second fork, or one that crossed our CANCEL: ACK and BYE (13.2.2.4, 15)."""
        self._ack(sent, dialog, None)
        if self.phase is Phase.EARLY:
            self._tell(487 if sent.cancel is not None else 408, None)
            self.dialog = dialog
            self.end(now)
        self._send_in_dialog(Sent(Purpose.BYE, "BYE", sent.cancel or (), None), dialog, now)

    def _tell(self, status: int, response: Response | None) -> None:
        if not self._told:
            self._told = True
            self.core.emit(events.Rejected(self.name, status, response))

    # ------------------------------------------------------------------ in the dialogs

    def early_bye(self, request: Request, now: float) -> None:
        """A callee that ends an early dialog has sent a 2xx we never saw (13.3.1.4): it is over."""
        self._tell(480, None)
        self.invite.cancel = ()
        self._cancel_now(now)
        self.end(now)

    def find(self, remote_tag: str) -> Dialog | None:
        if self.phase is Phase.UP and self.dialog is not None and self.dialog.remote_tag == remote_tag:
            return self.dialog
        return self._forks.get(remote_tag)

    def renew(self, dialog: Dialog, message: Message) -> Dialog:
        renewed = super().renew(dialog, message)
        self._forks[renewed.remote_tag] = renewed
        return renewed

    def forget(self) -> None:
        super().forget()
        for dialog in self._forks.values():
            self.core.dialogs.pop(dialog.id, None)

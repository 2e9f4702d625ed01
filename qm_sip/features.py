"""Who dials a code instead of a number: a private call beforehand, to listen, or to be told while he waits.

Each kind of code has its `Script` (call/service.py): `PresetScript` and `Sentence` here, `Announcement` here,
`monitor/session.py` for listening. A peer needs the right for it (`may` in qm_sip.toml): *toggle* for an agent's codes,
*listen* for the supervisor's, *carry* for the announcement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from qm_sip.announce.choose import language_of_staff, prompt_for
from qm_sip.announce.prompts import Prompt
from qm_sip.announce.receipts import Receipt, Receipts
from qm_sip.call.arrival import CallRefused, read_offered
from qm_sip.call.call import Call
from qm_sip.call.capture import told_of
from qm_sip.call.security import Security, security_of
from qm_sip.call.service import ServiceCall
from qm_sip.call.switchboard import Switchboard
from qm_sip.call.words import SessionFailed, SessionOpened, Word
from qm_sip.config import Config
from qm_sip.config.features import Feature, FeatureKind
from qm_sip.config.numbers import normal
from qm_sip.errors import Refused
from qm_sip.lamps.lamp import OWN, lamp_of, named
from qm_sip.lamps.press import Press
from qm_sip.lamps.rights import presser_of
from qm_sip.media import protocol
from qm_sip.monitor.room import Clerk, Room
from qm_sip.policy.facts import CallFacts, CallId, How, Party, PersonId, Use
from qm_sip.policy.identify import line_of, read_facts
from qm_sip.policy.path import uses_if_told
from qm_sip.private import Private
from qm_sip.privateline.presets import PresetMode, Presets
from qm_sip.sip import events as sip
from qm_sip.sip.address import Uri
from qm_sip.sip.message import Request

RECEIPT, CUSTOMER = "X-QM-Receipt", "X-QM-Call"


class Features:
    """See the module's docstring."""

    def __init__(self, board: Switchboard, clerk: Clerk, presets: Presets) -> None:
        self.board, self.presets = board, presets
        self._clerk = clerk
        self.room, self.receipts = Room(board, clerk), Receipts()

    # ---------------------------------------------------------------- what was dialled

    def serve(self, event: sip.CallOffered, peer: str, config: Config, called: str, now: float) -> bool:
        feature = config.feature(called)
        if feature is None:
            return self._pressed(event, peer, config, called, now)
        if feature.right not in config.peer(peer).may:
            raise CallRefused(403, f"peer {peer} may not dial a code that needs the right {feature.right}")
        if not self.board.engine_up:
            raise CallRefused(503, "the media engine is not there to say anything")
        if feature.kind is FeatureKind.RECEIPT:
            self._announce(event, peer, config, called, now)
        else:
            service = ServiceCall(self.board, event.leg, event.local, security=self._security(event, peer))
            caller = read_offered(event.request, config, peer, None, called).caller
            self._choose_script(service, feature, caller, config)
            self._begin(service, event, now)
        return True

    def _pressed(self, event: sip.CallOffered, peer: str, config: Config, called: str, now: float) -> bool:
        """The name of a lamp is dialled: somebody has pressed its key. Only the agent can mean anything by it."""
        name = named(called)
        if name is None:
            return False
        lamp, device = lamp_of(config, name), presser_of(config, event.request, peer)
        owner = config.index.persons.get(device or "")
        if lamp is None or device is None or owner != lamp.person or lamp.kind not in OWN:
            raise CallRefused(
                403, f"a lamp's key was pressed at peer {peer}, and it is not his, or only shows something"
            )
        if not self.board.engine_up:
            raise CallRefused(503, "the media engine is not there to say anything")
        service = ServiceCall(self.board, event.leg, event.local, security=self._security(event, peer))
        service.script = Press(self, service, lamp, Private(device))
        self._begin(service, event, now)
        return True

    def _security(self, event: sip.CallOffered, peer: str) -> Security:
        return security_of(self.board.settings.config.peer(peer), event.source.transport)

    def _begin(self, service: ServiceCall, event: sip.CallOffered, now: float) -> None:
        self.board.enter(service)
        service.begin(event.request, now)

    def _choose_script(
        self, service: ServiceCall, feature: Feature, caller: Private[str], config: Config
    ) -> None:
        if feature.kind is FeatureKind.MONITORING:
            if self.room.enter(service, caller) is None:
                service.script = Sentence(service, self.staff("W1"))
            return
        if feature.kind is FeatureKind.MENU:
            service.script = StatusScript(self, service, caller)
        else:
            service.script = PresetScript(self, service, feature.kind, caller)

    def staff(self, prompt: str) -> Prompt | None:
        config, library = self.board.settings
        return library.find(prompt, language_of_staff(config))

    # ---------------------------------------------------------------- private beforehand

    def set_preset(self, kind: FeatureKind, caller: Private[str]) -> Prompt | None:
        """Do what the code says for whoever's phone it is; gives what he hears."""
        config, now = self.board.settings.config, self.board.wall()
        device = normal(caller.reveal(), config.lines.numbering)
        person = config.index.persons.get(device)
        if config.index.internal.find(device) is None:
            return self.staff("W1")  # an outsider's phone: it has no calls of ours
        if kind is FeatureKind.OFF:
            self._keep(self.presets.clear(person, device))
            return self.staff("A5")
        before = self.presets.active(person, device, now)
        until = config.lines.private.preset_max.after(now)
        self._keep([self.presets.set(person, device, PresetMode(kind.value), until)])
        return self.staff("A6" if before else "A4")

    def status(self, caller: Private[str], tell: Callable[[list[Prompt | None], float], None]) -> None:
        """What an agent hears of his private calls: is one set beforehand (A6, A5), and the proof of the last (B1)."""
        config = self.board.settings.config
        device = normal(caller.reveal(), config.lines.numbering)
        person = config.index.persons.get(device)
        on = self.presets.active(person, device, self.board.wall()) is not None
        first = self.staff("A6" if on else "A5")
        if person is None:
            tell([first], self.board.now())
            return
        self._clerk.last_private(
            person, lambda whole, now: tell([first, *([self.staff("B1")] if whole else [])], now)
        )

    def wants_private(self, party: Party) -> bool:
        return self.presets.active(*_whose(party), self.board.wall()) is not None

    def refuse_private(self, event: sip.CallOffered, peer: str, now: float) -> None:
        if not self.board.engine_up:
            raise CallRefused(503, "the media engine is not there to say anything")
        service = ServiceCall(self.board, event.leg, event.local, security=self._security(event, peer))
        service.script = Sentence(service, self.staff("A7"))
        self._begin(service, event, now)

    def takes_private(self, party: Party) -> bool:
        preset, used = self.presets.take(*_whose(party), self.board.wall())
        self._keep(used)
        return preset is not None

    def _keep(self, words: Sequence[Word]) -> None:
        for word in words:
            self.board.keeper.keep(word)

    # ---------------------------------------------------------------- told while he waits

    def _announce(self, event: sip.CallOffered, peer: str, config: Config, called: str, now: float) -> None:
        """The dialplan asks us to tell its waiting customer. What must not be told is not answered: it goes on."""
        request, library = event.request, self.board.settings.library
        offered = read_offered(request, config, peer, None, called)
        customer = offered.headers.get(CUSTOMER.lower())
        facts = read_facts(config, offered, CallId(self.board.new_id()), self.board.wall())
        line = line_of(config, facts)
        uses = uses_if_told(config, facts)
        prompt = prompt_for(config, library, facts, line.purposes, uses) if uses else None
        if not customer or prompt is None or not config.peer(peer).trusted:
            raise CallRefused(480, "there is nothing to tell on this line, or no trusted X-QM-Call")
        token = self.board.new_id()
        lasts = config.lines.receipt.lasts.seconds
        service = ServiceCall(
            self.board,
            event.leg,
            event.local,
            line=facts.line,
            outside=True,
            answer_headers=[(RECEIPT, token)],
            receipt=(prompt.digest, {"token": token, "subject": customer, "lasts_ms": int(lasts * 1000)}),
            security=self._security(event, peer),
        )
        receipt = Receipt(token, Private(customer), facts.line, now + lasts)
        service.script = Announcement(self, service, prompt, receipt)
        self._begin(service, event, now)

    def receipt_for(self, request: Request, facts: CallFacts, now: float) -> Receipt | None:
        token, customer = request.get(RECEIPT), request.get(CUSTOMER)
        if not token or not customer:
            return None
        return self.receipts.find(token.strip(), customer.strip(), facts.line, now)

    # ---------------------------------------------------------------- listening

    def call_monitor(self, monitor: PersonId, extension: str, purpose: str, now: float) -> str:
        """Call a supervisor's phone, because he asked for it by a command; on the phone only his code is asked. Gives
        the session's id. Raises Refused.
        """
        self.board.advance(now)
        if not self.board.engine_up:
            raise Refused("no-engine", "the media engine is not there: nothing could be heard")
        config = self.board.settings.config
        account = config.people.monitor.get(monitor)
        if account is None or not account.extensions:
            raise Refused("no-phone", f"{monitor} has no phone in people.toml (monitor.{monitor}.extensions)")
        by = next(
            (peer for peer in config.server.peers.values() if "listen" in peer.may and peer.next_hop), None
        )
        if by is None or by.next_hop is None:
            raise Refused("no-peer", "no peer may listen and has a next_hop, so nobody can be called")
        device, at = account.extensions[0], config.server.sip.listen[0]
        local = sip.Address(at.host, at.port, at.transport)
        there = self.board.locate(by)
        if not there:
            raise Refused("no-peer", "the next_hop of the peer that may listen has no address now")
        security = security_of(by, by.transport)
        service = ServiceCall(self.board, f"listener-{self.board.new_id()}", local, security=security)
        session = self.room.invite(service, monitor, device, extension, purpose)
        self.board.enter(service)
        from_ = f'"Meeluisteren" <{Uri.sip(local.host, local.port, "qm-sip")}>'
        service.dial(str(Uri.sip(by.next_hop.host, by.next_hop.port, device)), from_, there, local, now)
        return session.id

    def ready(self, call: Call, now: float) -> None:
        self.room.call_ready(call, now)

    def record_kept(self, event: SessionOpened | SessionFailed, now: float) -> None:
        if isinstance(event, SessionOpened):
            self.room.record_opened(event.session, now)
        else:
            self.room.record_failed(event.session, now)


def _whose(party: Party) -> tuple[PersonId | None, str | None]:
    """The person and the phone that a preset is looked up by; at a phone where nobody is known it is the phone's."""
    address = None if party.outside or party.address is None else party.address.reveal()
    return party.person, party.device or address


class Sentence:
    """Somebody hears one sentence, and that was it."""

    def __init__(self, service: ServiceCall, prompt: Prompt | None) -> None:
        self._service, self._prompt = service, prompt

    def up(self, now: float) -> None:
        self._service.say([self._prompt], now, self._service.hang_up)

    def key(self, key: str, now: float) -> None:
        """No key means anything here."""

    def said(self, event: protocol.PromptFinished, now: float) -> None:
        """Then `up` hangs up."""

    def gone(self, now: float) -> None:
        """Nothing is left of it."""


class PresetScript(Sentence):
    """An agent wants his next call, or all until further notice, to be private; or no longer."""

    def __init__(
        self, features: Features, service: ServiceCall, kind: FeatureKind, caller: Private[str]
    ) -> None:
        super().__init__(service, None)
        self._features, self._kind, self._caller = features, kind, caller

    def up(self, now: float) -> None:
        self._prompt = self._features.set_preset(self._kind, self._caller)
        super().up(now)


class StatusScript(Sentence):
    """An agent asks how it stands with his private calls."""

    def __init__(self, features: Features, service: ServiceCall, caller: Private[str]) -> None:
        super().__init__(service, None)
        self._features, self._caller = features, caller

    def up(self, now: float) -> None:
        self._features.status(self._caller, self._say)

    def _say(self, prompts: list[Prompt | None], now: float) -> None:
        self._features.board.advance(now)
        self._service.say(prompts, now, self._service.hang_up)


class Announcement:
    """The customer is told while he waits; 9 and 8 are obeyed as in every notice."""

    def __init__(self, features: Features, service: ServiceCall, prompt: Prompt, receipt: Receipt) -> None:
        self._features, self._service, self._prompt, self._receipt = features, service, prompt, receipt
        self._line = features.board.settings.config.lines.line[receipt.line]
        self._to_say: list[Prompt | None] = []

    def up(self, now: float) -> None:
        self._service.say([self._prompt], now, self._rest)

    def said(self, event: protocol.PromptFinished, now: float) -> None:
        if event.prompt != self._prompt.digest:
            return
        told = told_of(event, How.RECEIPT)
        self._receipt = replace(self._receipt, told=told)
        self._features.receipts.keep(self._receipt, now)

    def key(self, key: str, now: float) -> None:
        if key == self._line.opt_out_key:
            uses = frozenset(Use) if self._line.opt_out else frozenset({Use.LISTEN})
            self._receipt = replace(self._receipt, objects_to=uses)
            self._features.receipts.keep(self._receipt, now)
            self._to_say = [
                self._text("K14" if self._line.opt_out else "K16" if self._line.legal_duty else "K17")
            ]
        elif key == self._line.info_key:
            self._to_say = [*self._to_say, self._text("K21")][-2:]

    def _rest(self, now: float) -> None:
        if self._to_say:
            said, self._to_say = self._to_say, []
            self._service.say(said, now, self._rest)
        else:
            self._service.hang_up(now)

    def gone(self, now: float) -> None:
        """What he has heard to its end stands; what not, not."""

    def _text(self, prompt: str) -> Prompt | None:
        return self._features.board.settings.library.find(prompt, self._prompt.language)

"""The demo's calls, one after another, and how each should end.

A scene is data; `play` is the one way in which all of them are played. What is judged afterwards comes from
three sides that know nothing of each other: the server's ledger, the phones' ears, the kernel's counters.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from qm_sip.demo import audio
from qm_sip.demo.phone import Phone, PhoneError
from qm_sip.demo.stage import (
    AGENT,
    ASTERISK,
    COACH,
    COLLEAGUE,
    COUNCIL,
    CUSTOMER,
    NEW_COACH,
    RECORDER,
    Person,
    Stage,
)
from qm_sip.errors import QmSipError

ANSWER_S, SETTLE_S, TAP_S = 25.0, 15.0, 20.0
SAME = 0.85  # likeness: these very words
QUIET = 0.01  # of full scale: below this nobody has heard anything
ENOUGH_RTP = 50  # packets that a relayed call of some seconds certainly brings
AGENT_PERSON = "a1"  # in people.toml
Row = dict[str, Any]


@dataclass(frozen=True)
class Press:
    """Somebody presses keys, so many seconds after the recording has begun."""

    who: str  # caller | called
    keys: str
    after: float
    says: str


@dataclass(frozen=True)
class Ear:
    """A supervisor dials the code and answers the menu, while the two talk."""

    person: Person
    keys: str
    listens: bool  # whether he may


@dataclass(frozen=True)
class Scene:
    """One call: who calls whom by which number, and what should become of it."""

    name: str
    says: str
    caller: Person
    called: Person
    number: str  # dialled at Asterisk
    extension: str  # dialled at qm_sip itself, when there is no Asterisk
    outcome: str  # as the ledger should say; "counted" for a confidential call, "connected" without qm_sip
    reason: str = ""
    line: str = ""
    talk: float = 4.0
    hang_up_after: float | None = None  # the caller hangs up that soon, in the announcement
    server_killed: bool = False
    with_asterisk: bool = False  # only its dialplan can play this scene
    media_here: bool = True  # whether its packets may come to qm_sip's address
    press: Press | None = None
    ear: Ear | None = None
    kept: str = "sealed"  # what becomes of its recording
    quiet_after: bool = False  # after the keys no packet of it may come here any more


SCENES = (
    Scene("inbound", "A customer calls the sales queue and hears that the call is recorded", CUSTOMER, AGENT,
          "3001", "1001", "recorded", "recorded", line="sales", talk=6.0),
    Scene("outbound", "An agent calls a customer, who hears that the call is recorded", AGENT, CUSTOMER,
          "0687654321", "0687654321", "recorded", "recorded", line="outbound"),
    Scene("works-council", "A customer calls the works council: counted, and nothing else", CUSTOMER, COUNCIL,
          "3901", "1900", "counted", media_here=False),
    Scene("colleague", "An agent calls a colleague: nobody outside is in the call", AGENT, COLLEAGUE,
          "1003", "1003", "bypassed", "no-rule", media_here=False),
    Scene("hung-up", "A customer hangs up during the announcement", CUSTOMER, AGENT,
          "3003", "1001", "blocked", "announcement-not-completed", line="support", hang_up_after=1.5),
    Scene("private", "An agent presses *1: private from now on, and ten seconds back", CUSTOMER, AGENT,
          "3001", "1001", "recorded", "private-call", line="sales", talk=4.0, quiet_after=True,
          press=Press("called", "*1", 13.0, "presses *1")),
    Scene("objection", "A customer presses *9: what was recorded is destroyed", CUSTOMER, AGENT,
          "3001", "1001", "blocked", "objected", line="sales", talk=3.0, kept="destroyed",
          press=Press("caller", "*9", 3.0, "presses *9")),
    Scene("listener", "A coach listens in; the agent is told first, and nobody hears the coach", CUSTOMER, AGENT,
          "3001", "1001", "recorded", "recorded", line="sales", talk=2.0,
          ear=Ear(COACH, "1001#1246813", listens=True)),
    Scene("no-listener", "A coach who has signed no secrecy asks to listen, and may not", CUSTOMER, AGENT,
          "3001", "1001", "recorded", "recorded", line="sales", talk=1.0,
          ear=Ear(NEW_COACH, "1001#1246813", listens=False)),
    Scene("receipt", "A customer is told while he waits in the queue: the agent's time is not spent on it",
          CUSTOMER, AGENT, "3002", "1001", "recorded", "recorded", line="waiting", with_asterisk=True),
    Scene("server-gone", "qm_sip is killed, and a customer still reaches an agent", CUSTOMER, AGENT,
          "3001", "1001", "connected", line="sales", talk=2.0, server_killed=True, media_here=False),
)  # fmt: skip


@dataclass
class Played:
    """What became of a scene."""

    scene: Scene
    outcome: str = ""
    reasons: list[str] = field(default_factory=list)
    call: str = ""
    recording: str = ""
    seconds: float = 0.0
    recorded_seconds: float = 0.0
    rtp_here: int | None = None  # RTP packets at the recorder's address, counted by the kernel
    heard: bool | None = None  # did both phones hear each other
    connected_after: float | None = None  # seconds from dialling until both were connected
    dialled_at: float = 0.0  # monotonic
    answered_at: float = 0.0
    ended_at: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_json(self) -> Row:
        row = asdict(self)
        scene = row.pop("scene")
        expected = {"outcome": scene["outcome"], "reason": scene["reason"]}
        for clock in ("dialled_at", "answered_at", "ended_at"):
            row.pop(clock)
        return {"scene": scene["name"], "says": scene["says"], "expected": expected, "ok": self.ok, **row}


def play(stage: Stage, scene: Scene) -> Played:
    """Play one scene and judge it. An error of a phone or of the server is a problem of this scene alone."""
    stage.tell("")
    stage.tell(scene.says)
    played = Played(scene)
    try:
        before = Before.of(stage, scene)
        talk(stage, scene, played)
        if played.heard:
            stage.tell("  both phones heard each other")
        before.compare(stage, played)
    except QmSipError as error:
        played.problems.append(str(error))
        for phone in stage.phones.values():  # the next scene begins with nobody in a call
            phone.hang_up_all()
    judge(played)
    for problem in played.problems:
        stage.tell(f"  PROBLEM: {problem}")
    return played


def talk(stage: Stage, scene: Scene, played: Played) -> None:
    """The call itself, from dialling to hanging up."""
    caller, called = stage.phones[scene.caller.name], stage.phones[scene.called.name]
    since = called.mark()
    if scene.server_killed:
        stage.tell(f"  kill -9 {stage.server.pid} (qm-sip serve)")
        stage.server.kill()
    played.dialled_at = time.monotonic()
    mine = caller.call(_address(stage, scene), _headers(stage, scene))
    if scene.hang_up_after is not None:
        _hang_up_early(scene, caller, called, mine, since, played)
        return
    theirs = int(_await(called, "incoming", caller, mine, since=since)["call"])
    played.answered_at = float(_await(called, "confirmed", caller, mine, call=theirs)["at"])
    connected = float(_await(caller, "confirmed", caller, mine, call=mine)["at"])
    played.connected_after = round(max(played.answered_at, connected) - played.dialled_at, 2)
    if scene.outcome == "recorded" or scene.press is not None:
        _wait_for_tap(stage)
    if scene.press is not None:
        _press(stage, scene, scene.press, (caller, mine), (called, theirs), played)
    if scene.ear is not None:
        _listen(stage, scene.ear, played)
    time.sleep(scene.talk)
    _check_source(scene, caller, called, played)
    caller.hangup(call=mine)
    played.ended_at = time.monotonic()
    called.wait_for("disconnected", call=theirs)
    played.heard = _heard(stage, scene.called, caller, mine) and _heard(stage, scene.caller, called, theirs)
    if scene.ear is not None:
        _check_unheard(stage, scene.ear.person, ((caller, mine), (called, theirs)), played)


def _await(phone: Phone, state: str, caller: Phone, mine: int, **which: int) -> Row:
    """Wait for a state of a phone, but no longer than the caller's call lives."""
    until = time.monotonic() + ANSWER_S
    while True:
        try:
            return phone.wait_for(state, 0.5, **which)
        except PhoneError:
            if (ended := caller.ended(mine)) is not None:
                raise PhoneError(f"the call was refused: {ended['status']} {ended['reason']}") from None
            if time.monotonic() > until:
                raise


def _address(stage: Stage, scene: Scene) -> str:
    if stage.phones_only:
        return f"sip:{scene.extension}@{RECORDER}:5080"
    return f"sip:{scene.number}@{ASTERISK}"


def _headers(stage: Stage, scene: Scene) -> list[tuple[str, str]]:
    """Without Asterisk, the phone names the line as the dialplan would."""
    return [("X-QM-Line", scene.line)] if stage.phones_only and scene.line else []


def _hang_up_early(scene: Scene, caller: Phone, called: Phone, mine: int, since: int, played: Played) -> None:
    assert scene.hang_up_after is not None
    played.answered_at = float(caller.wait_for("confirmed", ANSWER_S, call=mine)["at"])
    time.sleep(scene.hang_up_after)
    caller.hangup(call=mine)
    played.ended_at = time.monotonic()
    caller.wait_for("disconnected", call=mine)
    if any(happening["event"] == "incoming" for happening in called.happened[since:]):
        played.problems.append(f"{scene.called.name} rang before the announcement had ended")


def _wait_for_tap(stage: Stage) -> None:
    """The server says itself when a tap is open: not before the announcement has ended."""
    until = time.monotonic() + TAP_S
    while not stage.server.ask("taps")["taps"]:
        if time.monotonic() > until:
            raise PhoneError(f"no recording has begun within {TAP_S:.0f} s of the answer")
        time.sleep(0.1)
    stage.tell("  qm_sip: the announcement has been played to its end; the recording runs")


def _press(
    stage: Stage,
    scene: Scene,
    press: Press,
    caller: tuple[Phone, int],
    called: tuple[Phone, int],
    played: Played,
) -> None:
    time.sleep(press.after)
    phone, call = caller if press.who == "caller" else called
    person = scene.caller if press.who == "caller" else scene.called
    stage.tell(f"  {person.name} {press.says}")
    phone.dtmf(press.keys, call=call)
    time.sleep(2.5)
    if not scene.quiet_after or (before := stage.rtp()) is None:
        return
    time.sleep(1.0)
    since = (stage.rtp() or 0) - before
    stage.tell(f"  media packets at qm_sip in the second after: {since}")
    if since:
        played.problems.append(f"{since} media packets of a private call came to qm_sip")


def _listen(stage: Stage, ear: Ear, played: Played) -> None:
    """The supervisor's call: he dials, answers the menu, and hears; or hears why not."""
    phone = stage.phones[ear.person.name]
    where = f"sip:*55@{RECORDER}:5080" if stage.phones_only else f"sip:*55@{ASTERISK}"
    mine = phone.call(where)
    phone.wait_for("confirmed", ANSWER_S, call=mine)
    time.sleep(1.0)
    for key in ear.keys:  # one at a time, as a finger does
        phone.dtmf(key, call=mine)
        time.sleep(0.35)
    heard = _wait(lambda: _listening(stage), SETTLE_S if ear.listens else 3.0)
    if bool(heard) is not ear.listens:
        raise PhoneError(f"{ear.person.name} {'could not' if ear.listens else 'could'} listen")
    if ear.listens:
        stage.tell(f"  qm_sip: the agent has heard three soft tones; {ear.person.name} listens")
        time.sleep(4.0)
        phone.hangup(call=mine)
    else:
        stage.tell(f"  {ear.person.name} hears why not")
    phone.wait_for("disconnected", SETTLE_S, call=mine)
    said = audio.read_wav(phone.recording_path(mine))
    if audio.loudest(said) < QUIET:
        played.problems.append(f"{ear.person.name} heard nothing at all")


def _check_unheard(stage: Stage, coach: Person, ends: tuple[tuple[Phone, int], ...], played: Played) -> None:
    """Neither of the two heard a word of him."""
    said = audio.read_wav(stage.said_by(coach))
    for phone, call in ends:
        if audio.likeness(audio.read_wav(phone.recording_path(call)), said) >= SAME:
            played.problems.append(f"{coach.name} was to be heard")
            return
    stage.tell(f"  neither of the two heard a word of {coach.name}")


def _listening(stage: Stage) -> bool:
    return any(tap["use"] == "listen" for tap in stage.server.ask("taps")["taps"])


def _check_source(scene: Scene, caller: Phone, called: Phone, played: Played) -> None:
    """Where each phone's audio comes from, as the phone sees it."""
    sources = [phone.report()["source"] for phone in (caller, called)]
    if not scene.media_here and any(source.startswith(f"{RECORDER}:") for source in sources):
        played.problems.append(f"media came from qm_sip's address: {sources}")


def _heard(stage: Stage, speaker: Person, listener: Phone, call: int) -> bool:
    heard = audio.read_wav(listener.recording_path(call))
    return audio.recognises(heard, audio.read_wav(stage.said_by(speaker)))


# --------------------------------------------------------------------------- what the server says of it


@dataclass
class Before:
    """What the ledger and the counters said before a scene."""

    calls: set[str]
    confidential: int
    rtp: int | None

    @classmethod
    def of(cls, stage: Stage, scene: Scene) -> Before:
        if scene.server_killed:
            return cls(set(), 0, stage.rtp())
        return cls({row["call"] for row in _calls(stage)}, _confidential(stage), stage.rtp())

    def compare(self, stage: Stage, played: Played) -> None:
        if self.rtp is not None:
            played.rtp_here = (stage.rtp() or 0) - self.rtp
        if played.scene.server_killed:
            played.outcome = "connected"
        elif played.scene.outcome == "counted":
            self._counted(stage, played)
        else:
            self._entered(stage, played)

    def _counted(self, stage: Stage, played: Played) -> None:
        """A confidential call is one more in today's count, and in no listing."""
        count = _wait(lambda: _confidential(stage) - self.confidential, SETTLE_S)
        played.outcome = "counted" if count == 1 else f"counted {count or 0} times"
        rows = [row for row in _calls(stage) if row["call"] not in self.calls]
        if rows:
            played.problems.append("the ledger has a row of a confidential call")

    def _entered(self, stage: Stage, played: Played) -> None:
        row = _wait(lambda: self._new_row(stage), SETTLE_S)
        if row is None:
            played.outcome = "not in the ledger"
            return
        played.outcome, played.reasons = row["outcome"], row["reasons"]
        played.call, played.seconds = row["call"], row["seconds"]
        played.recorded_seconds = row["recorded_seconds"]
        played.recording = next(iter(row["recordings"]), "")
        if played.recording:
            wanted = played.scene.kept
            _wait(lambda: _state(stage, played.recording) == wanted, SETTLE_S)
            if (state := _state(stage, played.recording)) != wanted:
                played.problems.append(f"the recording is {state}, not {wanted}")
            elif wanted == "destroyed":
                stage.tell("  qm_sip: what was recorded is gone, file and key; then the customer was told so")
        if played.scene.quiet_after:
            _prove_private(stage, played)

    def _new_row(self, stage: Stage) -> Row | None:
        new = [row for row in _calls(stage) if row["call"] not in self.calls and row["state"] == "ended"]
        return new[0] if new else None


def _prove_private(stage: Stage, played: Played) -> None:
    """What the agent, and nobody else, may ask about it."""
    proof = stage.server.ask("private_proof", call=played.call, **{"as": AGENT_PERSON})
    recorded, listened = proof.get("recorded_after"), proof.get("listened_after")
    stage.tell(
        f"  his proof: recorded {recorded} s and listened to {listened} s since; his voice goes: {proof.get('path')}"
    )
    if not proof["private"] or recorded or listened:
        played.problems.append("the proof of the private call does not say so")


def _calls(stage: Stage) -> list[Row]:
    return list(stage.server.ask("calls")["calls"])


def _confidential(stage: Stage) -> int:
    return sum(int(row["count"]) for row in stage.server.ask("ledger")["confidential"])


def _state(stage: Stage, recording: str) -> str:
    rows = stage.server.ask("recordings")["recordings"]
    return str(next((row["state"] for row in rows if row["recording"] == recording), "gone"))


def _wait(look: Any, seconds: float) -> Any:
    """Look again and again until there is something, or the time is over."""
    until = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < until:
        time.sleep(0.1)
    return found


# --------------------------------------------------------------------------- judging


def judge(played: Played) -> None:
    """Hold what became of a scene against what should."""
    scene = played.scene
    if played.heard is False:
        played.problems.append("the two phones did not hear each other")
    if played.outcome != scene.outcome:
        played.problems.append(f"it should be {scene.outcome}, and is {played.outcome or 'unknown'}")
    if scene.reason and scene.reason not in played.reasons:
        played.problems.append(
            f"the reason should be {scene.reason}, and is {', '.join(played.reasons) or 'none'}"
        )
    if (played.rtp_here or 0) > 0 and not scene.media_here:
        played.problems.append(f"{played.rtp_here} media packets came to qm_sip")
    if scene.outcome == "recorded":
        _judge_recording(played)


def _judge_recording(played: Played) -> None:
    if played.rtp_here is not None and played.rtp_here < ENOUGH_RTP:
        played.problems.append(
            f"only {played.rtp_here} media packets were counted at qm_sip: is the counter right?"
        )
    if not played.recording:
        played.problems.append("there is no recording")
    if not played.scene.press and played.recorded_seconds < played.scene.talk - 1:
        played.problems.append(f"only {played.recorded_seconds} s of {played.scene.talk} s were recorded")

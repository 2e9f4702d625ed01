"""The two word lists between Python and the media engine: what to do, and what happened.

One message is one JSON object on one line; `do` or `event` names it. A packet of the Unix SOCK_SEQPACKET socket
carries one event, or one or more commands.
Ids come from Python, commands are idempotent by id, and every command about a call names it. Times are
integer nanoseconds of CLOCK_MONOTONIC (`*_ns`). The Rust side of this page is
`rust/qm-media/src/protocol.rs`; `tests/media/test_protocol.py` holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from qm_sip.private import Private

LegName = Literal["caller", "callee"]
Directionality = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
ToneName = Literal["silence", "ringback", "waiting"]

# --------------------------------------------------------------------------- what to do


@dataclass(frozen=True)
class Command:
    do: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        return {"do": self.do, **vars(self)}


@dataclass(frozen=True)
class Configure(Command):
    """First command. Where sockets may be opened, where journals and their keys are written."""

    do = "configure"
    address: str  # local IP the RTP sockets bind to, unless OpenLeg names another
    port_low: int
    port_high: int
    journal_directory: str
    key_directory: str  # tmpfs: a running journal's key, gone with the power
    hold_back_ms: int = 200
    playout_ms: int = 200  # a tap keeps only what arrived later than prompt end + this
    lease_ms: int = 3000
    chunk_ms: int = 250
    media_timeout_ms: int = 30000
    codecs: list[str] = field(default_factory=list)  # prompts and tones are made ready in these


@dataclass(frozen=True)
class LoadPrompt(Command):
    """Make a prompt known: a WAV (8 kHz, mono, 16 bit), refused if its SHA-256 differs."""

    do = "load_prompt"
    prompt: str  # hex SHA-256 of the WAV file
    path: str
    identity: str
    language: str
    uses: list[str]
    purposes: list[str]


@dataclass(frozen=True)
class LoadLine(Command):
    """Which prompts a line may use, and its documented `already-informed` ground if it has one."""

    do = "load_line"
    line: str
    prompts: list[str]
    already_informed: dict[str, Any] | None = None  # {document, uses, purposes}


@dataclass(frozen=True)
class OpenCall(Command):
    """A call of a line. A listener's call is of line "" and has one leg, `caller`, inside.

    `subject` names the customer as his receipts do: the receipts of another open nothing here.
    """

    do = "open_call"
    call: str
    line: str
    subject: str | None = None


@dataclass(frozen=True)
class OpenLeg(Command):
    """Open an RTP and an RTCP socket for a leg. `outside`: its party must be told before any use."""

    do = "open_leg"
    call: str
    leg: LegName
    outside: bool
    channel: int  # 0 left, customer; 1 right, agent
    address: str | None = None


@dataclass(frozen=True)
class Srtp:
    """What both sides of a leg protect their packets with: what stands after `inline:` in each description."""

    suite: str
    ours: Private[str]
    theirs: Private[str]


@dataclass(frozen=True)
class SetRemote(Command):
    """What the leg's own dialog announced. Replaces what was said before; `direction` is ours towards the
    leg.

    Packets are accepted only from `address` (any port until the first packet, then that port: strict lock),
    or, with `symmetric`, from the first source whose packets arrive validly, then locked until the next
    SetRemote. With `srtp` only packets that its keys authenticate are taken, and only sealed ones sent; a key
    that is the same as before goes on counting.
    """

    do = "set_remote"
    call: str
    leg: LegName
    address: str
    port: int
    rtcp_port: int
    payload_types: dict[str, str]  # "8": "PCMA/8000", "96": "opus/48000/2", "101": "telephone-event/8000"
    send_payload_type: int  # the audio payload type we use when we make packets for this leg (prompts)
    ptime_ms: int = 20
    direction: Directionality = "sendrecv"
    symmetric: bool = True
    our_payload_types: dict[str, str] = field(default_factory=dict)  # what we told him: he may use these too
    srtp: Srtp | None = None  # plain RTP

    def to_json(self) -> dict[str, Any]:
        """The one place where keys leave Private, on their way through the socket to the engine."""
        keys = self.srtp
        said = keys and {"suite": keys.suite, "ours": keys.ours.reveal(), "theirs": keys.theirs.reveal()}
        return super().to_json() | {"srtp": said}


@dataclass(frozen=True)
class Bridge(Command):
    """Pass packets between the legs (`on`), or not: then each leg hears silence, ringback or a prompt.

    A call that a listening tap was opened to is never connected, nor does it get a second leg.
    """

    do = "bridge"
    call: str
    on: bool


@dataclass(frozen=True)
class Play(Command):
    """Play a prompt to one leg, once, at the leg's packet pace.

    A prompt that names uses must be of the call's line; one that names none may be played in any call.

    `overlay`: mixed into what that leg hears, behind every tap; where nothing is relayed, sent as packets of
    our own. A prompt that is no overlay comes first: an overlay waits for it, and begins again if it had
    begun. A later overlay stops an earlier one. What was mixed under speech tells an outside party nothing.
    `for_tap`: to an inside leg, the finished play is the agent's notice for that listening tap.
    `receipt`: {token, subject, lasts_ms}: the finished play can be shown in other calls of that subject on
    the same line, as proof "receipt:TOKEN".
    """

    do = "play"
    call: str
    leg: LegName
    play: str
    prompt: str
    overlay: bool = False
    for_tap: str | None = None
    receipt: dict[str, Any] | None = None


@dataclass(frozen=True)
class Tone(Command):
    """What a leg hears while it is neither bridged nor played to."""

    do = "tone"
    call: str
    leg: LegName
    tone: ToneName


@dataclass(frozen=True)
class StopPlay(Command):
    """End what plays to a leg, prompt and overlay."""

    do = "stop_play"
    call: str
    leg: LegName


@dataclass(frozen=True)
class OpenTap(Command):
    """Ask for a use of the call's audio. The engine refuses unless every outside leg's proof covers it.

    Listening also needs the agent's notice for this very tap, and a listener's leg to be heard at.
    """

    do = "open_tap"
    call: str
    tap: str  # = the recording id, or the listening session's
    use: Literal["record", "listen"]
    purposes: list[str]
    # Proof ids from PromptFinished, one for each outside leg, "receipt:TOKEN" among them where the customer was
    # told in an earlier call; or ["already-informed"].
    proofs: list[str]
    recipients: dict[str, list[str]]  # purpose -> age recipients ("age1...")
    header: dict[str, Any]  # sealed into the journal's first chunk, as given
    notice: str | None = None  # listen: the proof of a play with `for_tap`
    to: dict[str, str] | None = None  # listen: {"call": the listener's call, "leg": "caller"}


@dataclass(frozen=True)
class CloseTap(Command):
    """Close a tap. `keep_held_back` False drops the last `hold_back_ms` (the call changed)."""

    do = "close_tap"
    call: str
    tap: str
    reason: str
    keep_held_back: bool = True


@dataclass(frozen=True)
class Cut(Command):
    """A synced Cut(from, to): what lies between is dropped from the journal before anything else reads it."""

    do = "cut"
    call: str
    tap: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True)
class Hold(Command):
    """While held, the proofs rest and taps keep nothing."""

    do = "hold"
    call: str
    on: bool


@dataclass(frozen=True)
class Pause(Command):
    """While paused (card number), taps keep nothing, what they hold back is dropped, and none opens."""

    do = "pause"
    call: str
    on: bool
    reason: str = "pause"  # TapPaused says it again


@dataclass(frozen=True)
class Forbid(Command):
    """An objection, or any prohibition: taps of these uses close and none opens again in this call."""

    do = "forbid"
    call: str
    uses: list[str]  # record | listen
    reason: str  # TapClosed says it again


@dataclass(frozen=True)
class MakePrivate(Command):
    """Nothing of this call is kept, heard or counted any more; never undone.

    Every recording gets Cut(now - drop_before_ms, now) and is closed without what it held back, every
    listener's tap closes. Answered with MadePrivate at once (a repeated command with the same one), and with
    a TapClosed (reason "private") for each recording when its cut is on the disk.
    """

    do = "make_private"
    call: str
    drop_before_ms: int


@dataclass(frozen=True)
class WatchKeys(Command):
    """Which key sequences mean something on that leg; replaces what was watched there.

    Key presses (RFC 4733) that begin a code are held back. When one is complete, at the first packet of its
    last key, they are swallowed for good and CodeMatched says so. When no code can follow any more, or none
    did for `gap_ms` after the last key, they are sent on late as they came, and give their Digit then. A code
    that begins with another can not be reached: the shorter one matches first.
    The engine itself obeys the word "private": MakePrivate with these `drop_before_ms`.
    """

    do = "watch_keys"
    call: str
    leg: LegName
    codes: dict[str, str]  # keys -> word: {"*1": "private"}; {} watches nothing
    gap_ms: int = 1500
    drop_before_ms: int = 0


@dataclass(frozen=True)
class VoidProofs(Command):
    """A new party on that leg (or on any, leg None): what was told no longer stands; taps close."""

    do = "void_proofs"
    call: str
    leg: LegName | None
    reason: str


@dataclass(frozen=True)
class CloseLeg(Command):
    do = "close_leg"
    call: str
    leg: LegName


@dataclass(frozen=True)
class CloseCall(Command):
    do = "close_call"
    call: str


@dataclass(frozen=True)
class Lease(Command):
    """Python is alive. Without one for `lease_ms` all taps pause until the next."""

    do = "lease"


@dataclass(frozen=True)
class Stats(Command):
    do = "stats"


@dataclass(frozen=True)
class Shutdown(Command):
    """Close every tap in order, then end the process."""

    do = "shutdown"


# --------------------------------------------------------------------------- what happened


@dataclass(frozen=True)
class Event:
    event: ClassVar[str]


@dataclass(frozen=True)
class Configured(Event):
    event = "configured"
    run: str  # random id of this engine run; proofs die with it
    pid: int


@dataclass(frozen=True)
class PromptLoaded(Event):
    event = "prompt_loaded"
    prompt: str
    duration_ms: int


@dataclass(frozen=True)
class PromptRefused(Event):
    event = "prompt_refused"
    prompt: str
    reason: str


@dataclass(frozen=True)
class LegOpened(Event):
    event = "leg_opened"
    call: str
    leg: LegName
    address: str
    port: int
    rtcp_port: int


@dataclass(frozen=True)
class PromptFinished(Event):
    """The prompt's last packet has been sent to that leg: the proof, bound to run, leg, address, hash, uses."""

    event = "prompt_finished"
    call: str
    leg: LegName
    play: str
    proof: str
    prompt: str
    identity: str
    language: str
    uses: list[str]
    purposes: list[str]
    began_ns: int
    ended_ns: int
    packets: int


@dataclass(frozen=True)
class PromptFailed(Event):
    event = "prompt_failed"
    call: str
    leg: LegName
    play: str
    # stopped | hung-up | refused | icmp | voided | unknown-prompt | not-of-this-line (it names uses)
    reason: str


@dataclass(frozen=True)
class TapOpened(Event):
    event = "tap_opened"
    call: str
    tap: str
    kept_from_ns: int
    journal: str  # path


@dataclass(frozen=True)
class TapRefused(Event):
    event = "tap_refused"
    call: str
    tap: str
    # not-told | use-not-told | purpose-not-told | proof-void | prompt-not-of-line | no-purpose |
    # no-recipients | no-lease | hold | paused | objected | private | no-notice | no-listener |
    # receipt-unknown | receipt-expired | receipt-of-another | journal-failed | closed (the id was used) | bad-id
    reason: str


@dataclass(frozen=True)
class TapPaused(Event):
    event = "tap_paused"
    call: str
    tap: str
    on: bool
    reason: str  # lease | hold | pause (or as Pause said)
    at_ns: int


@dataclass(frozen=True)
class TapClosed(Event):
    """The journal is closed and synced. `packets` per channel; `first_ns`/`last_ns` of what was kept (else
    0). Of a listening tap, what went to the listener. Private's cut is synced with it.
    """

    event = "tap_closed"
    call: str
    tap: str
    reason: str
    journal: str
    bytes: int
    packets: list[int]
    first_ns: int
    last_ns: int


@dataclass(frozen=True)
class TapFailed(Event):
    """The journal cannot be written (disk full, I/O error). The call goes on; the tap is closed."""

    event = "tap_failed"
    call: str
    tap: str
    reason: str


@dataclass(frozen=True)
class Digit(Event):
    """One RFC 4733 event ended on that leg. Never logged, never in a journal."""

    event = "digit"
    call: str
    leg: LegName
    digit: str
    at_ns: int


@dataclass(frozen=True)
class CodeMatched(Event):
    """A watched code is complete: from the first packet of its first key to that of its last."""

    event = "code_matched"
    call: str
    leg: LegName
    word: str
    first_ns: int
    at_ns: int


@dataclass(frozen=True)
class MadePrivate(Event):
    """The call is private: what arrived from `cut_from_ns` on is in no journal once its TapClosed has come."""

    event = "made_private"
    call: str
    at_ns: int
    cut_from_ns: int


@dataclass(frozen=True)
class MediaTimeout(Event):
    event = "media_timeout"
    call: str
    leg: LegName


@dataclass(frozen=True)
class MediaNotAuthentic(Event):
    """For a second, of at least 50 packets from where that leg's come from not one was protected with its key."""

    event = "media_not_authentic"
    call: str
    leg: LegName


@dataclass(frozen=True)
class LegClosed(Event):
    """Counters of one leg: packets in, out, dropped as not of this call, lost by sequence, not authentic."""

    event = "leg_closed"
    call: str
    leg: LegName
    received: int
    sent: int
    strangers: int
    lost: int
    not_authentic: int = 0


@dataclass(frozen=True)
class CallClosed(Event):
    event = "call_closed"
    call: str


@dataclass(frozen=True)
class StatsReport(Event):
    event = "stats"
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CommandFailed(Event):
    """A command could not be carried out: unknown call, no port left, malformed. A port failure names its
    leg.
    """

    event = "command_failed"
    do: str
    call: str
    reason: str
    leg: str = ""


EVENTS: dict[str, type[Event]] = {cls.event: cls for cls in Event.__subclasses__()}
COMMANDS: dict[str, type[Command]] = {cls.do: cls for cls in Command.__subclasses__()}


def read_event(message: dict[str, Any]) -> Event:
    """Build the event a JSON message names. Raises ValueError for a message this program does not know."""
    kind = EVENTS.get(str(message.get("event")))
    if kind is None:
        raise ValueError(f"unknown event {message.get('event')!r}")
    names = {f.name for f in fields(kind)}
    return kind(**{key: value for key, value in message.items() if key in names})

//! The two word lists between Python and the engine: what to do, and what happened.
//!
//! The other half of this page is `qm_sip/media/protocol.py`; `tests/media/test_protocol.py` holds the two against
//! each other. Times are nanoseconds of CLOCK_MONOTONIC.

use crate::srtp::{Master, Suite};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Nanoseconds of CLOCK_MONOTONIC.
pub type Nanos = u64;

/// One millisecond in [`Nanos`].
pub const MS: Nanos = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LegName {
    Caller,
    Callee,
}

impl LegName {
    pub const BOTH: [LegName; 2] = [LegName::Caller, LegName::Callee];

    pub fn index(self) -> usize {
        self as usize
    }

    pub fn other(self) -> LegName {
        match self {
            LegName::Caller => LegName::Callee,
            LegName::Callee => LegName::Caller,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    Record,
    Listen,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    #[default]
    Sendrecv,
    Sendonly,
    Recvonly,
    Inactive,
}

impl Direction {
    /// Whether we may send towards the leg.
    pub fn sends(self) -> bool {
        matches!(self, Direction::Sendrecv | Direction::Sendonly)
    }

    /// Whether what the leg sends us counts.
    pub fn receives(self) -> bool {
        matches!(self, Direction::Sendrecv | Direction::Recvonly)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    #[default]
    Silence,
    Ringback,
    Waiting,
}

/// The documented `already-informed` ground of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlreadyInformed {
    pub document: String,
    pub uses: Vec<Use>,
    pub purposes: Vec<String>,
}

// ---------------------------------------------------------------------------------------------- what to do

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    Configure(Configure),
    LoadPrompt(LoadPrompt),
    LoadLine(LoadLine),
    OpenCall(OpenCall),
    OpenLeg(OpenLeg),
    SetRemote(SetRemote),
    Bridge(Bridge),
    Play(Play),
    Tone(SetTone),
    StopPlay(StopPlay),
    OpenTap(OpenTap),
    CloseTap(CloseTap),
    Cut(Cut),
    Hold(Hold),
    Pause(Pause),
    Forbid(Forbid),
    MakePrivate(MakePrivate),
    WatchKeys(WatchKeys),
    VoidProofs(VoidProofs),
    CloseLeg(CloseLeg),
    CloseCall(CloseCall),
    Lease(Lease),
    Stats(Stats),
    Shutdown(Shutdown),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configure {
    pub address: IpAddr,
    pub port_low: u16,
    pub port_high: u16,
    pub journal_directory: String,
    pub key_directory: String,
    pub hold_back_ms: u64,
    pub playout_ms: u64,
    pub lease_ms: u64,
    pub chunk_ms: u64,
    pub media_timeout_ms: u64,
    /// In which codecs prompts and tones are made ready beforehand.
    #[serde(default)]
    pub codecs: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadPrompt {
    pub prompt: String,
    pub path: String,
    pub identity: String,
    pub language: String,
    pub uses: Vec<Use>,
    pub purposes: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadLine {
    pub line: String,
    pub prompts: Vec<String>,
    #[serde(default)]
    pub already_informed: Option<AlreadyInformed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenCall {
    pub call: String,
    pub line: String,
    /// Whom the call is about, as receipts know him.
    #[serde(default)]
    pub subject: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenLeg {
    pub call: String,
    pub leg: LegName,
    pub outside: bool,
    pub channel: u8,
    #[serde(default)]
    pub address: Option<IpAddr>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRemote {
    pub call: String,
    pub leg: LegName,
    pub address: IpAddr,
    pub port: u16,
    pub rtcp_port: u16,
    /// What the peer said: the numbers it wants to get.
    pub payload_types: BTreeMap<String, String>,
    /// What we told it: it may send these too (RFC 3264 section 6.1).
    #[serde(default)]
    pub our_payload_types: BTreeMap<String, String>,
    pub send_payload_type: u8,
    #[serde(default = "twenty")]
    pub ptime_ms: u64,
    #[serde(default)]
    pub direction: Direction,
    #[serde(default = "yes")]
    pub symmetric: bool,
    /// Without, the leg speaks plain RTP.
    #[serde(default)]
    pub srtp: Option<Srtp>,
}

/// What both sides of a leg protect their packets with, as their descriptions said (RFC 4568).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Srtp {
    pub suite: Suite,
    pub ours: Inline,
    pub theirs: Inline,
}

impl Srtp {
    /// Both keys; `Err` says that one is none.
    pub fn masters(&self) -> Result<(Master, Master), &'static str> {
        Ok((Master::read(self.suite, &self.ours.0)?, Master::read(self.suite, &self.theirs.0)?))
    }
}

/// A key and its salt in base64. Cleared when dropped, never printed.
#[derive(Clone, Deserialize)]
pub struct Inline(Zeroizing<String>);

impl fmt::Debug for Inline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inline(private)")
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    pub call: String,
    pub on: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Play {
    pub call: String,
    pub leg: LegName,
    pub play: String,
    pub prompt: String,
    /// Mixed into what the leg hears, in place of it.
    #[serde(default)]
    pub overlay: bool,
    /// The finished play is the agent's notice for this listening tap.
    #[serde(default)]
    pub for_tap: Option<String>,
    #[serde(default)]
    pub receipt: Option<ReceiptWanted>,
}

/// What the receipt of a finished play is to say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptWanted {
    pub token: String,
    pub subject: String,
    pub lasts_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetTone {
    pub call: String,
    pub leg: LegName,
    pub tone: Tone,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopPlay {
    pub call: String,
    pub leg: LegName,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenTap {
    pub call: String,
    pub tap: String,
    #[serde(rename = "use")]
    pub what: Use,
    pub purposes: Vec<String>,
    pub proofs: Vec<String>,
    pub recipients: BTreeMap<String, Vec<String>>,
    pub header: serde_json::Map<String, serde_json::Value>,
    /// The proof of the agent's notice; a listening tap needs it.
    #[serde(default)]
    pub notice: Option<String>,
    /// Who hears a listening tap.
    #[serde(default)]
    pub to: Option<Listener>,
}

/// The one leg of a listener's call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub call: String,
    pub leg: LegName,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseTap {
    pub call: String,
    pub tap: String,
    pub reason: String,
    #[serde(default = "yes")]
    pub keep_held_back: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    pub call: String,
    pub tap: String,
    pub from_ns: Nanos,
    pub to_ns: Nanos,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub call: String,
    pub on: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    pub call: String,
    pub on: bool,
    #[serde(default = "pause")]
    pub reason: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forbid {
    pub call: String,
    pub uses: Vec<Use>,
    pub reason: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakePrivate {
    pub call: String,
    pub drop_before_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchKeys {
    pub call: String,
    pub leg: LegName,
    /// Key sequence to word.
    pub codes: BTreeMap<String, String>,
    #[serde(default = "gap")]
    pub gap_ms: u64,
    #[serde(default)]
    pub drop_before_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoidProofs {
    pub call: String,
    pub leg: Option<LegName>,
    pub reason: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseLeg {
    pub call: String,
    pub leg: LegName,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseCall {
    pub call: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {}

fn twenty() -> u64 {
    20
}

fn yes() -> bool {
    true
}

fn pause() -> String {
    "pause".into()
}

fn gap() -> u64 {
    1500
}

impl Command {
    /// Read one command. The error is the [`Event::CommandFailed`] to answer with; it never repeats a value.
    pub fn read(message: &[u8]) -> Result<Command, Box<Event>> {
        serde_json::from_slice(message).map_err(|error| {
            let seen: serde_json::Value = serde_json::from_slice(message).unwrap_or_default();
            let word = |key: &str| seen.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            let (what, call, leg) = (word("do"), word("call"), word("leg"));
            Box::new(Event::CommandFailed { what, call, reason: fault(&error), leg })
        })
    }

    /// The word on the wire, and the call it is about.
    pub fn names(&self) -> (&'static str, &str) {
        match self {
            Command::Configure(_) => ("configure", ""),
            Command::LoadPrompt(_) => ("load_prompt", ""),
            Command::LoadLine(_) => ("load_line", ""),
            Command::OpenCall(c) => ("open_call", &c.call),
            Command::OpenLeg(c) => ("open_leg", &c.call),
            Command::SetRemote(c) => ("set_remote", &c.call),
            Command::Bridge(c) => ("bridge", &c.call),
            Command::Play(c) => ("play", &c.call),
            Command::Tone(c) => ("tone", &c.call),
            Command::StopPlay(c) => ("stop_play", &c.call),
            Command::OpenTap(c) => ("open_tap", &c.call),
            Command::CloseTap(c) => ("close_tap", &c.call),
            Command::Cut(c) => ("cut", &c.call),
            Command::Hold(c) => ("hold", &c.call),
            Command::Pause(c) => ("pause", &c.call),
            Command::Forbid(c) => ("forbid", &c.call),
            Command::MakePrivate(c) => ("make_private", &c.call),
            Command::WatchKeys(c) => ("watch_keys", &c.call),
            Command::VoidProofs(c) => ("void_proofs", &c.call),
            Command::CloseLeg(c) => ("close_leg", &c.call),
            Command::CloseCall(c) => ("close_call", &c.call),
            Command::Lease(_) => ("lease", ""),
            Command::Stats(_) => ("stats", ""),
            Command::Shutdown(_) => ("shutdown", ""),
        }
    }
}

/// What is wrong with a message, without its values: a command may hold an address (I10).
fn fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_a_word =
        ["missing field", "unknown field", "unknown variant"].iter().any(|w| text.starts_with(w));
    if names_a_word { text } else { format!("malformed at column {}", error.column()) }
}

// ------------------------------------------------------------------------------------------ what happened

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Configured {
        run: String,
        pid: u32,
    },
    PromptLoaded {
        prompt: String,
        duration_ms: u64,
    },
    PromptRefused {
        prompt: String,
        reason: String,
    },
    LegOpened {
        call: String,
        leg: LegName,
        address: String,
        port: u16,
        rtcp_port: u16,
    },
    PromptFinished {
        call: String,
        leg: LegName,
        play: String,
        proof: String,
        prompt: String,
        identity: String,
        language: String,
        uses: Vec<Use>,
        purposes: Vec<String>,
        began_ns: Nanos,
        ended_ns: Nanos,
        packets: u64,
    },
    PromptFailed {
        call: String,
        leg: LegName,
        play: String,
        reason: String,
    },
    TapOpened {
        call: String,
        tap: String,
        kept_from_ns: Nanos,
        journal: String,
    },
    TapRefused {
        call: String,
        tap: String,
        reason: String,
    },
    TapPaused {
        call: String,
        tap: String,
        on: bool,
        reason: String,
        at_ns: Nanos,
    },
    TapClosed {
        call: String,
        tap: String,
        reason: String,
        journal: String,
        bytes: u64,
        packets: [u64; 2],
        first_ns: Nanos,
        last_ns: Nanos,
    },
    TapFailed {
        call: String,
        tap: String,
        reason: String,
    },
    Digit {
        call: String,
        leg: LegName,
        digit: String,
        at_ns: Nanos,
    },
    CodeMatched {
        call: String,
        leg: LegName,
        word: String,
        first_ns: Nanos,
        at_ns: Nanos,
    },
    MadePrivate {
        call: String,
        at_ns: Nanos,
        cut_from_ns: Nanos,
    },
    MediaTimeout {
        call: String,
        leg: LegName,
    },
    MediaNotAuthentic {
        call: String,
        leg: LegName,
    },
    LegClosed {
        call: String,
        leg: LegName,
        received: u64,
        sent: u64,
        strangers: u64,
        lost: u64,
        not_authentic: u64,
    },
    CallClosed {
        call: String,
    },
    Stats {
        counters: BTreeMap<&'static str, u64>,
    },
    CommandFailed {
        #[serde(rename = "do")]
        what: String,
        call: String,
        reason: String,
        leg: String,
    },
}

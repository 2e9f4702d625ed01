//! What happened to a call, as the one who did it knows it, and what may follow from that.

pub mod history;
mod listening;
mod private;
mod secured;
mod voice;

use std::net::SocketAddr;

pub const MS: u64 = 1_000_000;
/// Both the hold-back and the playout allowance.
pub const FIFTH: u64 = 200 * MS;
/// Nothing is heard later than this after it was said.
pub const HALF: u64 = 500 * MS;

/// A stretch of time; the end is open while it lasts.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

impl Span {
    pub fn since(from: u64) -> Span {
        Span { from, to: u64::MAX }
    }
}

/// One outside party (or an inside one) on a leg.
#[derive(Clone, Debug)]
pub struct Party {
    pub leg: usize,
    pub outside: bool,
    pub there: Span,
}

/// What a prompt, played to its end, has told a leg.
#[derive(Clone, Debug)]
pub struct Told {
    pub proof: String,
    pub leg: usize,
    pub prompt: usize,
    pub ended: u64,
    pub sent_to: SocketAddr,
    /// He was told in another call, and shows a receipt.
    pub elsewhere: bool,
    /// From then on it is worth nothing, and what is held back neither.
    pub void: u64,
    /// The leg was closed then.
    pub gone: u64,
}

/// An agent's notice, played to its end.
#[derive(Clone, Debug)]
pub struct Notice {
    pub proof: String,
    pub leg: usize,
    pub for_tap: String,
    pub ended: u64,
    pub void: u64,
    pub gone: u64,
}

#[derive(Clone, Debug)]
pub struct Spoken {
    pub leg: usize,
    pub arrival: u64,
    pub genuine: bool,
}

#[derive(Clone, Debug)]
pub struct TapAsked {
    pub id: String,
    pub listen: bool,
    pub purposes: Vec<&'static str>,
    pub proofs: Vec<String>,
    pub recipients: bool,
    pub notice: Option<String>,
    /// Which listener is to hear it.
    pub to: Option<usize>,
    pub asked: u64,
    /// When it was closed as the call stood, with what it held back.
    pub closed: u64,
}

/// A prompt's uses (record, listen), purposes, and whether the line may use it.
pub struct PromptFacts {
    pub record: bool,
    pub listen: bool,
    pub purposes: &'static [&'static str],
    pub of_line: bool,
}

pub const PROMPTS: [PromptFacts; 4] = [
    PromptFacts { record: true, listen: false, purposes: &["coaching"], of_line: true },
    PromptFacts { record: true, listen: true, purposes: &["coaching", "assessment"], of_line: true },
    PromptFacts { record: false, listen: true, purposes: &["coaching"], of_line: true },
    PromptFacts { record: true, listen: true, purposes: &["coaching"], of_line: false },
];

/// The book of one history.
#[derive(Debug, Default)]
pub struct Book {
    pub informed: bool,
    pub parties: Vec<Party>,
    pub told: Vec<Told>,
    pub notices: Vec<Notice>,
    /// Proofs of plays that tell nobody anything.
    pub worthless: Vec<String>,
    pub holds: Vec<Span>,
    pub pauses: Vec<Span>,
    pub unleased: Vec<Span>,
    pub bridged: Vec<Span>,
    /// The call changed: what was held back may not be kept.
    pub changes: Vec<u64>,
    /// When it was cut, and from when to when.
    pub cuts: Vec<(u64, Span)>,
    /// When recording, and when listening, was forbidden.
    pub forbidden: [Option<u64>; 2],
    /// Since when it is private, and what is cut before that.
    pub private: Option<Span>,
    pub spoken: Vec<Spoken>,
    pub taps: Vec<TapAsked>,
}

impl Book {
    fn covers(&self, told: &Told, tap: &TapAsked, purpose: &str) -> bool {
        let prompt = &PROMPTS[told.prompt];
        let use_named = if tap.listen { prompt.listen } else { prompt.record };
        tap.proofs.contains(&told.proof) && prompt.of_line && use_named && prompt.purposes.contains(&purpose)
    }

    /// Every outside party there in `span` had been told of it before `span.from` and it stood to `span.to`.
    fn all_told(&self, tap: &TapAsked, span: Span, playout: u64) -> bool {
        if tap.proofs == ["already-informed"] {
            return self.informed && !tap.listen && tap.purposes == ["coaching"];
        }
        let there = |p: &&Party| p.outside && p.there.from < span.to && p.there.to >= span.from;
        let mut outside = self.parties.iter().filter(there).peekable();
        outside.peek().is_some()
            && outside.all(|party| {
                tap.purposes.iter().all(|purpose| {
                    self.told.iter().any(|told| {
                        told.leg == party.leg
                            && (told.ended >= party.there.from || told.elsewhere)
                            && told.ended + playout < span.from + u64::from(playout == 0)
                            && told.void >= span.to
                            && told.gone >= span.from
                            && self.covers(told, tap, purpose)
                    })
                })
            })
    }

    /// The agent had been told before `span.from` that this tap would hear him, and it stood to `span.to`.
    fn agent_knows(&self, tap: &TapAsked, span: Span, playout: u64) -> bool {
        self.notices.iter().any(|notice| {
            tap.notice.as_ref() == Some(&notice.proof)
                && notice.for_tap == tap.id
                && notice.ended + playout < span.from + u64::from(playout == 0)
                && notice.void >= span.to
                && notice.gone >= span.from
        })
    }

    fn forbidden(&self, tap: &TapAsked) -> Option<u64> {
        self.forbidden[usize::from(tap.listen)]
    }

    /// What is wrong with this tap having opened at `now`.
    pub fn opening_faults(&self, tap: &TapAsked, now: u64) -> Vec<String> {
        let during = |spans: &[Span]| spans.iter().any(|s| s.from <= now && now < s.to);
        let at = Span { from: now, to: now + 1 };
        let mut faults = Vec::new();
        let mut check = |ok: bool, fault: &str| {
            if !ok {
                faults.push(format!("{} opened {fault}", tap.id));
            }
        };
        check(!during(&self.holds), "during hold");
        check(!during(&self.pauses), "during a pause");
        check(!during(&self.unleased), "without a lease");
        check(tap.listen || tap.recipients, "without recipients");
        check(self.all_told(tap, at, 0), "before all were told");
        check(self.private.is_none(), "in a private call");
        check(self.forbidden(tap).is_none(), "though forbidden");
        check(!tap.listen || self.agent_knows(tap, at, 0), "before the agent knew");
        check(!tap.listen || tap.to.is_some(), "for no listener");
        faults
    }

    /// What is wrong with this packet being in that tap's journal.
    pub fn keeping_faults(&self, tap: &TapAsked, packet: &Spoken) -> Vec<String> {
        let released = tap.closed.min(packet.arrival + FIFTH);
        let mut faults = self.use_faults(tap, packet, released);
        let inside = |(at, span): &(u64, Span)| {
            let arrival = packet.arrival;
            tap.asked <= *at && span.from <= arrival && arrival <= span.to && released > *at
        };
        if self.cuts.iter().any(inside) {
            faults.push(format!("kept a packet of {} inside a cut", packet.arrival));
        }
        faults
    }

    /// What is wrong with the listener of that tap having heard this packet between `from` and `to`.
    pub fn hearing_faults(&self, tap: &TapAsked, packet: &Spoken, heard: Span) -> Vec<String> {
        let mut faults = self.use_faults(tap, packet, heard.to);
        let mut check = |ok: bool, fault: &str| {
            if !ok {
                faults.push(format!("heard a packet of {} at {} {fault}", packet.arrival, heard.to));
            }
        };
        let span = Span { from: packet.arrival, to: heard.to };
        check(heard.to <= tap.closed, "after the tap was closed");
        check(heard.from >= packet.arrival + FIFTH, "before it was held back");
        check(heard.to <= packet.arrival + HALF + 20 * MS, "too late");
        check(self.agent_knows(tap, span, FIFTH), "though the agent did not know");
        faults
    }

    /// What is wrong with this packet having been used, and out of our hands at `released`.
    fn use_faults(&self, tap: &TapAsked, packet: &Spoken, released: u64) -> Vec<String> {
        let arrival = packet.arrival;
        let touches = |spans: &[Span]| spans.iter().any(|s| s.from < released && arrival <= s.to);
        let mut faults = Vec::new();
        let mut check = |ok: bool, fault: &str| {
            if !ok {
                faults.push(format!("used a packet of {arrival} {fault} (tap asked at {})", tap.asked));
            }
        };
        check(packet.genuine, "from a stranger");
        check(arrival > tap.asked, "from before the tap");
        check(!touches(&self.holds), "in or just before a hold");
        check(!touches(&self.pauses), "in or just before a pause");
        check(!touches(&self.unleased), "without a lease");
        check(self.bridged.iter().any(|s| s.from < arrival && arrival <= s.to), "while not connected");
        let changed = |at: &u64| tap.asked <= *at && *at < released;
        check(!self.changes.iter().any(changed), "after or just before a change");
        check(self.forbidden(tap).is_none_or(|at| at >= released), "after or just before an objection");
        check(self.private.is_none_or(|private| private.to >= released), "after or just before private");
        check(self.all_told(tap, Span { from: arrival, to: released }, FIFTH), "not told");
        faults
    }
}

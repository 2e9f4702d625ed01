//! What happened to a call, as the one who did it knows it, and what may follow from that.

pub mod history;

use std::net::SocketAddr;

pub const MS: u64 = 1_000_000;
/// Both the hold-back and the playout allowance.
pub const FIFTH: u64 = 200 * MS;

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
    /// From then on it is worth nothing, and what is held back neither.
    pub void: u64,
    /// The leg was closed then.
    pub gone: u64,
}

#[derive(Clone, Debug)]
pub struct Spoken {
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
    pub holds: Vec<Span>,
    pub unleased: Vec<Span>,
    pub bridged: Vec<Span>,
    /// The call changed: what was held back may not be kept.
    pub changes: Vec<u64>,
    /// When it was cut, and from when to when.
    pub cuts: Vec<(u64, Span)>,
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
                            && told.ended >= party.there.from
                            && told.ended + playout < span.from + u64::from(playout == 0)
                            && told.void >= span.to
                            && told.gone >= span.from
                            && self.covers(told, tap, purpose)
                    })
                })
            })
    }

    /// What is wrong with this tap having opened at `now`.
    pub fn opening_faults(&self, tap: &TapAsked, now: u64) -> Vec<String> {
        let during = |spans: &[Span]| spans.iter().any(|s| s.from <= now && now < s.to);
        let mut faults = Vec::new();
        let mut check = |ok: bool, fault: &str| {
            if !ok {
                faults.push(format!("{} opened {fault}", tap.id));
            }
        };
        check(!during(&self.holds), "during hold");
        check(!during(&self.unleased), "without a lease");
        check(tap.listen || tap.recipients, "without recipients");
        check(self.all_told(tap, Span { from: now, to: now + 1 }, 0), "before all were told");
        faults
    }

    /// What is wrong with this packet being in that tap's journal.
    pub fn keeping_faults(&self, tap: &TapAsked, packet: &Spoken) -> Vec<String> {
        let (arrival, released) = (packet.arrival, tap.closed.min(packet.arrival + FIFTH));
        let touches = |spans: &[Span]| spans.iter().any(|s| s.from < released && arrival <= s.to);
        let mut faults = Vec::new();
        let mut check = |ok: bool, fault: &str| {
            if !ok {
                faults.push(format!("kept a packet of {arrival} {fault} (tap asked at {})", tap.asked));
            }
        };
        check(packet.genuine, "from a stranger");
        check(arrival > tap.asked, "from before the tap");
        check(!touches(&self.holds), "in or just before a hold");
        check(!touches(&self.unleased), "without a lease");
        check(self.bridged.iter().any(|s| s.from < arrival && arrival <= s.to), "while not connected");
        check(
            !self.changes.iter().any(|at| tap.asked <= *at && *at < released),
            "after or just before a change",
        );
        check(self.all_told(tap, Span { from: arrival, to: released }, FIFTH), "not told");
        let cut = |(at, span): &(u64, Span)| {
            tap.asked <= *at && span.from <= arrival && arrival <= span.to && released > *at
        };
        check(!self.cuts.iter().any(cut), "inside a cut");
        faults
    }
}

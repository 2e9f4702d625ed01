//! May this tap open? The engine's own half of invariants I2 and I4: default no, each refusal with its word.

use crate::guard::{Guard, Guards};
use crate::journal::seal::recipients_usable;
use crate::prompt::Proof;
use crate::protocol::{AlreadyInformed, LegName, Nanos, OpenTap, Use};

/// The proof id that stands for the line's documented ground.
pub const ALREADY_INFORMED: &str = "already-informed";

/// The rules of the call's line, as loaded.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub prompts: Vec<String>,
    pub already_informed: Option<AlreadyInformed>,
}

/// What is true of the call at this moment.
pub struct Facts<'a> {
    pub outside: &'a [LegName],
    pub proofs: &'a [Proof],
    pub line: Option<&'a Line>,
    pub private: bool,
    /// An objection, or another prohibition of this use.
    pub forbidden: bool,
    pub held: bool,
    pub paused: bool,
    pub leased: bool,
    /// There is a listener's leg to be heard at.
    pub listener: bool,
    pub guards: Guards,
}

/// Whether the call is in a state in which such a tap could open at all.
pub fn possible(facts: &Facts<'_>, wanted: &OpenTap) -> Result<(), &'static str> {
    let stands = |guard| facts.guards.stands(guard);
    if facts.private {
        return Err("private");
    }
    if facts.forbidden && stands(Guard::ForbidRefuses) {
        return Err("objected");
    }
    if !facts.leased && stands(Guard::LeaseRefuses) {
        return Err("no-lease");
    }
    if facts.held && stands(Guard::HoldRefuses) {
        return Err("hold");
    }
    if facts.paused && stands(Guard::PauseRefuses) {
        return Err("paused");
    }
    if wanted.purposes.is_empty() {
        return Err("no-purpose");
    }
    Ok(())
}

/// `Ok`: when the last needed prompt ended (0: told before the call). `Err`: why not.
pub fn check(facts: &Facts<'_>, wanted: &OpenTap) -> Result<Nanos, &'static str> {
    possible(facts, wanted)?;
    let stands = |guard| facts.guards.stands(guard);
    let ended =
        if wanted.proofs == [ALREADY_INFORMED] { informed(facts, wanted)? } else { told(facts, wanted)? };
    let ended = if wanted.what == Use::Listen { ended.max(heard_by(facts, wanted)?) } else { ended };
    if wanted.what == Use::Record && stands(Guard::Recipients) {
        recipients_usable(&wanted.purposes, &wanted.recipients).then_some(()).ok_or("no-recipients")?;
    }
    Ok(ended)
}

/// The line's documented ground covers the use and every purpose.
fn informed(facts: &Facts<'_>, wanted: &OpenTap) -> Result<Nanos, &'static str> {
    let ground = facts.line.and_then(|l| l.already_informed.as_ref()).filter(|g| !g.document.is_empty());
    let ground = match ground {
        Some(ground) => ground,
        None if facts.guards.stands(Guard::InformedCovers) => return Err("not-told"),
        None => return Ok(0),
    };
    if facts.guards.stands(Guard::InformedCovers) {
        ground.uses.contains(&wanted.what).then_some(()).ok_or("use-not-told")?;
        let covered = wanted.purposes.iter().all(|p| ground.purposes.contains(p));
        covered.then_some(()).ok_or("purpose-not-told")?;
    }
    Ok(0)
}

/// Every outside leg has been told. A call without one has nobody who could have been: no.
fn told(facts: &Facts<'_>, wanted: &OpenTap) -> Result<Nanos, &'static str> {
    let verdicts = facts.outside.iter().map(|leg| leg_told(facts, wanted, *leg));
    if facts.guards.stands(Guard::EveryOutsideLeg) {
        verdicts.collect::<Result<Vec<_>, _>>()?.into_iter().max().ok_or("not-told")
    } else {
        verdicts.max_by_key(Result::is_ok).unwrap_or(Ok(0))
    }
}

/// The presented proofs, together, have told this leg of the use and of each purpose. Gives the latest end needed.
fn leg_told(facts: &Facts<'_>, wanted: &OpenTap, leg: LegName) -> Result<Nanos, &'static str> {
    let stands = |guard| facts.guards.stands(guard);
    let mine = |p: &&Proof| wanted.proofs.contains(&p.id) && (p.leg == leg || !stands(Guard::ProofOfThisLeg));
    let mut proofs: Vec<&Proof> = facts.proofs.iter().filter(mine).collect();
    narrow(&mut proofs, "not-told", |p| !p.overlay || !stands(Guard::OverlayTellsNobody))?;
    narrow(&mut proofs, "proof-void", |p| !p.void || !stands(Guard::ProofNotVoid))?;
    let of_line = |p: &Proof| facts.line.is_some_and(|l| l.prompts.contains(&p.prompt.digest));
    narrow(&mut proofs, "prompt-not-of-line", |p| of_line(p) || !stands(Guard::PromptOfLine))?;
    narrow(&mut proofs, "use-not-told", |p| p.prompt.uses.contains(&wanted.what) || !stands(Guard::UseTold))?;
    let named = |purpose: &String| {
        let naming =
            proofs.iter().filter(|p| p.prompt.purposes.contains(purpose) || !stands(Guard::PurposesTold));
        naming.map(|p| p.ended).min().ok_or("purpose-not-told")
    };
    wanted.purposes.iter().map(named).try_fold(0, |latest, ended| ended.map(|e| latest.max(e)))
}

/// Listening: the agent knows, and there is somebody to hear.
fn heard_by(facts: &Facts<'_>, wanted: &OpenTap) -> Result<Nanos, &'static str> {
    let ended = noticed(facts, wanted)?;
    (facts.listener || !facts.guards.stands(Guard::ListenerNeeded)).then_some(ended).ok_or("no-listener")
}

/// The agent has been told that this very tap will hear him. Gives when his notice ended.
fn noticed(facts: &Facts<'_>, wanted: &OpenTap) -> Result<Nanos, &'static str> {
    let stands = |guard| facts.guards.stands(guard);
    let is_notice = |p: &&Proof| {
        (p.for_tap.as_ref() == Some(&wanted.tap) || p.for_tap.is_some() && !stands(Guard::NoticeOfThisTap))
            && (!facts.outside.contains(&p.leg) || !stands(Guard::NoticeInside))
            && (!p.void || !stands(Guard::NoticeNotVoid))
    };
    let shown = facts.proofs.iter().filter(|p| wanted.notice.as_ref() == Some(&p.id));
    match shown.filter(is_notice).map(|p| p.ended).next() {
        Some(ended) => Ok(if stands(Guard::AfterNotice) { ended } else { 0 }),
        None if stands(Guard::NoticeNeeded) => Err("no-notice"),
        None => Ok(0),
    }
}

/// Keep only proofs that pass; if none is left, this was why not.
fn narrow(
    proofs: &mut Vec<&Proof>,
    why_not: &'static str,
    pass: impl Fn(&Proof) -> bool,
) -> Result<(), &'static str> {
    proofs.retain(|p| pass(p));
    if proofs.is_empty() { Err(why_not) } else { Ok(()) }
}

//! Taps of a call and the journals behind them: open, pause, flush, close; and what the writer reports.

use super::call::{Call, Ears};
use super::{Cx, Engine};
use crate::gate::{self, Facts};
use crate::guard::Guard;
use crate::journal::{JournalId, Note, Opening, Tally, record};
use crate::mix::{Ear, Mix};
use crate::prompt::Proof;
use crate::protocol::{Event, LegName, MS, Nanos, OpenTap, Use};
use crate::receipt::{self, Shown};
use crate::shell::Shell;
use crate::tap::{Pause, Tap};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Whether what is held back still belongs to the call when a tap closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Keep,
    Drop,
}

/// Where a listening tap is heard: the slot of the listener's call, and what his codec can carry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub slot: usize,
    pub rate: u32,
}

/// Whose a journal is, and how it ended if it has.
#[derive(Debug)]
pub(super) struct Owner {
    call: String,
    tap: String,
    path: String,
    kept_from: Nanos,
    ended: Option<(String, Tally)>,
}

/// A writer that takes nothing for this long has failed.
const LASTING: Nanos = 5_000 * MS;

/// Ids become file names.
fn is_plain(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `listener`: where a listening tap will be heard, if there is such a place.
pub(super) fn open(call: &mut Call, wanted: OpenTap, listener: Option<Place>, cx: &mut Cx<'_>) {
    if call.taps().iter().any(|tap| tap.id == wanted.tap) {
        return;
    }
    match may_open(call, &wanted, listener.is_some(), cx) {
        Err(reason) => refuse(&wanted.call, &wanted.tap, reason, cx),
        Ok(kept_from) => begin(call, wanted, listener, kept_from, cx),
    }
}

fn refuse(call: &str, tap: &str, reason: &str, cx: &mut Cx<'_>) {
    cx.world.counters.taps_refused += 1;
    cx.event(Event::TapRefused { call: call.into(), tap: tap.into(), reason: reason.into() });
}

/// Ask the gate. `Ok`: from when on packets are kept: after the prompt has been played out, and never before now.
fn may_open(call: &mut Call, wanted: &OpenTap, listener: bool, cx: &Cx<'_>) -> Result<Nanos, &'static str> {
    if !is_plain(&wanted.tap) {
        return Err("bad-id");
    }
    if call.taps_seen.contains(&wanted.tap) {
        return Err("closed");
    }
    let outside = call.outside_legs();
    gate::possible(&facts(call, &outside, wanted, listener, cx), wanted)?;
    redeem(call, wanted, cx)?;
    let ended = gate::check(&facts(call, &outside, wanted, listener, cx), wanted)?;
    let playout = if cx.stands(Guard::AfterPlayout) { cx.world.settings.playout } else { 0 };
    let opened = if cx.stands(Guard::AfterOpening) { cx.now } else { 0 };
    Ok(opened.max(ended + playout))
}

fn facts<'a>(
    call: &'a Call,
    outside: &'a [LegName],
    wanted: &OpenTap,
    listener: bool,
    cx: &'a Cx<'_>,
) -> Facts<'a> {
    Facts {
        outside,
        proofs: &call.proofs,
        line: cx.world.lines.get(&call.line),
        private: call.is_private(),
        forbidden: call.is_forbidden(wanted.what),
        held: call.held,
        paused: call.paused,
        leased: cx.world.leased,
        listener,
        guards: cx.world.guards,
    }
}

/// A receipt that stands here becomes a proof of this call: what its customer has been told elsewhere. From then on it
/// can be voided like any.
fn redeem(call: &mut Call, wanted: &OpenTap, cx: &Cx<'_>) -> Result<(), &'static str> {
    let Some(leg) = call.customer else { return Ok(()) };
    for id in &wanted.proofs {
        let Some(token) = id.strip_prefix(receipt::PREFIX) else { continue };
        if call.proofs.iter().any(|proof| proof.id == *id) {
            continue;
        }
        let shown = Shown { line: &call.line, subject: call.subject.as_deref(), opened: call.opened };
        let found = cx.world.receipts.find(token, &shown, cx.world.guards)?;
        let proof = Proof {
            id: id.clone(),
            leg,
            overlay: false,
            for_tap: None,
            receipt: None,
            prompt: Arc::clone(&found.prompt),
            sent_to: found.sent_to,
            ended: found.ended,
            void: call.receipts_void,
        };
        call.proofs.push(proof);
    }
    Ok(())
}

fn begin(call: &mut Call, wanted: OpenTap, listener: Option<Place>, kept_from: Nanos, cx: &mut Cx<'_>) {
    let Ears::Open(taps) = &mut call.ears else { return };
    let journal = match wanted.what {
        Use::Listen => None,
        Use::Record => match begin_journal(&wanted, kept_from, cx) {
            Some(journal) => Some(journal),
            None => return refuse(&wanted.call, &wanted.tap, "journal-failed", cx),
        },
    };
    cx.world.counters.taps_opened += 1;
    call.taps_seen.push(wanted.tap.clone());
    if journal.is_none() {
        let (call, tap) = (wanted.call.clone(), wanted.tap.clone());
        cx.event(Event::TapOpened { call, tap, kept_from_ns: kept_from, journal: String::new() });
    }
    let mut tap = Tap::new(wanted.tap, wanted.what, journal, kept_from, cx.world.guards);
    if !call.bridged {
        tap.begin_unbridged(cx.now);
    }
    if wanted.what == Use::Listen {
        tap.to = listener.map(|place| (place.slot, begin_listening(place, cx)));
    }
    taps.push(tap);
}

fn begin_listening(place: Place, cx: &mut Cx<'_>) -> Ear {
    let (hold_back, now) = (cx.world.settings.hold_back, cx.now);
    cx.world.next_ear += 1;
    let ear = Ear(cx.world.next_ear);
    let mix = || Mix::new(hold_back, place.rate, now);
    cx.world.mixes.entry(place.slot).or_insert_with(mix).open(ear);
    ear
}

fn begin_journal(wanted: &OpenTap, kept_from: Nanos, cx: &mut Cx<'_>) -> Option<JournalId> {
    let journal = JournalId(cx.world.next_journal);
    cx.world.next_journal += 1;
    let settings = &cx.world.settings;
    let header = serde_json::json!({
        "header": wanted.header, "opened_ns": cx.now, "kept_from_ns": kept_from,
        "wall_ns_at_mono": {"mono_ns": cx.now, "wall_ns": cx.shell.wall_ns(cx.now)},
        "purposes": wanted.purposes, "use": wanted.what, "hold_back_ms": settings.hold_back / MS,
    });
    let path = format!("{}/{}.qmj", settings.journal_directory, wanted.tap);
    let mut recipients = wanted.recipients.clone();
    recipients.retain(|purpose, _| wanted.purposes.contains(purpose));
    let opening = Opening {
        journal,
        recording: wanted.tap.clone(),
        path: path.clone(),
        key_path: format!("{}/{}.key", settings.key_directory, wanted.tap),
        key: Zeroizing::new(cx.world.secrets.bytes()),
        recipients,
        header: header.to_string().into_bytes(),
    };
    if !cx.shell.journal_open(Box::new(opening)) {
        return None;
    }
    let (call, tap) = (wanted.call.clone(), wanted.tap.clone());
    cx.world.owners.insert(journal, Owner { call, tap, path, kept_from, ended: None });
    Some(journal)
}

// ------------------------------------------------------------------------------------ while the call runs

/// Move on what has been held back long enough, and hand over chunks that are due.
pub(super) fn flush(call: &mut Call, now_or_never: bool, cx: &mut Cx<'_>) {
    let (hold_back, chunk) = (cx.world.settings.hold_back, cx.world.settings.chunk);
    let mut lost = Vec::new();
    for tap in call.taps_mut() {
        let mix = tap.to.and_then(|(slot, _)| cx.world.mixes.get_mut(&slot));
        tap.release(cx.now, hold_back, mix);
        let Some(journal) = tap.journal else {
            tap.chunk_taken();
            continue;
        };
        if !(tap.chunk_due(cx.now, chunk) || now_or_never && tap.has_records()) {
            continue;
        }
        tap.fill_chunk(&mut cx.world.chunk);
        if cx.shell.journal_append(journal, &mut cx.world.chunk, now_or_never) {
            tap.chunk_taken();
        } else {
            cx.world.counters.overruns += 1;
            if tap.chunk_lost(cx.now) > LASTING {
                lost.push(journal);
            }
        }
    }
    lost.into_iter().for_each(|journal| failed(call, journal, "overrun", cx));
}

/// Pause or resume every tap of a call; those that changed say so, but not of the legs' connection, which is Python's
/// own doing.
pub(super) fn set_pause(call: &mut Call, why: Pause, on: bool, reason: &str, cx: &mut Cx<'_>) {
    flush(call, false, cx);
    let (now, id) = (cx.now, call.id.clone());
    for tap in call.taps_mut() {
        let changed = if on { tap.pause(why, now) } else { tap.resume(why, now) };
        if on && why != Pause::Unbridged {
            hush(tap, cx);
        }
        if changed && why != Pause::Unbridged {
            let (call, tap, reason) = (id.clone(), tap.id.clone(), reason.into());
            cx.shell.event(Event::TapPaused { call, tap, on, reason, at_ns: now });
        }
    }
}

pub(super) fn close(call: &mut Call, tap: &str, reason: &str, held: Held, cx: &mut Cx<'_>) -> bool {
    close_those(call, |t| t.id == tap, reason, held, cx)
}

pub(super) fn close_all(call: &mut Call, reason: &str, held: Held, cx: &mut Cx<'_>) {
    close_those(call, |_| true, reason, held, cx);
}

/// Close the taps that are meant; whether there were any.
pub(super) fn close_those(
    call: &mut Call,
    which: impl Fn(&Tap) -> bool,
    reason: &str,
    held: Held,
    cx: &mut Cx<'_>,
) -> bool {
    flush(call, false, cx);
    let closing = call.take_taps(which);
    let any = !closing.is_empty();
    closing.into_iter().for_each(|tap| finish(&call.id, tap, reason, held, cx));
    any
}

/// Take back what this tap has handed to a listener who has not heard it yet.
fn hush(tap: &Tap, cx: &mut Cx<'_>) {
    if let Some((slot, ear)) = tap.to.filter(|_| cx.stands(Guard::HeardDrops))
        && let Some(mix) = cx.world.mixes.get_mut(&slot)
    {
        mix.hush(ear);
    }
}

/// A tap is heard no more, and neither is what it has handed over.
fn end_listening(tap: &Tap, cx: &mut Cx<'_>) {
    let Some((slot, ear)) = tap.to.filter(|_| cx.stands(Guard::HeardDrops)) else { return };
    if let Some(mix) = cx.world.mixes.get_mut(&slot) {
        mix.close(ear);
        if mix.is_empty() {
            cx.world.mixes.remove(&slot);
        }
    }
}

/// The listener of that slot has gone: the taps he heard close, and nobody who comes after him hears a thing.
pub(super) fn listener_gone(engine: &mut Engine, slot: usize, now: Nanos, shell: &mut dyn Shell) {
    if !engine.world.guards.stands(Guard::ListenerGoneCloses) {
        return;
    }
    let his = |tap: &Tap| tap.to.is_some_and(|(to, _)| to == slot);
    engine.each_call(now, shell, |call, cx| {
        close_those(call, his, "listener-gone", Held::Drop, cx);
    });
    engine.world.mixes.remove(&slot);
}

fn finish(call: &str, mut tap: Tap, reason: &str, held: Held, cx: &mut Cx<'_>) {
    end_listening(&tap, cx);
    let held = if tap.what == Use::Listen { Held::Drop } else { held };
    if held == Held::Drop && cx.stands(Guard::CloseDrops) {
        tap.drop_held();
    } else {
        tap.keep_held(cx.now);
    }
    let Some(journal) = tap.journal else {
        tap.chunk_taken();
        return listened(call, tap, reason, cx);
    };
    let mut last = Vec::new();
    tap.fill_chunk(&mut last);
    tap.chunk_taken();
    record::end(&mut last, cx.now, reason);
    if let Some(owner) = cx.world.owners.get_mut(&journal) {
        owner.ended = Some((reason.into(), tap.kept));
        if !cx.shell.journal_close(journal, &mut last) {
            cx.world.closing.push((journal, last));
        }
    }
}

fn listened(call: &str, tap: Tap, reason: &str, cx: &mut Cx<'_>) {
    cx.world.counters.listened += tap.kept.packets.iter().sum::<u64>();
    cx.event(Event::TapClosed {
        call: call.into(),
        tap: tap.id,
        reason: reason.into(),
        journal: String::new(),
        bytes: 0,
        packets: tap.kept.packets,
        first_ns: tap.kept.first,
        last_ns: tap.kept.last,
    });
}

/// Try again to hand over last chunks the writer had no room for.
pub(super) fn retry_closing(cx: &mut Cx<'_>) {
    let mut waiting = std::mem::take(&mut cx.world.closing);
    waiting.retain_mut(|(journal, last)| !cx.shell.journal_close(*journal, last));
    cx.world.closing = waiting;
}

// --------------------------------------------------------------------------------- what the writer reports

pub(super) fn note(engine: &mut Engine, note: Note, now: Nanos, shell: &mut dyn Shell) {
    match note {
        Note::Opened(journal) => opened(engine, journal, shell),
        Note::Closed(journal, bytes) => closed(engine, journal, bytes, shell),
        Note::OpenFailed(journal, _) => not_begun(engine, journal, now, shell),
        Note::Failed(journal, reason) => {
            let Some(name) = engine.world.owners.get(&journal).map(|owner| owner.call.clone()) else {
                return;
            };
            match engine.find(&name) {
                Some((call, world)) => failed(call, journal, &reason, &mut Cx { world, shell, now }),
                None => give_up(journal, &reason, &mut Cx { world: &mut engine.world, shell, now }),
            }
        }
    }
}

fn opened(engine: &mut Engine, journal: JournalId, shell: &mut dyn Shell) {
    if let Some(owner) = engine.world.owners.get(&journal) {
        shell.event(Event::TapOpened {
            call: owner.call.clone(),
            tap: owner.tap.clone(),
            kept_from_ns: owner.kept_from,
            journal: owner.path.clone(),
        });
    }
}

/// The file could not be begun: nothing has been kept, the tap was never open.
fn not_begun(engine: &mut Engine, journal: JournalId, now: Nanos, shell: &mut dyn Shell) {
    let Some(owner) = engine.world.owners.remove(&journal) else { return };
    if let Some((call, _)) = engine.find(&owner.call) {
        drop(call.take_taps(|tap| tap.journal == Some(journal)));
    }
    refuse(&owner.call, &owner.tap, "journal-failed", &mut Cx { world: &mut engine.world, shell, now });
    one_less(&owner.call, &mut engine.world.finishing, shell);
}

fn closed(engine: &mut Engine, journal: JournalId, bytes: u64, shell: &mut dyn Shell) {
    let Some(owner) = engine.world.owners.remove(&journal) else { return };
    let (reason, tally) = owner.ended.unwrap_or_default();
    shell.event(Event::TapClosed {
        call: owner.call.clone(),
        tap: owner.tap,
        reason,
        journal: owner.path,
        bytes,
        packets: tally.packets,
        first_ns: tally.first,
        last_ns: tally.last,
    });
    one_less(&owner.call, &mut engine.world.finishing, shell);
}

/// The journal cannot be written: the tap goes, the call stays (I9).
fn failed(call: &mut Call, journal: JournalId, reason: &str, cx: &mut Cx<'_>) {
    drop(call.take_taps(|tap| tap.journal == Some(journal)));
    give_up(journal, reason, cx);
}

fn give_up(journal: JournalId, reason: &str, cx: &mut Cx<'_>) {
    let Some(owner) = cx.world.owners.remove(&journal) else { return };
    cx.world.counters.taps_failed += 1;
    cx.event(Event::TapFailed { call: owner.call.clone(), tap: owner.tap, reason: reason.into() });
    one_less(&owner.call, &mut cx.world.finishing, cx.shell);
}

/// `call_closed` follows the last journal of the call.
fn one_less(call: &str, finishing: &mut std::collections::HashMap<String, usize>, shell: &mut dyn Shell) {
    if let Some(left) = finishing.get_mut(call) {
        *left -= 1;
        if *left == 0 {
            finishing.remove(call);
            shell.event(Event::CallClosed { call: call.into() });
        }
    }
}

/// The call is over: say so now, or when its last journal is closed.
pub(super) fn call_over(call: &str, cx: &mut Cx<'_>) {
    match cx.world.owners.values().filter(|owner| owner.call == call).count() {
        0 => cx.event(Event::CallClosed { call: call.into() }),
        left => drop(cx.world.finishing.insert(call.into(), left)),
    }
}

//! What the engine sends of its own: a prompt to its last packet, or what a waiting leg hears; at the leg's pace.

use super::call::Call;
use super::taps::{self, Held};
use super::{Cx, World, wire};
use crate::guard::Guard;
use crate::leg::{Ground, Leg};
use crate::prompt::Playing;
use crate::protocol::{Event, LegName, MS, Nanos, Play};
use crate::receipt::Receipt;
use crate::shell::{SendFailure, SocketId};
use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::Arc;

/// Longest packet of our own: 60 ms of L16 at 16 kHz and its header.
const LARGEST: usize = 12 + 1920;

/// Later than this the pace starts again from now, rather than catching up with a burst.
const CATCH_UP: Nanos = 60 * MS;

/// Audio is passed to a leg if some came this lately; else its overlay goes out in packets of our own.
const DRY: Nanos = 60 * MS;

/// Begin a prompt, or say why not. A play id plays once. A prompt comes before an overlay, which then begins again; of
/// two prompts, or two overlays, the later stops the earlier.
pub(super) fn play(call: &mut Call, order: Play, cx: &mut Cx<'_>) {
    let name = order.leg;
    let Some(leg) = call.leg(name) else {
        return cx.failed("play", &order.call, Some(name), "unknown-leg");
    };
    if leg.plays_seen.contains(&order.play) {
        return;
    }
    leg.plays_seen.push(order.play.clone());
    let destination = leg.destination().filter(|_| leg.sends());
    match (allowed(&call.line, &order.prompt, cx.world), destination) {
        (Err(reason), _) => not_played(call, name, order.play, reason, cx),
        (Ok(_), None) => not_played(call, name, order.play, "refused", cx),
        (Ok(prompt), Some(destination)) => {
            end(call, name, order.overlay, "stopped", cx);
            if let Some(leg) = call.leg(name) {
                begin(leg, Playing::new(order, prompt, destination));
            }
            pace(call, name, cx);
        }
    }
}

fn begin(leg: &mut Leg, playing: Playing) {
    if playing.order.overlay {
        leg.overlay = Some(playing);
    } else {
        let to = playing.sent_to;
        leg.overlay.iter_mut().for_each(|overlay| overlay.again_to(to));
        leg.playing = Some(playing);
    }
}

/// A prompt that names uses must be one of the line's. What names none (a confirmation, a tone) tells nobody anything.
fn allowed(line: &str, prompt: &str, world: &World) -> Result<Arc<crate::prompt::Prompt>, &'static str> {
    let loaded = world.prompts.get(prompt).ok_or("unknown-prompt")?;
    let of_line = || world.lines.get(line).is_some_and(|l| l.prompts.iter().any(|p| p == prompt));
    (loaded.uses.is_empty() || of_line() || !world.guards.stands(Guard::PromptOfLine))
        .then(|| Arc::clone(loaded))
        .ok_or("not-of-this-line")
}

/// End what plays to a leg, prompt and overlay, without a proof.
pub(super) fn fail(call: &mut Call, name: LegName, reason: &str, cx: &mut Cx<'_>) {
    end(call, name, false, reason, cx);
    end(call, name, true, reason, cx);
}

fn end(call: &mut Call, name: LegName, overlay: bool, reason: &str, cx: &mut Cx<'_>) {
    let Some(leg) = call.leg(name) else { return };
    let playing = if overlay { leg.overlay.take() } else { leg.playing.take() };
    leg.overlay_over();
    match playing {
        None => {}
        Some(playing) if !cx.stands(Guard::PromptToItsEnd) => finished(call, name, playing, cx),
        Some(playing) => not_played(call, name, playing.order.play, reason, cx),
    }
}

fn not_played(call: &Call, leg: LegName, play: String, reason: &str, cx: &mut Cx<'_>) {
    cx.event(Event::PromptFailed { call: call.id.clone(), leg, play, reason: reason.into() });
}

/// Give the leg a pacing timer if it has something of ours to hear, take it away if not.
pub(super) fn pace(call: &mut Call, name: LegName, cx: &mut Cx<'_>) {
    let (bridged, socket) = (call.bridged, call.socket(name));
    let Some(leg) = call.leg(name) else { return };
    let plays = leg.playing.is_some() || leg.overlay.is_some();
    if plays && !leg.sends() {
        fail(call, name, "refused", cx);
        return pace(call, name, cx);
    }
    let wanted = leg.sends() && (plays || !bridged);
    match (wanted, leg.pace) {
        (true, None) => {
            cx.world.next_ticket = cx.world.next_ticket.wrapping_add(1);
            leg.pace = Some(cx.world.next_ticket);
            cx.world.pace.push(Reverse((cx.now, socket, cx.world.next_ticket)));
        }
        (false, Some(_)) => leg.pace = None,
        _ => {}
    }
}

/// A pacing timer has come due: send one packet, and set the next.
pub(super) fn due(call: &mut Call, socket: SocketId, at: Nanos, ticket: u32, cx: &mut Cx<'_>) {
    let (name, connected) = (socket.leg(), call.bridged);
    let Some(leg) = call.leg(name).filter(|leg| leg.pace == Some(ticket)) else { return };
    let ptime = leg.remote.as_ref().map_or(20 * MS, |r| r.ptime);
    let at = if cx.now > at + CATCH_UP { cx.now } else { at };
    cx.world.pace.push(Reverse((at + ptime, socket, ticket)));
    if connected && leg.playing.is_none() && cx.now < leg.relayed_at + DRY {
        // The overlay goes with what is passed on.
        return;
    }
    let ground = match cx.world.mixes.get_mut(&socket.slot()) {
        Some(mix) => Ground::Mix(mix),
        None if connected => Ground::Silence,
        None => Ground::Tone,
    };
    let mut packet = [0; LARGEST];
    let Some((length, last)) = leg.own_packet(cx.now, ground, &mut packet) else { return };
    let Some(destination) = leg.destination() else { return };
    match wire::send(leg, socket, destination, &packet[..length], cx) {
        Ok(()) => sent(call, name, last, cx),
        // Not sent, so not said: the same packet again at the next beat.
        Err(SendFailure::Busy) => cx.world.counters.send_failures += 1,
        Err(SendFailure::Refused) => refused(call, name, destination, cx),
    }
}

fn sent(call: &mut Call, name: LegName, last: bool, cx: &mut Cx<'_>) {
    let Some(leg) = call.leg(name) else { return };
    leg.own_sent(cx.now);
    cx.world.counters.packets_out += u64::from(leg.counted);
    if last && let Some(playing) = leg.playing.take().or_else(|| leg.overlay.take()) {
        leg.overlay_over();
        finished(call, name, playing, cx);
        pace(call, name, cx);
    }
}

/// Samples of the overlay have gone to the leg with audio that was passed on.
pub(super) fn overlay_sent(call: &mut Call, name: LegName, samples: usize, last: bool, cx: &mut Cx<'_>) {
    let Some(leg) = call.leg(name) else { return };
    leg.overlay.iter_mut().for_each(|overlay| overlay.sent(samples, cx.now));
    if last && let Some(overlay) = leg.overlay.take() {
        leg.overlay_over();
        finished(call, name, overlay, cx);
        pace(call, name, cx);
    }
}

/// The last packet of the prompt has been sent: make the proof.
fn finished(call: &mut Call, name: LegName, playing: Playing, cx: &mut Cx<'_>) {
    let id = format!("{}-{}", cx.world.run, cx.world.secrets.id());
    let prompt = &playing.prompt;
    cx.event(Event::PromptFinished {
        call: call.id.clone(),
        leg: name,
        play: playing.order.play.clone(),
        proof: id.clone(),
        prompt: prompt.digest.clone(),
        identity: prompt.identity.clone(),
        language: prompt.language.clone(),
        uses: prompt.uses.clone(),
        purposes: prompt.purposes.clone(),
        began_ns: playing.began,
        ended_ns: cx.now,
        packets: playing.packets,
    });
    let mut proof = playing.proof(id, name, cx.now);
    proof.receipt = keep_receipt(call, name, playing, cx);
    call.proofs.push(proof);
}

/// Keep the receipt that was asked for: of what was said to an outside party, and not under speech. Gives its token.
fn keep_receipt(call: &mut Call, name: LegName, playing: Playing, cx: &mut Cx<'_>) -> Option<String> {
    let wanted = playing.order.receipt?;
    let outside = call.leg(name).is_some_and(|leg| leg.outside) || !cx.stands(Guard::ReceiptOutside);
    if !outside || playing.order.overlay {
        return None;
    }
    let receipt = Receipt {
        line: call.line.clone(),
        subject: wanted.subject,
        prompt: playing.prompt,
        sent_to: playing.sent_to,
        ended: cx.now,
        expires: cx.now.saturating_add(wanted.lasts_ms.saturating_mul(MS)),
    };
    cx.world.receipts.keep(wanted.token.clone(), receipt);
    Some(wanted.token)
}

/// Nobody listens where we sent. During the prompt: it was not heard. Just after its end: it may have been the end that
/// was not heard, so the proof is void.
pub(super) fn refused(call: &mut Call, name: LegName, destination: SocketAddr, cx: &mut Cx<'_>) {
    cx.world.counters.send_failures += 1;
    let playing_there =
        |leg: &mut Leg| leg.playing.iter().chain(&leg.overlay).any(|p| p.sent_to == destination);
    if call.leg(name).is_some_and(playing_there) && cx.stands(Guard::RefusalFailsPrompt) {
        fail(call, name, "icmp", cx);
        pace(call, name, cx);
    }
    if !cx.stands(Guard::RefusalVoidsProof) {
        return;
    }
    let (now, playout) = (cx.now, cx.world.settings.playout);
    void_proofs(call, name, |sent_to, ended| sent_to == destination && now <= ended + playout, cx);
}

/// The leg is locked to a source. A prompt under way to another place begins again; a proof of a prompt sent elsewhere
/// stands only if this address is what the dialog announced.
pub(super) fn source_locked(call: &mut Call, name: LegName, source: SocketAddr, cx: &mut Cx<'_>) {
    restart_if_moved(call, name, cx);
    let Some(remote) = call.leg(name).and_then(|leg| leg.remote.as_ref()) else { return };
    if source.ip() != remote.rtp.ip() && cx.stands(Guard::UnannouncedVoids) {
        void_proofs(call, name, |sent_to, _| sent_to != source, cx);
        if call.customer == Some(name) {
            call.void_receipts(cx);
        }
    }
}

pub(super) fn restart_if_moved(call: &mut Call, name: LegName, cx: &mut Cx<'_>) {
    let Some(leg) = call.leg(name) else { return };
    let Some(to) = leg.destination().filter(|_| cx.stands(Guard::PromptToOneAddress)) else { return };
    let elsewhere = leg.playing.iter_mut().chain(&mut leg.overlay).filter(|p| p.sent_to != to);
    elsewhere.for_each(|playing| playing.again_to(to));
}

fn void_proofs(call: &mut Call, leg: LegName, which: impl Fn(SocketAddr, Nanos) -> bool, cx: &mut Cx<'_>) {
    if call.void_those(|p| p.leg == leg && which(p.sent_to, p.ended), cx) {
        taps::close_all(call, "proof-void", Held::Drop, cx);
    }
}

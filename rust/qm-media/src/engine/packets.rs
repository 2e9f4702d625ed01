//! The path of one datagram: whose is it, what is it, on to the other leg, and past the taps.

use super::call::Call;
use super::{Cx, playing, private, wire};
use crate::codec::Codec;
use crate::dtmf::{self, Stroke};
use crate::guard::Guard;
use crate::journal::record::Kept;
use crate::leg::{Door, Leg};
use crate::protocol::{Event, LegName, Nanos};
use crate::rtp::{self, Packet};
use crate::shell::{SendFailure, SocketId};
use crate::watch::{Complete, Fate, Held};
use std::net::SocketAddr;

/// Longest packet with an overlay in it: what we read at most.
const LARGEST: usize = 2048;

pub(super) fn rtp(
    call: &mut Call,
    name: LegName,
    source: SocketAddr,
    data: &mut [u8],
    arrival: Nanos,
    cx: &mut Cx<'_>,
) {
    let Some(leg) = call.leg(name) else { return };
    let counted = u64::from(leg.counted);
    cx.world.counters.packets_in += counted;
    if leg.secure.is_some() && !leg.may_come(source, arrival, cx.world.guards) {
        return stranger(leg, cx);
    }
    let Some(data) = wire::open(call, name, source, data, cx) else { return };
    let Some(leg) = call.leg(name) else { return };
    let known = rtp::parse(data).and_then(|p| Some((leg.remote.as_ref()?.codec(p.payload_type)?, p)));
    let Some((codec, packet)) = known else {
        leg.strangers += counted;
        cx.world.counters.invalid += counted;
        return;
    };
    match leg.admit(source, arrival, cx.world.guards) {
        Door::Stranger => return stranger(leg, cx),
        Door::Locked => playing::source_locked(call, name, source, cx),
        Door::Known => {}
    }
    accepted(call, name, codec, &packet, data, arrival, cx);
}

fn stranger(leg: &mut Leg, cx: &mut Cx<'_>) {
    let counted = u64::from(leg.counted);
    leg.strangers += counted;
    cx.world.counters.strangers += counted;
}

/// A packet of the call: count it, read its keys, show it to the taps, pass it on.
fn accepted(
    call: &mut Call,
    name: LegName,
    codec: Codec,
    packet: &Packet,
    data: &mut [u8],
    arrival: Nanos,
    cx: &mut Cx<'_>,
) {
    let Some(leg) = call.leg(name) else { return };
    if leg.counted {
        leg.received += 1;
        leg.sequence.saw(packet.ssrc, packet.sequence);
    }
    (leg.heard_at, leg.timeout_said) = (cx.now, false);
    if !leg.receives() {
        return;
    }
    let payload = data.get(packet.payload.clone()).unwrap_or_default();
    let stroke = match codec {
        Codec::TelephoneEvent(_) => dtmf::read(packet.ssrc, packet.timestamp, payload),
        _ => None,
    };
    if call.listener && stroke.is_none() {
        // Nobody hears a listener.
        cx.world.counters.listener_dropped += 1;
    }
    offer(call, name, codec, packet, payload, arrival);
    match stroke {
        Some(stroke) => pressed(call, name, packet, stroke, data, arrival, cx),
        None if call.bridged => relay(call, name, codec, packet, data, cx),
        None => {}
    }
}

/// A packet of a key press: part of a code, or one to report and pass on.
fn pressed(
    call: &mut Call,
    name: LegName,
    packet: &Packet,
    stroke: Stroke,
    data: &mut [u8],
    arrival: Nanos,
    cx: &mut Cx<'_>,
) {
    let connected = call.bridged;
    let watch = call.leg(name).and_then(|leg| leg.watch.as_mut());
    let (late, mut fate) = watch
        .map_or((Vec::new(), Fate::PassOn), |watch| watch.see(stroke, data, (arrival, cx.now), connected));
    send_late(call, name, late, cx);
    if let Fate::Complete(complete) = &fate {
        matched(call, name, complete, cx);
    }
    if !cx.stands(Guard::CodeSwallowed) {
        fate = Fate::PassOn;
    }
    if fate == Fate::PassOn {
        pass_on(call, name, packet, stroke, (data, arrival, connected), cx);
    }
}

/// Report a key when it is released, and pass its packet on. Of a private call nothing is reported.
fn pass_on(
    call: &mut Call,
    name: LegName,
    packet: &Packet,
    stroke: Stroke,
    (data, arrival, connected): (&mut [u8], Nanos, bool),
    cx: &mut Cx<'_>,
) {
    let private = call.is_private();
    let Some(leg) = call.leg(name) else { return };
    if let Some(key) = leg.keys.ended(stroke).filter(|_| !private) {
        let (call, digit, at_ns) = (call.id.clone(), key.to_string(), arrival);
        cx.event(Event::Digit { call, leg: name, digit, at_ns });
    }
    if connected && call.bridged {
        relay(call, name, Codec::TelephoneEvent(8000), packet, data, cx);
    }
}

/// What was held back was no code: send it on, as it came.
pub(super) fn send_late(call: &mut Call, name: LegName, late: Vec<Held>, cx: &mut Cx<'_>) {
    for mut held in late {
        let Some(packet) = rtp::parse(&held.data) else { continue };
        let (stroke, rest) = (held.stroke, (held.data.as_mut_slice(), held.arrival, held.connected));
        pass_on(call, name, &packet, stroke, rest, cx);
    }
}

/// A leg's keys may have waited for the rest of a code long enough.
pub(super) fn keys_over(call: &mut Call, name: LegName, cx: &mut Cx<'_>) {
    let Some(watch) = call.leg(name).and_then(|leg| leg.watch.as_mut()) else { return };
    let late = watch.expired(cx.now);
    send_late(call, name, late, cx);
}

fn matched(call: &mut Call, leg: LegName, complete: &Complete, cx: &mut Cx<'_>) {
    let Complete { word, first, at } = complete.clone();
    let drop_before = call.leg(leg).and_then(|leg| leg.watch.as_ref()).map_or(0, |watch| watch.drop_before);
    let private = word == private::WORD && cx.stands(Guard::CodeMakesPrivate);
    cx.event(Event::CodeMatched { call: call.id.clone(), leg, word, first_ns: first, at_ns: at });
    if private {
        private::make_private(call, drop_before, first, cx);
    }
}

/// Show the packet to every tap. Each decides for itself (`tap.rs`).
fn offer(call: &mut Call, name: LegName, codec: Codec, packet: &Packet, payload: &[u8], arrival: Nanos) {
    let Some(channel) = call.leg(name).map(|leg| leg.channel) else { return };
    let kept = Kept {
        channel,
        payload_type: packet.payload_type,
        sequence: packet.sequence,
        timestamp: packet.timestamp,
        ssrc: packet.ssrc,
        arrival,
    };
    for tap in call.taps_mut() {
        tap.offer(kept, codec, payload);
    }
}

/// Pass the packet to the other leg: its payload type there, its own SSRC, sequence and timestamp. A prompt that plays
/// to that leg comes first; an overlay is mixed in, which the taps have not seen.
fn relay(call: &mut Call, from: LegName, codec: Codec, packet: &Packet, data: &mut [u8], cx: &mut Cx<'_>) {
    let socket = call.socket(from.other());
    let (Some(leg), Some(other)) = call.pair(from) else { return };
    let Some(destination) = hearer(other) else { return };
    let Some(payload_type) = leg.mapped(packet.payload_type) else {
        cx.world.counters.unmapped += 1;
        return;
    };
    rtp::readdress(data, payload_type, !other.relaying);
    let is_audio = codec.is_audio();
    if is_audio && other.overlay.is_some() {
        return overlaid(call, from.other(), payload_type, packet, data, cx);
    }
    match wire::send(other, socket, destination, data, cx) {
        Ok(()) => {
            other.relay_sent(is_audio, cx.now);
            cx.world.counters.packets_out += u64::from(other.counted);
        }
        Err(SendFailure::Busy | SendFailure::Refused) => cx.world.counters.send_failures += 1,
    }
}

/// Pass audio on with the overlay in it. What nobody can understand is left out: then the overlay goes in packets of our
/// own, and a peer who sends nonsense cannot keep it from its end.
fn overlaid(call: &mut Call, to: LegName, payload_type: u8, packet: &Packet, data: &[u8], cx: &mut Cx<'_>) {
    let socket = call.socket(to);
    let Some(leg) = call.leg(to) else { return };
    let mut room = [0; LARGEST];
    let (start, audio) = (packet.payload.start, data.get(packet.payload.clone()).unwrap_or_default());
    let (Some((head, body)), Some(destination)) = (room.split_at_mut_checked(start), hearer(leg)) else {
        return;
    };
    let Some((length, samples, last)) = leg.overlay_on(payload_type, audio, body) else {
        cx.world.counters.invalid += u64::from(leg.counted);
        return;
    };
    head.copy_from_slice(&data[..start]);
    // No padding follows any more (RFC 3550 section 5.1).
    head[0] &= !0x20;
    match wire::send(leg, socket, destination, &room[..start + length], cx) {
        Ok(()) => {
            leg.relay_sent(true, cx.now);
            cx.world.counters.packets_out += u64::from(leg.counted);
            playing::overlay_sent(call, to, samples, last, cx);
        }
        Err(SendFailure::Busy | SendFailure::Refused) => cx.world.counters.send_failures += 1,
    }
}

fn hearer(leg: &Leg) -> Option<SocketAddr> {
    leg.destination().filter(|_| leg.sends() && leg.playing.is_none())
}

/// RTCP belongs to the streams that are passed on, and goes with them.
pub(super) fn rtcp(call: &mut Call, name: LegName, source: SocketAddr, data: &mut [u8], cx: &mut Cx<'_>) {
    let (bridged, socket) = (call.bridged, SocketId::new(call.slot, name.other(), true));
    let (Some(leg), other) = call.pair(name) else { return };
    let Some(data) = wire::open_rtcp(leg, data, cx) else { return };
    if !rtp::is_rtcp(data) {
        leg.strangers += u64::from(leg.counted);
        cx.world.counters.invalid += u64::from(leg.counted);
    } else if !leg.admit_rtcp(source) && cx.world.guards.stands(Guard::SourceLock) {
        stranger(leg, cx);
    } else if bridged
        && let Some(other) = other
        && let Some(destination) = other.rtcp_destination()
        && wire::send_rtcp(other, socket, destination, data, cx).is_err()
    {
        cx.world.counters.send_failures += 1;
    }
}

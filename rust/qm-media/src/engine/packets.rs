//! The path of one datagram: whose is it, what is it, on to the other leg, and past the taps.

use super::call::Call;
use super::{Cx, playing};
use crate::codec::Codec;
use crate::guard::Guard;
use crate::journal::record::Kept;
use crate::leg::{Door, Leg};
use crate::protocol::{Event, LegName, Nanos};
use crate::rtp::{self, Packet};
use crate::shell::{SendFailure, SocketId};
use std::net::SocketAddr;

pub(super) fn rtp(
    call: &mut Call,
    name: LegName,
    source: SocketAddr,
    data: &mut [u8],
    arrival: Nanos,
    cx: &mut Cx<'_>,
) {
    cx.world.counters.packets_in += 1;
    let Some(leg) = call.leg(name) else { return };
    let known = rtp::parse(data).and_then(|p| Some((leg.remote.as_ref()?.codec(p.payload_type)?, p)));
    let Some((codec, packet)) = known else {
        leg.strangers += 1;
        cx.world.counters.invalid += 1;
        return;
    };
    match leg.admit(source, cx.world.guards) {
        Door::Stranger => {
            leg.strangers += 1;
            cx.world.counters.strangers += 1;
            return;
        }
        Door::Locked => playing::source_locked(call, name, source, cx),
        Door::Known => {}
    }
    accepted(call, name, codec, &packet, data, arrival, cx);
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
    leg.received += 1;
    leg.sequence.saw(packet.ssrc, packet.sequence);
    (leg.heard_at, leg.timeout_said) = (cx.now, false);
    if !leg.receives() {
        return;
    }
    let payload = data.get(packet.payload.clone()).unwrap_or_default();
    if codec == Codec::TelephoneEvent
        && let Some(key) = leg.keys.read(packet.ssrc, packet.timestamp, payload)
    {
        let (call, digit, at_ns) = (call.id.clone(), key.to_string(), arrival);
        cx.event(Event::Digit { call, leg: name, digit, at_ns });
    }
    offer(call, name, codec, packet, payload, arrival);
    if call.bridged {
        relay(call, name, packet, data, cx);
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
    for tap in &mut call.taps {
        tap.offer(kept, codec, payload);
    }
}

/// Pass the packet to the other leg: its payload type there, its own SSRC, sequence and timestamp. A prompt that plays
/// to that leg comes first.
fn relay(call: &mut Call, from: LegName, packet: &Packet, data: &mut [u8], cx: &mut Cx<'_>) {
    let socket = call.socket(from.other());
    let (Some(leg), Some(other)) = call.pair(from) else { return };
    let Some(destination) = hearer(other) else { return };
    let Some(payload_type) = leg.mapped(packet.payload_type) else {
        cx.world.counters.unmapped += 1;
        return;
    };
    rtp::readdress(data, payload_type, !other.relaying);
    match cx.shell.send(socket, destination, data) {
        Ok(()) => {
            other.relay_sent();
            cx.world.counters.packets_out += 1;
        }
        Err(SendFailure::Busy | SendFailure::Refused) => cx.world.counters.send_failures += 1,
    }
}

fn hearer(leg: &Leg) -> Option<SocketAddr> {
    leg.destination().filter(|_| leg.sends() && leg.playing.is_none())
}

/// RTCP belongs to the streams that are passed on, and goes with them.
pub(super) fn rtcp(call: &mut Call, name: LegName, source: SocketAddr, data: &[u8], cx: &mut Cx<'_>) {
    let (bridged, socket) = (call.bridged, SocketId::new(call.slot, name.other(), true));
    let (Some(leg), other) = call.pair(name) else { return };
    if !rtp::is_rtcp(data) {
        leg.strangers += 1;
        cx.world.counters.invalid += 1;
    } else if !leg.admit_rtcp(source) && cx.world.guards.stands(Guard::SourceLock) {
        leg.strangers += 1;
        cx.world.counters.strangers += 1;
    } else if bridged
        && let Some(destination) = other.and_then(|leg| leg.rtcp_destination())
        && cx.shell.send(socket, destination, data).is_err()
    {
        cx.world.counters.send_failures += 1;
    }
}

//! Records inside a chunk: `u8 kind, u16 length, body`.

use crate::protocol::Nanos;

pub const PACKET: u8 = 1;
pub const CODEC: u8 = 2;
pub const CUT: u8 = 3;
pub const GAP: u8 = 4;
pub const END: u8 = 5;

/// Why nothing was kept for a while. Written open (`to` = 0) when it begins and once more, whole, when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Gap {
    Hold = 1,
    Lease = 2,
    Paused = 3,
    Overrun = 4,
    /// Asked for: a card number is being said.
    Pause = 5,
}

/// What is kept of one packet beside its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub channel: u8,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub arrival: Nanos,
}

/// Octets of a packet record before the payload: kind and length, then [`Kept`].
const PACKET_HEAD: usize = 3 + 20;

fn begin(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    // Payloads come from datagrams and texts are cut, so the length always fits.
    out.extend_from_slice(&(length as u16).to_le_bytes());
}

/// The payload is given in two parts because it comes out of a ring.
pub fn packet(out: &mut Vec<u8>, kept: &Kept, payload: (&[u8], &[u8])) {
    begin(out, PACKET, PACKET_HEAD - 3 + payload.0.len() + payload.1.len());
    out.push(kept.channel);
    out.push(kept.payload_type);
    out.extend_from_slice(&kept.sequence.to_le_bytes());
    out.extend_from_slice(&kept.timestamp.to_le_bytes());
    out.extend_from_slice(&kept.ssrc.to_le_bytes());
    out.extend_from_slice(&kept.arrival.to_le_bytes());
    out.extend_from_slice(payload.0);
    out.extend_from_slice(payload.1);
}

pub fn codec(out: &mut Vec<u8>, channel: u8, payload_type: u8, name: &str) {
    begin(out, CODEC, 2 + name.len());
    out.extend_from_slice(&[channel, payload_type]);
    out.extend_from_slice(name.as_bytes());
}

pub fn cut(out: &mut Vec<u8>, from: Nanos, to: Nanos) {
    begin(out, CUT, 16);
    out.extend_from_slice(&from.to_le_bytes());
    out.extend_from_slice(&to.to_le_bytes());
}

pub fn gap(out: &mut Vec<u8>, state: Gap, from: Nanos, to: Nanos) {
    begin(out, GAP, 17);
    out.push(state as u8);
    out.extend_from_slice(&from.to_le_bytes());
    out.extend_from_slice(&to.to_le_bytes());
}

pub fn end(out: &mut Vec<u8>, at: Nanos, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(200)];
    begin(out, END, 8 + reason.len());
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(reason.as_bytes());
}

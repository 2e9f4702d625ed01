//! SRTP and SRTCP (RFC 3711, AES-GCM by RFC 7714, AES-256 counter mode by RFC 6188) with keys that came by SDP (RFC 4568).
//!
//! A [`Receiver`] opens what one key protects, a [`Sender`] seals; each direction of a leg has a key of its own. A packet's
//! *index* is its sequence number below a rollover counter that never travels: each side counts it for itself, per SSRC
//! ([`index`]). Nothing that fails authentication changes anything, and no index is used twice: not on the way in, where
//! that would be a replay, nor on the way out, where it would be the same keystream over two texts.
//!
//! * [`suite`]   the crypto suites and their sizes; the master key as it came
//! * [`kdf`]     session keys out of a master key
//! * [`cipher`]  one packet, encrypted and authenticated
//! * [`index`]   rollover counters and replay windows
//!
//! Left out: key derivation more than once (KDR), MKI, header encryption (RFC 6904). Who offers them is told so in SDP.

mod cipher;
mod index;
mod kdf;
mod suite;

pub use suite::{Master, Suite};

use crate::rtp;
use cipher::{Half, RTCP_HEADER};
use index::Streams;
use std::fmt;

/// Octets that protection adds at most: an index and a tag of 128 bits.
pub const TRAILER: usize = 4 + 16;

/// How many rollovers of a source may have gone by before we hear the first of it: at 50 packets a second three hours.
const LATER: u64 = 8;

/// E: what follows the header is encrypted (RFC 3711 section 3.4).
const ENCRYPTED: u32 = 1 << 31;

/// Why a packet was not opened, or not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such packet can exist.
    Malformed,
    /// Seen before, or so old that nobody can say.
    Replayed,
    /// Not from who has the key.
    NotAuthentic,
    /// The key has served as many packets or sources as it may.
    KeyUsedUp,
}

/// Opens what the other side protects with one key.
pub struct Receiver {
    rtp: Half,
    rtcp: Half,
    streams: Streams,
    reports: Streams,
    /// Of the key before: where the rollover counters stood. RFC 3711 section 3.3.1 has them go on, most peers begin anew.
    inherited: Option<Streams>,
    /// Packets opened.
    pub opened: u64,
}

impl Receiver {
    pub fn new(master: &Master) -> Receiver {
        let (rtp, rtcp) = kdf::derive(master);
        let (streams, reports) = (Streams::default(), Streams::default());
        Receiver { rtp, rtcp, streams, reports, inherited: None, opened: 0 }
    }

    /// The same sender has changed its key.
    pub fn after(master: &Master, before: &Receiver) -> Receiver {
        Receiver { inherited: Some(before.streams.clone()), ..Receiver::new(master) }
    }

    /// Decrypt an RTP packet in place; gives its length. Refused, `data` is as it was.
    pub fn open(&mut self, data: &mut [u8]) -> Result<usize, Refused> {
        let (start, ssrc, sequence) = header(data)?;
        let body = data.len().checked_sub(self.rtp.tag()).filter(|end| *end >= start);
        let body = body.ok_or(Refused::Malformed)?;
        let index = self.streams.guess(ssrc, sequence).ok_or(Refused::Replayed)?;
        self.streams.check(ssrc, index)?;
        let opens = |index: &u64| self.rtp.open(data, start..body, ssrc, *index);
        let index = if self.streams.knows(ssrc) {
            Some(index).filter(opens)
        } else {
            self.first(ssrc, sequence).find(opens)
        };
        self.streams.commit(ssrc, index.ok_or(Refused::NotAuthentic)?);
        self.opened += 1;
        Ok(body)
    }

    /// Where a source that is new to us may stand: at its beginning, as a rule; where it stood under the key before; or,
    /// if it has come from another call of ours, a few rollovers on. Each of them is tried on what may be noise, so they
    /// are few.
    fn first(&self, ssrc: u32, sequence: u16) -> impl Iterator<Item = u64> + use<> {
        let carried = self.inherited.as_ref().and_then(|old| old.guess(ssrc, sequence));
        let later = (1..=LATER).map(move |rollover| rollover << 16 | u64::from(sequence));
        std::iter::once(u64::from(sequence)).chain(carried).chain(later)
    }

    /// The same of a compound of RTCP.
    pub fn open_rtcp(&mut self, data: &mut [u8]) -> Result<usize, Refused> {
        let end = data.len().checked_sub(self.rtcp.tag() + 4).filter(|end| *end >= RTCP_HEADER);
        let end = end.ok_or(Refused::Malformed)?;
        let ssrc = word(data, 4).ok_or(Refused::Malformed)?;
        let trailer = word(data, self.rtcp.index_at(data.len())).ok_or(Refused::Malformed)?;
        let index = u64::from(trailer & !ENCRYPTED);
        self.reports.check(ssrc, index)?;
        if !self.rtcp.open_rtcp(data, end, ssrc, trailer) {
            return Err(Refused::NotAuthentic);
        }
        self.reports.commit(ssrc, index);
        Ok(end)
    }
}

/// Protects what goes to the other side, with one key.
pub struct Sender {
    rtp: Half,
    rtcp: Half,
    streams: Streams,
    next_report: u32,
}

impl Sender {
    pub fn new(master: &Master) -> Sender {
        let (rtp, rtcp) = kdf::derive(master);
        Sender { rtp, rtcp, streams: Streams::default(), next_report: 1 }
    }

    /// Write the protected packet into `out`; gives its length. Its index counts as used after [`Sender::sent`].
    pub fn seal(&self, packet: &[u8], out: &mut [u8]) -> Result<usize, Refused> {
        let (start, ssrc, sequence) = header(packet)?;
        let index = self.streams.guess(ssrc, sequence).ok_or(Refused::Replayed)?;
        self.streams.check(ssrc, index)?;
        let sealed = out.get_mut(..packet.len() + self.rtp.tag()).ok_or(Refused::Malformed)?;
        sealed[..packet.len()].copy_from_slice(packet);
        self.rtp.seal(sealed, start..packet.len(), ssrc, index);
        Ok(sealed.len())
    }

    /// That packet has left: nothing else goes out under its index.
    pub fn sent(&mut self, packet: &[u8]) {
        if let Ok((_, ssrc, sequence)) = header(packet)
            && let Some(index) = self.streams.guess(ssrc, sequence)
        {
            self.streams.commit(ssrc, index);
        }
    }

    /// The same of a compound of RTCP; its index is used up at once.
    pub fn seal_rtcp(&mut self, packet: &[u8], out: &mut [u8]) -> Result<usize, Refused> {
        let ssrc = word(packet, 4).ok_or(Refused::Malformed)?;
        let index = self.next_report;
        if index >= ENCRYPTED {
            return Err(Refused::KeyUsedUp);
        }
        let sealed = out.get_mut(..packet.len() + 4 + self.rtcp.tag()).ok_or(Refused::Malformed)?;
        sealed[..packet.len()].copy_from_slice(packet);
        self.rtcp.seal_rtcp(sealed, packet.len(), ssrc, index | ENCRYPTED);
        self.next_report += 1;
        Ok(sealed.len())
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver(private)")
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender(private)")
    }
}

/// Where what is encrypted begins, the source, and the sequence number.
fn header(data: &[u8]) -> Result<(usize, u32, u16), Refused> {
    let start = rtp::payload_start(data).filter(|start| *start <= data.len()).ok_or(Refused::Malformed)?;
    let ssrc = word(data, 8).ok_or(Refused::Malformed)?;
    let sequence = word(data, 0).ok_or(Refused::Malformed)? as u16;
    Ok((start, ssrc, sequence))
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;

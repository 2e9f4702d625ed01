//! What the core needs from outside: the live shell gives it sockets and threads, [`crate::sim`] gives it memory.

use crate::codec::Codec;
use crate::journal::{JournalId, Opening};
use crate::prompt::Prompt;
use crate::protocol::{Event, LegName, Nanos};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Names one socket: which call's slot, which leg, RTP or RTCP. Dense, so a shell can index by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u32);

impl SocketId {
    pub fn new(slot: usize, leg: LegName, rtcp: bool) -> SocketId {
        SocketId((slot as u32) << 2 | (leg.index() as u32) << 1 | u32::from(rtcp))
    }

    pub fn slot(self) -> usize {
        (self.0 >> 2) as usize
    }

    pub fn leg(self) -> LegName {
        LegName::BOTH[(self.0 >> 1 & 1) as usize]
    }

    pub fn is_rtcp(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Why a datagram did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFailure {
    /// The kernel's buffer is full for a moment.
    Busy,
    /// The other side's host said that nobody listens (ICMP), or there is no way there.
    Refused,
}

/// Why a socket could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindFailure {
    PortTaken,
    Impossible,
}

pub trait Shell {
    /// Open RTP on `port` and RTCP on the next, or neither.
    fn bind(&mut self, rtp: SocketId, address: IpAddr, port: u16) -> Result<(), BindFailure>;
    /// Close a leg's pair of sockets.
    fn unbind(&mut self, rtp: SocketId);
    fn send(&mut self, from: SocketId, to: SocketAddr, data: &[u8]) -> Result<(), SendFailure>;
    fn event(&mut self, event: Event);
    fn read_file(&mut self, path: &str) -> Result<Vec<u8>, String>;
    /// Make a prompt ready in these codecs, beside what else is to be done. Without that it is when it is first played.
    fn prepare(&mut self, _prompt: &Arc<Prompt>, _codecs: &[Codec]) {}
    fn wall_ns(&self, mono: Nanos) -> u64;
    fn pid(&self) -> u32;
    /// Begin a journal; a [`crate::journal::Note`] answers. `false`: the writer is overrun.
    fn journal_open(&mut self, opening: Box<Opening>) -> bool;
    /// Hand over one chunk and get an empty buffer back in its place. `false`: overrun, `records` is untouched.
    /// `sync`: on the disk before anything else, not at the next second.
    fn journal_append(&mut self, journal: JournalId, records: &mut Vec<u8>, sync: bool) -> bool;
    /// Hand over the last chunk; `Note::Closed` follows when all of it is on the disk.
    fn journal_close(&mut self, journal: JournalId, records: &mut Vec<u8>) -> bool;
    /// Counters of the shell itself, for `stats`.
    fn counters(&self, now: Nanos) -> Vec<(&'static str, u64)>;
}

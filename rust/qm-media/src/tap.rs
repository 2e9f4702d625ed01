//! A tap: what arrives on the legs, held back, then added to the journal's next chunk (or counted for a listener).
//!
//! A packet goes through three doors. *Offered*: the tap is not paused and the kernel got the packet later than the
//! tap's floor (end of the prompt and its playout, the opening, the last resumption, a cut). *Held back*: for 200 ms it
//! can still be dropped, because a change of party is seen a little late. *Kept*: it is part of the chunk.

use crate::codec::Codec;
use crate::guard::{Guard, Guards};
use crate::journal::record::{self, Gap, Kept};
use crate::journal::{JournalId, Tally};
use crate::mix::{Ear, Mix};
use crate::protocol::{Nanos, Use};
use std::collections::VecDeque;

/// Why a tap keeps nothing for now. Several can be true at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    Hold,
    Lease,
    Unbridged,
    /// Asked for, as while a card number is said.
    Asked,
}

impl Pause {
    const fn gap(self) -> Gap {
        match self {
            Pause::Hold => Gap::Hold,
            Pause::Lease => Gap::Lease,
            Pause::Unbridged => Gap::Paused,
            Pause::Asked => Gap::Pause,
        }
    }
}

#[derive(Debug)]
struct Held {
    kept: Kept,
    codec: Codec,
    length: usize,
}

/// Records on their way to the journal.
#[derive(Debug, Default)]
struct Chunk {
    /// Gaps and cuts: survive an overrun.
    control: Vec<u8>,
    packets: Vec<u8>,
    since: Option<Nanos>,
    tally: Tally,
}

#[derive(Debug)]
pub struct Tap {
    pub id: String,
    pub what: Use,
    /// None: a listener's tap.
    pub journal: Option<JournalId>,
    /// Which listener hears it: the slot of his call.
    pub to: Option<(usize, Ear)>,
    pub kept_from: Nanos,
    floor: Nanos,
    paused: [Option<Nanos>; 4],
    held: VecDeque<Held>,
    payloads: VecDeque<u8>,
    chunk: Chunk,
    /// What each channel's payload types stand for, as the journal says so far.
    declared: [[Option<Codec>; 128]; 2],
    pub kept: Tally,
    /// Since when the writer takes nothing, and what span of packets was lost to that.
    overrun: Option<(Nanos, Nanos, Nanos)>,
    guards: Guards,
}

const NOTHING: [[Option<Codec>; 128]; 2] = [[None; 128]; 2];

/// A chunk is handed over at this size even before its time.
const CHUNK_SIZE: usize = 24 * 1024;

impl Tap {
    pub fn new(id: String, what: Use, journal: Option<JournalId>, kept_from: Nanos, guards: Guards) -> Tap {
        Tap {
            id,
            what,
            journal,
            to: None,
            kept_from,
            floor: kept_from,
            paused: [None; 4],
            held: VecDeque::with_capacity(32),
            payloads: VecDeque::with_capacity(32 * 160),
            chunk: Chunk { packets: Vec::with_capacity(8 * 1024), ..Chunk::default() },
            declared: NOTHING,
            kept: Tally::default(),
            overrun: None,
            guards,
        }
    }

    /// A packet has arrived on a leg of the call.
    pub fn offer(&mut self, kept: Kept, codec: Codec, payload: &[u8]) {
        if codec.kept_as().is_none() && self.guards.stands(Guard::NoKeys) {
            return;
        }
        if self.is_paused() || kept.arrival <= self.floor {
            return;
        }
        self.payloads.extend(payload);
        self.held.push_back(Held { kept, codec, length: payload.len() });
    }

    fn is_paused(&self) -> bool {
        self.paused.iter().any(Option::is_some)
    }

    /// Move to the chunk, or to the listener, what has been held back long enough.
    pub fn release(&mut self, now: Nanos, hold_back: Nanos, mut mix: Option<&mut Mix>) {
        let wait = if self.guards.stands(Guard::HeldBack) { hold_back } else { 0 };
        while self.held.front().is_some_and(|h| h.kept.arrival + wait <= now) {
            self.keep_first(now, mix.as_deref_mut());
        }
    }

    fn keep_first(&mut self, now: Nanos, mix: Option<&mut Mix>) {
        let Some(held) = self.held.pop_front() else { return };
        if self.journal.is_some() {
            self.write(&held, now);
        } else if let (Some(mix), Some((_, ear))) = (mix, self.to) {
            mix.place(ear, &held.kept, held.codec, self.first_payload(held.length), now);
        }
        self.payloads.drain(..held.length);
        let tally = &mut self.chunk.tally;
        tally.packets[usize::from(held.kept.channel & 1)] += 1;
        tally.first = if tally.first == 0 { held.kept.arrival } else { tally.first.min(held.kept.arrival) };
        tally.last = tally.last.max(held.kept.arrival);
    }

    /// The payload of the first packet held: two parts, because it lies in a ring.
    fn first_payload(&self, length: usize) -> (&[u8], &[u8]) {
        let (front, back) = self.payloads.as_slices();
        let from_front = front.len().min(length);
        (&front[..from_front], &back[..length - from_front])
    }

    fn write(&mut self, held: &Held, now: Nanos) {
        let kept = &held.kept;
        let declared =
            &mut self.declared[usize::from(kept.channel & 1)][usize::from(kept.payload_type & 0x7f)];
        if declared.replace(held.codec) != Some(held.codec) {
            let name = held.codec.kept_as().unwrap_or("telephone-event/8000");
            record::codec(&mut self.chunk.packets, kept.channel, kept.payload_type, name);
        }
        let (front, back) = self.payloads.as_slices();
        let from_front = front.len().min(held.length);
        record::packet(
            &mut self.chunk.packets,
            kept,
            (&front[..from_front], &back[..held.length - from_front]),
        );
        self.chunk.since.get_or_insert(now);
    }

    /// Forget what is held back: the call has changed. Gives the arrival of the first forgotten.
    pub fn drop_held(&mut self) -> Option<Nanos> {
        let first = self.held.front().map(|h| h.kept.arrival);
        self.held.clear();
        self.payloads.clear();
        first
    }

    /// The call ends as it was: all that was held back belongs to it.
    pub fn keep_held(&mut self, now: Nanos) {
        while !self.held.is_empty() {
            self.keep_first(now, None);
        }
    }

    pub fn pause(&mut self, why: Pause, now: Nanos) -> bool {
        if self.paused[why as usize].is_some() {
            return false;
        }
        let drops = match why {
            Pause::Hold => self.guards.stands(Guard::HoldDrops),
            Pause::Lease => self.guards.stands(Guard::LeaseDrops),
            Pause::Unbridged => false,
            Pause::Asked => self.guards.stands(Guard::PauseDrops),
        };
        let from = if drops { self.drop_held().unwrap_or(now) } else { now };
        let pauses = match why {
            Pause::Hold => self.guards.stands(Guard::HoldPauses),
            Pause::Lease => self.guards.stands(Guard::LeasePauses),
            Pause::Unbridged => self.guards.stands(Guard::BridgedOnly),
            Pause::Asked => self.guards.stands(Guard::PausePauses),
        };
        if pauses {
            self.paused[why as usize] = Some(from);
            self.control(now, |out| record::gap(out, why.gap(), from, 0));
        }
        pauses
    }

    /// Begin not connected: no gap, there was nothing to keep yet.
    pub fn begin_unbridged(&mut self, now: Nanos) {
        if self.guards.stands(Guard::BridgedOnly) {
            self.paused[Pause::Unbridged as usize] = Some(now);
        }
    }

    pub fn resume(&mut self, why: Pause, now: Nanos) -> bool {
        let Some(from) = self.paused[why as usize].take() else { return false };
        self.raise_floor(now);
        self.control(now, |out| record::gap(out, why.gap(), from, now));
        true
    }

    /// What the kernel got until then is not kept, whenever it is read.
    fn raise_floor(&mut self, to: Nanos) {
        if self.guards.stands(Guard::AfterOpening) {
            self.floor = self.floor.max(to);
        }
    }

    /// Write a cut, and keep what it covers out of what is still to come.
    pub fn cut(&mut self, from: Nanos, to: Nanos, now: Nanos) {
        self.control(now, |out| record::cut(out, from, to));
        if self.guards.stands(Guard::CutHolds) {
            self.forget_between(from, to);
            self.floor = self.floor.max(to);
        }
    }

    fn forget_between(&mut self, from: Nanos, to: Nanos) {
        let old: Vec<Held> = self.held.drain(..).collect();
        let bytes: Vec<u8> = self.payloads.drain(..).collect();
        let mut at = 0;
        for held in old {
            let payload = &bytes[at..at + held.length];
            at += held.length;
            if !(from..=to).contains(&held.kept.arrival) {
                self.payloads.extend(payload);
                self.held.push_back(held);
            }
        }
    }

    fn control(&mut self, now: Nanos, write: impl FnOnce(&mut Vec<u8>)) {
        if self.journal.is_some() {
            write(&mut self.chunk.control);
            self.chunk.since.get_or_insert(now);
        }
    }

    pub fn chunk_due(&self, now: Nanos, chunk: Nanos) -> bool {
        self.chunk.since.is_some_and(|since| now >= since + chunk) || self.chunk.packets.len() >= CHUNK_SIZE
    }

    pub fn has_records(&self) -> bool {
        self.chunk.since.is_some()
    }

    /// The records of the chunk in `out` (emptied first): gaps and cuts, then packets.
    pub fn fill_chunk(&mut self, out: &mut Vec<u8>) {
        out.clear();
        if let Some((_, from, to)) = self.overrun {
            record::gap(out, Gap::Overrun, from, to);
        }
        out.extend_from_slice(&self.chunk.control);
        out.extend_from_slice(&self.chunk.packets);
    }

    /// The writer took the chunk (or a listener its packets).
    pub fn chunk_taken(&mut self) {
        let tally = std::mem::take(&mut self.chunk.tally);
        self.chunk.control.clear();
        self.chunk.packets.clear();
        (self.chunk.since, self.overrun) = (None, None);
        add(&mut self.kept, &tally);
    }

    /// The writer is overrun: the packets are lost, gaps and cuts wait. Gives how long that lasts already.
    pub fn chunk_lost(&mut self, now: Nanos) -> Nanos {
        let tally = std::mem::take(&mut self.chunk.tally);
        self.chunk.packets.clear();
        self.declared = NOTHING;
        self.chunk.since = Some(now);
        let (since, from, to) = self.overrun.unwrap_or((now, tally.first, tally.last));
        self.overrun = Some((since, if from == 0 { tally.first } else { from }, to.max(tally.last)));
        now - since
    }
}

fn add(total: &mut Tally, more: &Tally) {
    if more.last == 0 {
        return;
    }
    total.first = if total.first == 0 { more.first } else { total.first.min(more.first) };
    total.last = total.last.max(more.last);
    total.packets[0] += more.packets[0];
    total.packets[1] += more.packets[1];
}

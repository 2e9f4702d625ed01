//! What a listener hears: the streams of the taps that point to him, on one time axis, summed.
//!
//! A tap hands over a packet when it has been held back long enough. It finds its place by its RTP timestamp, anchored
//! once to the kernel's arrival clock; another source, or timestamps that leave that clock, anchor anew. The listener
//! runs a fixed time behind the clock, so what has not come by then is silence, and what comes later is dropped. Audio
//! that waits here to be heard can still be taken back.

use crate::codec::speech::{Decoder, Encoder};
use crate::codec::{Codec, sound};
use crate::journal::record::Kept;
use crate::prompt::Playing;
use crate::protocol::{MS, Nanos};

/// Names a tap's streams in a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ear(pub u64);

/// Samples a stream can be ahead: a second. All that is placed lies within half of that (see [`BEHIND_MOST`]) and the
/// length of one packet.
const RING: usize = 16_384;

/// What a mix is made of: what a telephone's band holds, or twice that for a listener whose codec carries it.
pub const NARROW: u32 = 8000;
pub const WIDE: u32 = 16_000;

/// Nothing is heard later than this after it arrived.
const BEHIND_MOST: Nanos = 500 * MS;

/// Beside the hold-back: the beat in which taps hand over (50 ms), the listener's packet (20 to 60 ms), and jitter.
const SLACK: Nanos = 150 * MS;

/// The listener's packets may stray from the clock by this much before the mix follows it.
const STRAY: Nanos = 30 * MS;

/// Where he gets none of the mix for so long (a prompt plays to him), the mix goes on without him.
const AWAY: Nanos = 90 * MS;

/// After so many packets too late, one after the other, they are not late: the way has become longer.
const LATE_MOST: u32 = 10;

fn samples(time: Nanos, rate: u32) -> u64 {
    u64::from(rate / 1000) * time / MS
}

/// Where on the axis a source's timestamp lies.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ssrc: u32,
    clock: u32,
    timestamp: u32,
    at: u64,
}

#[derive(Debug)]
struct Stream {
    ear: Ear,
    channel: u8,
    rate: u32,
    anchor: Option<Anchor>,
    late: u32,
    voice: Decoder,
    ring: Box<[i16; RING]>,
}

/// What one listener hears.
#[derive(Debug)]
pub struct Mix {
    /// How long after its arrival a sample is heard.
    delay: Nanos,
    /// Samples a second: [`NARROW`] or [`WIDE`].
    rate: u32,
    /// The next sample to be heard.
    cursor: u64,
    streams: Vec<Stream>,
    says: Option<Encoder>,
    payload: Vec<u8>,
    samples: Vec<i16>,
}

impl Mix {
    pub fn new(hold_back: Nanos, rate: u32, now: Nanos) -> Mix {
        let delay = hold_back + SLACK;
        Mix {
            delay,
            rate,
            cursor: samples(now.saturating_sub(delay), rate),
            streams: Vec::new(),
            says: None,
            payload: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// A tap begins to be heard: a stream for each channel.
    pub fn open(&mut self, ear: Ear) {
        let rate = self.rate;
        let stream = |channel| Stream {
            ear,
            channel,
            rate,
            anchor: None,
            late: 0,
            voice: Decoder::new(rate),
            ring: Box::new([0; RING]),
        };
        self.streams.extend([0, 1].map(stream));
    }

    /// A tap is heard no more, not even what it handed over.
    pub fn close(&mut self, ear: Ear) {
        self.streams.retain(|stream| stream.ear != ear);
    }

    /// Take back what that tap handed over and nobody has heard yet.
    pub fn hush(&mut self, ear: Ear) {
        for stream in self.streams.iter_mut().filter(|stream| stream.ear == ear) {
            stream.ring.fill(0);
            stream.anchor = None;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// A packet that a tap hands over, its payload in two parts. False: it came too late to be heard.
    pub fn place(
        &mut self,
        ear: Ear,
        kept: &Kept,
        codec: Codec,
        payload: (&[u8], &[u8]),
        now: Nanos,
    ) -> bool {
        let rate = self.rate;
        self.skip_to(samples(now.saturating_sub(self.delay + AWAY), rate));
        let ahead_most = samples(BEHIND_MOST.saturating_sub(self.delay + STRAY).max(50 * MS), rate);
        let cursor = self.cursor;
        let mine = |stream: &&mut Stream| stream.ear == ear && stream.channel == kept.channel & 1;
        let Some(stream) = self.streams.iter_mut().find(mine) else { return false };
        self.payload.clear();
        self.payload.extend(payload.0.iter().chain(payload.1));
        self.samples.clear();
        if !stream.voice.decode(codec, &self.payload, &mut self.samples) {
            return false;
        }
        let length = self.samples.len() as u64;
        let mut at = stream.place_of(kept, codec.clock(), ahead_most);
        if at + length <= cursor {
            stream.late += 1;
            if stream.late < LATE_MOST {
                return false;
            }
            at = stream.anchored(kept, codec.clock());
        }
        stream.late = 0;
        for (position, sample) in (at..cursor + RING as u64).zip(&self.samples) {
            if position >= cursor {
                stream.ring[position as usize % RING] = *sample;
            }
        }
        at + length > cursor
    }

    /// Write what is heard next, `count` samples of 8 kHz with the overlay in them, encoded; how many octets they are.
    pub fn fill(
        &mut self,
        codec: Codec,
        count: usize,
        overlay: Option<&Playing>,
        out: &mut [u8],
        now: Nanos,
    ) -> usize {
        let due = samples(now.saturating_sub(self.delay), self.rate);
        if due.abs_diff(self.cursor) > samples(STRAY, self.rate) {
            self.skip_to(due);
            self.cursor = due;
        }
        self.samples.clear();
        self.samples.resize(count * (self.rate / sound::RATE) as usize, 0);
        for sample in &mut self.samples {
            let at = self.cursor as usize % RING;
            let sum: i32 = self.streams.iter_mut().map(|s| i32::from(std::mem::take(&mut s.ring[at]))).sum();
            *sample = sum.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
            self.cursor += 1;
        }
        if let Some(overlay) = overlay {
            overlay.prompt.sound.add(self.rate, overlay.at(), &mut self.samples);
        }
        if self.says.as_ref().is_none_or(|says| says.codec() != codec) {
            self.says = Encoder::new(codec, self.rate);
        }
        self.says.as_mut().map_or(0, |says| says.encode(&self.samples, out))
    }

    /// What should have been heard before `to`, and was not, never is.
    fn skip_to(&mut self, to: u64) {
        let skipped = to.saturating_sub(self.cursor).min(RING as u64);
        for position in self.cursor..self.cursor + skipped {
            self.streams.iter_mut().for_each(|stream| stream.ring[position as usize % RING] = 0);
        }
        self.cursor = self.cursor.max(to);
    }
}

impl Stream {
    /// Where a packet belongs, going by its source's earlier ones.
    fn place_of(&mut self, kept: &Kept, clock: u32, ahead_most: u64) -> u64 {
        let of_it = |anchor: &Anchor| anchor.ssrc == kept.ssrc && anchor.clock == clock;
        let Some(anchor) = self.anchor.filter(of_it) else {
            return self.anchored(kept, clock);
        };
        let passed = i64::from(kept.timestamp.wrapping_sub(anchor.timestamp) as i32);
        let passed = passed * i64::from(self.rate) / i64::from(clock);
        let arrival = samples(kept.arrival, self.rate);
        let at = anchor.at.saturating_add_signed(passed);
        if at > arrival + ahead_most || at + samples(BEHIND_MOST, self.rate) < arrival {
            return self.anchored(kept, clock);
        }
        // The next is measured from here: thirty-two bits of timestamp are enough for a call of any length.
        self.anchor = Some(Anchor { timestamp: kept.timestamp, at, ..anchor });
        at
    }

    /// A source begins, or begins again: where its packet arrived.
    fn anchored(&mut self, kept: &Kept, clock: u32) -> u64 {
        let at = samples(kept.arrival, self.rate);
        self.anchor = Some(Anchor { ssrc: kept.ssrc, clock, timestamp: kept.timestamp, at });
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::g711::Law;
    use proptest::prelude::*;

    /// One sample of 8 kHz.
    const SAMPLE: Nanos = 125_000;
    const EAR: Ear = Ear(1);
    const HOLD: Nanos = 200 * MS;
    const PTIME: Nanos = 20 * MS;

    fn kept(timestamp: u32, arrival: Nanos) -> Kept {
        Kept { channel: 0, payload_type: 0, sequence: 0, timestamp, ssrc: 7, arrival }
    }

    /// Packets of a level each (0: none), handed over at their time; what is heard, a level a packet, from the first on.
    fn heard(packets: &[(u32, Nanos, i16)], until: Nanos) -> Vec<i16> {
        let mut mix = Mix::new(HOLD, NARROW, 1000 * MS);
        mix.open(EAR);
        let mut out = Vec::new();
        for beat in (1000 * MS..until).step_by(PTIME as usize) {
            for (timestamp, arrival, level) in packets {
                if (beat..beat + PTIME).contains(&(arrival + HOLD)) {
                    let payload = [Law::Mu.encoder()(*level); 160];
                    let now = arrival + HOLD;
                    mix.place(
                        EAR,
                        &kept(*timestamp, *arrival),
                        Codec::Pcmu,
                        (&payload[..7], &payload[7..]),
                        now,
                    );
                }
            }
            let mut packet = [0; 160];
            mix.fill(Codec::Pcmu, 160, None, &mut packet, beat + PTIME);
            out.extend(packet.map(|code| Law::Mu.decoder()[usize::from(code)]));
        }
        out
    }

    fn levels(heard: &[i16]) -> Vec<(i16, usize)> {
        let mut runs: Vec<(i16, usize)> = Vec::new();
        for level in heard {
            match runs.last_mut() {
                Some((last, count)) if last == level => *count += 1,
                _ => runs.push((*level, 1)),
            }
        }
        runs
    }

    /// A sender on time from one second on: 160 a packet.
    fn on_time(i: u32, level: i16) -> (u32, Nanos, i16) {
        (i.wrapping_mul(160).wrapping_add(u32::MAX - 400), (1000 + 20 * u64::from(i)) * MS, level)
    }

    fn level(near: i16) -> i16 {
        Law::Mu.decoder()[usize::from(Law::Mu.encoder()(near))]
    }

    #[test]
    fn packets_are_heard_one_after_another_a_fixed_time_later() {
        let (a, b) = (level(1000), level(4000));
        let said = heard(&[on_time(0, a), on_time(1, b), on_time(2, a), on_time(3, b)], 2000 * MS);
        let runs = levels(&said);
        assert_eq!(runs[1..], [(a, 160), (b, 160), (a, 160), (b, 160), runs[5]]);
        let before = runs[0].1 as Nanos * SAMPLE;
        assert!((before + 1000 * MS).abs_diff(1350 * MS) <= STRAY + PTIME, "{before}");
    }

    #[test]
    fn loss_is_silence_of_its_length_and_reordering_is_mended() {
        let (a, b) = (level(1000), level(4000));
        let mut late = on_time(1, b);
        late.1 += 40 * MS;
        let runs = levels(&heard(&[on_time(0, a), late, on_time(2, a), on_time(5, b)], 2000 * MS));
        assert_eq!(runs[1..6], [(a, 160), (b, 160), (a, 160), (0, 320), (b, 160)]);
    }

    #[test]
    fn the_same_packet_twice_is_not_louder() {
        let a = level(4000);
        let runs = levels(&heard(&[on_time(0, a), on_time(0, a)], 2000 * MS));
        assert_eq!(runs[1], (a, 160));
    }

    #[test]
    fn too_late_is_dropped_until_late_is_the_rule() {
        let (a, b) = (level(1000), level(4000));
        let mut packets = vec![on_time(0, a)];
        packets.extend((1..30).map(|i| {
            let (timestamp, arrival, level) = on_time(i, b);
            (timestamp, arrival + 300 * MS, level)
        }));
        let said = heard(&packets, 3000 * MS);
        let count = said.iter().filter(|sample| **sample == b).count() / 160;
        assert_eq!(count, 29 + 1 - LATE_MOST as usize);
    }

    #[test]
    fn a_jump_of_the_timestamps_or_another_source_begins_anew_at_once() {
        let (a, b) = (level(1000), level(4000));
        for jump in [1 << 20, 1 << 31, u32::MAX - 5000, 4000] {
            let (timestamp, arrival, _) = on_time(1, b);
            let runs =
                levels(&heard(&[on_time(0, a), (timestamp.wrapping_add(jump), arrival, b)], 2500 * MS));
            assert_eq!(runs[1..3], [(a, 160), (b, 160)], "jump of {jump}");
        }
    }

    #[test]
    fn a_listener_who_stood_still_hears_what_is_now() {
        let mut mix = Mix::new(HOLD, NARROW, 1000 * MS);
        mix.open(EAR);
        let old = [Law::Mu.encoder()(level(1000)); 160];
        assert!(mix.place(EAR, &kept(0, 1000 * MS), Codec::Pcmu, (&old, &[]), 1200 * MS));
        let new = [Law::Mu.encoder()(level(4000)); 160];
        assert!(mix.place(EAR, &kept(8000 * 2, 3000 * MS), Codec::Pcmu, (&new, &[]), 3200 * MS));
        let mut out = [0; 1600];
        mix.fill(Codec::Pcmu, 1600, None, &mut out, 3200 * MS);
        let said: Vec<_> = out.iter().map(|code| Law::Mu.decoder()[usize::from(*code)]).collect();
        assert!(!said.contains(&level(1000)) && said.contains(&level(4000)));
    }

    #[test]
    fn what_waits_can_be_taken_back() {
        for take_back in [Mix::hush, Mix::close] {
            let mut mix = Mix::new(HOLD, NARROW, 1000 * MS);
            mix.open(EAR);
            mix.place(EAR, &kept(0, 1000 * MS), Codec::Pcma, (&[0; 160], &[]), 1200 * MS);
            take_back(&mut mix, EAR);
            let mut out = [0; 8000];
            mix.fill(Codec::Pcmu, 8000, None, &mut out, 1200 * MS);
            assert_eq!(out, [0xff; 8000]);
        }
    }

    #[test]
    fn two_loud_voices_are_clipped() {
        let mut mix = Mix::new(HOLD, NARROW, 1000 * MS);
        mix.open(EAR);
        for channel in [0, 1] {
            let loud = [Law::Mu.encoder()(30000); 160];
            mix.place(EAR, &Kept { channel, ..kept(0, 1000 * MS) }, Codec::Pcmu, (&loud, &[]), 1200 * MS);
        }
        let mut out = [0; 1600];
        mix.fill(Codec::Pcmu, 1600, None, &mut out, 1200 * MS);
        assert_eq!(out.iter().filter(|code| Law::Mu.decoder()[usize::from(**code)] > 32000).count(), 160);
    }

    proptest! {
        /// Whatever arrives: no panic, and nothing is heard later than half a second after it came.
        #[test]
        fn never_panics_nor_falls_behind(
            packets in proptest::collection::vec(
                (any::<u32>(), 0u64..3000, 0u32..3, 0usize..2036, 0u8..3, 0u64..300), 0..60),
        ) {
            let mut mix = Mix::new(HOLD, NARROW, 0);
            mix.open(EAR);
            let mut arrivals: Vec<_> = packets;
            arrivals.sort_by_key(|p| p.1);
            let (mut now, mut until) = (0, 0);
            for (timestamp, arrival, ssrc, length, channel, stall) in arrivals {
                let arrival = arrival * MS;
                let packet = Kept { channel, payload_type: 0, sequence: 0, timestamp, ssrc, arrival };
                now = now.max(arrival + HOLD + stall * MS);
                mix.place(EAR, &packet, Codec::Pcma, (&vec![0x2a; length], &[]), now);
                let furthest = mix.streams.iter().flat_map(|s| {
                    let cursor = mix.cursor;
                    (cursor..cursor + RING as u64).rev().find(move |at| s.ring[*at as usize % RING] != 0)
                });
                until = until.max(samples(arrival + BEHIND_MOST - mix.delay - STRAY, NARROW) + length as u64);
                if let Some(furthest) = furthest.max() {
                    prop_assert!(furthest < until, "{furthest} {until}");
                }
                if stall % 2 == 0 {
                    mix.fill(Codec::Pcmu, 160, None, &mut [0; 160], now);
                }
            }
        }
    }
}

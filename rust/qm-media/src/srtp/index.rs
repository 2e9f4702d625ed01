//! Packet indices: 48 bits, of which a packet carries the low 16 (RFC 3711 section 3.3.1 and appendix A), and which of
//! them have been used (section 3.3.2).

use super::Refused;

/// How far back a packet is still told apart from a copy of it.
const WINDOW: u64 = 128;

/// Sources that one key serves. Who changes his more often is not understood any more: to forget one would be to use its
/// indices again.
const SOURCES: usize = 256;

const LAST: u64 = (1 << 48) - 1;

/// What is known of one source.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    highest: u64,
    /// Bit n: index `highest - n` has been used.
    seen: u128,
}

/// The sources of one key, the latest first.
#[derive(Clone, Debug, Default)]
pub struct Streams(Vec<Stream>);

impl Streams {
    fn find(&self, ssrc: u32) -> Option<&Stream> {
        self.0.iter().find(|stream| stream.ssrc == ssrc)
    }

    pub fn knows(&self, ssrc: u32) -> bool {
        self.find(ssrc).is_some()
    }

    /// The index nearest to the highest so far that ends in this sequence number; of a new source the number itself.
    /// `None`: it would lie before the first, or after the last.
    pub fn guess(&self, ssrc: u32, sequence: u16) -> Option<u64> {
        let Some(stream) = self.find(ssrc) else { return Some(u64::from(sequence)) };
        let (rollover, highest) = (stream.highest >> 16, stream.highest as u16);
        let rollover = match i32::from(sequence) - i32::from(highest) {
            ahead if highest < 0x8000 && ahead > 0x8000 => rollover.checked_sub(1)?,
            ahead if highest >= 0x8000 && ahead < -0x8000 => rollover + 1,
            _ => rollover,
        };
        Some(rollover << 16 | u64::from(sequence)).filter(|index| *index <= LAST)
    }

    /// Whether that index may be used.
    pub fn check(&self, ssrc: u32, index: u64) -> Result<(), Refused> {
        match self.find(ssrc) {
            None if self.0.len() >= SOURCES => Err(Refused::KeyUsedUp),
            Some(stream) if !stream.is_fresh(index) => Err(Refused::Replayed),
            _ => Ok(()),
        }
    }

    /// It is used.
    pub fn commit(&mut self, ssrc: u32, index: u64) {
        match self.0.iter().position(|stream| stream.ssrc == ssrc) {
            Some(0) => {}
            Some(at) => self.0.swap(0, at),
            None => self.0.insert(0, Stream { ssrc, highest: index, seen: 0 }),
        }
        self.0[0].mark(index);
    }
}

impl Stream {
    fn is_fresh(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WINDOW && self.seen & (1 << behind) == 0,
        }
    }

    fn mark(&mut self, index: u64) {
        if index > self.highest {
            let ahead = index - self.highest;
            self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 };
            self.highest = index;
        }
        let behind = self.highest - index;
        if behind < WINDOW {
            self.seen |= 1 << behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_rollover_counter_goes_both_ways_over_the_wrap() {
        let mut streams = Streams::default();
        assert_eq!(streams.guess(1, 65534), Some(65534));
        streams.commit(1, 65534);
        assert_eq!(streams.guess(1, 1), Some(65537));
        streams.commit(1, 65537);
        assert_eq!(streams.guess(1, 65535), Some(65535), "late, from before the wrap");
        assert_eq!(streams.guess(2, 1), Some(1), "each source has its own");
    }

    #[test]
    fn nothing_lies_before_the_first_index() {
        let mut streams = Streams::default();
        streams.commit(1, 3);
        assert_eq!(streams.guess(1, 65000), None);
    }

    #[test]
    fn a_source_too_many_is_refused_and_none_is_forgotten() {
        let mut streams = Streams::default();
        (0..SOURCES as u32).for_each(|ssrc| streams.commit(ssrc, 9));
        assert_eq!(streams.check(9999, 1), Err(Refused::KeyUsedUp));
        assert_eq!(streams.check(0, 9), Err(Refused::Replayed));
        assert_eq!(streams.check(0, 10), Ok(()));
    }

    proptest! {
        /// Against a set that forgets nothing: no index twice, and whatever is less than a window behind is taken.
        #[test]
        fn no_index_is_used_twice(steps in proptest::collection::vec(-200i64..200, 1..400)) {
            let (mut streams, mut used) = (Streams::default(), std::collections::HashSet::new());
            let mut at = 100_000i64;
            for step in steps {
                at = (at + step).max(0);
                let index = at as u64;
                let highest = used.iter().max().copied().unwrap_or(index);
                let fresh = !used.contains(&index) && (index > highest || highest - index < WINDOW);
                prop_assert_eq!(streams.check(7, index).is_ok(), fresh);
                if fresh {
                    streams.commit(7, index);
                    used.insert(index);
                }
            }
        }

        /// With loss of up to 30000 packets at a time and reordering within the window every index is guessed right.
        #[test]
        fn the_index_is_guessed_over_loss_and_reordering(
            steps in proptest::collection::vec((1u64..30_000, 0u64..100), 1..200), first in any::<u16>(),
        ) {
            let mut streams = Streams::default();
            let mut at = u64::from(first);
            streams.commit(7, at);
            for (ahead, back) in steps {
                at += ahead;
                prop_assert_eq!(streams.guess(7, at as u16), Some(at));
                streams.commit(7, at);
                let late = at.saturating_sub(back);
                prop_assert_eq!(streams.guess(7, late as u16), Some(late));
            }
        }
    }
}

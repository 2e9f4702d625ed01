//! The clock of the media: 20 ms are divided into slots, every phone sends in the slot it was given, and new phones get
//! the emptiest slot. So the packets of 300 calls leave evenly, not in bursts.

/// The packet interval of every phone.
pub const INTERVAL_NS: u64 = 20_000_000;

pub struct Pace<T> {
    slots: Vec<Vec<T>>,
    tick_ns: u64,
    next_ns: u64,
    at: usize,
    /// Slots are filled in this order, so that even a few phones lie far apart.
    order: Vec<usize>,
    /// Packets never sent because we were too late for their slot: this program's own fault.
    pub skipped: u64,
}

/// Later than this we skip slots instead of sending everything at once: a burst would only make it worse.
const TOO_LATE_NS: u64 = 3 * INTERVAL_NS;

impl<T: Copy + PartialEq> Pace<T> {
    pub fn new(tick_ns: u64, now: u64) -> Self {
        let count = (INTERVAL_NS / tick_ns).max(1) as usize;
        Pace {
            slots: vec![Vec::new(); count],
            tick_ns: INTERVAL_NS / count as u64,
            next_ns: now,
            at: 0,
            order: spread(count),
            skipped: 0,
        }
    }

    pub fn add(&mut self, phone: T) {
        let slot = *self.order.iter().min_by_key(|&&slot| self.slots[slot].len()).expect("a slot");
        self.slots[slot].push(phone);
    }

    pub fn remove(&mut self, phone: T) {
        for slot in &mut self.slots {
            if let Some(at) = slot.iter().position(|&other| other == phone) {
                slot.swap_remove(at);
                return;
            }
        }
    }

    /// The next slot that is due, with how late we are; nothing when none is.
    pub fn due(&mut self, now: u64) -> Option<(u64, &[T])> {
        while now > self.next_ns + TOO_LATE_NS {
            self.skipped += self.slots[self.at].len() as u64;
            self.step();
        }
        if now < self.next_ns {
            return None;
        }
        let late = now - self.next_ns;
        let slot = self.at;
        self.step();
        Some((late, &self.slots[slot]))
    }

    fn step(&mut self) {
        self.next_ns += self.tick_ns;
        self.at = (self.at + 1) % self.slots.len();
    }

    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }
}

/// 0..count, each far from those just before it (steps of the golden ratio).
fn spread(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&n| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phone_sends_once_in_twenty_milliseconds() {
        let mut pace = Pace::new(250_000, 0);
        (0..600_u32).for_each(|phone| pace.add(phone));
        let mut sent = Vec::new();
        let mut largest = 0;
        while let Some((_, slot)) = pace.due(INTERVAL_NS - 1) {
            largest = largest.max(slot.len());
            sent.extend_from_slice(slot);
        }
        sent.sort_unstable();
        assert_eq!(sent, (0..600).collect::<Vec<_>>());
        assert_eq!(largest, 8, "600 phones over 80 slots");
    }

    #[test]
    fn nothing_is_due_early_and_lateness_is_told() {
        let mut pace = Pace::new(1_000_000, 5_000_000);
        pace.add(1);
        assert!(pace.due(4_999_999).is_none());
        assert_eq!(pace.due(5_400_000).unwrap().0, 400_000);
        assert_eq!(pace.next_ns(), 6_000_000);
    }

    #[test]
    fn after_a_long_sleep_only_the_last_moments_are_made_up_for() {
        let mut pace = Pace::new(1_000_000, 0);
        (0..20).for_each(|phone| pace.add(phone));
        let mut sent = 0;
        while let Some((_, slot)) = pace.due(50 * INTERVAL_NS) {
            sent += slot.len() as u64;
        }
        assert_eq!((sent, pace.skipped), (61, 20 * 50 - 60));
    }

    #[test]
    fn a_phone_that_stopped_sends_no_more() {
        let mut pace = Pace::new(1_000_000, 0);
        (0..40).for_each(|phone| pace.add(phone));
        (0..40).filter(|phone| phone % 2 == 0).for_each(|phone| pace.remove(phone));
        let mut sent = Vec::new();
        while let Some((_, slot)) = pace.due(INTERVAL_NS - 1) {
            sent.extend_from_slice(slot);
        }
        sent.sort_unstable();
        assert_eq!(sent, (0..40).filter(|phone| phone % 2 == 1).collect::<Vec<_>>());
    }
}

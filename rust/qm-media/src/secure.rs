//! The keys of a leg that speaks SRTP: one for each direction, and theirs before it for what is still under way.

use crate::protocol::{MS, Nanos};
use crate::srtp::{Master, Receiver, Refused, Sender};

/// So many packets under a new key, and none can be under way any more that the one before protects.
const SETTLED: u64 = 100;

/// So many in a row, over at least so long, that nobody could open: the other side has another key than it said.
const WRONG: u64 = 50;
const LONG: Nanos = 1000 * MS;

/// See the module. `None` in a leg: it speaks plain RTP.
#[derive(Debug)]
pub struct Secure {
    ours: Master,
    theirs: Master,
    pub sender: Sender,
    receiver: Receiver,
    before: Option<Receiver>,
    /// In a row, of packets from where the leg's own come from; and since when.
    wrong: u64,
    wrong_since: Nanos,
    wrong_said: bool,
}

impl Secure {
    pub fn new(ours: Master, theirs: Master) -> Secure {
        let (sender, receiver) = (Sender::new(&ours), Receiver::new(&theirs));
        let (before, wrong, wrong_since, wrong_said) = (None, 0, 0, false);
        Secure { ours, theirs, sender, receiver, before, wrong, wrong_since, wrong_said }
    }

    /// The same leg with what its description says now. A key that has not changed goes on counting.
    pub fn rekeyed(mut self, ours: Master, theirs: Master) -> Secure {
        if ours != self.ours {
            (self.sender, self.ours) = (Sender::new(&ours), ours);
        }
        if theirs != self.theirs {
            let receiver = Receiver::after(&theirs, &self.receiver);
            self.before = Some(std::mem::replace(&mut self.receiver, receiver));
            (self.theirs, self.wrong, self.wrong_said) = (theirs, 0, false);
        }
        self
    }

    /// Decrypt a packet in place; gives its length.
    pub fn open(&mut self, data: &mut [u8]) -> Result<usize, Refused> {
        let opened = match (self.receiver.open(data), &mut self.before) {
            (Err(_), Some(before)) => before.open(data),
            (opened, _) => opened,
        };
        if opened.is_ok() {
            self.wrong = 0;
            if self.receiver.opened >= SETTLED {
                self.before = None;
            }
        }
        opened
    }

    /// The same of a compound of RTCP.
    pub fn open_rtcp(&mut self, data: &mut [u8]) -> Result<usize, Refused> {
        match (self.receiver.open_rtcp(data), &mut self.before) {
            (Err(_), Some(before)) => before.open_rtcp(data),
            (opened, _) => opened,
        }
    }

    /// Nobody could open a packet from where the leg's own come from. Whether it is time to say so; once for a key.
    pub fn was_wrong(&mut self, now: Nanos) -> bool {
        if self.wrong == 0 {
            self.wrong_since = now;
        }
        self.wrong += 1;
        let lasting = self.wrong >= WRONG && now >= self.wrong_since + LONG;
        lasting && !std::mem::replace(&mut self.wrong_said, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::Suite;
    use zeroize::Zeroizing;

    fn master(seed: u8) -> Master {
        Master::new(Suite::Cm128Sha80, Zeroizing::new(vec![seed; 30])).expect("30 octets")
    }

    fn sealed(sender: &mut Sender, sequence: u8) -> Vec<u8> {
        let packet = [0x80, 8, 0, sequence, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3];
        let mut out = [0; 60];
        let length = sender.seal(&packet, &mut out).expect("sealed");
        sender.sent(&packet);
        out[..length].to_vec()
    }

    #[test]
    fn a_changed_key_counts_at_once_and_the_one_before_until_all_has_arrived() {
        let (mut old, mut new) = (Sender::new(&master(2)), Sender::new(&master(3)));
        let mut leg = Secure::new(master(1), master(2)).rekeyed(master(1), master(3));
        assert!(leg.open(&mut sealed(&mut new, 1)).is_ok());
        let late = sealed(&mut old, 2);
        assert!(leg.open(&mut late.clone()).is_ok());
        assert_eq!(leg.open(&mut late.clone()), Err(Refused::Replayed));
        for sequence in 2..=100 {
            assert!(leg.open(&mut sealed(&mut new, sequence)).is_ok());
        }
        assert_eq!(leg.open(&mut sealed(&mut old, 200)), Err(Refused::NotAuthentic));
    }

    #[test]
    fn the_same_keys_again_change_nothing() {
        let mut sender = Sender::new(&master(2));
        let first = sealed(&mut sender, 1);
        let mut leg = Secure::new(master(1), master(2));
        assert!(leg.open(&mut first.clone()).is_ok());
        let mut leg = leg.rekeyed(master(1), master(2));
        assert_eq!(leg.open(&mut first.clone()), Err(Refused::Replayed), "the window is still there");
    }

    #[test]
    fn a_wrong_key_is_said_once() {
        let mut leg = Secure::new(master(1), master(2));
        let said = (0..200u64).filter(|n| leg.was_wrong(n * 20 * MS)).count();
        assert_eq!(said, 1);
        let mut leg = Secure::new(master(1), master(2));
        assert!((0..200u64).all(|n| !leg.was_wrong(n)), "a burst is no proof");
    }
}

//! What one phone has heard of the other: loss, order, doubles, and packets of somebody else's call.

use crate::rtp::Mark;

/// What a newly arrived packet was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The first from the other end: media passes.
    First,
    Next,
    /// Arrived after a later one.
    Late,
    Double,
    /// From a phone that is not on this call. Must never happen.
    Stranger,
}

/// Counts of one direction of one call. Counting starts with the first packet that came through: what was sent before
/// (to a prompt, to a closed bridge) was rightly not passed on.
#[derive(Debug, Default)]
pub struct Heard {
    pub peer: Option<u32>,
    pub received: u64,
    pub late: u64,
    pub doubles: u64,
    pub strangers: u64,
    first: u32,
    highest: u32,
    /// Bit n: the packet `highest - n` has arrived.
    window: u64,
}

impl Heard {
    pub fn take(&mut self, mark: &Mark) -> Taken {
        match self.peer {
            None => self.begin(mark),
            Some(peer) if peer != mark.phone => {
                self.strangers += 1;
                Taken::Stranger
            }
            Some(_) if mark.sequence > self.highest => self.advance(mark),
            Some(_) => self.behind(mark),
        }
    }

    fn begin(&mut self, mark: &Mark) -> Taken {
        self.peer = Some(mark.phone);
        (self.first, self.highest, self.window) = (mark.sequence, mark.sequence, 1);
        self.received += u64::from(mark.counted);
        Taken::First
    }

    fn advance(&mut self, mark: &Mark) -> Taken {
        let step = mark.sequence - self.highest;
        self.window = self.window.checked_shl(step).unwrap_or(0) | 1;
        self.highest = mark.sequence;
        self.received += u64::from(mark.counted);
        Taken::Next
    }

    fn behind(&mut self, mark: &Mark) -> Taken {
        let back = self.highest - mark.sequence;
        let bit = 1_u64.checked_shl(back).unwrap_or(0);
        if self.window & bit != 0 {
            self.doubles += 1;
            return Taken::Double;
        }
        self.window |= bit;
        self.first = self.first.min(mark.sequence);
        self.received += u64::from(mark.counted);
        self.late += 1;
        Taken::Late
    }

    /// How many should have come, if the other end's counted packets were those below `end`.
    pub fn expected(&self, end: u32) -> u64 {
        if self.peer.is_none() {
            return 0;
        }
        u64::from(end.saturating_sub(self.first))
    }

    /// What the other end sent before the first that came through.
    pub fn unheard_before(&self) -> u64 {
        u64::from(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Side;

    fn mark(phone: u32, sequence: u32) -> Mark {
        Mark { side: Side::Customer, counted: true, phone, sequence, sent: 0 }
    }

    fn hear(sequences: &[u32]) -> (Heard, Vec<Taken>) {
        let mut heard = Heard::default();
        let taken = sequences.iter().map(|&s| heard.take(&mark(1, s))).collect();
        (heard, taken)
    }

    #[test]
    fn nothing_lost_counts_from_the_first_that_came_through() {
        let (heard, taken) = hear(&[50, 51, 52]);
        assert_eq!(taken, [Taken::First, Taken::Next, Taken::Next]);
        assert_eq!((heard.expected(53), heard.received, heard.unheard_before()), (3, 3, 50));
    }

    #[test]
    fn a_gap_and_a_missing_end_are_losses() {
        let (heard, _) = hear(&[0, 1, 4, 5]);
        assert_eq!(heard.expected(8) - heard.received, 4);
    }

    #[test]
    fn out_of_order_is_late_not_lost_and_a_second_copy_is_a_double() {
        let (heard, taken) = hear(&[10, 12, 11, 11, 12]);
        assert_eq!(taken[2..], [Taken::Late, Taken::Double, Taken::Double]);
        assert_eq!((heard.expected(13), heard.received, heard.late, heard.doubles), (3, 3, 1, 2));
    }

    #[test]
    fn earlier_than_the_first_moves_the_first() {
        let (heard, _) = hear(&[10, 9]);
        assert_eq!((heard.expected(11), heard.received), (2, 2));
    }

    #[test]
    fn a_jump_wider_than_the_window_is_a_loss_and_no_panic() {
        let (heard, _) = hear(&[0, 1000]);
        assert_eq!(heard.expected(1001) - heard.received, 999);
    }

    #[test]
    fn somebody_elses_packet_is_a_stranger() {
        let (mut heard, _) = hear(&[0]);
        assert_eq!(heard.take(&mark(2, 1)), Taken::Stranger);
        assert_eq!((heard.strangers, heard.received), (1, 1));
    }

    #[test]
    fn uncounted_packets_at_the_end_are_neither_received_nor_lost() {
        let (mut heard, _) = hear(&[0, 1]);
        heard.take(&Mark { counted: false, ..mark(1, 2) });
        assert_eq!((heard.expected(2), heard.received), (2, 2));
    }
}

//! Sending again until somebody answers: RFC 3261 timers A, E and G over UDP, with the same end (64·T1).

pub const T1_NS: u64 = 500_000_000;
pub const T2_NS: u64 = 4_000_000_000;

#[derive(Debug)]
pub struct Resend {
    pub bytes: Vec<u8>,
    next_ns: u64,
    wait_ns: u64,
    longest_ns: u64,
    until_ns: u64,
}

/// What a look at the clock says.
#[derive(Debug, PartialEq, Eq)]
pub enum Due<'a> {
    Nothing,
    Again(&'a [u8]),
    GiveUp,
}

impl Resend {
    /// `longest_ns` caps the doubling: none for INVITE (timer A), T2 for the others.
    pub fn new(bytes: Vec<u8>, longest_ns: u64, now: u64) -> Self {
        Resend { bytes, next_ns: now + T1_NS, wait_ns: T1_NS, longest_ns, until_ns: now + 64 * T1_NS }
    }

    pub fn due(&mut self, now: u64) -> Due<'_> {
        if now >= self.until_ns {
            return Due::GiveUp;
        }
        if now < self.next_ns {
            return Due::Nothing;
        }
        self.wait_ns = (self.wait_ns * 2).min(self.longest_ns);
        self.next_ns = now + self.wait_ns;
        Due::Again(&self.bytes)
    }

    /// A provisional answer came: keep waiting (a phone may ring for long), but send no more.
    pub fn quiet(&mut self, until_ns: u64) {
        (self.next_ns, self.until_ns) = (u64::MAX, until_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(longest: u64) -> Vec<u64> {
        let mut resend = Resend::new(vec![1], longest, 0);
        let mut at = Vec::new();
        for now in (0..=64 * T1_NS).step_by(100_000_000) {
            match resend.due(now) {
                Due::Again(_) => at.push(now / 100_000_000),
                Due::GiveUp => return at,
                Due::Nothing => {}
            }
        }
        panic!("it must give up");
    }

    #[test]
    fn an_invite_is_sent_again_at_doubling_intervals() {
        assert_eq!(times(u64::MAX), [5, 15, 35, 75, 155, 315]);
    }

    #[test]
    fn others_at_intervals_of_at_most_t2() {
        assert_eq!(times(T2_NS), [5, 15, 35, 75, 115, 155, 195, 235, 275, 315]);
    }

    #[test]
    fn after_a_provisional_answer_only_the_end_remains() {
        let mut resend = Resend::new(vec![1], u64::MAX, 0);
        resend.quiet(10 * T1_NS);
        assert_eq!(resend.due(9 * T1_NS), Due::Nothing);
        assert_eq!(resend.due(10 * T1_NS), Due::GiveUp);
    }
}

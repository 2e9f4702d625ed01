//! CLOCK_MONOTONIC for the engine; the kernel's arrival stamps, which are of the wall clock, brought onto it.

use crate::protocol::Nanos;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};
use std::os::fd::{AsFd, BorrowedFd};

/// Both clocks, read at the same moment, once a round.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub now: Nanos,
    wall: Nanos,
}

impl Clock {
    pub fn read() -> Clock {
        Clock { now: monotonic(), wall: nanos(clock_gettime(ClockId::CLOCK_REALTIME)) }
    }

    /// When the kernel got a packet. Without a stamp, or with one from after now (the wall clock was set back), now.
    pub fn arrival(&self, stamp: Option<TimeSpec>) -> Nanos {
        let age = stamp.map_or(0, |s| self.wall.saturating_sub(nanos(Ok(s))));
        self.now.saturating_sub(age)
    }

    pub fn wall(&self, mono: Nanos) -> Nanos {
        self.wall.wrapping_add(mono.wrapping_sub(self.now))
    }
}

pub fn monotonic() -> Nanos {
    nanos(clock_gettime(ClockId::CLOCK_MONOTONIC))
}

fn nanos(read: Result<TimeSpec, Errno>) -> Nanos {
    read.map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}

/// A timerfd that is set only when what it should ring for has changed.
pub struct Timer {
    fd: TimerFd,
    set_to: Option<Nanos>,
}

impl Timer {
    pub fn new() -> nix::Result<Timer> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Timer { fd: TimerFd::new(TimerClock::CLOCK_MONOTONIC, flags)?, set_to: None })
    }

    /// Setting it anew also silences a ring that has been heard.
    pub fn set(&mut self, at: Option<Nanos>) {
        if at == self.set_to {
            return;
        }
        self.set_to = at;
        let Some(at) = at else {
            let _ = self.fd.unset();
            return;
        };
        let when = TimeSpec::new((at / 1_000_000_000) as i64, (at % 1_000_000_000) as i64);
        // An absolute time of zero would stop the timer; the past rings at once.
        let _ = self.fd.set(Expiration::OneShot(when), TimerSetTimeFlags::TFD_TIMER_ABSTIME);
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_keeps_its_age_and_never_lies_ahead() {
        let clock = Clock { now: 5_000, wall: 1_000_000_000_900 };
        assert_eq!(clock.arrival(Some(TimeSpec::new(1000, 400))), 4_500);
        assert_eq!(clock.arrival(Some(TimeSpec::new(1001, 0))), 5_000);
        assert_eq!(clock.arrival(None), 5_000);
        assert_eq!(clock.wall(4_900), 1_000_000_000_800);
    }
}

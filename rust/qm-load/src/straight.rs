//! Media alone, without SIP: each pair of phones is told where to send.

use std::io;
use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::figures::{Direction, Own, Percentiles};
use crate::media::{Media, Places};
use crate::rtp::{SIDES, Side};
use crate::wait::wait;

/// The delay is measured after this long; before, sockets and caches are still cold.
const WARM_UP_NS: u64 = 1_000_000_000;
const LAST_WORDS_NS: u64 = 250_000_000;
const AFTERWARDS_NS: u64 = 500_000_000;
const READ_NS: u64 = 1_000_000;

/// Where the two phones of a call send to.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Pair {
    pub customer: SocketAddrV4,
    pub agent: SocketAddrV4,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub calls: usize,
    /// Calls of which both phones heard the other.
    pub connected: usize,
    pub seconds: f64,
    pub to_agent: Direction,
    pub to_customer: Direction,
    pub delay: Percentiles,
    pub delay_steady: Percentiles,
    pub own: Own,
}

pub struct Straight {
    media: Media,
    calls: usize,
}

impl Straight {
    pub fn new(places: Places, tick_ns: u64, pairs: &[Pair]) -> io::Result<Self> {
        let mut media = Media::open(places, tick_ns)?;
        for pair in pairs {
            for (side, to) in [(Side::Customer, pair.customer), (Side::Agent, pair.agent)] {
                let phone = media.add(side);
                media.talk(side, phone, to);
            }
        }
        Ok(Straight { media, calls: pairs.len() })
    }

    /// Talk for that long, both ways. `cpu` is read at the end: the CPU of this program's own part.
    pub fn run(mut self, seconds: f64, cpu: impl Fn() -> u64) -> Report {
        let (began, used) = (clock::monotonic(), cpu());
        let end = began + (seconds * 1e9) as u64;
        self.talk_until(began + WARM_UP_NS.min(end - began));
        self.media.steady = true;
        self.talk_until(end);
        self.media.steady = false;
        self.each(Media::last_words);
        self.talk_until(end + LAST_WORDS_NS);
        self.each(Media::silence);
        self.talk_until(end + LAST_WORDS_NS + AFTERWARDS_NS);
        self.report(seconds, cpu() - used, clock::monotonic() - began)
    }

    fn each(&mut self, what: fn(&mut Media, Side, u32)) {
        for side in SIDES {
            (0..self.calls as u32).for_each(|phone| what(&mut self.media, side, phone));
        }
    }

    fn talk_until(&mut self, until: u64) {
        let mut next_read = 0;
        loop {
            let now = clock::monotonic();
            if now >= until {
                break;
            }
            self.media.send(now);
            if now >= next_read {
                next_read = now + READ_NS;
                self.media.receive();
            }
            wait(&[], self.media.next_ns().min(until));
        }
        self.media.receive();
    }

    fn report(self, seconds: f64, cpu_ns: u64, wall_ns: u64) -> Report {
        let (delay, delay_steady) = self.media.both_delays();
        let heard = |call: &usize| SIDES.iter().all(|&side| self.media.peer(side, *call as u32).is_some());
        Report {
            calls: self.calls,
            connected: (0..self.calls).filter(heard).count(),
            seconds,
            to_agent: self.media.heard_by(Side::Agent),
            to_customer: self.media.heard_by(Side::Customer),
            delay: delay.percentiles(),
            delay_steady: delay_steady.percentiles(),
            own: self.media.own(cpu_ns, wall_ns),
        }
    }
}

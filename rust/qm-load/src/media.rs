//! All phones' media: two sockets, two lists of phones, one pace.

use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::Socket;

use crate::clock;
use crate::figures::{Direction, Own, Times};
use crate::heard::{Heard, Taken};
use crate::mmsg::{Inbox, Outbox, media_socket};
use crate::pace::Pace;
use crate::rtp::{self, Codec, Mark, Read, SIDES, Side};

/// Where the phones' media live.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub base: [Ipv4Addr; 2],
    pub port: [u16; 2],
}

impl Places {
    pub fn of(&self, side: Side, phone: u32) -> SocketAddrV4 {
        SocketAddrV4::new(rtp::address(self.base[side as usize], phone), self.port[side as usize])
    }
}

/// One phone's media.
#[derive(Debug, Default)]
struct Phone {
    to: Option<SocketAddrV4>,
    sending: bool,
    /// Ended in order: its figures count.
    complete: bool,
    next: u32,
    /// The first sequence that does not count any more.
    end: Option<u32>,
    heard: Heard,
    damaged: u64,
    foreign: u64,
}

pub struct Media {
    places: Places,
    phones: [Vec<Phone>; 2],
    sockets: [Socket; 2],
    /// RTCP of the phones: read and forgotten, so that nobody is told "port unreachable".
    rtcp: [Socket; 2],
    outbox: Outbox,
    inbox: Inbox,
    codec: Codec,
    pace: Pace<(Side, u32)>,
    late: Times,
    delay: [Times; 2],
    steady_delay: [Times; 2],
    pub steady: bool,
}

impl Media {
    pub fn open(places: Places, tick_ns: u64) -> std::io::Result<Self> {
        let [customer, agent] = places.port;
        Ok(Media {
            places,
            phones: [Vec::new(), Vec::new()],
            sockets: [media_socket(customer)?, media_socket(agent)?],
            rtcp: [media_socket(customer + 1)?, media_socket(agent + 1)?],
            outbox: Outbox::new(),
            inbox: Inbox::new(),
            codec: Codec::new(),
            pace: Pace::new(tick_ns, clock::monotonic()),
            late: Times::new(),
            delay: [Times::new(), Times::new()],
            steady_delay: [Times::new(), Times::new()],
            steady: false,
        })
    }

    /// A new phone of that side; phones are numbered from 0.
    pub fn add(&mut self, side: Side) -> u32 {
        self.phones[side as usize].push(Phone::default());
        self.phones[side as usize].len() as u32 - 1
    }

    fn phone(&mut self, side: Side, phone: u32) -> &mut Phone {
        &mut self.phones[side as usize][phone as usize]
    }

    /// Send to that address from now on (also after a re-INVITE).
    pub fn talk(&mut self, side: Side, phone: u32, to: SocketAddrV4) {
        let it = self.phone(side, phone);
        it.to = Some(to);
        if !std::mem::replace(&mut it.sending, true) {
            self.pace.add((side, phone));
        }
    }

    /// The call is about to end: go on talking, but count no more of it.
    pub fn last_words(&mut self, side: Side, phone: u32) {
        let it = self.phone(side, phone);
        it.end.get_or_insert(it.next);
        it.complete = true;
    }

    pub fn silence(&mut self, side: Side, phone: u32) {
        if std::mem::replace(&mut self.phone(side, phone).sending, false) {
            self.pace.remove((side, phone));
        }
    }

    /// The phone at the other end, once it has been heard.
    pub fn peer(&self, side: Side, phone: u32) -> Option<u32> {
        self.phones[side as usize][phone as usize].heard.peer
    }

    /// Send what is due at `now`.
    pub fn send(&mut self, now: u64) {
        while let Some((late, slot)) = self.pace.due(now) {
            if slot.is_empty() {
                continue;
            }
            self.late.record(late);
            for side in SIDES {
                let phones = &mut self.phones[side as usize];
                for &(_, phone) in slot.iter().filter(|(of, _)| *of == side) {
                    let it = &mut phones[phone as usize];
                    let Some(to) = it.to else { continue };
                    let mark = Mark {
                        side,
                        phone,
                        counted: it.end.is_none(),
                        sequence: it.next,
                        sent: clock::realtime(),
                    };
                    it.next += 1;
                    let source = rtp::address(self.places.base[side as usize], phone);
                    self.codec.write(&mark, self.outbox.next(source, to));
                    if self.outbox.is_full() {
                        self.outbox.flush(&self.sockets[side as usize]);
                    }
                }
                self.outbox.flush(&self.sockets[side as usize]);
            }
        }
    }

    /// When `send` next has something to do.
    pub fn next_ns(&self) -> u64 {
        self.pace.next_ns()
    }

    /// Read what has arrived. Returns the phones that heard the other end for the first time.
    pub fn receive(&mut self) -> Vec<(Side, u32)> {
        let mut first = Vec::new();
        for side in SIDES {
            let Media { inbox, sockets, phones, codec, places, delay, steady_delay, steady, .. } = self;
            let direction = side as usize;
            inbox.drain(&sockets[direction], |packet| {
                let index = u32::from(packet.at).wrapping_sub(u32::from(places.base[direction]));
                let Some(it) = phones[direction].get_mut(index as usize) else { return };
                match codec.read(packet.data) {
                    Read::Foreign => it.foreign += 1,
                    Read::Damaged => it.damaged += 1,
                    Read::Ours(mark) if mark.side == side => it.heard.strangers += 1,
                    Read::Ours(mark) => {
                        let taken = it.heard.take(&mark);
                        if taken == Taken::First {
                            first.push((side, index));
                        }
                        if !matches!(taken, Taken::Stranger | Taken::Double) {
                            let waited = packet.when.saturating_sub(mark.sent);
                            delay[direction].record(waited);
                            if *steady {
                                steady_delay[direction].record(waited);
                            }
                        }
                    }
                }
            });
            inbox.drain(&self.rtcp[direction], |_| {});
        }
        first
    }

    /// Everything heard by the phones of that side, from calls that ended in order.
    pub fn heard_by(&self, side: Side) -> Direction {
        let senders = &self.phones[1 - side as usize];
        let mut sum = Direction {
            delay: self.delay[side as usize].percentiles(),
            delay_steady: self.steady_delay[side as usize].percentiles(),
            ..Direction::default()
        };
        for it in &self.phones[side as usize] {
            sum.strangers += it.heard.strangers;
            sum.damaged += it.damaged;
            sum.foreign += it.foreign;
            let Some(sender) = it.heard.peer.and_then(|peer| senders.get(peer as usize)) else { continue };
            if !sender.complete {
                continue;
            }
            let expected = it.heard.expected(sender.end.unwrap_or(sender.next));
            sum.sent += expected;
            sum.received += it.heard.received;
            sum.lost += expected.saturating_sub(it.heard.received);
            sum.late += it.heard.late;
            sum.doubles += it.heard.doubles;
            sum.sent_before_connected += it.heard.unheard_before();
        }
        sum
    }

    pub fn both_delays(&self) -> (Times, Times) {
        let join = |two: &[Times; 2]| {
            let mut all = Times::new();
            two.iter().for_each(|one| all.add(one));
            all
        };
        (join(&self.delay), join(&self.steady_delay))
    }

    pub fn own(&self, cpu_ns: u64, wall_ns: u64) -> Own {
        Own {
            cpu_s: cpu_ns as f64 / 1e9,
            cpu_share: cpu_ns as f64 / wall_ns.max(1) as f64,
            pace_late: self.late.percentiles(),
            packets_sent: self.outbox.sent,
            packets_skipped: self.pace.skipped,
            packets_refused_by_kernel: self.outbox.refused,
            packets_dropped_unread: self.inbox.overflowed,
        }
    }
}

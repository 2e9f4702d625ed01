//! Whole calls: customers that call through the program under test, agents that answer, and the media of both.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};

use crate::agent::{self, Agent};
use crate::clock;
use crate::customer::{self, Customer, Out, RINGING_FOR_NS};
use crate::figures::{Direction, Own, Percentiles, Times};
use crate::media::{Media, Places};
use crate::mmsg::named;
use crate::rtp::Side;
use crate::sip::{self, Message};
use crate::wait::wait;

/// Packets sent within this long of the BYE are not counted: they may rightly be lost to it.
pub const LAST_WORDS_NS: u64 = 250_000_000;
/// After the last BYE, this long for what is still on its way.
const AFTERWARDS_NS: u64 = 500_000_000;
const TIMERS_NS: u64 = 5_000_000;
const READ_MEDIA_NS: u64 = 1_000_000;

/// What shall be done.
#[derive(Clone, Debug)]
pub struct Plan {
    pub customer: SocketAddrV4,
    pub agent: SocketAddrV4,
    pub target: SocketAddrV4,
    pub number: String,
    pub places: Places,
    pub at_once: u32,
    pub total: u32,
    pub rate: f64,
    pub hold_ns: u64,
    /// Hold all calls from the moment the last one is up, instead of each from its own.
    pub together: bool,
    pub media: bool,
    pub answer_after_ns: u64,
    pub connect_within_ns: u64,
    pub tick_ns: u64,
    pub max_ns: u64,
    /// Say on standard error, as JSON lines, when the steady time begins and ends.
    pub events: bool,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub calls: Calls,
    pub setup: Setup,
    pub steady: Steady,
    pub to_agent: Direction,
    pub to_customer: Direction,
    pub delay: Percentiles,
    pub delay_steady: Percentiles,
    pub own: Own,
}

#[derive(Debug, Default, Serialize)]
pub struct Calls {
    pub attempted: u32,
    pub connected: u32,
    pub failed: u32,
    pub failures: BTreeMap<String, u32>,
    pub most_at_once: u32,
    pub agent_legs: u32,
    /// Agent legs that nobody ended.
    pub agent_legs_left: u32,
    pub requests_resent: u64,
    pub answers_resent: u64,
    pub cut_short: bool,
}

/// `answered`: INVITE to 200; `connected`: INVITE to media heard at both ends (or, without media, to both legs'
/// answers acknowledged), with prompt and all.
#[derive(Debug, Default, Serialize)]
pub struct Setup {
    pub attempted_per_s: f64,
    pub connected_per_s: f64,
    pub answered: Percentiles,
    pub connected: Percentiles,
}

#[derive(Debug, Default, Serialize)]
pub struct Steady {
    pub calls: u32,
    pub seconds: f64,
}

/// Where a call stands, beside its phones' own states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Calling,
    /// Answered, but nothing heard end to end.
    Half {
        since: u64,
    },
    Connected {
        end: u64,
    },
    LastWords {
        end: u64,
    },
    Leaving,
    Over,
}

struct Call {
    phone: Customer,
    stage: Stage,
    invited: u64,
    agent: Option<u32>,
}

struct AgentLeg {
    phone: Agent,
    /// Which of our customers it was called for, where the numbers tell.
    caller: Option<u32>,
}

pub struct Load {
    plan: Plan,
    run: String,
    media: Media,
    customer_socket: UdpSocket,
    agent_socket: UdpSocket,
    calls: Vec<Call>,
    live: Vec<u32>,
    agents: Vec<AgentLeg>,
    live_agents: Vec<u32>,
    agent_of: HashMap<String, u32>,
    sums: Calls,
    answered: Times,
    connected: Times,
    began: u64,
    next_start: u64,
    last_start: u64,
    last_connected: u64,
    steady_from: Option<u64>,
    steady_to: Option<u64>,
    steady_calls: u32,
}

fn sip_socket(at: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(4 << 20)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into()).map_err(|error| named(at, &error))?;
    Ok(socket.into())
}

impl Load {
    pub fn new(plan: Plan) -> io::Result<Self> {
        let now = clock::monotonic();
        Ok(Load {
            run: format!("{:x}", clock::realtime()),
            media: Media::open(plan.places, plan.tick_ns)?,
            customer_socket: sip_socket(plan.customer)?,
            agent_socket: sip_socket(plan.agent)?,
            calls: Vec::new(),
            live: Vec::new(),
            agents: Vec::new(),
            live_agents: Vec::new(),
            agent_of: HashMap::new(),
            sums: Calls::default(),
            answered: Times::new(),
            connected: Times::new(),
            began: now,
            next_start: now,
            last_start: now,
            last_connected: now,
            steady_from: None,
            steady_to: None,
            steady_calls: 0,
            plan,
        })
    }

    /// Make all calls of the plan, to the end or to its limit of time.
    pub fn run(mut self) -> Report {
        let cpu = clock::process_cpu();
        self.work();
        let used = clock::process_cpu() - cpu;
        self.report(used)
    }

    fn work(&mut self) {
        let deadline = self.began + self.plan.max_ns;
        let (mut next_read, mut next_timers, mut finished) = (0, 0, None);
        let mut now = clock::monotonic();
        while now < deadline && finished.is_none_or(|at| now < at) {
            self.media.send(now);
            if now >= next_read {
                next_read = now + READ_MEDIA_NS;
                self.read_media(now);
            }
            self.read_sip(now);
            self.start_calls(now);
            if now >= next_timers {
                next_timers = now + TIMERS_NS;
                self.timers(now, deadline);
                if self.is_finished() && finished.is_none() {
                    finished = Some(now + AFTERWARDS_NS);
                }
            }
            let wake = if self.live.is_empty() { next_read } else { self.media.next_ns() };
            wait(&[self.customer_socket.as_raw_fd(), self.agent_socket.as_raw_fd()], wake);
            now = clock::monotonic();
        }
        self.sums.cut_short |= finished.is_none();
        self.read_media(now);
    }

    fn is_finished(&self) -> bool {
        self.live.is_empty() && (self.sums.attempted >= self.plan.total || self.sums.cut_short)
    }

    // ------------------------------------------------------------------------------------------------ calls

    fn start_calls(&mut self, now: u64) {
        while now >= self.next_start
            && self.sums.attempted < self.plan.total
            && (self.live.len() as u32) < self.plan.at_once
            && !self.sums.cut_short
        {
            self.start_call(now);
            self.next_start =
                (self.next_start + (1e9 / self.plan.rate) as u64).max(now.saturating_sub(20_000_000));
        }
    }

    fn start_call(&mut self, now: u64) {
        let id = self.media.add(Side::Customer);
        let number = format!("{}{id:07}", self.plan.number);
        let mut out = Out::new();
        let call = customer::Call {
            local: self.plan.customer,
            target: self.plan.target,
            media: self.plan.places.of(Side::Customer, id),
            number: &number,
            call_id: format!("{id}-{}", self.run),
            ringing_for_ns: RINGING_FOR_NS,
        };
        let phone = Customer::invite(call, now, &mut out);
        self.calls.push(Call { phone, stage: Stage::Calling, invited: now, agent: None });
        self.live.push(id);
        self.sums.attempted += 1;
        self.sums.most_at_once = self.sums.most_at_once.max(self.live.len() as u32);
        self.last_start = now;
        send_all(&self.customer_socket, out);
    }

    fn customer_news(&mut self, id: u32, news: customer::News, now: u64) {
        match news {
            customer::News::Answered(to) => {
                let call = &mut self.calls[id as usize];
                call.stage = Stage::Half { since: now };
                self.answered.record(now - call.invited);
                if self.plan.media {
                    self.media.talk(Side::Customer, id, to);
                } else if let Some(agent) = call.agent {
                    self.connect(id, agent, now);
                }
            }
            customer::News::Moved(to) if self.plan.media => self.media.talk(Side::Customer, id, to),
            customer::News::Moved(_) => {}
            customer::News::Ended => self.leave(id),
            customer::News::HungUp => self.fail(id, "hung-up-by-other-side"),
            customer::News::Failed(reason) => self.fail(id, &reason),
        }
    }

    fn fail(&mut self, id: u32, reason: &str) {
        if self.calls[id as usize].stage == Stage::Over {
            return;
        }
        self.sums.failed += 1;
        *self.sums.failures.entry(reason.to_owned()).or_default() += 1;
        self.leave(id);
    }

    fn leave(&mut self, id: u32) {
        let call = &mut self.calls[id as usize];
        call.stage = Stage::Over;
        self.media.silence(Side::Customer, id);
        if call.phone.is_over() {
            self.live.retain(|&other| other != id);
        }
    }

    fn connect(&mut self, id: u32, agent: u32, now: u64) {
        let call = &mut self.calls[id as usize];
        if !matches!(call.stage, Stage::Half { .. }) {
            return;
        }
        call.agent = Some(agent);
        call.stage =
            Stage::Connected { end: if self.plan.together { u64::MAX } else { now + self.plan.hold_ns } };
        self.connected.record(now - call.invited);
        self.sums.connected += 1;
        self.last_connected = now;
    }

    // ------------------------------------------------------------------------------------------------ media

    fn read_media(&mut self, now: u64) {
        for (side, phone) in self.media.receive() {
            let other = if side == Side::Customer { Side::Agent } else { Side::Customer };
            let Some(peer) = self.media.peer(side, phone) else { continue };
            if peer as usize >= self.count(other) || self.media.peer(other, peer) != Some(phone) {
                continue;
            }
            let (customer, agent) = if side == Side::Customer { (phone, peer) } else { (peer, phone) };
            self.connect(customer, agent, now);
        }
    }

    fn count(&self, side: Side) -> usize {
        match side {
            Side::Customer => self.calls.len(),
            Side::Agent => self.agents.len(),
        }
    }

    // -------------------------------------------------------------------------------------------- signalling

    fn read_sip(&mut self, now: u64) {
        let mut buffer = [0_u8; 8192];
        while let Some((length, _)) = receive(&self.customer_socket, &mut buffer) {
            if let Some(message) = Message::read(&buffer[..length]) {
                self.customer_message(&message, now);
            }
        }
        while let Some((length, from)) = receive(&self.agent_socket, &mut buffer) {
            if let Some(message) = Message::read(&buffer[..length]) {
                self.agent_message(&message, from, now);
            }
        }
    }

    fn customer_message(&mut self, message: &Message, now: u64) {
        let mut parts = message.get("Call-ID").split('-');
        let id = parts.next().and_then(|number| number.parse::<u32>().ok());
        let Some(call) = id.and_then(|id| self.calls.get_mut(id as usize)) else { return };
        if parts.next() != Some(&self.run) {
            return;
        }
        let mut out = Out::new();
        let news = call.phone.receive(message, now, &mut out);
        send_all(&self.customer_socket, out);
        if let Some(news) = news {
            self.customer_news(id.expect("found"), news, now);
        }
    }

    fn agent_message(&mut self, message: &Message, from: SocketAddrV4, now: u64) {
        let mut out = Out::new();
        match self.agent_of.get(message.get("Call-ID")).copied() {
            Some(id) => {
                let news = self.agents[id as usize].phone.receive(message, now, &mut out);
                self.agent_news(id, news, now);
            }
            None if message.method() == Some("INVITE") => self.ring(message, from, now, &mut out),
            None if matches!(message.method(), Some("OPTIONS" | "BYE" | "CANCEL")) => {
                let (status, reason) = if message.method() == Some("OPTIONS") {
                    (200, "OK")
                } else {
                    (481, "Call Does Not Exist")
                };
                out.push((from, sip::respond(message, status, reason, "agent", self.plan.agent, "")));
            }
            None => {}
        }
        send_all(&self.agent_socket, out);
    }

    fn ring(&mut self, message: &Message, from: SocketAddrV4, now: u64, out: &mut Out) {
        let id = self.agents.len() as u32;
        let places = (self.plan.agent, from, self.plan.places.of(Side::Agent, id));
        let Some(agent) = Agent::ring(message, id, places, now + self.plan.answer_after_ns, out) else {
            return;
        };
        self.media.add(Side::Agent);
        self.agents.push(AgentLeg { phone: agent, caller: self.caller(message) });
        self.live_agents.push(id);
        self.agent_of.insert(message.get("Call-ID").to_owned(), id);
        self.sums.agent_legs += 1;
        let news = self.agents[id as usize].phone.advance(now, out);
        self.agent_news(id, news, now);
    }

    /// Which of our customers an agent's INVITE is from: the number is one of a kind, and a B2BUA keeps it somewhere.
    fn caller(&self, message: &Message) -> Option<u32> {
        let addresses = ["From", "P-Asserted-Identity", "To"].map(|name| sip::address_uri(message.get(name)));
        std::iter::once(message.uri())
            .chain(addresses)
            .filter_map(|uri| sip::user(uri).strip_prefix(self.plan.number.as_str())?.parse().ok())
            .find(|&id: &u32| (id as usize) < self.calls.len())
    }

    fn agent_news(&mut self, id: u32, news: Option<agent::News>, now: u64) {
        match news {
            Some(agent::News::Answered(to) | agent::News::Moved(to)) if self.plan.media => {
                self.media.talk(Side::Agent, id, to);
            }
            Some(agent::News::Acknowledged) if !self.plan.media => {
                let Some(call) = self.agents[id as usize].caller else { return };
                self.calls[call as usize].agent = Some(id);
                self.connect(call, id, now);
            }
            Some(agent::News::Ended) => {
                self.media.silence(Side::Agent, id);
                self.live_agents.retain(|&other| other != id);
            }
            _ => {}
        }
    }

    // ------------------------------------------------------------------------------------------------ timers

    fn timers(&mut self, now: u64, deadline: u64) {
        self.hold_together(now);
        if now + 2_000_000_000 >= deadline && !self.sums.cut_short {
            self.sums.cut_short = true;
        }
        let mut out = Out::new();
        for id in self.live.clone() {
            let news = self.calls[id as usize].phone.advance(now, &mut out);
            if let Some(news) = news {
                self.customer_news(id, news, now);
            }
            self.advance_stage(id, now, &mut out);
        }
        send_all(&self.customer_socket, out);
        let mut out = Out::new();
        for id in self.live_agents.clone() {
            let news = self.agents[id as usize].phone.advance(now, &mut out);
            self.agent_news(id, news, now);
        }
        send_all(&self.agent_socket, out);
    }

    fn advance_stage(&mut self, id: u32, now: u64, out: &mut Out) {
        let call = &mut self.calls[id as usize];
        match call.stage {
            Stage::Half { since } if now >= since + self.plan.connect_within_ns => {
                call.phone.hang_up(now, out);
                self.fail(id, "no-media-end-to-end");
            }
            Stage::Connected { end } if now + LAST_WORDS_NS >= end || self.sums.cut_short => {
                call.stage = Stage::LastWords { end: end.min(now + LAST_WORDS_NS) };
                let agent = call.agent;
                self.media.last_words(Side::Customer, id);
                if let (Some(agent), true) = (agent, self.plan.media) {
                    self.media.last_words(Side::Agent, agent);
                }
            }
            Stage::LastWords { end } if now >= end => {
                call.stage = Stage::Leaving;
                call.phone.hang_up(now, out);
            }
            Stage::Calling | Stage::Half { .. } if self.sums.cut_short => {
                call.phone.hang_up(now, out);
                self.fail(id, "cut-short");
                self.live.retain(|&other| other != id);
            }
            _ => {
                if call.stage == Stage::Over && call.phone.is_over() {
                    self.live.retain(|&other| other != id);
                }
            }
        }
    }

    /// All calls up (or failed): the steady time begins. At its end they leave at the rate they came.
    fn hold_together(&mut self, now: u64) {
        if !self.plan.together || self.sums.attempted < self.plan.total {
            return;
        }
        let up = |call: &Call| matches!(call.stage, Stage::Connected { .. });
        let pending = |call: &Call| matches!(call.stage, Stage::Calling | Stage::Half { .. });
        match (self.steady_from, self.steady_to) {
            (None, _) if !self.calls.iter().any(pending) => {
                self.steady_calls = self.calls.iter().filter(|call| up(call)).count() as u32;
                self.steady_from = Some(now);
                self.media.steady = true;
                self.tell("steady", now);
            }
            (Some(from), None) if now >= from + self.plan.hold_ns => {
                self.steady_to = Some(now);
                self.media.steady = false;
                self.tell("leaving", now);
                let gap = (1e9 / self.plan.rate) as u64;
                let leaving = self.calls.iter_mut().filter(|call| up(call));
                for (n, call) in leaving.enumerate() {
                    call.stage = Stage::Connected { end: now + LAST_WORDS_NS + n as u64 * gap };
                }
            }
            _ => {}
        }
    }

    fn tell(&self, what: &str, now: u64) {
        if self.plan.events {
            let calls = self.steady_calls;
            eprintln!("{}", serde_json::json!({"event": what, "calls": calls, "monotonic_ns": now}));
        }
    }

    // ------------------------------------------------------------------------------------------------ report

    fn report(mut self, cpu_ns: u64) -> Report {
        let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9;
        self.sums.requests_resent = self.calls.iter().map(|call| call.phone.resent).sum();
        self.sums.answers_resent = self.agents.iter().map(|agent| agent.phone.resent).sum();
        self.sums.agent_legs_left = self.agents.iter().filter(|agent| !agent.phone.is_over()).count() as u32;
        let (delay, delay_steady) = self.media.both_delays();
        // n starts lie n-1 intervals apart; so do n connections.
        let per_second = |count: u32, over: f64| f64::from(count.saturating_sub(1)) / over.max(1e-9);
        // About when the first call was connected.
        let first_connected = self.began + self.connected.least();
        Report {
            setup: Setup {
                attempted_per_s: per_second(self.sums.attempted, seconds(self.began, self.last_start)),
                connected_per_s: per_second(
                    self.sums.connected,
                    seconds(first_connected, self.last_connected),
                ),
                answered: self.answered.percentiles(),
                connected: self.connected.percentiles(),
            },
            steady: Steady {
                calls: self.steady_calls,
                seconds: self.steady_from.map_or(0.0, |from| seconds(from, self.steady_to.unwrap_or(from))),
            },
            to_agent: self.media.heard_by(Side::Agent),
            to_customer: self.media.heard_by(Side::Customer),
            delay: delay.percentiles(),
            delay_steady: delay_steady.percentiles(),
            own: self.media.own(cpu_ns, clock::monotonic() - self.began),
            calls: self.sums,
        }
    }
}

fn send_all(socket: &UdpSocket, out: Out) {
    for (to, bytes) in out {
        // A refused datagram is a lost one: the timers send again.
        let _ = socket.send_to(&bytes, to);
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddrV4)> {
    loop {
        match socket.recv_from(buffer) {
            Ok((length, SocketAddr::V4(from))) => return Some((length, from)),
            Ok(_) => {}
            // Linux reports an earlier datagram's ICMP refusal here once; what waits behind it is still to be read.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(_) => return None,
        }
    }
}

//! The engine: calls by slot, commands in, packets in, time in; what comes out goes through the [`Shell`].
//!
//! * [`call`]      one call: its legs, proofs and taps
//! * `commands`    one function for each word of [`crate::protocol::Command`]
//! * `packets`     the path of one datagram
//! * `playing`     what the engine sends of its own: prompts and tones, at each leg's pace
//! * `private`     what ends every use of a call, or some
//! * `taps`        opening, pausing, closing; the journals that are still being written
//! * `wire`      what passes between a leg and its peer: opened and sealed, where it has keys
//! * `timers`      pace, hold-back, chunks, lease, silence

mod call;
mod commands;
mod packets;
mod playing;
mod private;
mod taps;
mod timers;
mod wire;

use crate::codec::Codec;
use crate::gate::Line;
use crate::guard::Guards;
use crate::journal::{JournalId, Note};
use crate::mix::{self, Mix};
use crate::prompt::Prompt;
use crate::protocol::{Command, Event, LegName, Listener, MS, Nanos};
use crate::receipt::Receipts;
use crate::secrets::Secrets;
use crate::shell::{Shell, SocketId};
use call::Call;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use taps::Owner;

/// What `configure` set.
#[derive(Clone, Debug)]
struct Settings {
    address: IpAddr,
    journal_directory: String,
    key_directory: String,
    hold_back: Nanos,
    playout: Nanos,
    lease: Nanos,
    chunk: Nanos,
    media_timeout: Nanos,
    codecs: Vec<Codec>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            journal_directory: String::new(),
            key_directory: String::new(),
            hold_back: 200 * MS,
            playout: 200 * MS,
            lease: 3000 * MS,
            chunk: 250 * MS,
            media_timeout: 30_000 * MS,
            codecs: Vec::new(),
        }
    }
}

/// Counted since the start.
#[derive(Debug, Default)]
struct Counters {
    packets_in: u64,
    packets_out: u64,
    strangers: u64,
    invalid: u64,
    unmapped: u64,
    not_authentic: u64,
    replayed: u64,
    unsealed: u64,
    send_failures: u64,
    overruns: u64,
    taps_opened: u64,
    taps_refused: u64,
    taps_failed: u64,
    listened: u64,
    listener_dropped: u64,
    lease_losses: u64,
}

/// A leg's next packet of our own is due: when, whose, and the ticket that must still be the leg's.
type Due = Reverse<(Nanos, SocketId, u32)>;

/// All that is not a call.
struct World {
    settings: Settings,
    configured: bool,
    run: String,
    secrets: Secrets,
    guards: Guards,
    prompts: HashMap<String, Arc<Prompt>>,
    lines: HashMap<String, Line>,
    ports: VecDeque<u16>,
    owners: HashMap<JournalId, Owner>,
    next_journal: u64,
    /// Last chunks the writer had no room for.
    closing: Vec<(JournalId, Vec<u8>)>,
    /// What listeners hear, by the slot of their call.
    mixes: HashMap<usize, Mix>,
    next_ear: u64,
    receipts: Receipts,
    /// Calls that are over but whose journals are not: how many.
    finishing: HashMap<String, usize>,
    pace: BinaryHeap<Due>,
    next_ticket: u32,
    lease_until: Nanos,
    leased: bool,
    next_sweep: Nanos,
    counters: Counters,
    chunk: Vec<u8>,
    stopping: bool,
}

/// What a function of a call needs beside the call.
struct Cx<'a> {
    world: &'a mut World,
    shell: &'a mut dyn Shell,
    now: Nanos,
}

/// The media engine. Everything takes `now`; [`Engine::next_timer`] says when it next wants to be woken.
pub struct Engine {
    calls: Vec<Option<Call>>,
    free: Vec<usize>,
    names: HashMap<String, usize>,
    world: World,
}

impl Engine {
    pub fn new(secrets: Secrets) -> Engine {
        Engine::with_guards(secrets, Guards::default())
    }

    /// With the feature `mutants` a guard may be missing; in every other build [`Guards`] has one value.
    pub(crate) fn with_guards(mut secrets: Secrets, guards: Guards) -> Engine {
        let world = World {
            settings: Settings::default(),
            configured: false,
            run: secrets.id(),
            secrets,
            guards,
            prompts: HashMap::new(),
            lines: HashMap::new(),
            ports: VecDeque::new(),
            owners: HashMap::new(),
            next_journal: 1,
            closing: Vec::new(),
            mixes: HashMap::new(),
            next_ear: 0,
            receipts: Receipts::default(),
            finishing: HashMap::new(),
            pace: BinaryHeap::new(),
            next_ticket: 0,
            lease_until: 0,
            leased: false,
            next_sweep: 0,
            counters: Counters::default(),
            chunk: Vec::with_capacity(32 * 1024),
            stopping: false,
        };
        Engine { calls: Vec::new(), free: Vec::new(), names: HashMap::new(), world }
    }

    pub fn command(&mut self, command: Command, now: Nanos, shell: &mut dyn Shell) {
        self.check_lease(now, shell);
        commands::run(self, command, now, shell);
    }

    /// One datagram for one of our sockets. `arrival`: when the kernel got it; `data` may be changed.
    pub fn packet(
        &mut self,
        socket: SocketId,
        source: SocketAddr,
        data: &mut [u8],
        arrival: Nanos,
        now: Nanos,
        shell: &mut dyn Shell,
    ) {
        self.check_lease(now, shell);
        let Some(call) = self.calls.get_mut(socket.slot()).and_then(Option::as_mut) else { return };
        let mut cx = Cx { world: &mut self.world, shell, now };
        if socket.is_rtcp() {
            packets::rtcp(call, socket.leg(), source, data, &mut cx);
        } else {
            packets::rtp(call, socket.leg(), source, data, arrival, &mut cx);
        }
    }

    /// A host said that nobody listens at `destination`, where this socket sent to.
    pub fn icmp_refused(
        &mut self,
        socket: SocketId,
        destination: SocketAddr,
        now: Nanos,
        shell: &mut dyn Shell,
    ) {
        let Some(call) = self.calls.get_mut(socket.slot()).and_then(Option::as_mut) else { return };
        let mut cx = Cx { world: &mut self.world, shell, now };
        if !socket.is_rtcp() {
            playing::refused(call, socket.leg(), destination, &mut cx);
        }
    }

    /// Do what is due at `now`.
    pub fn advance(&mut self, now: Nanos, shell: &mut dyn Shell) {
        self.check_lease(now, shell);
        timers::advance(self, now, shell);
    }

    pub fn next_timer(&self) -> Option<Nanos> {
        timers::next(self)
    }

    /// The writer of journals reports.
    pub fn note(&mut self, note: Note, now: Nanos, shell: &mut dyn Shell) {
        taps::note(self, note, now, shell);
    }

    /// Python has gone without a word: close every tap. What is held back is dropped, for nobody can say any more
    /// whether the call has changed.
    pub fn abandon(&mut self, now: Nanos, shell: &mut dyn Shell) {
        commands::close_taps(self, "control-lost", taps::Held::Drop, now, shell);
    }

    /// `shutdown` was said and every journal is closed.
    pub fn is_done(&self) -> bool {
        self.world.stopping && self.world.owners.is_empty()
    }

    fn check_lease(&mut self, now: Nanos, shell: &mut dyn Shell) {
        if self.world.leased && now >= self.world.lease_until {
            timers::lease_ran_out(self, now, shell);
        }
    }

    fn find(&mut self, call: &str) -> Option<(&mut Call, &mut World)> {
        let slot = *self.names.get(call)?;
        Some((self.calls.get_mut(slot)?.as_mut()?, &mut self.world))
    }

    /// The slot of the call a listening tap is to be heard in, if that can be.
    fn listener(&self, to: Option<&Listener>) -> Option<taps::Place> {
        let to = to.filter(|to| to.leg == LegName::Caller)?;
        let slot = *self.names.get(&to.call)?;
        let call = self.calls.get(slot)?.as_ref().filter(|call| call.may_listen())?;
        let remote = call.legs[0].as_ref().and_then(|leg| leg.remote.as_ref());
        let wide = remote.is_some_and(|remote| remote.own_codec().is_wideband());
        Some(taps::Place { slot, rate: if wide { mix::WIDE } else { mix::NARROW } })
    }

    fn each_call(&mut self, now: Nanos, shell: &mut dyn Shell, mut act: impl FnMut(&mut Call, &mut Cx<'_>)) {
        let mut cx = Cx { world: &mut self.world, shell, now };
        for call in self.calls.iter_mut().flatten() {
            act(call, &mut cx);
        }
    }
}

impl Cx<'_> {
    fn stands(&self, guard: crate::guard::Guard) -> bool {
        self.world.guards.stands(guard)
    }

    fn event(&mut self, event: Event) {
        self.shell.event(event);
    }

    fn failed(&mut self, what: &str, call: &str, leg: Option<LegName>, reason: &str) {
        let leg = match leg {
            None => "",
            Some(LegName::Caller) => "caller",
            Some(LegName::Callee) => "callee",
        };
        let (what, call, reason, leg) = (what.into(), call.into(), reason.into(), leg.into());
        self.event(Event::CommandFailed { what, call, reason, leg });
    }
}

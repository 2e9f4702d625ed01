//! The live shell: one packet thread (this one), one that seals and appends, one that syncs, and one that makes prompts
//! ready.
//!
//! The packet thread waits in epoll for the control socket, the RTP and RTCP sockets, a timer and the other threads'
//! reports. In each round it obeys Python first, then the timers, then the packets, so that a change of the call reaches
//! the engine before the packets that came with it. It never waits for a disk: journals leave through a bounded channel.

mod clock;
mod control;
mod prompts;
mod sockets;
mod writer;

use crate::codec::Codec;
use crate::engine::Engine;
use crate::journal::{JournalId, Opening};
use crate::prompt::Prompt;
use crate::protocol::{Command, Event, Nanos};
use crate::secrets::Secrets;
use crate::shell::{BindFailure, SendFailure, Shell, SocketId};
use clock::{Clock, Timer};
use control::Control;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use prompts::Prompts;
use sockets::{Received, Sockets};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use writer::Writer;

/// Epoll tokens above every [`SocketId`].
const CONTROL: u64 = 1 << 40;
const TIMER: u64 = CONTROL + 1;
const REPORTS: u64 = CONTROL + 2;

/// Datagrams taken in one round at most: the next look at the control socket is never far.
const ROUND: usize = 128;

/// How long the disk gets to close the last journals when Python has gone.
const LAST_SYNC: Duration = Duration::from_secs(5);

/// Serve one engine over a connected `SOCK_SEQPACKET` socket until `shutdown` or its end. `begun` is called by this, the
/// packet thread, when the others have begun: precedence that it takes then is its own, not that of sealing and syncing.
///
/// # Errors
/// When the kernel gives no epoll, timer or thread: the engine cannot run at all.
pub fn run(control: OwnedFd, begun: impl FnOnce()) -> Result<(), String> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|e| format!("no epoll: {e}"))?;
    let timer = Timer::new().map_err(|e| format!("no timer: {e}"))?;
    let writer = Writer::start().map_err(|e| format!("no writer thread: {e}"))?;
    let prompts = Prompts::start().map_err(|e| format!("no thread for prompts: {e}"))?;
    begun();
    let control = Control::new(control);
    let watch = |fd: &dyn std::os::fd::AsFd, token| {
        epoll.add(fd.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, token)).map_err(|e| format!("epoll: {e}"))
    };
    watch(&control, CONTROL)?;
    watch(&timer, TIMER)?;
    watch(&writer, REPORTS)?;
    let shell = Live { sockets: Sockets::new(epoll), control, writer, prompts, clock: Clock::read() };
    Loop { engine: Engine::new(Secrets::System), shell, timer, ending: None }.run()
}

struct Live {
    sockets: Sockets,
    control: Control,
    writer: Writer,
    prompts: Prompts,
    clock: Clock,
}

struct Loop {
    engine: Engine,
    shell: Live,
    timer: Timer,
    /// Python has gone: until when the last journals may take.
    ending: Option<Instant>,
}

impl Loop {
    fn run(mut self) -> Result<(), String> {
        let mut ready = [EpollEvent::empty(); ROUND];
        loop {
            self.timer.set(self.engine.next_timer());
            let count = self.wait(&mut ready)?;
            self.shell.clock = Clock::read();
            self.round(&ready[..count]);
            let late = self.ending.is_some_and(|by| Instant::now() >= by);
            if self.engine.is_done() || late {
                self.shell.control.flush();
                return Ok(());
            }
        }
    }

    fn wait(&self, ready: &mut [EpollEvent]) -> Result<usize, String> {
        let timeout = if self.ending.is_some() { EpollTimeout::from(100u8) } else { EpollTimeout::NONE };
        match self.shell.sockets.epoll().wait(ready, timeout) {
            Ok(count) => Ok(count),
            Err(Errno::EINTR) => Ok(0),
            Err(error) => Err(format!("epoll: {error}")),
        }
    }

    /// Python, then time, then the disk's reports, then packets.
    fn round(&mut self, ready: &[EpollEvent]) {
        let now = self.shell.clock.now;
        if ready.iter().any(|e| e.data() == CONTROL) {
            self.obey(now);
        }
        if self.engine.next_timer().is_some_and(|at| at <= now) {
            self.engine.advance(now, &mut self.shell);
        }
        if ready.iter().any(|e| e.data() == REPORTS) {
            for note in self.shell.writer.reports() {
                self.engine.note(note, now, &mut self.shell);
            }
        }
        for event in ready.iter().filter(|e| e.data() < CONTROL) {
            self.datagram(SocketId(event.data() as u32), event.events());
        }
        self.shell.control.flush();
    }

    fn obey(&mut self, now: Nanos) {
        while let Some(message) = self.shell.control.receive() {
            // A packet carries one or more commands, a line each.
            let read: Vec<_> = message.split(|byte| *byte == b'\n').map(Command::read).collect();
            self.shell.control.forget();
            for command in read {
                match command {
                    Ok(command) => self.engine.command(command, now, &mut self.shell),
                    Err(event) => self.shell.event(*event),
                }
            }
        }
        if self.shell.control.is_gone() && self.ending.is_none() {
            self.ending = Some(Instant::now() + LAST_SYNC);
            self.engine.abandon(now, &mut self.shell);
        }
    }

    fn datagram(&mut self, socket: SocketId, flags: EpollFlags) {
        let mut buffer = [0; sockets::LARGEST];
        let now = self.shell.clock.now;
        if flags.contains(EpollFlags::EPOLLERR) {
            while let Some(destination) = self.shell.sockets.refusal(socket) {
                self.engine.icmp_refused(socket, destination, now, &mut self.shell);
            }
        }
        if let Some(Received { length, source, stamp }) = self.shell.sockets.receive(socket, &mut buffer) {
            let arrival = self.shell.clock.arrival(stamp);
            self.engine.packet(socket, source, &mut buffer[..length], arrival, now, &mut self.shell);
        }
    }
}

impl Shell for Live {
    fn bind(&mut self, rtp: SocketId, address: IpAddr, port: u16) -> Result<(), BindFailure> {
        self.sockets.bind(rtp, address, port)
    }

    fn unbind(&mut self, rtp: SocketId) {
        self.sockets.unbind(rtp);
    }

    fn send(&mut self, from: SocketId, to: SocketAddr, data: &[u8]) -> Result<(), SendFailure> {
        self.sockets.send(from, to, data)
    }

    fn event(&mut self, event: Event) {
        self.control.say(&event);
    }

    fn read_file(&mut self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|_| "unreadable".to_owned())
    }

    fn prepare(&mut self, prompt: &Arc<Prompt>, codecs: &[Codec]) {
        self.prompts.prepare(prompt, codecs);
    }

    fn wall_ns(&self, mono: Nanos) -> u64 {
        self.clock.wall(mono)
    }

    fn pid(&self) -> u32 {
        std::process::id()
    }

    fn journal_open(&mut self, opening: Box<Opening>) -> bool {
        self.writer.open(opening)
    }

    fn journal_append(&mut self, journal: JournalId, records: &mut Vec<u8>, sync: bool) -> bool {
        self.writer.append(journal, records, sync)
    }

    fn journal_close(&mut self, journal: JournalId, records: &mut Vec<u8>) -> bool {
        self.writer.close(journal, records)
    }

    fn counters(&self, now: Nanos) -> Vec<(&'static str, u64)> {
        self.writer.counters(now)
    }
}

//! The same engine on virtual time: sockets, files and the clock are memory. Deterministic by its seed, but for the age
//! stanzas in a journal's envelope, which always take fresh randomness.

use crate::engine::Engine;
#[cfg(feature = "mutants")]
use crate::guard::{Guard, Guards};
use crate::journal::seal::Sealer;
use crate::journal::{JournalId, Note, Opening};
use crate::protocol::{Command, Event, Nanos};
use crate::secrets::Secrets;
use crate::shell::{BindFailure, SendFailure, Shell, SocketId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// 2026-01-01T00:00:00Z: the wall clock of a simulation at monotonic zero.
const EPOCH: u64 = 1_767_225_600_000_000_000;

/// A datagram that left the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub from_port: u16,
    pub to: SocketAddr,
    pub data: Vec<u8>,
    pub at: Nanos,
}

#[derive(Default)]
struct Memory {
    ports: HashMap<u16, SocketId>,
    sockets: HashMap<SocketId, u16>,
    /// Ports somebody else has: binding them fails.
    taken: HashSet<u16>,
    files: HashMap<String, Vec<u8>>,
    events: Vec<Event>,
    packets: Vec<Sent>,
    notes: Vec<Note>,
    sealers: HashMap<JournalId, (String, Sealer)>,
    journals: BTreeMap<String, Vec<u8>>,
    keys: BTreeMap<String, [u8; 32]>,
    disk: Disk,
    now: Nanos,
}

/// What the simulated disk does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disk {
    #[default]
    Works,
    Full,
    /// Takes nothing: the writer is overrun.
    Stalled,
}

pub struct Sim {
    engine: Engine,
    memory: Memory,
}

impl Sim {
    pub fn new(seed: u64) -> Sim {
        Sim { engine: Engine::new(Secrets::seeded(seed)), memory: Memory::default() }
    }

    /// An engine without one of its guards: shows that tests notice. Exists only with the feature `mutants`.
    #[cfg(feature = "mutants")]
    pub fn without(seed: u64, guard: Guard) -> Sim {
        let engine = Engine::with_guards(Secrets::seeded(seed), Guards::without(guard));
        Sim { engine, memory: Memory::default() }
    }

    /// A file the engine may read, in place of the file system's.
    pub fn add_file(&mut self, path: &str, data: Vec<u8>) {
        self.memory.files.insert(path.to_owned(), data);
    }

    pub fn set_disk(&mut self, disk: Disk) {
        self.memory.disk = disk;
    }

    pub fn take_port(&mut self, port: u16) {
        self.memory.taken.insert(port);
    }

    pub fn command(&mut self, message: &[u8], now: Nanos) {
        self.advance(now);
        match Command::read(message) {
            Ok(command) => self.engine.command(command, self.memory.now, &mut self.memory),
            Err(event) => self.memory.event(*event),
        }
        self.settle();
    }

    /// A datagram arrives now.
    pub fn packet(&mut self, port: u16, source: SocketAddr, data: &[u8], now: Nanos) {
        self.advance(now);
        self.packet_read_late(port, source, data, now);
    }

    /// A datagram the kernel got at `arrival` is read only now (the last time handed in).
    pub fn packet_read_late(&mut self, port: u16, source: SocketAddr, data: &[u8], arrival: Nanos) {
        let Some(socket) = self.memory.ports.get(&port).copied() else { return };
        self.engine.packet(socket, source, &mut data.to_vec(), arrival, self.memory.now, &mut self.memory);
        self.settle();
    }

    pub fn icmp_refused(&mut self, port: u16, destination: SocketAddr, now: Nanos) {
        self.advance(now);
        let Some(socket) = self.memory.ports.get(&port).copied() else { return };
        self.engine.icmp_refused(socket, destination, self.memory.now, &mut self.memory);
        self.settle();
    }

    /// Let time pass, timer by timer, so that nothing happens late.
    pub fn advance(&mut self, now: Nanos) {
        while let Some(at) = self.engine.next_timer().filter(|at| *at <= now) {
            self.memory.now = self.memory.now.max(at);
            self.engine.advance(self.memory.now, &mut self.memory);
            self.settle();
        }
        self.memory.now = self.memory.now.max(now);
    }

    /// Time jumps: the engine's process stood still. Whatever was due is late.
    pub fn stall(&mut self, now: Nanos) {
        self.memory.now = self.memory.now.max(now);
    }

    /// Python has gone.
    pub fn abandon(&mut self) {
        self.engine.abandon(self.memory.now, &mut self.memory);
        self.settle();
    }

    fn settle(&mut self) {
        while !self.memory.notes.is_empty() {
            for note in std::mem::take(&mut self.memory.notes) {
                self.engine.note(note, self.memory.now, &mut self.memory);
            }
        }
    }

    pub fn is_done(&self) -> bool {
        self.engine.is_done()
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.memory.events)
    }

    pub fn take_packets(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.memory.packets)
    }

    /// Journals by tap, as they would lie on the disk.
    pub fn journals(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.memory.journals
    }

    /// Their keys, as they would lie in the key directory.
    pub fn keys(&self) -> &BTreeMap<String, [u8; 32]> {
        &self.memory.keys
    }
}

impl Shell for Memory {
    fn bind(&mut self, rtp: SocketId, _address: IpAddr, port: u16) -> Result<(), BindFailure> {
        if self.taken.contains(&port) || self.taken.contains(&(port + 1)) || self.ports.contains_key(&port) {
            return Err(BindFailure::PortTaken);
        }
        for (id, port) in [(rtp, port), (SocketId(rtp.0 | 1), port + 1)] {
            self.ports.insert(port, id);
            self.sockets.insert(id, port);
        }
        Ok(())
    }

    fn unbind(&mut self, rtp: SocketId) {
        for id in [rtp, SocketId(rtp.0 | 1)] {
            if let Some(port) = self.sockets.remove(&id) {
                self.ports.remove(&port);
            }
        }
    }

    fn send(&mut self, from: SocketId, to: SocketAddr, data: &[u8]) -> Result<(), SendFailure> {
        let from_port = *self.sockets.get(&from).ok_or(SendFailure::Refused)?;
        self.packets.push(Sent { from_port, to, data: data.to_vec(), at: self.now });
        Ok(())
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn read_file(&mut self, path: &str) -> Result<Vec<u8>, String> {
        match self.files.get(path) {
            Some(data) => Ok(data.clone()),
            None => std::fs::read(path).map_err(|_| "unreadable".to_owned()),
        }
    }

    fn wall_ns(&self, mono: Nanos) -> u64 {
        EPOCH + mono
    }

    fn pid(&self) -> u32 {
        0
    }

    fn journal_open(&mut self, opening: Box<Opening>) -> bool {
        let mut data = Vec::new();
        let note = match (self.disk, Sealer::begin(&opening, &mut data)) {
            (Disk::Stalled, _) => return false,
            (Disk::Full, _) => Note::OpenFailed(opening.journal, "journal-failed".into()),
            (Disk::Works, Err(reason)) => Note::OpenFailed(opening.journal, reason.into()),
            (Disk::Works, Ok(sealer)) => {
                self.journals.insert(opening.recording.clone(), data);
                self.keys.insert(opening.recording.clone(), *opening.key);
                self.sealers.insert(opening.journal, (opening.recording.clone(), sealer));
                Note::Opened(opening.journal)
            }
        };
        self.notes.push(note);
        true
    }

    fn journal_append(&mut self, journal: JournalId, records: &mut Vec<u8>, _sync: bool) -> bool {
        match self.disk {
            Disk::Stalled => return false,
            Disk::Full => self.notes.push(Note::Failed(journal, "disk-full".into())),
            Disk::Works => {
                let Some((recording, sealer)) = self.sealers.get_mut(&journal) else { return true };
                let data = self.journals.entry(recording.clone()).or_default();
                if let Err(reason) = sealer.seal(records, data) {
                    self.notes.push(Note::Failed(journal, reason.into()));
                }
            }
        }
        records.clear();
        true
    }

    fn journal_close(&mut self, journal: JournalId, records: &mut Vec<u8>) -> bool {
        let taken = self.journal_append(journal, records, true);
        if taken && self.disk == Disk::Works {
            let length = self.sealers.remove(&journal).map_or(0, |(id, _)| self.journals[&id].len());
            self.notes.push(Note::Closed(journal, length as u64));
        }
        taken
    }

    fn counters(&self, _now: Nanos) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

//! Journals on disk. One thread seals and appends, one syncs: the packet thread waits for neither.
//!
//! Work goes through a bounded channel and empty buffers come back through another, so nothing is allocated for a chunk
//! once a load has been reached. When the channel is full the disk has stalled for seconds: the engine is told, drops
//! records and says so in the journal.

use super::clock::monotonic;
use crate::journal::seal::Sealer;
use crate::journal::{JournalId, Note, Opening};
use crate::protocol::Nanos;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Chunks that may wait: four seconds of a thousand calls.
const WAITING: usize = 16 * 1024;

/// How often everything written goes to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);

enum Work {
    Open(Box<Opening>),
    Append { journal: JournalId, records: Vec<u8>, sync: bool },
    Close { journal: JournalId, records: Vec<u8> },
}

enum Sync {
    /// The file system journals are on.
    Directory(File),
    Now,
    Close(JournalId, u64),
}

/// Shared figures. Times are nanoseconds, 0 for none.
#[derive(Default)]
struct Figures {
    chunks: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
    syncs: AtomicU64,
    /// When the oldest byte was written that no sync has begun to cover, and that one under way covers.
    unsynced_since: AtomicU64,
    syncing_since: AtomicU64,
}

impl Figures {
    fn wrote(&self, bytes: usize) {
        self.chunks.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let now = monotonic();
        let _ = self.unsynced_since.compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn oldest_unsynced(&self) -> Option<Nanos> {
        let times = [&self.syncing_since, &self.unsynced_since].map(|t| t.load(Ordering::Acquire));
        times.into_iter().filter(|t| *t != 0).min()
    }
}

/// Reports to the packet thread, which an eventfd wakes.
#[derive(Clone)]
struct Reports {
    notes: Sender<Note>,
    bell: Arc<EventFd>,
}

impl Reports {
    fn say(&self, note: Note) {
        // The packet thread outlives the others' work; if it has gone there is nobody to tell.
        if self.notes.send(note).is_ok() {
            let _ = self.bell.write(1);
        }
    }
}

/// The packet thread's end.
pub struct Writer {
    work: Sender<Work>,
    empty: Receiver<Vec<u8>>,
    notes: Receiver<Note>,
    bell: Arc<EventFd>,
    figures: Arc<Figures>,
}

impl Writer {
    pub fn start() -> io::Result<Writer> {
        let (work, to_do) = bounded(WAITING);
        let (give_back, empty) = bounded(WAITING);
        let (say, notes) = unbounded();
        let (to_sync, syncs) = unbounded();
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        let figures = Arc::new(Figures::default());
        let reports = Reports { notes: say, bell: Arc::clone(&bell) };
        let appender = Appender {
            files: HashMap::new(),
            sealed: Vec::with_capacity(64 * 1024),
            directory: String::new(),
            give_back,
            to_sync,
            reports: reports.clone(),
            figures: Arc::clone(&figures),
        };
        let shared = Arc::clone(&figures);
        thread::Builder::new().name("qm-append".into()).spawn(move || appender.run(&to_do))?;
        thread::Builder::new().name("qm-sync".into()).spawn(move || sync_loop(&syncs, &reports, &shared))?;
        Ok(Writer { work, empty, notes, bell, figures })
    }

    pub fn open(&self, opening: Box<Opening>) -> bool {
        self.work.try_send(Work::Open(opening)).is_ok()
    }

    pub fn append(&self, journal: JournalId, records: &mut Vec<u8>, sync: bool) -> bool {
        let records_out = self.swap(records);
        self.hand_over(Work::Append { journal, records: records_out, sync }, records)
    }

    pub fn close(&self, journal: JournalId, records: &mut Vec<u8>) -> bool {
        let records_out = self.swap(records);
        self.hand_over(Work::Close { journal, records: records_out }, records)
    }

    /// Take the full buffer, leave an empty one.
    fn swap(&self, records: &mut Vec<u8>) -> Vec<u8> {
        let empty = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(8 * 1024));
        std::mem::replace(records, empty)
    }

    fn hand_over(&self, work: Work, records: &mut Vec<u8>) -> bool {
        match self.work.try_send(work) {
            Ok(()) => true,
            Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) => {
                if let Work::Append { records: back, .. } | Work::Close { records: back, .. } = work {
                    *records = back;
                }
                false
            }
        }
    }

    pub fn reports(&self) -> Vec<Note> {
        let _ = self.bell.read();
        self.notes.try_iter().collect()
    }

    pub fn counters(&self, now: Nanos) -> Vec<(&'static str, u64)> {
        let figure = |f: &AtomicU64| f.load(Ordering::Relaxed);
        let oldest = self.figures.oldest_unsynced().map_or(0, |t| now.saturating_sub(t) / 1_000_000);
        vec![
            ("journal_chunks", figure(&self.figures.chunks)),
            ("journal_bytes", figure(&self.figures.bytes)),
            ("journal_errors", figure(&self.figures.errors)),
            ("journal_syncs", figure(&self.figures.syncs)),
            ("journal_waiting", self.work.len() as u64),
            ("oldest_unsynced_ms", oldest),
        ]
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// One journal being written.
struct Open {
    file: File,
    sealer: Sealer,
    length: u64,
}

struct Appender {
    files: HashMap<JournalId, Open>,
    sealed: Vec<u8>,
    directory: String,
    give_back: Sender<Vec<u8>>,
    to_sync: Sender<Sync>,
    reports: Reports,
    figures: Arc<Figures>,
}

impl Appender {
    fn run(mut self, to_do: &Receiver<Work>) {
        for work in to_do {
            match work {
                Work::Open(opening) => self.open(&opening),
                Work::Append { journal, records, sync } => {
                    if self.append(journal, records) && sync {
                        let _ = self.to_sync.send(Sync::Now);
                    }
                }
                Work::Close { journal, records } => {
                    if self.append(journal, records)
                        && let Some(open) = self.files.remove(&journal)
                    {
                        let _ = self.to_sync.send(Sync::Close(journal, open.length));
                    }
                }
            }
        }
    }

    fn open(&mut self, opening: &Opening) {
        let note = match self.begin(opening) {
            Ok(open) => {
                self.files.insert(opening.journal, open);
                self.watch_directory(&opening.path);
                Note::Opened(opening.journal)
            }
            Err(error) => {
                self.figures.errors.fetch_add(1, Ordering::Relaxed);
                Note::OpenFailed(opening.journal, reason(&error))
            }
        };
        self.reports.say(note);
    }

    /// The key first: a journal whose key is nowhere could never be rendered.
    fn begin(&mut self, opening: &Opening) -> io::Result<Open> {
        let mut key = create(&opening.key_path)?;
        let begun = key.write_all(&*opening.key).and_then(|()| self.begin_file(opening));
        if begun.is_err() {
            let _ = std::fs::remove_file(&opening.key_path);
        }
        begun
    }

    fn begin_file(&mut self, opening: &Opening) -> io::Result<Open> {
        self.sealed.clear();
        let sealer = Sealer::begin(opening, &mut self.sealed).map_err(io::Error::other)?;
        let mut file = create(&opening.path)?;
        if let Err(error) = file.write_all(&self.sealed) {
            let _ = std::fs::remove_file(&opening.path);
            return Err(error);
        }
        self.figures.wrote(self.sealed.len());
        Ok(Open { file, sealer, length: self.sealed.len() as u64 })
    }

    /// Seal and write one chunk. A journal that cannot be written is cut back to its last whole chunk and given up.
    fn append(&mut self, journal: JournalId, records: Vec<u8>) -> bool {
        let Some(open) = self.files.get_mut(&journal) else { return false };
        self.sealed.clear();
        let sealed = open.sealer.seal(&records, &mut self.sealed).map_err(io::Error::other);
        // A full pool of empty buffers needs no more.
        let _ = self.give_back.try_send(records);
        match sealed.and_then(|()| open.file.write_all(&self.sealed)) {
            Ok(()) => {
                open.length += self.sealed.len() as u64;
                self.figures.wrote(self.sealed.len());
                true
            }
            Err(error) => {
                let _ = open.file.set_len(open.length);
                self.files.remove(&journal);
                self.figures.errors.fetch_add(1, Ordering::Relaxed);
                self.reports.say(Note::Failed(journal, reason(&error)));
                false
            }
        }
    }

    /// The sync thread syncs whole file systems: tell it which, when it changes.
    fn watch_directory(&mut self, path: &str) {
        let parent = Path::new(path).parent().and_then(Path::to_str).unwrap_or_default();
        if parent != self.directory
            && let Ok(directory) = File::open(parent)
        {
            parent.clone_into(&mut self.directory);
            let _ = self.to_sync.send(Sync::Directory(directory));
        }
    }
}

fn create(path: &str) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk-full".into(),
        io::ErrorKind::AlreadyExists => "journal-exists".into(),
        _ => "journal-failed".into(),
    }
}

/// Once a second, and when a journal closes or is cut. All that waits is served by one sync.
fn sync_loop(syncs: &Receiver<Sync>, reports: &Reports, figures: &Figures) {
    let mut directory: Option<File> = None;
    let mut next = Instant::now() + SYNC_EVERY;
    loop {
        let mut closed = Vec::new();
        let mut wanted = false;
        let first = syncs.recv_timeout(next.saturating_duration_since(Instant::now()));
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
        for order in first.into_iter().chain(syncs.try_iter()) {
            match order {
                Sync::Directory(new) => directory = Some(new),
                Sync::Now => wanted = true,
                Sync::Close(journal, length) => closed.push((journal, length)),
            }
        }
        let mut synced = true;
        if wanted || !closed.is_empty() || Instant::now() >= next {
            synced = sync(directory.as_ref(), figures);
            next = Instant::now() + SYNC_EVERY;
        }
        for (journal, length) in closed {
            // "Closed" is what a cut waits for: it may not be said of what a power cut would take away.
            let failed = Note::Failed(journal, "sync-failed".into());
            reports.say(if synced { Note::Closed(journal, length) } else { failed });
        }
    }
}

/// Whether all that was written is on the disk.
fn sync(directory: Option<&File>, figures: &Figures) -> bool {
    let since = figures.unsynced_since.swap(0, Ordering::AcqRel);
    if since == 0 {
        return true;
    }
    figures.syncing_since.store(since, Ordering::Release);
    let synced = directory.is_some_and(|d| nix::unistd::syncfs(d).is_ok());
    figures.syncing_since.store(0, Ordering::Release);
    if synced {
        figures.syncs.fetch_add(1, Ordering::Relaxed);
    } else {
        figures.errors.fetch_add(1, Ordering::Relaxed);
        let _ = figures.unsynced_since.compare_exchange(0, since, Ordering::AcqRel, Ordering::Relaxed);
    }
    synced
}

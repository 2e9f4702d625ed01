//! The journal of one recording: what arrived, as it arrived, sealed before it is written.
//!
//! ```text
//! "QMJ1\n"                                   magic
//! u32 length, JSON                           envelope, in clear: id, cipher, the key wrapped for each purpose
//! u32 length, u64 index, ciphertext ...      chunk 0: JSON header; chunk 1..: records
//! ```
//! Little endian throughout. ChaCha20-Poly1305 (RFC 8439); nonce = four zero octets + index; the recording id and the
//! index are authenticated with each chunk, so chunks cannot be swapped between recordings or places. A key serves one
//! recording. What a torn last chunk held is lost, nothing before it.

pub mod read;
pub mod record;
pub mod seal;

use crate::protocol::Nanos;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// One journal of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalId(pub u64);

/// All that is needed to begin a journal file.
pub struct Opening {
    pub journal: JournalId,
    pub recording: String,
    pub path: String,
    pub key_path: String,
    pub key: Zeroizing<[u8; 32]>,
    /// Purpose to age recipients; each purpose can end alone.
    pub recipients: BTreeMap<String, Vec<String>>,
    /// Plaintext of chunk 0.
    pub header: Vec<u8>,
}

/// What the writer of journals reports back to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    Opened(JournalId),
    OpenFailed(JournalId, String),
    Failed(JournalId, String),
    Closed(JournalId, u64),
}

/// How a journal ended, for `TapClosed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub packets: [u64; 2],
    pub first: Nanos,
    pub last: Nanos,
}

//! Sealing: the envelope in clear, then one chunk after another.

use super::Opening;
use base64::Engine as _;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use std::collections::BTreeMap;
use std::io::Write as _;

pub const MAGIC: &[u8; 5] = b"QMJ1\n";

/// Seals the chunks of one recording, in order.
pub struct Sealer {
    cipher: ChaCha20Poly1305,
    associated: Vec<u8>,
    index: u64,
}

impl Sealer {
    /// Start a journal: `out` receives magic, envelope and the sealed header chunk.
    pub fn begin(opening: &Opening, out: &mut Vec<u8>) -> Result<Sealer, &'static str> {
        let envelope = envelope(opening)?;
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&(envelope.len() as u32).to_le_bytes());
        out.extend_from_slice(&envelope);
        let mut sealer = Sealer {
            cipher: cipher(&opening.key),
            associated: opening.recording.as_bytes().to_vec(),
            index: 0,
        };
        sealer.seal(&opening.header, out)?;
        Ok(sealer)
    }

    /// Append one sealed chunk to `out`.
    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        let start = out.len();
        out.extend_from_slice(&(plaintext.len() as u32 + TAG).to_le_bytes());
        out.extend_from_slice(&self.index.to_le_bytes());
        let body = out.len();
        out.extend_from_slice(plaintext);
        let id = self.associated.len();
        self.associated.extend_from_slice(&self.index.to_le_bytes());
        let nonce = nonce(self.index);
        let tag = self.cipher.encrypt_inout_detached(&nonce, &self.associated, (&mut out[body..]).into());
        self.associated.truncate(id);
        let Ok(tag) = tag else {
            out.truncate(start);
            return Err("cannot-seal");
        };
        out.extend_from_slice(&tag);
        self.index += 1;
        Ok(())
    }
}

/// Octets of a Poly1305 tag.
const TAG: u32 = 16;

pub(super) fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(*key))
}

pub(super) fn nonce(index: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&index.to_le_bytes());
    Nonce::from(nonce)
}

/// Whether every purpose has at least one recipient and each can be read.
pub fn recipients_usable(purposes: &[String], recipients: &BTreeMap<String, Vec<String>>) -> bool {
    let readable = |texts: &Vec<String>| !texts.is_empty() && texts.iter().all(|t| recipient(t).is_ok());
    purposes.iter().all(|purpose| recipients.get(purpose).is_some_and(readable))
}

fn recipient(text: &str) -> Result<age::x25519::Recipient, &'static str> {
    text.parse().map_err(|_| "bad-recipient")
}

fn envelope(opening: &Opening) -> Result<Vec<u8>, &'static str> {
    let mut wrapped = BTreeMap::new();
    for (purpose, texts) in &opening.recipients {
        let file = wrap(&opening.key, texts)?;
        wrapped.insert(purpose, base64::engine::general_purpose::STANDARD.encode(file));
    }
    let value = serde_json::json!({
        "v": 1, "recording": opening.recording, "aead": "chacha20poly1305", "wrapped": wrapped,
    });
    serde_json::to_vec(&value).map_err(|_| "bad-envelope")
}

/// An age file that holds the key, for these recipients.
fn wrap(key: &[u8; 32], texts: &[String]) -> Result<Vec<u8>, &'static str> {
    let recipients = texts.iter().map(|t| recipient(t)).collect::<Result<Vec<_>, _>>()?;
    let each = recipients.iter().map(|r| r as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(each).map_err(|_| "no-recipients")?;
    let mut file = Vec::with_capacity(512);
    let mut writer = encryptor.wrap_output(&mut file).map_err(|_| "cannot-wrap")?;
    writer.write_all(key).map_err(|_| "cannot-wrap")?;
    writer.finish().map_err(|_| "cannot-wrap")?;
    Ok(file)
}

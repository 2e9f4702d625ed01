//! Reading a journal back: for tests here and for whoever checks the format. (The renderer has its own, in Python.)

use super::record::{self, Kept};
use super::seal;
use chacha20poly1305::aead::AeadInOut;

/// One record, its payload copied out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Packet(Kept, Vec<u8>),
    Codec { channel: u8, payload_type: u8, name: String },
    Cut { from: u64, to: u64 },
    Gap { state: u8, from: u64, to: u64 },
    End { at: u64, reason: String },
}

/// A journal as far as it is whole.
#[derive(Debug, Default)]
pub struct Journal {
    pub envelope: serde_json::Value,
    pub header: serde_json::Value,
    pub records: Vec<Record>,
}

impl Journal {
    /// Open `data` with its key. `None` if it is not a journal or the key is another's; a torn tail is left out.
    pub fn open(data: &[u8], key: &[u8; 32]) -> Option<Journal> {
        let rest = data.strip_prefix(seal::MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (envelope, mut rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let envelope: serde_json::Value = serde_json::from_slice(envelope).ok()?;
        let recording = envelope.get("recording")?.as_str()?.to_owned();
        let mut journal = Journal { envelope, ..Journal::default() };
        let mut index = 0;
        while let Some((plain, after)) = chunk(rest, key, &recording, index) {
            match index {
                0 => journal.header = serde_json::from_slice(&plain).ok()?,
                _ => journal.records.extend(records(&plain)),
            }
            (rest, index) = (after, index + 1);
        }
        (index > 0).then_some(journal)
    }

    pub fn packets(&self) -> impl Iterator<Item = (&Kept, &[u8])> {
        self.records.iter().filter_map(|r| match r {
            Record::Packet(kept, payload) => Some((kept, payload.as_slice())),
            _ => None,
        })
    }
}

fn chunk<'a>(data: &'a [u8], key: &[u8; 32], recording: &str, index: u64) -> Option<(Vec<u8>, &'a [u8])> {
    let (length, rest) = data.split_first_chunk::<4>()?;
    let (stated, rest) = rest.split_first_chunk::<8>()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    (u64::from_le_bytes(*stated) == index).then_some(())?;
    let associated = [recording.as_bytes(), &index.to_le_bytes()].concat();
    let (text, tag) = body.split_last_chunk::<16>()?;
    let mut plain = text.to_vec();
    let cipher = seal::cipher(key);
    cipher
        .decrypt_inout_detached(&seal::nonce(index), &associated, plain.as_mut_slice().into(), &(*tag).into())
        .ok()?;
    Some((plain, rest))
}

fn records(mut data: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    while let [kind, low, high, rest @ ..] = data {
        let Some((body, after)) = rest.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))
        else {
            break;
        };
        found.extend(one(*kind, body));
        data = after;
    }
    found
}

fn one(kind: u8, body: &[u8]) -> Option<Record> {
    let word = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    let text = |at: usize| Some(String::from_utf8_lossy(body.get(at..)?).into_owned());
    match kind {
        record::PACKET => Some(Record::Packet(kept(body)?, body.get(20..)?.to_vec())),
        record::CODEC => {
            Some(Record::Codec { channel: *body.first()?, payload_type: *body.get(1)?, name: text(2)? })
        }
        record::CUT => Some(Record::Cut { from: word(0)?, to: word(8)? }),
        record::GAP => Some(Record::Gap { state: *body.first()?, from: word(1)?, to: word(9)? }),
        record::END => Some(Record::End { at: word(0)?, reason: text(8)? }),
        _ => None,
    }
}

fn kept(body: &[u8]) -> Option<Kept> {
    let quad = |at: usize| Some(u32::from_le_bytes(body.get(at..at + 4)?.try_into().ok()?));
    Some(Kept {
        channel: *body.first()?,
        payload_type: *body.get(1)?,
        sequence: u16::from_le_bytes(body.get(2..4)?.try_into().ok()?),
        timestamp: quad(4)?,
        ssrc: quad(8)?,
        arrival: u64::from_le_bytes(body.get(12..20)?.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{JournalId, Opening};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use zeroize::Zeroizing;

    const KEPT: Kept =
        Kept { channel: 1, payload_type: 8, sequence: 7, timestamp: 160, ssrc: 0xfeed, arrival: 1_000 };

    fn sealed() -> Vec<u8> {
        let opening = Opening {
            journal: JournalId(1),
            recording: "rec-1".into(),
            path: String::new(),
            key_path: String::new(),
            key: Zeroizing::new([7; 32]),
            recipients: BTreeMap::new(),
            header: br#"{"use":"record"}"#.to_vec(),
        };
        let (mut out, mut plain) = (Vec::new(), Vec::new());
        let mut sealer = seal::Sealer::begin(&opening, &mut out).expect("begins");
        record::codec(&mut plain, 1, 8, "PCMA/8000");
        record::packet(&mut plain, &KEPT, (b"au", b"dio"));
        sealer.seal(&plain, &mut out).expect("seals");
        plain.clear();
        record::gap(&mut plain, record::Gap::Hold, 5, 0);
        record::cut(&mut plain, 1, 2);
        record::end(&mut plain, 9, "ended");
        sealer.seal(&plain, &mut out).expect("seals");
        out
    }

    #[test]
    fn gives_back_what_was_sealed() {
        let journal = Journal::open(&sealed(), &[7; 32]).expect("opens");
        assert_eq!(journal.header["use"], "record");
        assert_eq!(journal.packets().collect::<Vec<_>>(), [(&KEPT, &b"audio"[..])]);
        assert_eq!(journal.records[2], Record::Gap { state: 1, from: 5, to: 0 });
        assert_eq!(journal.records[3], Record::Cut { from: 1, to: 2 });
        assert_eq!(journal.records[4], Record::End { at: 9, reason: "ended".into() });
    }

    #[test]
    fn another_key_opens_nothing_and_no_plaintext_shows() {
        let data = sealed();
        assert!(Journal::open(&data, &[8; 32]).is_none());
        assert!(!data.windows(5).any(|w| w == b"audio"));
    }

    proptest! {
        #[test]
        fn a_torn_tail_costs_only_its_chunk(cut in 0usize..400) {
            let data = sealed();
            let whole = Journal::open(&data, &[7; 32]).expect("opens").records;
            if let Some(part) = Journal::open(&data[..data.len().saturating_sub(cut)], &[7; 32]) {
                prop_assert!(whole.starts_with(&part.records));
            }
        }

        #[test]
        fn never_panics(at in 0usize..300, octet in any::<u8>()) {
            let mut data = sealed();
            let at = at % data.len();
            data[at] = octet;
            let _ = Journal::open(&data, &[7; 32]);
        }
    }
}

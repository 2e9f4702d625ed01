//! One function from bytes to nothing for each reader of what strangers, a disk or Python send: it panics only if a promise
//! is broken.
//!
//! `rust/fuzz` looks for such inputs (`make fuzz`); `rust/qm-media/tests/corpus.rs` plays what is kept, and mutations.

use crate::scene::{MS, Scene, source};
use qm_media::dtmf::{self, Keys};
use qm_media::journal::read::{Journal, Record};
use qm_media::journal::seal::Sealer;
use qm_media::journal::{JournalId, Opening};
use qm_media::protocol::{Command, Event};
use qm_media::rtp::{self, Sequence};
use qm_media::srtp::{Master, Receiver, Sender, Suite, TRAILER};
use qm_media::wav;
use serde_json::json;
use std::collections::BTreeMap;

pub type Target = fn(&[u8]);

pub const TARGETS: [(&str, Target); 7] = [
    ("rtp", rtp),
    ("srtp", srtp),
    ("packets", packets),
    ("secured", secured),
    ("control", control),
    ("journal", journal),
    ("wav", wav),
];

/// Payload type of key presses in a scene.
const KEYS: u8 = 101;
/// What one script may hold.
const MOST_STEPS: usize = 200;

/// One datagram as RTP, as RTCP and as a key press, and its words as the sequence numbers of a sender.
pub fn rtp(data: &[u8]) {
    if let Some(packet) = rtp::parse(data) {
        let payload = data.get(packet.payload.clone()).expect("the payload lies in the packet");
        assert!(payload.len() <= data.len() - rtp::HEADER);
        if let Some(stroke) = dtmf::read(packet.ssrc, packet.timestamp, payload) {
            assert!(Keys::default().ended(stroke).is_none_or(|key| key == stroke.key));
        }
        let mut passed = data.to_vec();
        rtp::readdress(&mut passed, 8, true);
        let again = rtp::parse(&passed).expect("what is passed on is still a packet");
        assert_eq!((again.payload_type, again.marker, again.payload), (8, true, packet.payload));
    }
    rtp::is_rtcp(data);
    let mut sequence = Sequence::default();
    for word in data.chunks_exact(3) {
        sequence.saw(u32::from(word[0] & 3), u16::from_be_bytes([word[1], word[2]]));
    }
    assert!(sequence.lost() <= data.len() as u64 * 3000, "more was lost than could be");
}

/// A script for the two ends of a key, of a suite that the first octet chooses: what was sealed is opened, once; what was not,
/// or was changed on the way, is refused and left as it was.
pub fn srtp(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let suite = Suite::ALL[usize::from(first) % Suite::ALL.len()];
    let master = Master::new(suite, vec![first; suite.key() + suite.salt()].into()).expect("a key");
    let _ = Master::read(suite, &String::from_utf8_lossy(rest));
    let (mut sender, mut receiver) = (Sender::new(&master), Receiver::new(&master));
    for _ in 0..MOST_STEPS {
        let Some((&[what, length], after)) = rest.split_first_chunk::<2>() else { break };
        let (body, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let rtcp = what & 1 == 1;
        if what & 2 == 0 {
            refused(&mut receiver, rtcp, body);
            continue;
        }
        let plain = if rtcp { body.to_vec() } else { headed(body) };
        let mut sealed = vec![0; plain.len() + TRAILER];
        let length = match rtcp {
            true if !rtp::is_rtcp(&plain) || plain.len() < 8 => continue,
            true => sender.seal_rtcp(&plain, &mut sealed),
            false => sender.seal(&plain, &mut sealed),
        };
        let Ok(length) = length else { continue };
        sender.sent(if rtcp { &[] } else { &plain });
        sealed.truncate(length);
        let mut changed = sealed.clone();
        let place = usize::from(what >> 2) * 7 % changed.len();
        changed[place] ^= 1 << (what >> 5);
        refused(&mut receiver, rtcp, &changed);
        let opened = if rtcp { receiver.open_rtcp(&mut sealed) } else { receiver.open(&mut sealed) };
        let length = opened.expect("what was sealed is opened");
        assert_eq!(&sealed[..length], &plain, "another text came out");
    }
}

fn refused(receiver: &mut Receiver, rtcp: bool, data: &[u8]) {
    let mut tried = data.to_vec();
    let opened = if rtcp { receiver.open_rtcp(&mut tried) } else { receiver.open(&mut tried) };
    assert!(opened.is_err(), "a forged packet was opened");
    assert_eq!(tried, data, "a packet that was refused was changed");
}

/// A script of datagrams and commands in a call with everything in it. Of each step the first octet says what, the
/// second how long after, the third how much of the rest belongs to it. At the end a journal can be read, and no key is
/// in it.
pub fn packets(data: &[u8]) {
    play(Scene::new(), data);
}

/// The same where both parties speak SRTP.
pub fn secured(data: &[u8]) {
    play(Scene::secured(), data);
}

fn play(mut scene: Scene, data: &[u8]) {
    let mut rest = data;
    for _ in 0..MOST_STEPS {
        let Some((&[what, time, length], after)) = rest.split_first_chunk::<3>() else { break };
        let (body, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        scene.wait(u64::from(time) * MS);
        step(&mut scene, what, body);
        let sent = scene.sim.take_packets();
        let most = 12 + 480 + body.len() + TRAILER;
        assert!(sent.iter().all(|packet| packet.data.len() <= most), "a packet has grown");
        assert!(
            sent.iter().all(|packet| (0..3).any(|i| packet.to.ip() == source(i).ip())),
            "sent to a stranger"
        );
    }
    scene.wait(2000 * MS);
    for call in ["c", "ear"] {
        scene.tell(&json!({"do": "close_call", "call": call}));
    }
    assert!(scene.refused.iter().all(|why| why.contains("unknown")), "{:?}", scene.refused);
    for (name, file) in scene.sim.journals() {
        let journal = Journal::open(file, &scene.sim.keys()[name]).expect("it can be read");
        assert!(journal.packets().all(|(kept, _)| kept.payload_type != KEYS), "a key is in the journal");
        assert!(journal.records.iter().filter(|record| matches!(record, Record::End { .. })).count() <= 1);
    }
}

fn step(scene: &mut Scene, what: u8, body: &[u8]) {
    let party = usize::from(what & 3) % 3;
    let leg = if what & 1 == 0 { "caller" } else { "callee" };
    let on = what & 1 == 0;
    match what >> 2 {
        0..=19 => scene.packet(party, false, body),
        20..=27 => scene.packet(party, true, body),
        28..=35 => scene.speak(party, &headed(body)),
        36 => scene.tell(&json!({"do": "hold", "call": "c", "on": on})),
        37 => scene.tell(&json!({"do": "pause", "call": "c", "on": on})),
        38 => scene.tell(&json!({"do": "bridge", "call": "c", "on": on})),
        39 => scene.tell(&json!({"do": "make_private", "call": "c", "drop_before_ms": 100})),
        40 => scene.tell(&json!({"do": "close_leg", "call": "c", "leg": leg})),
        41 => scene.tell(&json!({"do": "tone", "call": "c", "leg": leg, "tone": "waiting"})),
        42 => scene.tell(&json!({"do": "forbid", "call": "c", "uses": ["record"], "reason": "x"})),
        43 => scene.tell(&json!({"do": "close_tap", "call": "c", "tap": "r", "reason": "x"})),
        44 => scene.tell(&json!({"do": "void_proofs", "call": "c", "leg": null, "reason": "x"})),
        45 => {
            let play = format!("o{}", scene.now);
            scene.tell(
                &json!({"do": "play", "call": "c", "leg": leg, "play": play, "prompt": crate::scene::digest(),
                "overlay": true}),
            );
        }
        46 => scene.sim.icmp_refused(scene.ports[party], source(party), scene.now),
        _ => {
            let (port, now) = (scene.ports[party], scene.now);
            scene.sim.packet_read_late(port, source(party), body, now.saturating_sub(u64::from(what) * MS));
        }
    }
}

/// A good header before what may be anything: payload type, sequence, timestamp and source from the first octets.
fn headed(body: &[u8]) -> Vec<u8> {
    let at = |index: usize| body.get(index).copied().unwrap_or_default();
    let kind = [0, 8, 13, KEYS][usize::from(at(0) & 3)];
    let mut packet = vec![0x80, kind, 0, at(1), 0, 0, at(2), at(3), 0, 0, 0, at(0) >> 6];
    packet.extend_from_slice(body.get(4..).unwrap_or_default());
    packet
}

/// Lines of commands, as a control plane with a bug might send them: each is carried out or refused.
pub fn control(data: &[u8]) {
    if let Err(event) = Command::read(data) {
        assert!(matches!(*event, Event::CommandFailed { .. }));
    }
    let mut scene = Scene::empty();
    for line in data.split(|octet| *octet == b'\n').take(MOST_STEPS) {
        if line.windows(4).any(|word| word == b"path") {
            continue; // it would read the disk of whoever runs this
        }
        scene.say(line);
        scene.now += 20 * MS;
        scene.sim.advance(scene.now);
        scene.packet(0, false, &headed(line));
    }
    scene.sim.take_packets();
}

/// A file as a journal, and as what lies under the seal of one.
pub fn journal(data: &[u8]) {
    let key = [7; 32];
    let _ = Journal::open(data, &key);
    let opening = Opening {
        journal: JournalId(1),
        recording: "r".into(),
        path: String::new(),
        key_path: String::new(),
        key: key.into(),
        recipients: BTreeMap::new(),
        header: b"{}".to_vec(),
    };
    let mut file = Vec::new();
    let mut sealer = Sealer::begin(&opening, &mut file).expect("a journal begins");
    let (one, two) = data.split_at(data.len() / 2);
    for chunk in [one, two] {
        sealer.seal(chunk, &mut file).expect("a chunk is sealed");
    }
    let found = Journal::open(&file, &key).expect("what was sealed can be opened");
    let octets: usize = found.packets().map(|(_, payload)| payload.len()).sum();
    assert!(octets <= data.len(), "more came out than went in");
}

/// A prompt's file.
pub fn wav(data: &[u8]) {
    if let Ok(samples) = wav::read(data) {
        assert!(!samples.is_empty() && samples.len() * 2 <= data.len());
    }
}

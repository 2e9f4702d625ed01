//! Legs that speak SRTP: the peer's own half of it, and what must not happen to him.

use super::history::{History, LEGS};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qm_media::srtp::{Master, Receiver, Sender, Suite};
use serde_json::{Value, json};
use std::net::SocketAddr;
use zeroize::Zeroizing;

const NAMES: [&str; 3] = ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_256_GCM"];
const SUITES: [Suite; 3] = [Suite::Cm128Sha80, Suite::Cm128Sha32, Suite::Gcm256];

/// One peer with keys.
pub struct Peer {
    suite: usize,
    ours: u8,
    theirs: u8,
    sender: Sender,
    receiver: Receiver,
}

fn octets(suite: usize, seed: u8) -> Vec<u8> {
    let suite = SUITES[suite];
    (0..suite.key() + suite.salt()).map(|i| (i as u8).wrapping_mul(29) ^ seed).collect()
}

fn master(suite: usize, seed: u8) -> Master {
    Master::new(SUITES[suite], Zeroizing::new(octets(suite, seed))).expect("of its size")
}

impl Peer {
    /// `ours`: the engine's key; `theirs`: the peer's.
    pub fn new(suite: usize, ours: u8, theirs: u8) -> Peer {
        let (sender, receiver) = (Sender::new(&master(suite, theirs)), Receiver::new(&master(suite, ours)));
        Peer { suite, ours, theirs, sender, receiver }
    }

    /// What his description said, for the engine.
    pub fn said(&self) -> Value {
        let inline = |seed| STANDARD.encode(octets(self.suite, seed));
        json!({"suite": NAMES[self.suite], "ours": inline(self.ours), "theirs": inline(self.theirs)})
    }

    fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut out = vec![0; packet.len() + 20];
        let length = self.sender.seal(packet, &mut out).expect("sealed");
        self.sender.sent(packet);
        out.truncate(length);
        out
    }
}

impl History {
    /// Whoever comes to that leg may speak SRTP.
    pub(super) fn perhaps_secured(&mut self, leg: usize) {
        let suite = self.roll(SUITES.len() as u64) as usize;
        let (ours, theirs) = (self.roll(120) as u8, 120 + self.roll(120) as u8);
        self.legs[leg].peer = self.odds(1, 12).then(|| Peer::new(suite, ours, theirs));
    }

    /// He takes another key, and says so.
    pub(super) fn rekey(&mut self, leg: usize) {
        let next = 120 + self.roll(120) as u8;
        let Some(peer) = &mut self.legs[leg].peer else { return };
        (peer.sender, peer.theirs) = (Sender::new(&master(peer.suite, next)), next);
        self.announce(leg);
    }

    /// As it is on its way to the engine. Who is not who he seems to be has no key, or another.
    pub(super) fn on_the_wire(&mut self, leg: usize, packet: Vec<u8>) -> Vec<u8> {
        let forged = !self.genuine;
        let plain = forged && self.odds(1, 2);
        match &mut self.legs[leg].peer {
            Some(peer) if forged && !plain => Peer::new(peer.suite, 1, peer.theirs ^ 1).seal(&packet),
            Some(peer) if !forged => peer.seal(&packet),
            _ => packet,
        }
    }

    /// As he reads it who gets it: not at all, if it was not sealed for him.
    pub(super) fn read(&mut self, from_port: u16, data: Vec<u8>) -> Vec<u8> {
        let Some(at) = self.legs.iter().position(|leg| leg.open && leg.port == from_port) else {
            return data;
        };
        let Some(peer) = &mut self.legs[at].peer else { return data };
        let mut data = data;
        match peer.receiver.open(&mut data) {
            Ok(length) => data.truncate(length),
            Err(why) => self.faults.push(format!("{} was sent what he cannot open: {why:?}", LEGS[at])),
        }
        data
    }

    /// Somebody without the key, where the peer's packets come from or elsewhere.
    pub(super) fn forge(&mut self, leg: usize, source: Option<SocketAddr>) {
        if self.legs[leg].peer.is_some() {
            self.genuine = false;
            match source {
                Some(source) => self.speak(leg, source, self.now),
                None => self.talk(leg, 0),
            }
            self.genuine = true;
        }
    }

    /// Whether a first packet is one that a leg is locked to.
    pub(super) fn locks(&self, leg: usize) -> bool {
        self.legs[leg].locked.is_none() && (self.genuine || self.legs[leg].peer.is_none())
    }
}

//! A call with everything in it: watched keys, a recording, a listener. Shared by the tests of hostile packets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qm_media::protocol::Event;
use qm_media::sim::Sim;
use qm_media::srtp::{Master, Sender, Suite, TRAILER};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;
use std::sync::OnceLock;

pub const MS: u64 = 1_000_000;

pub struct Scene {
    pub sim: Sim,
    pub now: u64,
    /// Of caller, callee and listener.
    pub ports: Vec<u16>,
    proofs: Vec<String>,
    pub opened: usize,
    /// Commands that the engine refused.
    pub refused: Vec<String>,
    /// What the parties protect their packets with, if their legs speak SRTP.
    senders: Vec<Sender>,
}

/// Their keys and ours, of parties whose legs speak SRTP.
const KEYS: [(u8, u8); 2] = [(1, 2), (3, 4)];

fn inline(seed: u8) -> String {
    STANDARD.encode([seed; 30])
}

pub fn source(index: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + index as u8], 4000))
}

fn wav() -> Vec<u8> {
    let samples = [0x11; 320 * 10];
    let mut out =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data".to_vec();
    out.extend_from_slice(&(samples.len() as u32).to_le_bytes());
    out.extend_from_slice(&samples);
    out
}

pub fn digest() -> String {
    static DIGEST: OnceLock<String> = OnceLock::new();
    DIGEST.get_or_init(|| Sha256::digest(wav()).iter().map(|b| format!("{b:02x}")).collect()).clone()
}

fn recipient() -> &'static str {
    static RECIPIENT: OnceLock<String> = OnceLock::new();
    RECIPIENT.get_or_init(|| age::x25519::Identity::generate().to_public().to_string())
}

impl Scene {
    /// An engine that is configured, and nothing else.
    pub fn empty() -> Scene {
        let sim = Sim::new(3);
        let mut scene = Scene {
            sim,
            now: 1000 * MS,
            ports: vec![],
            proofs: vec![],
            opened: 0,
            refused: vec![],
            senders: vec![],
        };
        scene.sim.add_file("p.wav", wav());
        scene.tell(&json!({"do": "configure", "address": "127.0.0.1", "port_low": 30000, "port_high": 30040,
            "journal_directory": "", "key_directory": "", "hold_back_ms": 200, "playout_ms": 200,
            "lease_ms": 3000, "chunk_ms": 250, "media_timeout_ms": 30000}));
        scene
    }

    pub fn new() -> Scene {
        Scene::of(Scene::empty())
    }

    /// The same between two parties that speak SRTP.
    pub fn secured() -> Scene {
        let mut scene = Scene::empty();
        for (theirs, _) in KEYS {
            let master = Master::read(Suite::Cm128Sha80, &inline(theirs)).expect("thirty octets");
            scene.senders.push(Sender::new(&master));
        }
        Scene::of(scene)
    }

    fn of(mut scene: Scene) -> Scene {
        scene.tell(&json!({"do": "load_prompt", "prompt": digest(), "path": "p.wav", "identity": "V",
            "language": "nl", "uses": ["record", "listen"], "purposes": ["coaching"]}));
        scene.tell(&json!({"do": "load_line", "line": "l", "prompts": [digest()]}));
        scene.tell(&json!({"do": "open_call", "call": "c", "line": "l"}));
        scene.leg("c", "caller", true, 0);
        scene.leg("c", "callee", false, 1);
        scene.tell(&json!({"do": "open_call", "call": "ear", "line": ""}));
        scene.leg("ear", "caller", false, 2);
        scene.play("caller", &json!({}));
        scene.play("callee", &json!({"for_tap": "l"}));
        scene.tell(&json!({"do": "bridge", "call": "c", "on": true}));
        for (tap, what) in [("r", "record"), ("l", "listen")] {
            scene.tell(
                &json!({"do": "open_tap", "call": "c", "tap": tap, "use": what, "purposes": ["coaching"],
                "proofs": scene.proofs[..1], "recipients": {"coaching": [recipient()]}, "header": {},
                "notice": scene.proofs[1], "to": {"call": "ear", "leg": "caller"}}),
            );
        }
        for leg in ["caller", "callee"] {
            scene
                .tell(&json!({"do": "watch_keys", "call": "c", "leg": leg, "codes": {"*1": "x", "99": "y"}}));
        }
        assert_eq!((scene.opened, scene.refused.len()), (2, 0));
        scene.wait(300 * MS);
        scene
    }

    pub fn tell(&mut self, command: &Value) {
        self.say(command.to_string().as_bytes());
    }

    pub fn say(&mut self, command: &[u8]) {
        self.sim.command(command, self.now);
        self.collect();
    }

    fn collect(&mut self) {
        for event in self.sim.take_events() {
            match event {
                Event::LegOpened { port, .. } => self.ports.push(port),
                Event::PromptFinished { proof, .. } => self.proofs.push(proof),
                Event::TapOpened { .. } => self.opened += 1,
                Event::CommandFailed { what, reason, .. } => self.refused.push(format!("{what}: {reason}")),
                _ => {}
            }
        }
    }

    pub fn wait(&mut self, time: u64) {
        self.now += time;
        self.tell(&json!({"do": "lease"}));
    }

    fn leg(&mut self, call: &str, leg: &str, outside: bool, index: usize) {
        self.tell(
            &json!({"do": "open_leg", "call": call, "leg": leg, "outside": outside, "channel": index & 1}),
        );
        self.tell(
            &json!({"do": "set_remote", "call": call, "leg": leg, "address": source(index).ip(), "port": 4000,
            "rtcp_port": 4001, "send_payload_type": 0, "payload_types":
            {"0": "PCMU/8000", "8": "PCMA/8000", "101": "telephone-event/8000", "13": "CN/8000"},
            "srtp": self.srtp(index)}),
        );
    }

    fn srtp(&self, index: usize) -> Value {
        match (self.senders.get(index), KEYS.get(index)) {
            (Some(_), Some((theirs, ours))) => {
                json!({"suite": "AES_CM_128_HMAC_SHA1_80", "ours": inline(*ours), "theirs": inline(*theirs)})
            }
            _ => Value::Null,
        }
    }

    fn play(&mut self, leg: &str, more: &Value) {
        let mut command = json!({"do": "play", "call": "c", "leg": leg, "play": format!("p{}", self.now),
            "prompt": digest()});
        command.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.tell(&command);
        self.wait(300 * MS);
    }

    /// What a party says, protected if its leg speaks SRTP.
    pub fn speak(&mut self, party: usize, packet: &[u8]) {
        let Some(sender) = self.senders.get_mut(party) else { return self.packet(party, false, packet) };
        let mut sealed = vec![0; packet.len() + TRAILER];
        if let Ok(length) = sender.seal(packet, &mut sealed) {
            sender.sent(packet);
            self.packet(party, false, &sealed[..length]);
        }
    }

    /// A datagram of a party to its RTP port, or to its RTCP port.
    pub fn packet(&mut self, party: usize, rtcp: bool, data: &[u8]) {
        let Some(port) = self.ports.get(party) else { return };
        self.sim.packet(port + u16::from(rtcp), source(party), data, self.now);
        self.collect();
    }
}

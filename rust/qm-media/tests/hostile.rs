//! A call with everything in it (watched keys, an overlay, a recording, a listener) and parties who send anything at all.

use proptest::prelude::*;
use qm_media::protocol::Event;
use qm_media::sim::Sim;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;

const MS: u64 = 1_000_000;

struct Scene {
    sim: Sim,
    now: u64,
    /// Of caller, callee and listener.
    ports: Vec<u16>,
    proofs: Vec<String>,
    opened: usize,
}

fn source(index: usize) -> SocketAddr {
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

impl Scene {
    fn tell(&mut self, command: Value) {
        self.sim.command(command.to_string().as_bytes(), self.now);
        self.collect();
    }

    fn collect(&mut self) {
        for event in self.sim.take_events() {
            match event {
                Event::LegOpened { port, .. } => self.ports.push(port),
                Event::PromptFinished { proof, .. } => self.proofs.push(proof),
                Event::TapOpened { .. } => self.opened += 1,
                Event::CommandFailed { what, reason, .. } => panic!("{what}: {reason}"),
                _ => {}
            }
        }
    }

    fn wait(&mut self, time: u64) {
        self.now += time;
        self.tell(json!({"do": "lease"}));
    }

    fn leg(&mut self, call: &str, leg: &str, outside: bool, index: usize) {
        self.tell(
            json!({"do": "open_leg", "call": call, "leg": leg, "outside": outside, "channel": index & 1}),
        );
        self.tell(
            json!({"do": "set_remote", "call": call, "leg": leg, "address": source(index).ip(), "port": 4000,
            "rtcp_port": 4001, "send_payload_type": 0, "payload_types":
            {"0": "PCMU/8000", "8": "PCMA/8000", "101": "telephone-event/8000", "13": "CN/8000"}}),
        );
    }

    fn play(&mut self, leg: &str, more: Value) {
        let mut command = json!({"do": "play", "call": "c", "leg": leg, "play": format!("p{}", self.now),
            "prompt": digest()});
        command.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.tell(command);
        self.wait(300 * MS);
    }

    fn new() -> Scene {
        let sim = Sim::new(3);
        let mut scene = Scene { sim, now: 1000 * MS, ports: vec![], proofs: vec![], opened: 0 };
        scene.sim.add_file("p.wav", wav());
        scene.tell(json!({"do": "configure", "address": "127.0.0.1", "port_low": 30000, "port_high": 30040,
            "journal_directory": "", "key_directory": "", "hold_back_ms": 200, "playout_ms": 200,
            "lease_ms": 3000, "chunk_ms": 250, "media_timeout_ms": 30000}));
        scene.tell(json!({"do": "load_prompt", "prompt": digest(), "path": "p.wav", "identity": "V",
            "language": "nl", "uses": ["record", "listen"], "purposes": ["coaching"]}));
        scene.tell(json!({"do": "load_line", "line": "l", "prompts": [digest()]}));
        scene.tell(json!({"do": "open_call", "call": "c", "line": "l"}));
        scene.leg("c", "caller", true, 0);
        scene.leg("c", "callee", false, 1);
        scene.tell(json!({"do": "open_call", "call": "ear", "line": ""}));
        scene.leg("ear", "caller", false, 2);
        scene.play("caller", json!({}));
        scene.play("callee", json!({"for_tap": "l"}));
        scene.tell(json!({"do": "bridge", "call": "c", "on": true}));
        let recipient = age::x25519::Identity::generate().to_public().to_string();
        for (tap, what) in [("r", "record"), ("l", "listen")] {
            scene.tell(
                json!({"do": "open_tap", "call": "c", "tap": tap, "use": what, "purposes": ["coaching"],
                "proofs": scene.proofs[..1], "recipients": {"coaching": [recipient]}, "header": {},
                "notice": scene.proofs[1], "to": {"call": "ear", "leg": "caller"}}),
            );
        }
        for leg in ["caller", "callee"] {
            scene.tell(json!({"do": "watch_keys", "call": "c", "leg": leg, "codes": {"*1": "x", "99": "y"}}));
        }
        assert_eq!(scene.opened, 2);
        scene.wait(300 * MS);
        scene
    }

    fn packet(&mut self, party: usize, data: &[u8]) {
        let port = self.ports[party];
        self.sim.packet(port, source(party), data, self.now);
        self.collect();
    }
}

fn digest() -> String {
    Sha256::digest(wav()).iter().map(|b| format!("{b:02x}")).collect()
}

/// Something like a packet: a header that passes, and whatever after it.
fn nearly_rtp() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop_oneof![Just(0u8), Just(8), Just(13), Just(101), any::<u8>()];
    let first = prop_oneof![4 => Just(0x80u8), 1 => any::<u8>()];
    let stamp = prop_oneof![any::<u32>(), 0u32..2000];
    (first, kinds, any::<u16>(), stamp, 0u32..3, proptest::collection::vec(any::<u8>(), 0..400)).prop_map(
        |(first, kind, sequence, stamp, ssrc, payload)| {
            let mut data = vec![first, kind];
            data.extend_from_slice(&sequence.to_be_bytes());
            data.extend_from_slice(&stamp.to_be_bytes());
            data.extend_from_slice(&ssrc.to_be_bytes());
            data.extend_from_slice(&payload);
            data
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// No panic, nothing sent that is longer than what comes in, and afterwards all still works.
    #[test]
    fn whatever_is_sent_the_call_goes_on(
        packets in proptest::collection::vec((0usize..3, 0u64..60, nearly_rtp(), any::<bool>()), 1..120),
    ) {
        let mut scene = Scene::new();
        for (party, time, data, overlay) in packets {
            scene.wait(time * MS);
            scene.packet(party, &data);
            if overlay && time < 3 {
                let play = format!("o{}", scene.now);
                scene.tell(json!({"do": "play", "call": "c", "leg": "callee", "play": play, "prompt": digest(),
                    "overlay": true}));
            }
            prop_assert!(scene.sim.take_packets().iter().all(|sent| sent.data.len() <= 12 + 480));
        }
        scene.wait(2000 * MS);
        scene.sim.take_packets();
        let mut audio = vec![0x80, 8, 0, 9, 0, 0, 0, 9, 0, 0, 0, 77];
        audio.extend_from_slice(&[0xd5; 160]);
        scene.packet(0, &audio);
        let passed = scene.sim.take_packets();
        prop_assert_eq!(passed.len(), 1);
        prop_assert_eq!(&passed[0].data[12..], &audio[12..]);
        scene.tell(json!({"do": "close_call", "call": "c"}));
        scene.tell(json!({"do": "close_call", "call": "ear"}));
    }
}

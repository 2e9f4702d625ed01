//! A call with everything in it (watched keys, an overlay, a recording, a listener) and parties who send anything at all.

#[allow(dead_code)] // the fuzzer's scripts use all of it
#[path = "../../fuzz/src/scene.rs"]
mod scene;

use proptest::prelude::*;
use scene::{MS, Scene, digest};
use serde_json::json;

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
            scene.packet(party, false, &data);
            if overlay && time < 3 {
                let play = format!("o{}", scene.now);
                scene.tell(&json!({"do": "play", "call": "c", "leg": "callee", "play": play, "prompt": digest(),
                    "overlay": true}));
            }
            prop_assert!(scene.sim.take_packets().iter().all(|sent| sent.data.len() <= 12 + 480));
        }
        scene.wait(2000 * MS);
        scene.sim.take_packets();
        let mut audio = vec![0x80, 8, 0, 9, 0, 0, 0, 9, 0, 0, 0, 77];
        audio.extend_from_slice(&[0xd5; 160]);
        scene.packet(0, false, &audio);
        let passed = scene.sim.take_packets();
        prop_assert_eq!(passed.len(), 1);
        prop_assert_eq!(&passed[0].data[12..], &audio[12..]);
        scene.tell(&json!({"do": "close_call", "call": "c"}));
        scene.tell(&json!({"do": "close_call", "call": "ear"}));
        prop_assert!(scene.refused.is_empty(), "{:?}", scene.refused);
    }
}

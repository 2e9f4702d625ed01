//! Audio that says who spoke it and when: each packet carries its number, legible in a journal and in a listener's mix.
//!
//! A packet is four samples of silence, a number in signs, four samples of silence. The caller is loud and the callee is
//! soft, so that the sum of both still shows each of them.

use qm_media::codec::Codec;
use qm_media::codec::g711::Law;
use std::sync::OnceLock;

/// Signs of a number.
const SIGNS: usize = 24;
const EDGE: usize = 4;
/// How loud each leg is.
const LEVELS: [i16; 2] = [8000, 2000];
/// What G.711 may do to a sum of both.
const TOLERANCE: i32 = 600;

/// The codec of a history's call. In one that remembers, a packet is what L16 would say: the engine keeps it as it came.
pub fn codec(seed: u64) -> Codec {
    match seed % 16 {
        4 | 12 => Codec::G722,
        5 | 13 => Codec::L16(8000),
        6 | 14 => Codec::L16(16_000),
        7 if seed % 64 == 7 => Codec::Opus,
        _ => Codec::Pcma,
    }
}

/// Whether what a listener heard can be read.
pub fn is_legible(codec: Codec) -> bool {
    codec.is_plain()
}

/// One packet's audio.
pub fn say(codec: Codec, leg: usize, number: u64) -> Vec<u8> {
    let mut samples = [0i16; EDGE + SIGNS + EDGE];
    for (i, sample) in samples[EDGE..EDGE + SIGNS].iter_mut().enumerate() {
        *sample = if number >> i & 1 == 1 { LEVELS[leg] } else { -LEVELS[leg] };
    }
    match codec {
        Codec::Pcma => samples.map(Law::A.encoder()).to_vec(),
        _ => samples.iter().flat_map(|sample| sample.to_be_bytes()).collect(),
    }
}

fn decoded(codec: Codec, audio: &[u8]) -> Vec<i32> {
    match codec {
        Codec::Pcma => audio.iter().map(|code| i32::from(Law::A.decoder()[usize::from(*code)])).collect(),
        _ => audio.chunks_exact(2).map(|s| i32::from(i16::from_be_bytes([s[0], s[1]]))).collect(),
    }
}

/// The number in a packet as it was said.
pub fn number(codec: Codec, payload: &[u8]) -> Option<u64> {
    let samples = decoded(codec, payload);
    let (leg, signs) = match samples.get(EDGE..EDGE + SIGNS) {
        Some(signs) if samples.len() == 2 * EDGE + SIGNS => (usize::from(signs[0].abs() < 5000), signs),
        _ => return None,
    };
    let number = (0..SIGNS).map(|i| u64::from(signs[i] > 0) << i).sum();
    (say(codec, leg, number) == payload).then_some(number)
}

/// A stretch of one leg's voice as a listener heard it.
#[derive(Clone, Debug)]
pub struct Heard {
    pub leg: usize,
    /// The first sign's place in its number is not known if it is not all there.
    signs: Vec<bool>,
    /// When its first and its last sample were sent.
    pub from: u64,
    pub to: u64,
}

impl Heard {
    /// Whether it may be (part of) that packet.
    pub fn may_be(&self, number: u64) -> bool {
        let whole: Vec<bool> = (0..SIGNS).map(|i| number >> i & 1 == 1).collect();
        whole.windows(self.signs.len().max(1)).any(|part| part == self.signs)
    }

    /// Long enough to be told from others.
    pub fn is_legible(&self) -> bool {
        (SIGNS / 2..=SIGNS).contains(&self.signs.len())
    }
}

/// The two voices in one sample: each loud, soft or not there.
fn voices(value: i32) -> [i32; 2] {
    static VOICES: OnceLock<Vec<[i32; 2]>> = OnceLock::new();
    let all = VOICES.get_or_init(|| (-32768..=32767).map(told_apart).collect());
    all[(value + 32768) as usize]
}

fn told_apart(value: i32) -> [i32; 2] {
    let all = (-1..=1).flat_map(|a| (-1..=1).map(move |b| [a, b]));
    let off = |v: &[i32; 2]| (value - v[0] * i32::from(LEVELS[0]) - v[1] * i32::from(LEVELS[1])).abs();
    all.min_by_key(off).filter(|v| off(v) < TOLERANCE).unwrap_or_default()
}

/// What a listener heard, out of his packets in order: when each was sent, and its audio.
pub fn heard<'a>(codec: Codec, packets: impl Iterator<Item = (u64, &'a [u8])>) -> Vec<Heard> {
    let mut open: [Option<Heard>; 2] = [None, None];
    let mut done = Vec::new();
    for (at, audio) in packets {
        for value in decoded(codec, audio) {
            let voices = voices(value);
            for leg in 0..2 {
                match (voices[leg], &mut open[leg]) {
                    (0, said) => done.extend(said.take()),
                    (sign, Some(said)) => {
                        said.signs.push(sign > 0);
                        said.to = at;
                    }
                    (sign, none) => *none = Some(Heard { leg, signs: vec![sign > 0], from: at, to: at }),
                }
            }
        }
    }
    done.extend(open.into_iter().flatten());
    done
}

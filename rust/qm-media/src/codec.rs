//! The codecs the engine passes, and G.711 of what it makes itself or mixes.

use crate::protocol::Tone;
use std::sync::OnceLock;

pub const RATE: u64 = 8000;

/// What a payload type of a leg stands for. Anything else was filtered from the offer and is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Pcma,
    Pcmu,
    /// RFC 3389: passed on, never kept.
    ComfortNoise,
    /// RFC 4733: passed on and read, never kept.
    TelephoneEvent,
}

impl Codec {
    pub fn from_name(name: &str) -> Option<Codec> {
        let name = name.to_ascii_uppercase();
        match name.strip_suffix("/1").unwrap_or(&name) {
            "PCMA/8000" => Some(Codec::Pcma),
            "PCMU/8000" => Some(Codec::Pcmu),
            "CN/8000" => Some(Codec::ComfortNoise),
            "TELEPHONE-EVENT/8000" => Some(Codec::TelephoneEvent),
            _ => None,
        }
    }

    /// The name the journal gives an audio codec; `None` for what never enters a journal.
    pub fn kept_as(self) -> Option<&'static str> {
        match self {
            Codec::Pcma => Some("PCMA/8000"),
            Codec::Pcmu => Some("PCMU/8000"),
            Codec::ComfortNoise | Codec::TelephoneEvent => None,
        }
    }

    pub fn is_audio(self) -> bool {
        matches!(self, Codec::Pcma | Codec::Pcmu)
    }

    pub fn encode(self, samples: &[i16]) -> Vec<u8> {
        let one = self.encoder();
        samples.iter().map(|s| one(*s)).collect()
    }

    pub fn encoder(self) -> fn(i16) -> u8 {
        if self == Codec::Pcmu { to_ulaw } else { to_alaw }
    }

    /// The sample each code stands for.
    pub fn decoder(self) -> &'static [i16; 256] {
        static DECODERS: OnceLock<[[i16; 256]; 2]> = OnceLock::new();
        let all = |decode: fn(u8) -> i16| std::array::from_fn(|code| decode(code as u8));
        &DECODERS.get_or_init(|| [all(from_alaw), all(from_ulaw)])[usize::from(self == Codec::Pcmu)]
    }
}

/// Add `more` to encoded audio, sample by sample; what is too loud is clipped.
pub fn mix(codec: Codec, audio: &mut [u8], more: &[u8]) {
    let (decoder, encode) = (codec.decoder(), codec.encoder());
    for (code, other) in audio.iter_mut().zip(more) {
        let sum = decoder[usize::from(*code)].saturating_add(decoder[usize::from(*other)]);
        *code = encode(sum);
    }
}

fn from_alaw(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (segment, low) = ((code >> 4) & 7, i16::from(code & 0x0f));
    let value = if segment == 0 { (low << 4) + 8 } else { ((low << 4) + 0x108) << (segment - 1) };
    if code & 0x80 != 0 { value } else { -value }
}

fn from_ulaw(code: u8) -> i16 {
    let code = !code;
    let value = (((i16::from(code & 0x0f) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84;
    if code & 0x80 != 0 { -value } else { value }
}

/// ITU-T G.711 A-law of one 16-bit sample.
pub fn to_alaw(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = if negative { !sample } else { sample } as u16 >> 3;
    let segment = 16u32.saturating_sub(magnitude.leading_zeros()).saturating_sub(5) as u16;
    let code = if segment == 0 { magnitude >> 1 } else { (segment << 4) | ((magnitude >> segment) & 0x0f) };
    let sign = if negative { 0 } else { 0x80 };
    (code as u8 | sign) ^ 0x55
}

/// ITU-T G.711 µ-law of one 16-bit sample.
pub fn to_ulaw(sample: i16) -> u8 {
    const BIAS: u16 = 33;
    let magnitude = (sample.unsigned_abs() >> 2).min(8158) + BIAS;
    let segment = 15 - magnitude.leading_zeros() as u16 - 5;
    let code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0f);
    let sign = if sample < 0 { 0 } else { 0x80 };
    (!code as u8 & 0x7f) | sign
}

/// Samples of 425 Hz after which phase is zero again: 17 periods.
const PERIOD: usize = 320;

/// What a leg hears from sample `at` of a tone on: `out` is filled with encoded samples.
pub fn fill_tone(tone: Tone, codec: Codec, at: u64, out: &mut [u8]) {
    let table = tables().of(codec);
    for (i, octet) in out.iter_mut().enumerate() {
        let position = at + i as u64;
        let level = loudness(tone, position);
        *octet = table[level][(position % PERIOD as u64) as usize];
    }
}

/// Which table sounds at a position: 0 silence, 1 ringback, 2 soft tick.
fn loudness(tone: Tone, position: u64) -> usize {
    match tone {
        Tone::Silence => 0,
        // The Dutch cadence of ITU-T E.180: 1 s on, 4 s off.
        Tone::Ringback => usize::from(position % (5 * RATE) < RATE),
        // 40 ms every two seconds: "still waiting", not "busy".
        Tone::Waiting => 2 * usize::from(position % (2 * RATE) < RATE / 25),
    }
}

struct Tables {
    alaw: [[u8; PERIOD]; 3],
    ulaw: [[u8; PERIOD]; 3],
}

impl Tables {
    fn of(&self, codec: Codec) -> &[[u8; PERIOD]; 3] {
        if codec == Codec::Pcmu { &self.ulaw } else { &self.alaw }
    }
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| Tables { alaw: three(to_alaw), ulaw: three(to_ulaw) })
}

fn three(encode: fn(i16) -> u8) -> [[u8; PERIOD]; 3] {
    [0.0, 4000.0, 1000.0].map(|amplitude| {
        std::array::from_fn(|i| {
            let turn = 425.0 * std::f64::consts::TAU * i as f64 / RATE as f64;
            encode((turn.sin() * amplitude) as i16)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_decoding_and_encoding() {
        for code in 0..=255u8 {
            assert_eq!(to_alaw(from_alaw(code)), code, "A-law {code:#x}");
            let value = from_ulaw(code);
            assert_eq!(from_ulaw(to_ulaw(value)), value, "µ-law {code:#x}");
        }
    }

    #[test]
    fn error_stays_within_a_sixteenth() {
        for sample in (i16::MIN..=i16::MAX).step_by(7) {
            let value = i32::from(sample);
            let room = value.abs() / 16 + 16;
            assert!((i32::from(from_alaw(to_alaw(sample))) - value).abs() <= room, "A-law {sample}");
            assert!(
                (i32::from(from_ulaw(to_ulaw(sample))) - value).abs()
                    <= room + 700 * i32::from(value.abs() > 32600)
            );
        }
    }

    #[test]
    fn mixing_adds_and_clips() {
        for codec in [Codec::Pcma, Codec::Pcmu] {
            let sum = |a: i16, b: i16| {
                let mut audio = codec.encode(&[a]);
                mix(codec, &mut audio, &codec.encode(&[b]));
                i32::from(codec.decoder()[usize::from(audio[0])])
            };
            assert!((sum(8000, 3000) - 11000).abs() < 800);
            assert!(sum(8000, -8000).abs() < 100);
            assert!(sum(30000, 30000) > 31000 && sum(-30000, -30000) < -31000);
        }
    }

    #[test]
    fn ringback_has_the_dutch_cadence() {
        let mut second = vec![0; 8000];
        let mut loud = |at: u64| {
            fill_tone(Tone::Ringback, Codec::Pcma, at * 8000, &mut second);
            second.iter().any(|c| from_alaw(*c).abs() > 2000)
        };
        assert_eq!([0, 1, 4, 5, 6].map(&mut loud), [true, false, false, true, false]);
    }
}

//! Opus (RFC 6716, RFC 7587) by libopus: decoding at whatever rate is wanted, one channel; encoding 20 ms a packet.

use ::opus as libopus;
use libopus::{Application, Channels};

/// The RTP clock (RFC 7587 section 4.1), whatever the audio's own rate.
pub const CLOCK: u32 = 48_000;

/// Longest packet (RFC 6716 section 3.2.5): 120 ms.
pub const LONGEST: usize = 120;

/// Largest payload of our own: one frame (RFC 6716 section 3.2.1) and its first octet.
pub const LARGEST: usize = 1276;

/// Speech at two thirds of the work of the best, and no worse to hear at our rates.
const COMPLEXITY: i32 = 5;

/// How long a packet sounds, in ticks of [`CLOCK`]; 0 if it is none (RFC 6716 sections 3.1 and 3.2).
pub fn ticks(payload: &[u8]) -> u32 {
    let Some(&first) = payload.first() else { return 0 };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => payload.get(1).map_or(0, |second| u32::from(second & 0x3f)),
    };
    let total = frames * frame_ticks(first >> 3);
    if total as usize > LONGEST * 48 { 0 } else { total }
}

/// Ticks of one frame of a configuration.
fn frame_ticks(configuration: u8) -> u32 {
    match configuration {
        0..=11 => [480, 960, 1920, 2880][usize::from(configuration & 3)],
        12..=15 => [480, 960][usize::from(configuration & 1)],
        _ => [120, 240, 480, 960][usize::from(configuration & 3)],
    }
}

pub struct Decoder {
    inner: libopus::Decoder,
    rate: u32,
}

impl Decoder {
    /// `rate`: 8, 12, 16, 24 or 48 thousand; of another there is none.
    pub fn new(rate: u32) -> Option<Decoder> {
        Some(Decoder { inner: libopus::Decoder::new(rate, Channels::Mono).ok()?, rate })
    }

    /// Add what a packet says to `out`. False: it cannot be decoded, and nothing is added.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> bool {
        let before = out.len();
        out.resize(before + (self.rate as usize * LONGEST) / 1000, 0);
        let said = if payload.is_empty() {
            None
        } else {
            self.inner.decode(payload, &mut out[before..], false).ok()
        };
        out.truncate(before + said.unwrap_or(0));
        said.is_some()
    }
}

pub struct Encoder {
    inner: libopus::Encoder,
}

impl Encoder {
    pub fn new(rate: u32) -> Option<Encoder> {
        let mut inner = libopus::Encoder::new(rate, Channels::Mono, Application::Voip).ok()?;
        inner.set_complexity(COMPLEXITY).ok()?;
        Some(Encoder { inner })
    }

    /// One packet of these samples, which must be a frame's or some frames' worth. Its length; 0: there is none.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        self.inner.encode(samples, out).unwrap_or(0)
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opus::Decoder")
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opus::Encoder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_says_how_long_it_is() {
        for (first, frames, expected) in [
            (0x08, 1, 960),      // SILK narrowband, 20 ms
            (0x78, 1, 960),      // hybrid, 20 ms
            (0xf8 | 3, 3, 2880), // CELT 20 ms, three of them
            (0xe0, 1, 120),      // CELT 2.5 ms
            (0x19, 2, 5760),     // SILK 60 ms, two
            (0x1b, 3, 0),        // longer than any packet may be
        ] {
            assert_eq!(ticks(&[first, frames]), expected, "{first:#x}");
        }
        assert_eq!((ticks(&[]), ticks(&[0x0b])), (0, 0));
    }

    proptest! {
        /// What we say of its length is what libopus decodes, or it decodes nothing.
        #[test]
        fn length_is_libopus_own(payload in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut out = Vec::new();
            let decoded = Decoder::new(16_000).expect("a rate of its own").decode(&payload, &mut out);
            if decoded {
                prop_assert_eq!(out.len() as u32, ticks(&payload) / 3);
            }
        }
    }
}

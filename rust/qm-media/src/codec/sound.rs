//! Sound of our own, prompts and tones, made ready in each codec before a packet of it is needed.
//!
//! Positions are samples of 8 kHz, whatever the codec: a call may change it in the middle of a prompt.

use super::{AUDIO, Codec, opus, speech};
use crate::protocol::Tone;
use std::sync::OnceLock;

/// Samples a second of what we make.
pub const RATE: u32 = 8000;

/// One Opus packet of ours.
const FRAME: usize = 160;

/// Silence after the end, as long as our longest packet: the last one is filled with it.
const TAIL: usize = 480;

/// Sound in one codec.
#[derive(Debug)]
struct Encoded {
    data: Vec<u8>,
    /// Where each frame ends, of a codec whose packets are of no fixed length.
    ends: Vec<usize>,
}

impl Encoded {
    fn of(codec: Codec, samples: &[i16]) -> Encoded {
        let padding = TAIL + (FRAME - samples.len() % FRAME) % FRAME;
        let rate = if codec.rate() == RATE || codec == Codec::Opus { RATE } else { 16_000 };
        let whole: Vec<i16> = samples.iter().copied().chain(std::iter::repeat_n(0, padding)).collect();
        let whole = at_rate(whole, rate);
        let Some(mut encoder) = speech::Encoder::new(codec, rate) else {
            return Encoded { data: Vec::new(), ends: Vec::new() };
        };
        let (mut data, mut ends, mut packet) = (Vec::new(), Vec::new(), [0; opus::LARGEST]);
        for frame in whole.chunks(FRAME * (rate / RATE) as usize) {
            let length = encoder.encode(frame, &mut packet);
            data.extend_from_slice(&packet[..length]);
            if codec == Codec::Opus {
                ends.push(data.len());
            }
        }
        Encoded { data, ends }
    }

    /// What is said from `at` on for `count` samples.
    fn part(&self, codec: Codec, at: usize, count: usize) -> &[u8] {
        let range = match codec.octets(1) {
            Some(one) => at * one..(at + count) * one,
            None => {
                let frame = (at / FRAME).min(self.ends.len().saturating_sub(1));
                let begin = frame.checked_sub(1).and_then(|before| self.ends.get(before));
                begin.copied().unwrap_or(0)..self.ends.get(frame).copied().unwrap_or(0)
            }
        };
        self.data.get(range).unwrap_or_default()
    }
}

/// A resampler is late by half its reach: let it run on by that, and leave out the beginning.
fn at_rate(mut samples: Vec<i16>, rate: u32) -> Vec<i16> {
    if rate == RATE {
        return samples;
    }
    let (length, late) = (samples.len(), 16);
    samples.extend([0; 16]);
    let mut out = Vec::new();
    if let Some(mut resampler) = super::resample::Resampler::new(RATE, rate) {
        resampler.push(&samples, &mut out);
    }
    let factor = (rate / RATE) as usize;
    out.drain(..(late * factor).min(out.len()));
    out.truncate(length * factor);
    out
}

/// Samples, and what they are in each codec that they have been wanted in.
#[derive(Debug)]
pub struct Sound {
    samples: Vec<i16>,
    encoded: [OnceLock<Encoded>; AUDIO],
}

impl Sound {
    pub fn new(samples: Vec<i16>) -> Sound {
        Sound { samples, encoded: [const { OnceLock::new() }; AUDIO] }
    }

    /// How many samples of 8 kHz.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Make it ready in a codec. Whoever plays it in another waits for that once.
    pub fn prepare(&self, codec: Codec) {
        if let Some(place) = codec.place() {
            self.encoded[place].get_or_init(|| Encoded::of(codec, &self.samples));
        }
    }

    fn part(&self, codec: Codec, at: usize, count: usize) -> &[u8] {
        let Some(place) = codec.place() else { return &[] };
        let encoded = self.encoded[place].get_or_init(|| Encoded::of(codec, &self.samples));
        let count = count.min(TAIL);
        encoded.part(codec, at.min(self.samples.len() + TAIL - count), count)
    }

    /// Write `count` samples from `at` on into `out`; how many octets they are. What lies past the end is silence.
    pub fn fill(&self, codec: Codec, at: usize, count: usize, out: &mut [u8]) -> usize {
        let part = self.part(codec, at, count);
        out[..part.len()].copy_from_slice(part);
        part.len()
    }

    /// Add them to audio whose every octet stands for itself (G.711, L16).
    pub fn mix(&self, codec: Codec, at: usize, count: usize, audio: &mut [u8]) {
        let left = self.samples.len().saturating_sub(at).min(count);
        let more = self.part(codec, at, left);
        if let Codec::L16(_) = codec {
            super::mix_l16(audio, more);
        } else {
            super::mix(codec.law(), audio, more);
        }
    }

    /// Add them to samples of `rate`: 8 or 16 thousand.
    pub fn add(&self, rate: u32, at: usize, samples: &mut [i16]) {
        let factor = (rate / RATE).max(1) as usize;
        for (first, part) in samples.chunks_mut(TAIL * factor).enumerate() {
            let at = at + first * TAIL;
            let left = self.samples.len().saturating_sub(at).min(part.len() / factor);
            let more = self.part(Codec::L16(rate), at, left).chunks_exact(2);
            for (sample, octets) in part.iter_mut().zip(more) {
                *sample = sample.saturating_add(i16::from_be_bytes([octets[0], octets[1]]));
            }
        }
    }
}

/// What a leg hears from sample `at` of a tone on: `count` samples into `out`; how many octets they are.
pub fn fill_tone(tone: Tone, codec: Codec, at: u64, count: usize, out: &mut [u8]) -> usize {
    let sound = &tones()[tone as usize];
    sound.fill(codec, (at % sound.len() as u64) as usize, count, out)
}

/// Make every tone ready in a codec.
pub fn prepare_tones(codec: Codec) {
    tones().iter().for_each(|tone| tone.prepare(codec));
}

/// One period of each tone.
fn tones() -> &'static [Sound; 3] {
    static TONES: OnceLock<[Sound; 3]> = OnceLock::new();
    TONES.get_or_init(|| {
        [
            period(0, 480, 0.0),
            // The Dutch cadence of ITU-T E.180: 1 s on, 4 s off.
            period(8000, 5 * 8000, 4000.0),
            // 40 ms every two seconds: "still waiting", not "busy".
            period(320, 2 * 8000, 1000.0),
        ]
    })
}

/// So much of 425 Hz, then silence.
fn period(sounding: usize, length: usize, amplitude: f64) -> Sound {
    let turn = 425.0 * std::f64::consts::TAU / f64::from(RATE);
    let sample = |i: usize| if i < sounding { ((turn * i as f64).sin() * amplitude) as i16 } else { 0 };
    Sound::new((0..length).map(sample).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::speech::Decoder;

    fn heard(codec: Codec, count: usize, part: impl Fn(usize, &mut [u8]) -> usize) -> Vec<i16> {
        let (mut decoder, mut out) = (Decoder::new(8000), Vec::new());
        for at in (0..count).step_by(160) {
            let mut packet = [0; opus::LARGEST];
            let length = part(at, &mut packet);
            assert_eq!(codec.samples(&packet[..length]), 160, "{codec:?}");
            assert!(decoder.decode(codec, &packet[..length], &mut out));
        }
        out
    }

    #[test]
    fn ringback_has_the_dutch_cadence_in_every_codec() {
        for codec in Codec::AUDIO {
            let all = heard(codec, 7 * 8000, |at, out| fill_tone(Tone::Ringback, codec, at as u64, 160, out));
            let loud =
                |second: usize| all[second * 8000 + 800..(second + 1) * 8000].iter().any(|s| s.abs() > 2000);
            assert_eq!([0, 1, 4, 5, 6].map(loud), [true, false, false, true, false], "{codec:?}");
        }
    }

    #[test]
    fn a_sound_is_silent_past_its_end_and_its_last_packet_full() {
        let sound = period(2000, 2000, 8000.0);
        for codec in Codec::AUDIO {
            let all = heard(codec, 4000, |at, out| sound.fill(codec, at, 160, out));
            assert!(all[1000..1900].iter().any(|s| *s > 4000), "{codec:?}");
            assert!(all[2500..].iter().all(|s| s.abs() < 400), "{codec:?}");
        }
        let (sound, mut out) = (Sound::new(vec![8000; 200]), [0; 160]);
        assert_eq!(sound.fill(Codec::Pcmu, 160, 160, &mut out), 160);
        assert_eq!((out[39] == out[40], out[40], out[159]), (false, 0xff, 0xff));
    }

    #[test]
    fn it_is_added_to_what_is_there_up_to_its_end() {
        let sound = Sound::new(vec![1000; 100]);
        let mut audio = Vec::from(500i16.to_be_bytes()).repeat(160);
        sound.mix(Codec::L16(8000), 0, 160, &mut audio);
        assert_eq!(audio[198..202], [5, 220, 1, 244]);
        let mut samples = [0; 320];
        sound.add(16_000, 0, &mut samples);
        assert!(samples[100] > 900 && samples[201..].iter().all(|s| *s == 0));
    }
}

//! A prompt under speech that is passed on: in place where an octet stands for itself, else by taking the speech apart
//! and saying it again, for as long as the prompt lasts.

use super::sound::Sound;
use super::{Codec, opus, speech};

/// Rate at which speech of a codec that remembers is taken apart.
const RATE: u32 = 16_000;

/// One stream that is said again.
#[derive(Debug)]
pub struct Again {
    codec: Codec,
    hear: speech::Decoder,
    say: speech::Encoder,
    samples: Vec<i16>,
}

impl Again {
    fn new(codec: Codec) -> Option<Again> {
        let say = speech::Encoder::new(codec, RATE)?;
        let samples = Vec::with_capacity(RATE as usize * opus::LONGEST / 1000);
        Some(Again { codec, hear: speech::Decoder::new(RATE), say, samples })
    }

    /// The payload with the sound from `at` on in it, written to `out`; its length, 0 if it cannot be understood.
    fn with(&mut self, sound: &Sound, at: usize, payload: &[u8], out: &mut [u8]) -> usize {
        self.samples.clear();
        if !self.hear.decode(self.codec, payload, &mut self.samples) {
            return 0;
        }
        sound.add(RATE, at, &mut self.samples);
        self.say.encode(&self.samples, out)
    }
}

/// Add a sound to a payload and write the result to `out`. Its length; 0: it cannot be done, pass it as it is.
pub fn over(
    again: &mut Option<Box<Again>>,
    sound: &Sound,
    at: usize,
    (codec, payload): (Codec, &[u8]),
    out: &mut [u8],
) -> usize {
    let (Some(room), count) = (out.get_mut(..payload.len()), codec.samples(payload)) else { return 0 };
    match codec {
        Codec::Pcma | Codec::Pcmu | Codec::L16(_) => {
            room.copy_from_slice(payload);
            sound.mix(codec, at, count, room);
            payload.len()
        }
        _ => {
            if again.as_ref().is_none_or(|again| again.codec != codec) {
                *again = Again::new(codec).map(Box::new);
            }
            again.as_mut().map_or(0, |again| again.with(sound, at, payload, out))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_heard_in_every_codec() {
        let turn = std::f64::consts::TAU / 8000.0;
        let tone = |hertz: f64| move |i: usize| ((turn * hertz * i as f64).sin() * 5000.0) as i16;
        let speech_of = Sound::new((0..8000).map(tone(400.0)).collect());
        let prompt = Sound::new((0..8000).map(tone(1400.0)).collect());
        for codec in Codec::AUDIO {
            let (mut again, mut hear, mut heard) = (None, speech::Decoder::new(8000), Vec::new());
            for at in (0..8000).step_by(160) {
                let (mut said, mut out) = ([0; opus::LARGEST], [0; opus::LARGEST]);
                let length = speech_of.fill(codec, at, 160, &mut said);
                let length = over(&mut again, &prompt, at, (codec, &said[..length]), &mut out);
                assert_eq!(codec.samples(&out[..length]), 160, "{codec:?}");
                assert!(hear.decode(codec, &out[..length], &mut heard));
            }
            for hertz in [400.0, 1400.0] {
                let along = |f: fn(f64) -> f64| -> f64 {
                    let later = heard.iter().enumerate().skip(2000);
                    later.map(|(i, s)| f(turn * hertz * i as f64) * f64::from(*s)).sum()
                };
                let height = (along(f64::sin).powi(2) + along(f64::cos).powi(2)).sqrt() / 3000.0;
                assert!((2500.0..7500.0).contains(&height), "{codec:?} {hertz} {height}");
            }
        }
    }

    #[test]
    fn what_nobody_understands_is_left_alone() {
        let (sound, mut out) = (Sound::new(vec![1; 160]), [0; 20]);
        assert_eq!(over(&mut None, &sound, 0, (Codec::Opus, &[]), &mut out), 0);
        assert_eq!(over(&mut None, &sound, 0, (Codec::Pcma, &[0; 21]), &mut out), 0, "no room");
    }
}

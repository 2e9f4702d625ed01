//! Payloads of one sender become samples of one rate, and samples become payloads: what needs the past to be understood.

use super::resample::Resampler;
use super::{Codec, g722, opus};

/// What a codec carries from one packet to the next.
#[derive(Debug)]
enum Hearing {
    Nothing,
    G722(Box<g722::Decoder>),
    Opus(Box<opus::Decoder>),
}

/// One sender's payloads, heard at one rate. Another codec begins anew.
#[derive(Debug)]
pub struct Decoder {
    rate: u32,
    codec: Option<Codec>,
    hearing: Hearing,
    resampler: Option<Resampler>,
    native: Vec<i16>,
}

impl Decoder {
    pub fn new(rate: u32) -> Decoder {
        Decoder { rate, codec: None, hearing: Hearing::Nothing, resampler: None, native: Vec::new() }
    }

    /// Add what a payload says to `out`. False: nobody can hear it, and nothing is added.
    pub fn decode(&mut self, codec: Codec, payload: &[u8], out: &mut Vec<i16>) -> bool {
        if self.codec != Some(codec) && !self.begin(codec) {
            return false;
        }
        let Some(resampler) = self.resampler.as_mut() else { return false };
        self.native.clear();
        let native = &mut self.native;
        match (&mut self.hearing, codec) {
            (Hearing::Opus(decoder), _) => return decoder.decode(payload, out),
            (Hearing::G722(decoder), _) => native.extend(payload.iter().flat_map(|o| decoder.decode(*o))),
            (_, Codec::L16(_)) => {
                native.extend(payload.chunks_exact(2).map(|s| i16::from_be_bytes([s[0], s[1]])));
            }
            (_, Codec::Pcma | Codec::Pcmu) => {
                let decoder = codec.law().decoder();
                native.extend(payload.iter().map(|code| decoder[usize::from(*code)]));
            }
            _ => return false,
        }
        resampler.push(native, out);
        true
    }

    fn begin(&mut self, codec: Codec) -> bool {
        self.codec = None;
        let (hearing, from) = match codec {
            Codec::Opus => match opus::Decoder::new(self.rate) {
                Some(decoder) => (Hearing::Opus(Box::new(decoder)), self.rate),
                None => return false,
            },
            Codec::G722 => (Hearing::G722(Box::default()), 16_000),
            Codec::L16(rate) => (Hearing::Nothing, rate),
            Codec::Pcma | Codec::Pcmu => (Hearing::Nothing, 8000),
            Codec::ComfortNoise(_) | Codec::TelephoneEvent(_) => return false,
        };
        (self.hearing, self.resampler, self.codec) = (hearing, Resampler::new(from, self.rate), Some(codec));
        self.resampler.is_some()
    }
}

#[derive(Debug)]
enum Saying {
    Plain,
    G722(Box<g722::Encoder>),
    Opus(Box<opus::Encoder>),
}

/// Samples of one rate, said in one codec.
#[derive(Debug)]
pub struct Encoder {
    codec: Codec,
    saying: Saying,
    resampler: Resampler,
    native: Vec<i16>,
}

impl Encoder {
    /// `None`: there is no way from that rate to that codec.
    pub fn new(codec: Codec, rate: u32) -> Option<Encoder> {
        let (saying, to) = match codec {
            Codec::Opus => (Saying::Opus(Box::new(opus::Encoder::new(rate)?)), rate),
            Codec::G722 => (Saying::G722(Box::default()), 16_000),
            Codec::L16(own) => (Saying::Plain, own),
            Codec::Pcma | Codec::Pcmu => (Saying::Plain, 8000),
            Codec::ComfortNoise(_) | Codec::TelephoneEvent(_) => return None,
        };
        Some(Encoder { codec, saying, resampler: Resampler::new(rate, to)?, native: Vec::new() })
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Write these samples into `out`; how many octets they are. What does not fit is left out.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        self.native.clear();
        self.resampler.push(samples, &mut self.native);
        let native = self.native.as_slice();
        match (&mut self.saying, self.codec) {
            (Saying::Opus(encoder), _) => encoder.encode(native, out),
            (Saying::G722(encoder), _) => {
                let pairs = native.chunks_exact(2).map(|pair| encoder.encode([pair[0], pair[1]]));
                out.iter_mut().zip(pairs).map(|(octet, code)| *octet = code).count()
            }
            (_, Codec::L16(_)) => {
                let pairs = out.chunks_exact_mut(2).zip(native);
                2 * pairs.map(|(octets, sample)| octets.copy_from_slice(&sample.to_be_bytes())).count()
            }
            _ => {
                let encode = self.codec.law().encoder();
                out.iter_mut().zip(native).map(|(octet, sample)| *octet = encode(*sample)).count()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn tone(hertz: f64, rate: u32, count: usize) -> Vec<i16> {
        let turn = hertz * std::f64::consts::TAU / f64::from(rate);
        (0..count).map(|i| ((turn * i as f64).sin() * 9000.0) as i16).collect()
    }

    /// How much of a signal is that tone: 1 is all of it.
    fn share(samples: &[i16], hertz: f64, rate: u32) -> f64 {
        let turn = hertz * std::f64::consts::TAU / f64::from(rate);
        let along = |f: fn(f64) -> f64| -> f64 {
            samples.iter().enumerate().map(|(i, s)| f(turn * i as f64) * f64::from(*s)).sum::<f64>()
        };
        let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        (along(f64::sin).powi(2) + along(f64::cos).powi(2)) * 2.0 / (samples.len() as f64 * energy.max(1.0))
    }

    #[test]
    fn a_tone_goes_there_and_comes_back_in_every_codec_at_every_rate() {
        for codec in Codec::AUDIO {
            for (rate, at) in [(8000, 16_000), (16_000, 16_000), (16_000, 8000), (16_000, 48_000)] {
                let mut encoder = Encoder::new(codec, rate).expect("a codec of ours");
                let (mut decoder, mut heard) = (Decoder::new(at), Vec::new());
                let frame = rate as usize / 50;
                for said in tone(1000.0, rate, 50 * frame).chunks_exact(frame) {
                    let mut packet = [0; opus::LARGEST];
                    let length = encoder.encode(said, &mut packet);
                    assert_eq!(codec.samples(&packet[..length]), 160, "{codec:?}");
                    assert!(decoder.decode(codec, &packet[..length], &mut heard));
                }
                assert_eq!(heard.len(), at as usize, "{codec:?} {rate} {at}");
                let later = &heard[heard.len() / 4..];
                assert!(share(later, 1000.0, at) > 0.97, "{codec:?} {rate} {at}");
            }
        }
    }

    #[test]
    fn l16_is_bit_for_bit() {
        for rate in [8000, 16_000] {
            let said: Vec<i16> = (i16::MIN..i16::MAX).step_by(13).collect();
            let (mut packet, mut heard) = (vec![0; 2 * said.len()], Vec::new());
            Encoder::new(Codec::L16(rate), rate).expect("L16").encode(&said, &mut packet);
            assert!(Decoder::new(rate).decode(Codec::L16(rate), &packet, &mut heard));
            assert_eq!(heard, said);
        }
    }

    proptest! {
        #[test]
        fn never_panics(
            packets in proptest::collection::vec((0usize..6, proptest::collection::vec(any::<u8>(), 0..80)), 0..20),
        ) {
            let (mut decoder, mut out) = (Decoder::new(16_000), Vec::new());
            for (codec, payload) in packets {
                decoder.decode(Codec::AUDIO[codec], &payload, &mut out);
            }
        }
    }
}

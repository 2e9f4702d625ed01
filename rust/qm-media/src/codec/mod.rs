//! The codecs that the engine passes, and those of what it makes itself, mixes or takes apart.
//!
//! * [`g711`], [`g722`], [`opus`]  one codec each; L16 is what it is (RFC 3551 section 4.5.11)
//! * [`speech`]    payloads to samples and back, with what a codec needs to remember
//! * [`resample`]  from one rate of samples to another
//! * [`sound`]     prompts and tones, ready in each codec
//! * [`overlay`]   a prompt under speech that is passed on

pub mod g711;
pub mod g722;
pub mod opus;
pub mod overlay;
pub mod resample;
pub mod sound;
pub mod speech;

use g711::Law;

/// How many audio codecs there are.
pub const AUDIO: usize = 6;

/// What a payload type of a leg stands for. Anything else was filtered from the offer and is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Pcma,
    Pcmu,
    /// Its RTP clock ticks 8000 times a second, its samples come twice as often (RFC 3551 section 4.5.2).
    G722,
    /// One channel, of that many samples a second.
    L16(u32),
    /// Its RTP clock ticks 48000 times a second, whatever was encoded (RFC 7587 section 4.1).
    Opus,
    /// RFC 3389, by its clock: the sender's silence, passed on and kept as that.
    ComfortNoise(u32),
    /// RFC 4733, by its clock: passed on and read, never kept.
    TelephoneEvent(u32),
}

impl Codec {
    pub const AUDIO: [Codec; AUDIO] =
        [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::L16(8000), Codec::L16(16_000), Codec::Opus];

    /// From encoding name, clock and channels, as in an rtpmap. Cases do not matter (RFC 8866 section 6.6).
    pub fn from_name(name: &str) -> Option<Codec> {
        let name = name.to_ascii_uppercase();
        match name.strip_suffix("/1").unwrap_or(&name) {
            "PCMA/8000" => Some(Codec::Pcma),
            "PCMU/8000" => Some(Codec::Pcmu),
            "G722/8000" => Some(Codec::G722),
            "L16/8000" => Some(Codec::L16(8000)),
            "L16/16000" => Some(Codec::L16(16_000)),
            "OPUS/48000/2" => Some(Codec::Opus),
            "CN/8000" => Some(Codec::ComfortNoise(8000)),
            "CN/16000" => Some(Codec::ComfortNoise(16_000)),
            "TELEPHONE-EVENT/8000" => Some(Codec::TelephoneEvent(8000)),
            "TELEPHONE-EVENT/16000" => Some(Codec::TelephoneEvent(16_000)),
            "TELEPHONE-EVENT/48000" => Some(Codec::TelephoneEvent(48_000)),
            _ => None,
        }
    }

    /// The name the journal gives what is kept; `None` for what never enters a journal.
    pub fn kept_as(self) -> Option<&'static str> {
        match self {
            Codec::Pcma => Some("PCMA/8000"),
            Codec::Pcmu => Some("PCMU/8000"),
            Codec::G722 => Some("G722/8000"),
            Codec::L16(16_000) => Some("L16/16000"),
            Codec::L16(_) => Some("L16/8000"),
            Codec::Opus => Some("opus/48000/2"),
            Codec::ComfortNoise(16_000) => Some("CN/16000"),
            Codec::ComfortNoise(_) => Some("CN/8000"),
            Codec::TelephoneEvent(_) => None,
        }
    }

    pub fn is_audio(self) -> bool {
        !matches!(self, Codec::ComfortNoise(_) | Codec::TelephoneEvent(_))
    }

    /// Its number among the audio codecs.
    fn place(self) -> Option<usize> {
        Codec::AUDIO.iter().position(|codec| *codec == self)
    }

    /// Ticks a second of its RTP clock.
    pub fn clock(self) -> u32 {
        match self {
            Codec::Opus => opus::CLOCK,
            Codec::L16(rate) | Codec::ComfortNoise(rate) | Codec::TelephoneEvent(rate) => rate,
            _ => 8000,
        }
    }

    /// Samples a second that are heard.
    pub fn rate(self) -> u32 {
        match self {
            Codec::G722 => 16_000,
            _ => self.clock(),
        }
    }

    /// Whether more of a voice can be heard in it than of a telephone's 3400 Hz.
    pub fn is_wideband(self) -> bool {
        self.rate() > 8000
    }

    /// Whether each of its samples stands in octets of its own.
    pub fn is_plain(self) -> bool {
        matches!(self, Codec::Pcma | Codec::Pcmu | Codec::L16(_))
    }

    /// Octets of so many samples of 8 kHz; `None`: they differ from packet to packet.
    pub fn octets(self, samples: usize) -> Option<usize> {
        match self {
            Codec::Opus => None,
            Codec::L16(rate) => Some(2 * samples * (rate / 8000) as usize),
            _ => Some(samples),
        }
    }

    /// How long a payload sounds, in samples of 8 kHz.
    pub fn samples(self, payload: &[u8]) -> usize {
        match self {
            Codec::Opus => opus::ticks(payload) as usize / 6,
            Codec::L16(rate) => payload.len() / (2 * (rate / 8000) as usize),
            _ => payload.len(),
        }
    }

    /// Of what is not µ-law it is A-law.
    fn law(self) -> Law {
        if self == Codec::Pcmu { Law::Mu } else { Law::A }
    }
}

/// Add `more` to encoded audio, sample by sample; what is too loud is clipped.
fn mix(law: Law, audio: &mut [u8], more: &[u8]) {
    let (decoder, encode) = (law.decoder(), law.encoder());
    for (code, other) in audio.iter_mut().zip(more) {
        let sum = decoder[usize::from(*code)].saturating_add(decoder[usize::from(*other)]);
        *code = encode(sum);
    }
}

/// The same of L16.
fn mix_l16(audio: &mut [u8], more: &[u8]) {
    for (octets, other) in audio.chunks_exact_mut(2).zip(more.chunks_exact(2)) {
        let (one, two) =
            (i16::from_be_bytes([octets[0], octets[1]]), i16::from_be_bytes([other[0], other[1]]));
        octets.copy_from_slice(&one.saturating_add(two).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for codec in Codec::AUDIO {
            assert_eq!(codec.kept_as().and_then(Codec::from_name), Some(codec));
        }
        assert_eq!(Codec::from_name("Opus/48000/2"), Some(Codec::Opus));
        for other in ["opus/48000", "opus/16000/2", "L16/44100", "L16/16000/2", "G729/8000", "red/8000", ""] {
            assert_eq!(Codec::from_name(other), None, "{other}");
        }
    }

    #[test]
    fn mixing_adds_and_clips() {
        for law in [Law::A, Law::Mu] {
            let sum = |a: i16, b: i16| {
                let mut audio = [law.encoder()(a)];
                mix(law, &mut audio, &[law.encoder()(b)]);
                i32::from(law.decoder()[usize::from(audio[0])])
            };
            assert!((sum(8000, 3000) - 11000).abs() < 800);
            assert!(sum(8000, -8000).abs() < 100);
            assert!(sum(30000, 30000) > 31000 && sum(-30000, -30000) < -31000);
        }
    }
}

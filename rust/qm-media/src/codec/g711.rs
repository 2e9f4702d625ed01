//! ITU-T G.711: one octet a sample, 8000 a second.

use std::sync::OnceLock;

/// Which of the two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    A,
    Mu,
}

impl Law {
    pub fn encoder(self) -> fn(i16) -> u8 {
        if self == Law::Mu { to_ulaw } else { to_alaw }
    }

    /// The sample each code stands for.
    pub fn decoder(self) -> &'static [i16; 256] {
        static DECODERS: OnceLock<[[i16; 256]; 2]> = OnceLock::new();
        let all = |decode: fn(u8) -> i16| std::array::from_fn(|code| decode(code as u8));
        &DECODERS.get_or_init(|| [all(from_alaw), all(from_ulaw)])[usize::from(self == Law::Mu)]
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

/// A-law of one 16-bit sample.
pub fn to_alaw(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = if negative { !sample } else { sample } as u16 >> 3;
    let segment = 16u32.saturating_sub(magnitude.leading_zeros()).saturating_sub(5) as u16;
    let code = if segment == 0 { magnitude >> 1 } else { (segment << 4) | ((magnitude >> segment) & 0x0f) };
    let sign = if negative { 0 } else { 0x80 };
    (code as u8 | sign) ^ 0x55
}

/// µ-law of one 16-bit sample.
pub fn to_ulaw(sample: i16) -> u8 {
    const BIAS: u16 = 33;
    let magnitude = (sample.unsigned_abs() >> 2).min(8158) + BIAS;
    let segment = 15 - magnitude.leading_zeros() as u16 - 5;
    let code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0f);
    let sign = if sample < 0 { 0 } else { 0x80 };
    (!code as u8 & 0x7f) | sign
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
}

//! Something like speech, as A-law: the audio of every call, so that a recorder's compressor has real work.

/// Samples before the sound repeats: two seconds.
pub const LENGTH: usize = 16_000;

/// ITU-T G.711 A-law of one 16-bit sample.
pub fn a_law(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = if negative { !sample } else { sample } >> 4;
    let exponent = (16 - (magnitude as u16 >> 4).leading_zeros()).min(7);
    let mantissa = if exponent <= 1 { magnitude & 0x0f } else { (magnitude >> (exponent - 1)) & 0x0f };
    let code = ((exponent as u8) << 4) | mantissa as u8;
    (if negative { code } else { code | 0x80 }) ^ 0x55
}

/// Three harmonics of a gliding voice under a syllable's envelope, with a little noise. The same at each start.
pub fn table() -> Vec<u8> {
    let mut noise = 0x2545_f491_u32;
    let mut phase = 0.0_f64;
    (0..LENGTH)
        .map(|n| {
            let t = n as f64 / 8000.0;
            phase += std::f64::consts::TAU * (130.0 + 30.0 * (t * 3.0).sin()) / 8000.0;
            let voice = phase.sin() + 0.6 * (phase * 4.0).sin() + 0.3 * (phase * 11.0).sin();
            let envelope = (std::f64::consts::TAU * 2.0 * t).sin().max(0.0);
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = (noise >> 16) as f64 / 65536.0 - 0.5;
            a_law((4500.0 * voice * envelope + 120.0 * hiss) as i16)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_has_the_known_codes() {
        // G.711 table 1a: silence, the two ends, and a value in the middle of each kind of segment.
        let known = [(0, 0xd5), (-1, 0x55), (32767, 0xaa), (-32768, 0x2a), (1000, 0xfa), (-1000, 0x7a)];
        for (sample, code) in known {
            assert_eq!(a_law(sample), code, "{sample}");
        }
    }

    #[test]
    fn the_sound_is_not_silence_and_repeats_itself_exactly() {
        let sound = table();
        assert_eq!(sound, table());
        assert!(sound.iter().collect::<std::collections::HashSet<_>>().len() > 100);
    }
}

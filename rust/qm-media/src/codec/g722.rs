//! ITU-T G.722 (09/2012) at 64 kbit/s, the one mode that RFC 3551 section 4.5.2 knows: one octet stands for two samples
//! of 16 kHz, and the RTP clock ticks 8000 times a second all the same.
//!
//! The signal is split in two bands of 8 kHz by a quadrature mirror filter; each is predicted from what was decoded
//! before, and only the error is sent: six bits of the lower band, two of the higher. Names of the blocks are those of
//! the recommendation's sections 3 and 4. All arithmetic is its 16-bit one.

/// Samples an octet stands for.
pub const SAMPLES: usize = 2;

/// The recommendation's table 11: the mirror filter's first half.
const MIRROR: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Decision levels of the lower band's quantizer.
const Q6: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121,
    1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// What each six-bit, four-bit and two-bit code adds, in units of the scale factor.
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360,
    -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688,
    -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856,
    7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136,
    -432, -136,
];
const QM4: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// How a code moves the logarithm of its band's scale factor.
const WL: [i32; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
const WH: [i32; 4] = [798, -214, 798, -214];
/// Powers of two in 32 steps, for the scale factor from its logarithm.
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

fn saturated(value: i32) -> i32 {
    value.clamp(-32768, 32767)
}

/// Two signals of half the rate, or the way back.
#[derive(Debug)]
struct Mirror {
    past: [i32; 24],
}

impl Mirror {
    /// Take in two more values; gives the sums over the even and the odd ones of the past.
    fn turn(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.past.copy_within(2.., 0);
        (self.past[22], self.past[23]) = (first, second);
        let pairs = self.past.chunks_exact(2).zip(MIRROR.iter().zip(MIRROR.iter().rev()));
        pairs
            .fold((0, 0), |(even, odd), (pair, (there, back))| (even + pair[0] * there, odd + pair[1] * back))
    }
}

/// What both ends know of one band: prediction and scale.
#[derive(Debug)]
struct Band {
    predicted: i32,
    by_zeros: i32,
    /// Reconstructed signal, one and two samples ago, and the same without the poles' part.
    signal: [i32; 2],
    partial: [i32; 2],
    poles: [i32; 2],
    zeros: [i32; 6],
    differences: [i32; 6],
    log_scale: i32,
    scale: i32,
}

impl Band {
    fn new(scale: i32) -> Band {
        Band {
            predicted: 0,
            by_zeros: 0,
            signal: [0; 2],
            partial: [0; 2],
            poles: [0; 2],
            zeros: [0; 6],
            differences: [0; 6],
            log_scale: 0,
            scale,
        }
    }

    /// LOGSCL and SCALEL, or LOGSCH and SCALEH: how loud the band is now.
    fn rescale(&mut self, by: i32, most: i32, shift: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + by).clamp(0, most);
        let (mantissa, octave) = (ILB[(self.log_scale >> 6 & 31) as usize], shift - (self.log_scale >> 11));
        self.scale = (if octave < 0 { mantissa << -octave } else { mantissa >> octave }) << 2;
    }

    /// Block 4: take in the quantized difference, adapt the predictor, and predict the next.
    fn adapt(&mut self, difference: i32) {
        let signal = saturated(self.predicted + difference);
        let partial = saturated(self.by_zeros + difference);
        self.adapt_poles(partial);
        self.adapt_zeros(difference);
        self.signal = [signal, self.signal[0]];
        self.partial = [partial, self.partial[0]];
        self.predict();
    }

    /// UPPOL2, UPPOL1.
    fn adapt_poles(&mut self, partial: i32) {
        let alike = |past: i32| (partial < 0) == (past < 0);
        let [one, two] = self.poles;
        let slope = saturated(one << 2);
        let slope = if alike(self.partial[0]) { (-slope).min(32767) } else { slope };
        let step = if alike(self.partial[1]) { 128 } else { -128 };
        let two = ((slope >> 7) + step + ((two * 32512) >> 15)).clamp(-12288, 12288);
        let step = if alike(self.partial[0]) { 192 } else { -192 };
        let limit = saturated(15360 - two);
        let one = saturated(step + ((one * 32640) >> 15)).clamp(-limit, limit);
        self.poles = [one, two];
    }

    /// UPZERO, and the delay of the differences.
    fn adapt_zeros(&mut self, difference: i32) {
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, past) in self.zeros.iter_mut().zip(&self.differences) {
            let toward = if (difference < 0) == (*past < 0) { step } else { -step };
            *zero = saturated(toward + ((*zero * 32640) >> 15));
        }
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
    }

    /// FILTEP, FILTEZ, PREDIC.
    fn predict(&mut self) {
        let by = |factor: i32, value: i32| (factor * saturated(value + value)) >> 15;
        let by_poles = saturated(by(self.poles[0], self.signal[0]) + by(self.poles[1], self.signal[1]));
        let products = self.zeros.iter().zip(&self.differences).map(|(zero, past)| by(*zero, *past));
        self.by_zeros = saturated(products.sum());
        self.predicted = saturated(by_poles + self.by_zeros);
    }
}

/// The two bands, as encoder and decoder carry them alike.
#[derive(Debug)]
struct Bands {
    low: Band,
    high: Band,
}

impl Bands {
    fn new() -> Bands {
        Bands { low: Band::new(32), high: Band::new(8) }
    }

    /// Take in one octet's codes, as the far end does.
    fn take(&mut self, low: usize, high: usize) {
        let four = low >> 2;
        let difference = (self.low.scale * QM4[four]) >> 15;
        self.low.rescale(WL[four], 18432, 8);
        self.low.adapt(difference);
        let difference = (self.high.scale * QM2[high]) >> 15;
        self.high.rescale(WH[high], 22528, 10);
        self.high.adapt(difference);
    }
}

#[derive(Debug)]
pub struct Decoder {
    bands: Bands,
    mirror: Mirror,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { bands: Bands::new(), mirror: Mirror { past: [0; 24] } }
    }
}

impl Decoder {
    /// The two samples of one octet.
    pub fn decode(&mut self, octet: u8) -> [i16; SAMPLES] {
        let (low, high) = (usize::from(octet & 0x3f), usize::from(octet >> 6));
        let Bands { low: lower, high: higher } = &self.bands;
        let limited = |value: i32| value.clamp(-16384, 16383);
        let deep = limited(lower.predicted + ((lower.scale * QM6[low]) >> 15));
        let bright = limited(higher.predicted + ((higher.scale * QM2[high]) >> 15));
        self.bands.take(low, high);
        let (even, odd) = self.mirror.turn(deep + bright, deep - bright);
        [saturated(odd >> 11) as i16, saturated(even >> 11) as i16]
    }
}

#[derive(Debug)]
pub struct Encoder {
    bands: Bands,
    mirror: Mirror,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder { bands: Bands::new(), mirror: Mirror { past: [0; 24] } }
    }
}

impl Encoder {
    /// The octet of two samples.
    pub fn encode(&mut self, samples: [i16; SAMPLES]) -> u8 {
        let (even, odd) = self.mirror.turn(i32::from(samples[0]), i32::from(samples[1]));
        let low = self.quantized_low(saturated(((odd + even) >> 14) - self.bands.low.predicted));
        let high = self.quantized_high(saturated(((odd - even) >> 14) - self.bands.high.predicted));
        self.bands.take(low, high);
        (high << 6 | low) as u8
    }

    /// QUANTL: levels count from the loudest down, positive ones first.
    fn quantized_low(&self, error: i32) -> usize {
        let magnitude = if error >= 0 { error } else { -(error + 1) };
        let above = |level: &&i32| magnitude >= (**level * self.bands.low.scale) >> 12;
        let level = Q6.iter().skip(1).take_while(above).count() + 1;
        match (error < 0, level) {
            (true, 1) => 63,
            (true, 2) => 62,
            (true, _) => 34 - level,
            (false, _) => 62 - level,
        }
    }

    /// QUANTH.
    fn quantized_high(&self, error: i32) -> usize {
        let magnitude = if error >= 0 { error } else { -(error + 1) };
        let loud = magnitude >= (564 * self.bands.high.scale) >> 12;
        match (error < 0, loud) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    fn encoded(samples: &[i16]) -> Vec<u8> {
        let mut ours = Encoder::default();
        samples.chunks_exact(2).map(|pair| ours.encode([pair[0], pair[1]])).collect()
    }

    fn decoded(octets: &[u8]) -> Vec<i16> {
        let mut ours = Decoder::default();
        octets.iter().flat_map(|octet| ours.decode(*octet)).collect()
    }

    /// Noise of a seed: so many bits quieter, and smoothed so much.
    fn noise(seed: u64, quiet: u32, smooth: u32) -> Vec<i16> {
        let (mut state, mut last) = (seed, 0i64);
        let mut sample = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            last += (i64::from((state >> 48) as i16 >> quiet) - last) >> smooth;
            last as i16
        };
        (0..4000).map(|_| sample()).collect()
    }

    fn digest(octets: &[u8]) -> String {
        Sha256::digest(octets)[..8].iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// Digests of what libg722 1.2 (the CMU and SpanDSP line of implementations) makes of the same noise.
    #[test]
    fn bit_for_bit_what_libg722_makes_of_it() {
        for (noise, codes, heard) in [
            (noise(1, 0, 0), "9e39d38fb5abdc0e", "7f88b77179350b7f"),
            (noise(2, 0, 3), "3be868896736228f", "13db13cbac74c329"),
            (noise(3, 2, 5), "d1920ba40379cbf1", "a2681bcc9d434a8c"),
            (noise(4, 8, 1), "b0ec416e9b1c0c8d", "965c12f6c30c3ca4"),
            (noise(5, 15, 0), "d22e5341642924ca", "55f4ffbf59b0a65e"),
            (noise(6, 3, 7), "09360ed5a60a8938", "1dcb5cab43931e5d"),
        ] {
            let ours = encoded(&noise);
            assert_eq!(digest(&ours), codes);
            let octets: Vec<u8> = decoded(&ours).iter().flat_map(|sample| sample.to_le_bytes()).collect();
            assert_eq!(digest(&octets), heard);
        }
    }

    proptest! {
        #[test]
        fn never_panics(octets in proptest::collection::vec(any::<u8>(), 0..2000)) {
            decoded(&octets);
        }
    }

    #[test]
    fn a_tone_of_six_kilohertz_survives() {
        let tone = |i: usize| (f64::sin(i as f64 * 6000.0 * std::f64::consts::TAU / 16000.0) * 8000.0) as i16;
        let heard = decoded(&encoded(&(0..3200).map(tone).collect::<Vec<_>>()));
        let power = |samples: &[i16]| samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
        let loud = power(&heard[800..]) / power(&(800..3200).map(tone).collect::<Vec<_>>());
        assert!((0.7..1.4).contains(&loud), "{loud}");
    }
}

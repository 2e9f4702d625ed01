//! From one rate of samples to a whole multiple of it, or to half: a windowed sinc, a few milliseconds late.
//!
//! Only audio that changes its rate passes here: a narrowband stretch of a wideband recording, or a listener whose phone
//! speaks another codec than the call. What keeps its rate is copied.

use std::collections::VecDeque;

/// Samples of the slower rate that a result looks at.
const REACH: usize = 32;

#[derive(Debug)]
pub struct Resampler {
    /// How many come out for one in.
    up: usize,
    /// How many go in for one out.
    down: usize,
    /// The filter, a row for each of the phases that come out.
    rows: Vec<Vec<f32>>,
    past: VecDeque<f32>,
    owed: usize,
}

impl Resampler {
    /// `None`: these rates are not whole multiples of each other.
    pub fn new(from: u32, to: u32) -> Option<Resampler> {
        if from == 0 || to == 0 {
            return None;
        }
        let (up, down) = ((to / from) as usize, (from / to) as usize);
        match (to % from, from % to) {
            (0, _) => Some(Resampler::with(up, 1)),
            (_, 0) => Some(Resampler::with(1, down)),
            _ => None,
        }
    }

    fn with(up: usize, down: usize) -> Resampler {
        let factor = up.max(down);
        let taps = if up > 1 { REACH } else { REACH * down };
        let filter = low_pass(REACH * factor, factor);
        let gain = if up > 1 { up as f32 } else { 1.0 };
        let rows = (0..up).map(|phase| filter[phase..].iter().step_by(up).map(|t| t * gain).collect());
        Resampler { up, down, rows: rows.collect(), past: VecDeque::from(vec![0.0; taps]), owed: 0 }
    }

    /// Forget what was before.
    pub fn reset(&mut self) {
        self.past.iter_mut().for_each(|value| *value = 0.0);
        self.owed = 0;
    }

    /// Add `samples` at the other rate to `out`.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        if self.up == 1 && self.down == 1 {
            return out.extend_from_slice(samples);
        }
        for sample in samples {
            self.past.pop_back();
            self.past.push_front(f32::from(*sample));
            self.owed += 1;
            if self.owed == self.down {
                self.owed = 0;
                let value = |row: &Vec<f32>| row.iter().zip(&self.past).map(|(tap, past)| tap * past).sum();
                out.extend(self.rows.iter().map(value).map(|value: f32| value.round() as i16));
            }
        }
    }
}

/// A sinc that ends before the slower rate's half, under a Blackman window; its taps add up to one.
fn low_pass(taps: usize, factor: usize) -> Vec<f32> {
    let middle = (taps - 1) as f64 / 2.0;
    let cut = 0.92 / factor as f64;
    let tap = |i: usize| {
        let (x, turn) = (i as f64 - middle, std::f64::consts::TAU * i as f64 / (taps - 1) as f64);
        let window = 0.42 - 0.5 * turn.cos() + 0.08 * (2.0 * turn).cos();
        let angle = std::f64::consts::PI * x * cut;
        window * if angle == 0.0 { 1.0 } else { angle.sin() / angle }
    };
    let raw: Vec<f64> = (0..taps).map(tap).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|value| (value / sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn tone(hertz: f64, rate: f64, count: usize) -> Vec<i16> {
        (0..count).map(|i| ((TAU * hertz * i as f64 / rate).sin() * 10_000.0) as i16).collect()
    }

    fn power_at(samples: &[i16], hertz: f64, rate: f64) -> f64 {
        let sum = |f: fn(f64) -> f64| -> f64 {
            let part = |(i, s): (usize, &i16)| f(TAU * hertz * i as f64 / rate) * f64::from(*s);
            samples.iter().enumerate().map(part).sum()
        };
        (sum(f64::sin).powi(2) + sum(f64::cos).powi(2)).sqrt() * 2.0 / samples.len() as f64
    }

    #[test]
    fn a_tone_keeps_its_height_and_loudness_and_brings_no_image() {
        for (from, to) in
            [(8000u32, 16_000u32), (8000, 48_000), (16_000, 48_000), (16_000, 8000), (8000, 24_000)]
        {
            let mut out = Vec::new();
            Resampler::new(from, to).expect("multiples").push(&tone(1000.0, f64::from(from), 4000), &mut out);
            assert_eq!(out.len(), 4000 * to as usize / from as usize);
            let heard = &out[out.len() / 2..out.len() / 2 + to as usize / 10];
            assert!((power_at(heard, 1000.0, f64::from(to)) - 10_000.0).abs() < 100.0, "{from} {to}");
            if to > from {
                assert!(power_at(heard, f64::from(from) - 1000.0, f64::from(to)) < 30.0, "{from} {to}");
            }
        }
    }

    #[test]
    fn what_half_the_rate_cannot_hold_is_gone() {
        let mut out = Vec::new();
        Resampler::new(16_000, 8000).expect("half").push(&tone(6000.0, 16_000.0, 4000), &mut out);
        assert!(out[100..].iter().all(|sample| sample.abs() < 40));
    }

    #[test]
    fn the_same_rate_is_the_same_audio_and_odd_rates_are_refused() {
        let mut out = Vec::new();
        Resampler::new(8000, 8000).expect("the same").push(&[1, -2, 3], &mut out);
        assert_eq!(out, [1, -2, 3]);
        assert!(Resampler::new(16_000, 24_000).is_none() && Resampler::new(0, 8000).is_none());
    }
}

//! Every input that `rust/fuzz` keeps, and mutations of them, through every target: nothing panics, nothing takes long.
//!
//! The mutations are the same in every run; `QM_SIP_SEED=... cargo test --test corpus` tries others.

#[path = "../../fuzz/src/scene.rs"]
mod scene;
#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use targets::{TARGETS, Target};

const MUTATIONS: u64 = 4000;
/// Processor time of one input; a script of two hundred steps is the longest.
const MOST: Duration = Duration::from_millis(500);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> =
        fs::read_dir(folder(name)).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a file")).collect()
}

/// A small generator of our own (splitmix64): the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides.max(1) as u64) as usize
    }
}

/// One to four changes: another octet, one more, a stretch less, a stretch twice, the tail of another input.
fn mutated(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut data = inputs[dice.roll(inputs.len())].clone();
    for _ in 0..=dice.roll(4) {
        let (one, two) = (dice.roll(data.len() + 1), dice.roll(data.len() + 1));
        let (at, to) = (one.min(two), one.max(two).min(one.min(two) + 64));
        match dice.roll(5) {
            0 if at < data.len() => data[at] = dice.roll(256) as u8,
            1 => data.insert(at, [0, 1, 0x7f, 0x80, 0xff][dice.roll(5)]),
            2 => drop(data.drain(at..to)),
            3 => {
                let stretch = data[at..to].to_vec();
                data.splice(at..at, stretch);
            }
            _ => {
                let other = &inputs[dice.roll(inputs.len())];
                data.truncate(at);
                data.extend_from_slice(&other[dice.roll(other.len() + 1)..]);
            }
        }
    }
    data.truncate(4096);
    data
}

fn quick(name: &str, run: Target, data: &[u8]) {
    let began = cpu();
    run(data);
    let took = cpu() - began;
    assert!(took < MOST, "{name}: {took:?} for {data:?}");
}

/// Processor time of this thread: what others do does not count.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default())
}

fn play(name: &str) {
    let run = TARGETS.iter().find(|(known, _)| *known == name).expect("a target").1;
    let inputs = corpus(name);
    assert!(!inputs.is_empty());
    inputs.iter().for_each(|data| quick(name, run, data));
    let seed = std::env::var("QM_SIP_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(3550);
    println!("QM_SIP_SEED={seed}");
    let mut dice = Dice(seed);
    for _ in 0..MUTATIONS {
        quick(name, run, &mutated(&inputs, &mut dice));
    }
}

#[test]
fn rtp() {
    play("rtp");
}

#[test]
fn packets() {
    play("packets");
}

#[test]
fn srtp() {
    play("srtp");
}

#[test]
fn secured() {
    play("secured");
}

#[test]
fn control() {
    play("control");
}

#[test]
fn journal() {
    play("journal");
}

#[test]
fn wav() {
    play("wav");
}

#[test]
fn it_is_small_enough_to_be_kept() {
    let files: Vec<_> = TARGETS.iter().flat_map(|(name, _)| corpus(name)).collect();
    assert!(files.len() <= 400 && files.iter().map(Vec::len).sum::<usize>() <= 200_000);
}

//! Random call histories against the invariants, with an oracle that shares nothing with the engine but its words.
//!
//! The oracle writes down what it did to the call and when, opens every journal afterwards and asks of each kept packet:
//! was this allowed? It listens to what every listener was sent and asks the same of each packet it recognises. With the feature `mutants` the same histories are run against engines that lack one guard, and each
//! such engine must be caught.

#[path = "oracle/mod.rs"]
mod oracle;

use oracle::history::{History, Verdict};
use qm_media::sim::Sim;
use std::thread;

const HISTORIES: u64 = 50_000;

fn in_parts<T: Send>(work: impl Fn(u64, u64) -> T + Sync) -> Vec<T> {
    let parts = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    thread::scope(|scope| {
        let spawn = |part| {
            scope.spawn({
                let work = &work;
                move || work(part, parts)
            })
        };
        let running: Vec<_> = (0..parts).map(spawn).collect();
        running.into_iter().map(|part| part.join().expect("no panic")).collect()
    })
}

fn run(seed: u64, sim: Sim) -> Verdict {
    History::new(seed, sim).run()
}

#[cfg(not(feature = "mutants"))]
#[test]
fn nothing_is_kept_that_may_not_be() {
    let part = |part: u64, parts: u64| {
        let (mut kept, mut heard) = (0, 0);
        for seed in (part..HISTORIES).step_by(parts as usize) {
            let verdict = run(seed, Sim::new(seed));
            assert_eq!(verdict.faults, Vec::<String>::new(), "history {seed}");
            (kept, heard) = (kept + verdict.kept, heard + verdict.heard);
        }
        (kept, heard)
    };
    let (kept, heard): (Vec<u64>, Vec<u64>) = in_parts(part).into_iter().unzip();
    let (kept, heard) = (kept.into_iter().sum::<u64>(), heard.into_iter().sum::<u64>());
    assert!(kept > 10 * HISTORIES, "the histories do record something: {kept}");
    assert!(heard > HISTORIES, "and somebody does listen: {heard}");
}

#[cfg(feature = "mutants")]
#[test]
fn each_guard_removed_is_noticed() {
    use qm_media::guard::Guard;
    let caught = |guard| (0..HISTORIES).any(|seed| !run(seed, Sim::without(seed, guard)).faults.is_empty());
    let part = |part: u64, parts: u64| {
        let mine = Guard::ALL.into_iter().skip(part as usize).step_by(parts as usize);
        mine.filter(|guard| !caught(*guard)).collect::<Vec<_>>()
    };
    assert_eq!(in_parts(part).concat(), [], "nobody would miss these guards");
    let whole: Vec<_> = (0..100).map(|seed| run(seed, Sim::new(seed))).collect();
    assert!(whole.iter().all(|verdict| verdict.faults.is_empty()), "with every guard, nothing is wrong");
    assert!(whole.iter().any(|v| v.kept > 0) && whole.iter().any(|v| v.heard > 0), "and calls are used");
}

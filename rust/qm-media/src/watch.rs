//! Codes on the keys of one leg: what may become one is held back, what has become one is swallowed.
//!
//! A key press is one event of several packets (start, updates, three ends) with one timestamp. The first packet of the
//! last key completes a code, so nobody waits for a finger to be lifted; the rest of that event is swallowed as it
//! comes. What turns out to be no code is sent on late, in the order it came and as it came: audio of the same stream
//! was passed on meanwhile with the sequence numbers around it, so to the hearer this is reordering, which he must cope
//! with (RFC 3550). A swallowed code leaves a hole in the numbers, as loss would, and event packets are not audio.
//!
//! Of two codes one of which begins with the other, the shorter matches first: the longer can not be reached.

use crate::dtmf::{EventId, KEYS, Stroke};
use crate::protocol::Nanos;
use std::collections::{BTreeMap, VecDeque};

/// Packets held back at most. When more come, the key is taken for none of ours.
const MOST: usize = 64;

/// Events whose fate is remembered: stragglers share it.
const REMEMBERED: usize = 32;

/// Keys of a code at most.
const LONGEST: usize = 16;

/// A packet of a key press that waits.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    pub data: Vec<u8>,
    pub arrival: Nanos,
    /// It came while the legs were connected: sent on late, it may go through.
    pub connected: bool,
    pub stroke: Stroke,
}

/// What becomes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    PassOn,
    /// Kept here until its code is complete or can no longer be.
    Held,
    /// Of a code that is complete.
    Swallowed,
    /// It completes a code (and is swallowed).
    Complete(Complete),
}

/// A code, from the first packet of its first key to that of its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    pub word: String,
    pub first: Nanos,
    pub at: Nanos,
}

#[derive(Debug)]
struct Press {
    id: EventId,
    key: char,
    first: Nanos,
}

#[derive(Debug, Default)]
pub struct Watch {
    codes: BTreeMap<String, String>,
    gap: Nanos,
    pub drop_before: Nanos,
    /// Keys pressed that begin a code.
    pressed: VecDeque<Press>,
    /// Their packets, as they came.
    held: VecDeque<Held>,
    last: Nanos,
    /// Events that are through, and whether they were swallowed.
    decided: VecDeque<(EventId, bool)>,
}

/// Whether every code can be pressed at all.
pub fn are_codes(codes: &BTreeMap<String, String>) -> bool {
    codes
        .keys()
        .all(|code| (1..=LONGEST).contains(&code.len()) && code.bytes().all(|key| KEYS.contains(&key)))
}

impl Watch {
    /// Watch other codes from now on. Gives what no longer begins one.
    pub fn replace(&mut self, codes: BTreeMap<String, String>, gap: Nanos, drop_before: Nanos) -> Vec<Held> {
        (self.codes, self.gap, self.drop_before) = (codes, gap, drop_before);
        self.give_up(|watch| watch.may_become_one())
    }

    /// A packet of a key press. Gives what must be sent on before it, and its own fate.
    pub fn see(
        &mut self,
        stroke: Stroke,
        data: &[u8],
        (arrival, now): (Nanos, Nanos),
        connected: bool,
    ) -> (Vec<Held>, Fate) {
        if let Some((_, swallowed)) = self.decided.iter().find(|(id, _)| *id == stroke.id) {
            return (Vec::new(), if *swallowed { Fate::Swallowed } else { Fate::PassOn });
        }
        self.last = now;
        let mut given_up = Vec::new();
        if !self.pressed.iter().any(|press| press.id == stroke.id) {
            self.pressed.push_back(Press { id: stroke.id, key: stroke.key, first: arrival });
            given_up = self.give_up(|watch| watch.may_become_one() || watch.word().is_some());
            if self.pressed.is_empty() {
                return (given_up, Fate::PassOn);
            }
            if let Some(word) = self.word().cloned() {
                return (given_up, Fate::Complete(self.complete(word, arrival)));
            }
        }
        if !self.hold(Held { data: data.to_vec(), arrival, connected, stroke }) {
            given_up.extend(self.give_up(|_| false));
            return (given_up, Fate::PassOn);
        }
        (given_up, Fate::Held)
    }

    /// No key for too long: what was held back was no code.
    pub fn expired(&mut self, now: Nanos) -> Vec<Held> {
        let over = now >= self.last.saturating_add(self.gap);
        if self.pressed.is_empty() || !over { Vec::new() } else { self.give_up(|_| false) }
    }

    /// Watch nothing any more. Stragglers of a swallowed code are still swallowed.
    pub fn end(&mut self) -> Vec<Held> {
        self.replace(BTreeMap::new(), 0, 0)
    }

    fn keys(&self) -> String {
        self.pressed.iter().map(|press| press.key).collect()
    }

    fn word(&self) -> Option<&String> {
        self.codes.get(&self.keys())
    }

    fn may_become_one(&self) -> bool {
        let keys = self.keys();
        self.codes.keys().any(|code| code.len() > keys.len() && code.starts_with(&keys))
    }

    fn complete(&mut self, word: String, at: Nanos) -> Complete {
        let first = self.pressed.front().map_or(at, |press| press.first);
        while let Some(press) = self.pressed.pop_front() {
            self.decide(press.id, true);
        }
        self.held.clear();
        Complete { word, first, at }
    }

    /// Give up the earliest keys until the rest will do (or nothing is left). Gives their packets.
    fn give_up(&mut self, will_do: impl Fn(&Watch) -> bool) -> Vec<Held> {
        let mut given_up = Vec::new();
        while !self.pressed.is_empty() && !will_do(self) {
            let Some(press) = self.pressed.pop_front() else { break };
            self.decide(press.id, false);
            given_up.push(press.id);
        }
        let (out, kept) = self.held.drain(..).partition(|held| given_up.contains(&held.stroke.id));
        self.held = kept;
        out.into()
    }

    fn decide(&mut self, id: EventId, swallowed: bool) {
        if self.decided.len() == REMEMBERED {
            self.decided.pop_front();
        }
        self.decided.push_back((id, swallowed));
    }

    /// False if there is no room. A long press makes room for itself: an update says all that the one before it said.
    fn hold(&mut self, packet: Held) -> bool {
        if self.held.len() < MOST {
            self.held.push_back(packet);
            return true;
        }
        let (id, ended) = (packet.stroke.id, packet.stroke.ended);
        let update = |held: &&mut Held| held.stroke.id == id && (ended || !held.stroke.ended);
        match self.held.back_mut().filter(update) {
            Some(before) => *before = packet,
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtmf;
    use crate::protocol::MS;
    use proptest::prelude::*;

    const GAP: Nanos = 1500 * MS;

    fn watch(codes: &[&str]) -> Watch {
        let mut watch = Watch::default();
        watch.replace(codes.iter().map(|c| ((*c).to_owned(), format!("is {c}"))).collect(), GAP, 0);
        watch
    }

    fn stroke(key: char, timestamp: u32, ended: bool) -> Stroke {
        let event = KEYS.iter().position(|k| char::from(*k) == key).expect("a key") as u8;
        dtmf::read(7, timestamp, &[event, u8::from(ended) << 7, 0, 0]).expect("a key")
    }

    /// Press keys, one packet each; what came out: words in brackets, keys passed on or given up as they are.
    fn press(watch: &mut Watch, keys: &str, from: u32) -> String {
        let mut out = String::new();
        for (i, key) in keys.chars().enumerate() {
            let at = (from + i as u32) as Nanos;
            let stroke = stroke(key, from + i as u32, true);
            let (given_up, fate) = watch.see(stroke, &[key as u8], (at, at), true);
            out.extend(given_up.iter().map(|held| char::from(held.data[0])));
            match fate {
                Fate::PassOn => out.push(key),
                Fate::Complete(complete) => out.push_str(&format!("[{}]", complete.word)),
                Fate::Held | Fate::Swallowed => {}
            }
        }
        out
    }

    #[test]
    fn a_code_is_complete_wherever_it_begins() {
        assert_eq!(press(&mut watch(&["*1"]), "*1", 1), "[is *1]");
        assert_eq!(press(&mut watch(&["*1"]), "5**12", 1), "5*[is *1]2");
        assert_eq!(press(&mut watch(&["9", "*12"]), "*1*9", 1), "*1*[is 9]");
        assert_eq!(press(&mut watch(&["*1*2"]), "*1*1*2", 1), "*1[is *1*2]");
    }

    #[test]
    fn the_shorter_of_two_codes_matches_first() {
        assert_eq!(press(&mut watch(&["*6", "*66"]), "*66", 1), "[is *6]6");
    }

    #[test]
    fn the_first_packet_of_the_last_key_completes_and_the_rest_is_swallowed() {
        let mut watch = watch(&["*1"]);
        assert_eq!(watch.see(stroke('*', 1, false), b"a", (10, 11), true), (vec![], Fate::Held));
        assert_eq!(watch.see(stroke('*', 1, true), b"b", (20, 21), true), (vec![], Fate::Held));
        let complete = Complete { word: "is *1".into(), first: 10, at: 30 };
        assert_eq!(
            watch.see(stroke('1', 9, false), b"c", (30, 31), true),
            (vec![], Fate::Complete(complete))
        );
        for late in [stroke('1', 9, true), stroke('*', 1, true), stroke('1', 9, true)] {
            assert_eq!(watch.see(late, b"d", (40, 41), true), (vec![], Fate::Swallowed));
        }
    }

    #[test]
    fn no_code_in_time_is_sent_on_as_it_came_and_its_stragglers_pass() {
        let mut watch = watch(&["*1"]);
        watch.see(stroke('*', 1, false), b"a", (10, 10), true);
        watch.see(stroke('*', 1, true), b"b", (20, 20), false);
        assert_eq!(watch.expired(GAP + 19), []);
        let late: Vec<_> =
            watch.expired(GAP + 20).into_iter().map(|h| (h.data, h.arrival, h.connected)).collect();
        assert_eq!(late, [(b"a".to_vec(), 10, true), (b"b".to_vec(), 20, false)]);
        assert_eq!(watch.see(stroke('*', 1, true), b"c", (30, 30), true), (vec![], Fate::PassOn));
        assert_eq!(press(&mut watch, "1", 50), "1");
    }

    #[test]
    fn other_codes_keep_what_still_begins_one() {
        let mut watch = watch(&["*1"]);
        assert_eq!(press(&mut watch, "*", 1), "");
        assert_eq!(watch.replace(BTreeMap::from([("*8".into(), "objection".into())]), GAP, 0), []);
        assert_eq!(press(&mut watch, "8", 2), "[objection]");
        assert_eq!(press(&mut watch, "*", 3), "");
        assert_eq!(watch.end().len(), 1);
    }

    #[test]
    fn a_finger_that_stays_on_a_key_does_not_overflow() {
        let mut watch = watch(&["*1"]);
        for i in 0..500 {
            assert_eq!(watch.see(stroke('*', 1, false), &[], (i, i), true).1, Fate::Held);
        }
        assert_eq!(watch.held.len(), MOST);
        assert_eq!(press(&mut watch, "1", 501), "[is *1]");
    }

    #[test]
    fn only_keys_make_a_code() {
        let codes = |code: &str| BTreeMap::from([(code.to_owned(), "word".to_owned())]);
        assert!(are_codes(&codes("*1")) && are_codes(&codes("#D")) && are_codes(&BTreeMap::new()));
        assert!(!are_codes(&codes("")) && !are_codes(&codes("+1")) && !are_codes(&codes(&"1".repeat(17))));
    }

    proptest! {
        /// Whatever comes in goes out once, or was part of a code, or gave way to a later update; what waits is bounded.
        #[test]
        fn nothing_is_lost_or_said_twice(
            strokes in proptest::collection::vec((0usize..4, 0u32..40, any::<bool>(), 0u64..900), 0..400),
        ) {
            let mut watch = watch(&["*1", "9", "**8", "1*9"]);
            let (mut now, mut out, mut swallowed) = (0, Vec::new(), 0);
            for (i, (key, timestamp, ended, wait)) in strokes.iter().enumerate() {
                now += wait * MS;
                out.extend(watch.expired(now));
                let stroke = stroke(['*', '1', '9', '5'][*key], *timestamp, *ended);
                let number = (i as u32).to_be_bytes();
                let waiting = watch.held.len();
                let (given_up, fate) = watch.see(stroke, &number, (now, now), true);
                let given_up_now = given_up.len();
                out.extend(given_up);
                match fate {
                    Fate::PassOn => out.push(Held { data: number.to_vec(), arrival: now, connected: true, stroke }),
                    Fate::Swallowed => swallowed += 1,
                    Fate::Complete(_) => swallowed += 1 + waiting - given_up_now,
                    Fate::Held => swallowed += usize::from(waiting == MOST && given_up_now == 0),
                }
                prop_assert!(watch.held.len() <= MOST && watch.pressed.len() <= LONGEST);
            }
            out.extend(watch.end());
            let mut said: Vec<_> = out.iter().map(|held| held.data.clone()).collect();
            said.sort();
            said.dedup();
            prop_assert_eq!((said.len(), said.len() + swallowed), (out.len(), strokes.len()));
        }
    }
}

//! Keys, private, objections and pauses, done at random.

use super::history::{History, LEGS};
use super::{MS, Span};
use serde_json::json;

impl History {
    /// Pauses and resumes like hold does.
    pub(super) fn pause(&mut self) {
        let on = self.book.pauses.last().is_none_or(|s| s.to != u64::MAX);
        match on {
            true => self.book.pauses.push(Span::since(self.now)),
            false => self.book.pauses.last_mut().expect("one").to = self.now,
        }
        self.tell(json!({"do": "pause", "call": "c", "on": on}));
    }

    pub(super) fn forbid(&mut self) {
        let (uses, kinds): (_, &[usize]) = match self.roll(3) {
            0 => (json!(["record"]), &[0]),
            1 => (json!(["listen"]), &[1]),
            _ => (json!(["record", "listen"]), &[0, 1]),
        };
        for kind in kinds {
            self.book.forbidden[*kind].get_or_insert(self.now);
        }
        self.tell(json!({"do": "forbid", "call": "c", "uses": uses, "reason": "objected"}));
    }

    fn now_private(&mut self, first: u64, drop_before: u64) {
        let from = first.min(self.now - drop_before);
        self.book.private.get_or_insert(Span { from, to: self.now });
    }

    pub(super) fn make_private(&mut self) {
        let drop_before = [0, 0, 300, 1000][self.roll(4) as usize];
        self.now_private(self.now, drop_before * MS);
        self.tell(json!({"do": "make_private", "call": "c", "drop_before_ms": drop_before}));
    }

    /// The agent presses his code; nobody but the engine does anything about it.
    pub(super) fn code(&mut self) {
        let drop_before = [0, 0, 300, 1000][self.roll(4) as usize];
        if !self.legs[1].open || self.legs[1].locked.is_none() {
            return;
        }
        self.tell(json!({"do": "watch_keys", "call": "c", "leg": LEGS[1],
            "codes": {"*1": "private", "*2": "other"}, "drop_before_ms": drop_before}));
        let mine = self.book.private.is_none();
        let private = self.odds(1, 3);
        let first = self.now;
        self.press(10, mine);
        let time = self.roll(60) * MS;
        self.wait(time);
        if mine && private {
            self.now_private(first, drop_before * MS);
        }
        self.press(if private { 1 } else { 2 }, mine);
        if self.odds(1, 2) {
            self.now_private(self.now, 0);
            self.tell(json!({"do": "make_private", "call": "c", "drop_before_ms": 0}));
        }
    }

    /// One key: a start, then three ends. `code`: it is part of one, and goes nowhere.
    fn press(&mut self, event: u8, code: bool) {
        let Some(source) = self.legs[1].locked else { return };
        let stamp = self.count as u32;
        if code {
            self.codes.push(stamp);
        }
        for flags in [0x0a, 0x8a, 0x8a, 0x8a] {
            self.packet(1, source, 101, stamp, &[event, flags, 1, 0], self.now);
        }
        self.wait(5 * MS);
    }
}

//! A listener: his calls, the agent's notice, and what he is found to have heard.

use super::history::{History, LEGS, digest};
use super::{FIFTH, HALF, MS, Span, TapAsked, voice};
use qm_media::sim::Sent;
use serde_json::json;
use std::net::SocketAddr;

/// One listener's call, and all that was sent to him.
pub(super) struct Ear {
    call: String,
    port: u16,
    open: bool,
    heard: Vec<(u64, Vec<u8>)>,
}

/// What a listener says: nobody ever hears it.
const HIS_VOICE: [u8; 160] = [0x2b; 160];

fn his_phone() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 30], 6000))
}

impl History {
    /// The listener there is, or a new one.
    fn ear(&mut self) -> usize {
        match self.ears.iter().position(|ear| ear.open) {
            Some(ear) => ear,
            None => self.new_ear(),
        }
    }

    fn new_ear(&mut self) -> usize {
        let call = format!("ear{}", self.ears.len());
        self.ears.push(Ear { call: call.clone(), port: 0, open: true, heard: Vec::new() });
        self.tell(json!({"do": "open_call", "call": call, "line": ""}));
        self.ear_leg(&call, "caller");
        self.ears.len() - 1
    }

    fn ear_leg(&mut self, call: &str, leg: &str) {
        let phone = his_phone();
        self.tell(json!({"do": "open_leg", "call": call, "leg": leg, "outside": false, "channel": 0}));
        self.tell(json!({"do": "set_remote", "call": call, "leg": leg, "address": phone.ip(),
            "port": phone.port(), "rtcp_port": 6001, "send_payload_type": 8,
            "payload_types": {"8": self.codec.kept_as()}}));
    }

    pub(super) fn ear_opened(&mut self, call: &str, port: u16) {
        if let Some(ear) = self.ears.iter_mut().find(|ear| ear.call == call && ear.port == 0) {
            ear.port = port;
        }
    }

    /// Whether a packet went to a listener; and whether it is what a listener said.
    pub(super) fn ear_sent(&mut self, sent: &Sent) -> bool {
        if sent.data.get(12..) == Some(&HIS_VOICE[..]) {
            self.faults.push("a listener was heard".into());
        }
        let ear = self.ears.iter_mut().find(|ear| ear.open && ear.port == sent.from_port);
        let is_his = ear.is_some();
        if let Some(ear) = ear {
            ear.heard.push((sent.at, sent.data[12..].to_vec()));
        }
        is_his || sent.to == his_phone()
    }

    /// The listener goes; sometimes another comes at once.
    pub(super) fn ear_gone(&mut self) {
        let Some(ear) = self.ears.iter().position(|ear| ear.open) else { return };
        let call = self.ears[ear].call.clone();
        self.ears[ear].open = false;
        let now = self.now;
        let his = self.book.taps.iter_mut().filter(|tap| tap.to == Some(ear));
        his.for_each(|tap| tap.closed = tap.closed.min(now));
        self.tell(json!({"do": "close_call", "call": call}));
        if self.odds(2, 3) {
            self.new_ear();
        }
    }

    /// Somebody tries to make a listener a party.
    pub(super) fn ear_speaks(&mut self) {
        let Some(ear) = self.ears.iter().position(|ear| ear.open) else { return };
        let (call, port) = (self.ears[ear].call.clone(), self.ears[ear].port);
        let listens = self.book.taps.iter().any(|tap| tap.to == Some(ear) && self.opened.contains(&tap.id));
        if listens {
            self.ear_leg(&call, "callee");
            self.tell(json!({"do": "bridge", "call": call, "on": true}));
        }
        let mut data = vec![0x80, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
        data.extend_from_slice(&HIS_VOICE);
        self.sim.packet_read_late(port, his_phone(), &data, self.now);
        self.collect();
    }

    /// Tell the agent (or whoever) that a tap will hear him. The play.
    fn notice(&mut self, leg: usize, tap: &str) -> String {
        let prompt = [0, 1][self.roll(2) as usize];
        let overlay = self.odds(2, 3);
        let id = self.new_play(leg, prompt, overlay, Some(tap.to_owned()));
        self.tell(json!({"do": "play", "call": "c", "leg": LEGS[leg], "play": id, "prompt": digest(prompt),
            "overlay": overlay, "for_tap": tap}));
        id
    }

    /// The usual way to listen, with all that can go wrong on it.
    pub(super) fn listen_in(&mut self) {
        let ear = self.ear();
        if self.odds(2, 3) {
            self.play_this(0, 1);
            self.wait(120 * MS);
        }
        let tap = format!("t{}", self.book.taps.len());
        let for_tap = if self.odds(1, 8) { "another".into() } else { tap.clone() };
        let leg = usize::from(!self.odds(1, 8));
        let play = self.notice(leg, &for_tap);
        // Into silence, that is 60 ms later if it is an overlay; over somebody's words it takes longer.
        let talks = self.odds(1, 4);
        for _ in 0..9 {
            self.wait(20 * MS);
            if talks {
                self.talk(0, 0);
            }
        }
        if self.odds(1, 10) {
            self.void(1);
        }
        // Of two sums the voices could not be told apart.
        let heard = |tap: &&TapAsked| tap.to == Some(ear) && self.opened.contains(&tap.id);
        for tap in self.book.taps.iter().filter(heard).map(|tap| tap.id.clone()).collect::<Vec<_>>() {
            self.close(&tap, true);
        }
        let notice = self.proofs_of.get(&play).cloned().filter(|_| !self.odds(1, 10));
        let to = (!self.odds(1, 12)).then_some(ear);
        self.ask_for_tap(true, notice, to);
        for _ in 0..4 + self.roll(30) {
            self.wait(20 * MS);
            let leg = self.roll(2) as usize;
            self.talk(leg, 0);
        }
        if self.odds(1, 3) {
            // The call changes with something about to be heard.
            match self.roll(5) {
                0 => self.hold(),
                1 => self.pause(),
                2 => self.void(0),
                3 => self.close_tap(),
                _ => self.ear_gone(),
            }
            self.wait(100 * MS);
        }
    }

    pub(super) fn ear_call(&self, ear: usize) -> String {
        self.ears[ear].call.clone()
    }

    /// Judge what every listener heard. How much that was.
    pub(super) fn judge_ears(&mut self) -> u64 {
        let mut count = 0;
        for (index, ear) in std::mem::take(&mut self.ears).into_iter().enumerate() {
            let packets = ear.heard.iter().map(|(at, audio)| (*at, audio.as_slice()));
            if !voice::is_legible(self.codec) {
                continue;
            }
            for heard in voice::heard(self.codec, packets).into_iter().filter(voice::Heard::is_legible) {
                count += 1;
                self.faults.extend(self.heard_wrongly(index, &heard));
            }
        }
        count
    }

    /// Nothing, if this may be a packet that some tap may have let this listener hear.
    fn heard_wrongly(&self, ear: usize, heard: &voice::Heard) -> Vec<String> {
        let span = Span { from: heard.from, to: heard.to };
        let mut faults = vec![format!("a listener heard what nobody said to him at {}", heard.to)];
        let spoken = self.book.spoken.iter().enumerate();
        let lately = |arrival: u64| arrival <= heard.to && heard.to <= arrival + HALF + FIFTH;
        let said = spoken.filter(|(n, s)| s.leg == heard.leg && lately(s.arrival) && heard.may_be(*n as u64));
        for (_, packet) in said {
            for tap in self.book.taps.iter().filter(|tap| tap.listen && tap.to == Some(ear)) {
                match self.book.hearing_faults(tap, packet, span) {
                    none if none.is_empty() => return none,
                    some => faults = some,
                }
            }
        }
        faults
    }

    /// Whether it is one of ours who is on that leg now.
    pub(super) fn is_inside(&self, leg: usize) -> bool {
        let there = self.book.parties.iter().rfind(|party| party.leg == leg);
        there.is_some_and(|party| !party.outside)
    }
}

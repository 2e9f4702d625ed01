//! One history: what is done to a call, at random but mostly sensibly, and the book that is kept of it.

use super::listening::Ear;
use super::secured::Peer;
use super::{Book, FIFTH, MS, Notice, PROMPTS, Party, Span, Spoken, TapAsked, Told, voice};
use qm_media::codec::Codec;
use qm_media::journal::read::{Journal, Record};
use qm_media::protocol::{Event, LegName};
use qm_media::sim::Sim;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::OnceLock;

pub(super) const LEGS: [&str; 2] = ["caller", "callee"];
/// Why commands may fail here.
const EXPECTED: [&str; 3] = ["unknown-tap", "unknown-leg", "listener"];
/// Packets of a prompt: 100 ms.
const PROMPT_PACKETS: usize = 5;

pub struct Verdict {
    pub faults: Vec<String>,
    pub kept: u64,
    pub heard: u64,
}

/// A prompt under way, as far as we know.
struct Play {
    id: String,
    leg: usize,
    prompt: usize,
    overlay: bool,
    for_tap: Option<String>,
    spoiled: bool,
}

pub(super) struct LegState {
    pub(super) open: bool,
    /// The peer, if he speaks SRTP.
    pub(super) peer: Option<Peer>,
    pub(super) port: u16,
    pub(super) locked: Option<SocketAddr>,
    /// Where each packet we were sent went.
    heard: Vec<SocketAddr>,
    /// Packets that came while they could be counted.
    countable: u64,
}

pub struct History {
    pub(super) sim: Sim,
    dice: u64,
    /// What the call and its listeners speak.
    pub(super) codec: Codec,
    pub(super) now: u64,
    leased_until: u64,
    pub(super) book: Book,
    pub(super) legs: [LegState; 2],
    plays: Vec<Play>,
    /// The proof of each play that ended well.
    pub(super) proofs_of: HashMap<String, String>,
    pub(super) ears: Vec<Ear>,
    /// Taps that opened.
    pub(super) opened: HashSet<String>,
    closed: HashMap<String, u64>,
    /// Timestamps of key presses that go nowhere.
    pub(super) codes: Vec<u32>,
    pub(super) count: u64,
    /// Whether whoever speaks is who he seems to be.
    pub(super) genuine: bool,
    pub(super) faults: Vec<String>,
}

fn announced(leg: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + leg as u8], 4000))
}

/// Whoever may open the journals; the oracle opens them with the running keys instead.
fn recipient() -> &'static str {
    static RECIPIENT: OnceLock<String> = OnceLock::new();
    RECIPIENT.get_or_init(|| age::x25519::Identity::generate().to_public().to_string())
}

fn wav(prompt: usize) -> Vec<u8> {
    let samples = vec![prompt as u8 + 1; PROMPT_PACKETS * 160 * 2];
    let mut out =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data".to_vec();
    out.extend_from_slice(&(samples.len() as u32).to_le_bytes());
    out.extend_from_slice(&samples);
    out
}

pub(super) fn digest(prompt: usize) -> String {
    Sha256::digest(wav(prompt)).iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether the journal itself says that what came then is cut.
fn is_cut(journal: &Journal, arrival: u64) -> bool {
    let covers =
        |record: &Record| matches!(record, Record::Cut { from, to } if (*from..=*to).contains(&arrival));
    journal.records.iter().any(covers)
}

impl History {
    pub fn new(seed: u64, sim: Sim) -> History {
        let leg =
            |_| LegState { open: false, peer: None, port: 0, locked: None, heard: Vec::new(), countable: 0 };
        let (book, legs) = (Book::default(), [0, 1].map(leg));
        let dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        History {
            sim,
            dice,
            codec: voice::codec(seed),
            now: 1_000 * MS,
            leased_until: 0,
            book,
            legs,
            plays: vec![],
            proofs_of: HashMap::new(),
            ears: vec![],
            opened: HashSet::new(),
            closed: HashMap::new(),
            codes: vec![],
            count: 0,
            genuine: true,
            faults: vec![],
        }
    }

    /// xorshift64*: below `n`.
    pub(super) fn roll(&mut self, n: u64) -> u64 {
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        (self.dice.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    pub(super) fn odds(&mut self, n: u64, of: u64) -> bool {
        self.roll(of) < n
    }

    pub fn run(mut self) -> Verdict {
        self.set_up();
        for _ in 0..60 + self.roll(80) {
            self.step();
        }
        self.wait(300 * MS);
        self.tell(json!({"do": "close_call", "call": "c"}));
        let (kept, heard) = (self.judge(), self.judge_ears());
        Verdict { faults: self.faults, kept, heard }
    }

    // ------------------------------------------------------------------------------- time and commands

    pub(super) fn tell(&mut self, command: Value) {
        self.sim.command(command.to_string().as_bytes(), self.now);
        self.collect();
    }

    fn lease(&mut self) {
        if let Some(out) = self.book.unleased.last_mut().filter(|s| s.to == u64::MAX) {
            out.to = self.now;
        }
        self.leased_until = self.now + 3_000 * MS;
        self.tell(json!({"do": "lease"}));
    }

    /// Let time pass; Python may have died meanwhile.
    pub(super) fn wait(&mut self, time: u64) {
        self.now += time;
        if self.now >= self.leased_until && self.book.unleased.last().is_none_or(|s| s.to != u64::MAX) {
            self.book.unleased.push(Span::since(self.leased_until));
        }
        self.sim.advance(self.now);
        self.collect();
    }

    fn set_up(&mut self) {
        self.leased_until = self.now + 3_000 * MS;
        self.tell(json!({"do": "configure", "address": "127.0.0.1", "port_low": 30000, "port_high": 30040,
            "journal_directory": "/j", "key_directory": "/k", "hold_back_ms": 200, "playout_ms": 200,
            "lease_ms": 3000, "chunk_ms": 250, "media_timeout_ms": 30000}));
        for (i, facts) in PROMPTS.iter().enumerate() {
            self.sim.add_file(&format!("{i}.wav"), wav(i));
            let named = [("record", facts.record), ("listen", facts.listen)];
            let uses: Vec<_> = named.iter().filter(|(_, named)| *named).map(|(name, _)| name).collect();
            self.tell(json!({"do": "load_prompt", "prompt": digest(i), "path": format!("{i}.wav"),
                "identity": "V", "language": "nl", "uses": uses, "purposes": facts.purposes}));
        }
        self.book.informed = self.odds(1, 6);
        let ground = json!({"document": "d", "uses": ["record"], "purposes": ["coaching"]});
        let informed = if self.book.informed { ground } else { Value::Null };
        let prompts: Vec<_> = (0..PROMPTS.len()).filter(|i| PROMPTS[*i].of_line).map(digest).collect();
        self.tell(json!({"do": "load_line", "line": "l", "prompts": prompts, "already_informed": informed}));
        let receipt = self.odds(1, 3).then(|| self.told_elsewhere(&prompts));
        let subject = if self.odds(1, 5) { "another" } else { "somebody" };
        self.tell(json!({"do": "open_call", "call": "c", "line": "l", "subject": subject}));
        match receipt {
            Some((stands, told)) if stands && subject == "somebody" && told.void > self.now => {
                self.book.told.push(Told { void: u64::MAX, ..told });
            }
            Some((_, told)) => self.book.worthless.push(told.proof),
            None => {}
        }
        self.open_leg(0, true);
        let second_outside = self.odds(1, 4);
        self.open_leg(1, second_outside);
        self.bridge(true);
    }

    /// Somebody (the customer, as a rule) has heard a prompt in a call before. Whether that says anything here but for
    /// subject and time, and what it says; `void` is when it expires.
    fn told_elsewhere(&mut self, prompts: &[String]) -> (bool, Told) {
        let (prompt, lasts) = (self.roll(2) as usize, [150, 60_000][self.roll(2) as usize]);
        let (outside, line) = (!self.odds(1, 5), if self.odds(1, 5) { "m" } else { "l" });
        let to = SocketAddr::from(([192, 0, 2, 50], 4000));
        self.tell(json!({"do": "load_line", "line": "m", "prompts": prompts}));
        self.tell(json!({"do": "open_call", "call": "a", "line": line}));
        self.tell(json!({"do": "open_leg", "call": "a", "leg": "caller", "outside": outside, "channel": 0}));
        self.tell(json!({"do": "set_remote", "call": "a", "leg": "caller", "address": to.ip(), "port": 4000,
            "rtcp_port": 4001, "send_payload_type": 8, "payload_types": {"8": "PCMA/8000"}}));
        self.tell(json!({"do": "play", "call": "a", "leg": "caller", "play": "a", "prompt": digest(prompt),
            "receipt": {"token": "tok", "subject": "somebody", "lasts_ms": lasts}}));
        let ended = self.now + (PROMPT_PACKETS as u64 - 1) * 20 * MS;
        let heard = if self.odds(1, 8) { 60 } else { 100 };
        let later = self.roll(3) * 100;
        self.wait((heard + later) * MS);
        self.tell(json!({"do": "close_call", "call": "a"}));
        let whole = self.now >= ended;
        let told = Told {
            proof: "receipt:tok".into(),
            leg: 0,
            prompt,
            ended,
            sent_to: to,
            elsewhere: true,
            void: ended + lasts * MS,
            gone: u64::MAX,
        };
        (outside && line == "l" && whole, told)
    }

    fn open_leg(&mut self, leg: usize, outside: bool) {
        if outside && !self.book.parties.iter().all(|p| !p.outside) {
            let now = self.now;
            let elsewhere = self.book.told.iter_mut().filter(|t| t.elsewhere);
            elsewhere.for_each(|t| t.void = t.void.min(now));
        }
        self.book.parties.push(Party { leg, outside, there: Span::since(self.now) });
        if outside {
            self.book.changes.push(self.now);
        }
        self.tell(
            json!({"do": "open_leg", "call": "c", "leg": LEGS[leg], "outside": outside, "channel": leg}),
        );
        (self.legs[leg].open, self.legs[leg].countable) = (true, 0);
        self.perhaps_secured(leg);
        self.announce(leg);
    }

    pub(super) fn announce(&mut self, leg: usize) {
        self.legs[leg].locked = None;
        let to = announced(leg);
        self.tell(
            json!({"do": "set_remote", "call": "c", "leg": LEGS[leg], "address": to.ip(), "port": to.port(),
            "rtcp_port": to.port() + 1, "send_payload_type": 8,
            "payload_types": {"8": self.codec.kept_as(), "101": "telephone-event/8000"},
            "srtp": self.legs[leg].peer.as_ref().map(Peer::said)}),
        );
    }

    fn bridge(&mut self, on: bool) {
        let was = self.book.bridged.last().is_some_and(|s| s.to == u64::MAX);
        match (was, on) {
            (false, true) => self.book.bridged.push(Span::since(self.now)),
            (true, false) => self.book.bridged.last_mut().expect("one").to = self.now,
            _ => {}
        }
        self.tell(json!({"do": "bridge", "call": "c", "on": on}));
    }

    // ---------------------------------------------------------------------------------- what may happen

    fn step(&mut self) {
        let time = [1, 5, 20, 20, 40, 120, 300][self.roll(7) as usize] * MS;
        self.wait(time);
        if self.odds(1, 80) {
            self.wait(3_200 * MS);
        }
        if self.odds(1, 4) || self.book.unleased.last().is_some_and(|s| s.to == u64::MAX) && self.odds(1, 3) {
            self.lease();
        }
        let leg = self.roll(2) as usize;
        match self.roll(84) {
            0..=27 => self.talk(leg, 0),
            28..=30 => {
                let late = self.roll(250) * MS;
                self.talk(leg, late);
            }
            31 if self.odds(1, 3) => self.stranger(leg),
            31 if self.odds(1, 3) => self.rekey(leg),
            31 => self.forge(leg, None),
            32 => self.key(leg),
            64 => self.pause(),
            65 | 66 if self.book.pauses.last().is_some_and(|s| s.to == u64::MAX) => self.pause(),
            67 | 68 if self.odds(1, 5) => self.code(),
            69 if self.odds(1, 6) => self.make_private(),
            70 if self.odds(1, 4) => self.forbid(),
            71 | 72 => self.listen_in(),
            73 => self.ear_gone(),
            74 => self.ear_speaks(),
            75 | 76 => self.overlay(leg),
            77..=83 => self.talk(leg, 0),
            33..=37 => self.play(0),
            38 => self.play(leg),
            39..=46 => self.open_tap(),
            47 => self.close_tap(),
            48 => self.hold(),
            49 | 50 if self.book.holds.last().is_some_and(|s| s.to == u64::MAX) => self.hold(),
            51 => self.void(leg),
            52 | 53 => {
                let on = self.book.bridged.last().is_some_and(|s| s.to != u64::MAX) || self.odds(1, 4);
                self.bridge(on);
            }
            54 => self.cut(),
            55 => self.refused(leg),
            56 => {
                self.announce(leg);
                if self.odds(1, 2) {
                    self.stranger(leg);
                }
            }
            57 => self.stop_play(leg),
            58 => {
                let leg = usize::from(!self.odds(1, 6));
                self.another_party(leg);
            }
            59 => self.announce_during_prompt(),
            _ => self.told_and_tapped(),
        }
    }

    /// The usual way, so that most histories record something.
    fn told_and_tapped(&mut self) {
        self.play(0);
        if self.book.parties.iter().any(|p| p.leg == 1 && p.outside && p.there.to == u64::MAX) {
            self.play(1);
        }
        self.wait(110 * MS);
        self.talk(0, 0);
        self.open_tap();
        for _ in 0..self.roll(20) {
            self.wait(20 * MS);
            self.talk(0, 0);
        }
    }

    pub(super) fn packet(
        &mut self,
        leg: usize,
        source: SocketAddr,
        payload_type: u8,
        timestamp: u32,
        payload: &[u8],
        arrival: u64,
    ) {
        self.count += 1;
        self.legs[leg].countable += u64::from(self.book.private.is_none_or(|private| private.to == self.now));
        let mut data = vec![0x80, payload_type];
        data.extend_from_slice(&(self.count as u16).to_be_bytes());
        data.extend_from_slice(&timestamp.to_be_bytes());
        data.extend_from_slice(&[0; 4]);
        data.extend_from_slice(payload);
        let data = self.on_the_wire(leg, data);
        self.sim.packet_read_late(self.legs[leg].port, source, &data, arrival);
        self.collect();
    }

    /// Somebody sends audio; with no lock yet, whoever comes first is locked to.
    pub(super) fn speak(&mut self, leg: usize, source: SocketAddr, arrival: u64) {
        if !self.legs[leg].open {
            return;
        }
        if self.locks(leg) {
            self.legs[leg].locked = Some(source);
            if source.ip() != announced(leg).ip() {
                self.void_told(leg, |told| told.sent_to != source);
            }
        }
        let genuine = self.legs[leg].locked == Some(source) && self.genuine;
        let id = self.book.spoken.len() as u64;
        self.book.spoken.push(Spoken { leg, arrival, genuine });
        let timestamp = (arrival * u64::from(self.codec.clock()) / 1_000_000_000) as u32;
        self.packet(leg, source, 8, timestamp, &voice::say(self.codec, leg, id), arrival);
    }

    pub(super) fn talk(&mut self, leg: usize, late: u64) {
        let source = self.legs[leg].locked.unwrap_or(announced(leg));
        self.speak(leg, source, self.now - late);
    }

    fn stranger(&mut self, leg: usize) {
        let somewhere = SocketAddr::from(([203, 0, 113, 9], 7777));
        if self.odds(1, 2) {
            self.forge(leg, Some(somewhere));
        }
        self.speak(leg, somewhere, self.now);
    }

    fn key(&mut self, leg: usize) {
        if let Some(source) = self.legs[leg].locked.filter(|_| self.legs[leg].open) {
            self.packet(leg, source, 101, self.count as u32, &[5, 0x8a, 1, 0], self.now);
        }
    }

    fn play(&mut self, leg: usize) {
        let prompt = [0, 0, 1, 1, 2, 3][self.roll(6) as usize];
        self.play_this(leg, prompt);
    }

    pub(super) fn play_this(&mut self, leg: usize, prompt: usize) {
        if PROMPTS[prompt].of_line {
            // A prompt that is refused disturbs nothing.
            self.spoil(leg, |play| !play.overlay);
        }
        let id = self.new_play(leg, prompt, false, None);
        self.legs[leg].heard.clear();
        self.tell(json!({"do": "play", "call": "c", "leg": LEGS[leg], "play": id, "prompt": digest(prompt)}));
    }

    pub(super) fn new_play(
        &mut self,
        leg: usize,
        prompt: usize,
        overlay: bool,
        for_tap: Option<String>,
    ) -> String {
        let id = format!("p{}", self.plays.len());
        if for_tap.is_some() {
            self.spoil(leg, |play| play.overlay == overlay);
            self.legs[leg].heard.clear();
        }
        self.plays.push(Play { id: id.clone(), leg, prompt, overlay, for_tap, spoiled: false });
        id
    }

    /// A prompt under what a leg hears: it tells nobody anything.
    fn overlay(&mut self, leg: usize) {
        let prompt = self.roll(2) as usize;
        self.spoil(leg, |play| play.overlay);
        let id = self.new_play(leg, prompt, true, None);
        self.tell(json!({"do": "play", "call": "c", "leg": LEGS[leg], "play": id, "prompt": digest(prompt),
            "overlay": true}));
    }

    /// What plays to that leg is not heard to its end.
    fn spoil(&mut self, leg: usize, which: impl Fn(&Play) -> bool) {
        self.plays.iter_mut().filter(|p| p.leg == leg && which(p)).for_each(|p| p.spoiled = true);
    }

    fn stop_play(&mut self, leg: usize) {
        self.spoil(leg, |_| true);
        self.tell(json!({"do": "stop_play", "call": "c", "leg": LEGS[leg]}));
    }

    fn announce_during_prompt(&mut self) {
        self.announce(0);
        self.play(0);
        self.wait(60 * MS);
        self.stranger(0);
        self.wait(60 * MS);
    }

    fn refused(&mut self, leg: usize) {
        if !self.legs[leg].open {
            return;
        }
        let destination = self.legs[leg].locked.unwrap_or(announced(leg));
        self.spoil(leg, |_| true);
        let now = self.now;
        self.void_told(leg, |told| told.sent_to == destination && now <= told.ended + FIFTH);
        self.sim.icmp_refused(self.legs[leg].port, destination, self.now);
        self.collect();
    }

    fn open_tap(&mut self) {
        let listen = self.odds(1, 8);
        self.ask_for_tap(listen, None, None);
    }

    pub(super) fn ask_for_tap(&mut self, listen: bool, notice: Option<String>, to: Option<usize>) {
        let purposes = if self.odds(1, 5) { vec!["coaching", "assessment"] } else { vec!["coaching"] };
        let recipients = !self.odds(1, 8);
        let mut proofs: Vec<String> = self.book.told.iter().map(|t| t.proof.clone()).collect();
        proofs.extend_from_slice(&self.book.worthless);
        proofs.extend(self.book.notices.iter().map(|n| n.proof.clone()));
        if self.book.informed && self.odds(1, 2) || self.odds(1, 30) {
            proofs = vec!["already-informed".into()];
        } else if self.odds(1, 6) {
            proofs.truncate(1);
        }
        let id = format!("t{}", self.book.taps.len());
        let keys = if recipients {
            json!({"coaching": [recipient()], "assessment": [recipient()]})
        } else {
            json!({})
        };
        let command = json!({"do": "open_tap", "call": "c", "tap": id, "use": if listen { "listen" } else { "record" },
            "purposes": purposes, "proofs": proofs, "recipients": keys, "header": {}, "notice": notice,
            "to": to.map(|ear| json!({"call": self.ear_call(ear), "leg": "caller"}))});
        self.book.taps.push(TapAsked {
            id,
            listen,
            purposes,
            proofs,
            recipients,
            notice,
            to,
            asked: self.now,
            closed: u64::MAX,
        });
        self.tell(command);
    }

    pub(super) fn close_tap(&mut self) {
        let Some(tap) = self.book.taps.last().map(|t| t.id.clone()) else { return };
        let keep = self.odds(1, 2);
        if !keep {
            // Only of this tap, but the others are then not asked about.
            self.book
                .taps
                .iter()
                .map(|t| t.id.clone())
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|t| self.close(&t, false));
            self.book.changes.push(self.now);
        } else {
            self.close(&tap, true);
        }
    }

    pub(super) fn close(&mut self, tap: &str, keep: bool) {
        if keep {
            self.kept_as_it_stood(|t| t.id == tap);
        }
        self.tell(
            json!({"do": "close_tap", "call": "c", "tap": tap, "reason": "private", "keep_held_back": keep}),
        );
    }

    fn kept_as_it_stood(&mut self, which: impl Fn(&TapAsked) -> bool) {
        let now = self.now;
        self.book.taps.iter_mut().filter(|t| which(t)).for_each(|t| t.closed = t.closed.min(now));
    }

    pub(super) fn hold(&mut self) {
        let on = self.book.holds.last().is_none_or(|s| s.to != u64::MAX);
        match on {
            true => self.book.holds.push(Span::since(self.now)),
            false => self.book.holds.last_mut().expect("one").to = self.now,
        }
        self.tell(json!({"do": "hold", "call": "c", "on": on}));
    }

    fn void_told(&mut self, leg: usize, which: impl Fn(&Told) -> bool) {
        for told in self.book.told.iter_mut().filter(|t| t.leg == leg && which(t)) {
            told.void = told.void.min(self.now);
        }
    }

    pub(super) fn void(&mut self, leg: usize) {
        self.void_told(leg, |_| true);
        let now = self.now;
        self.book.notices.iter_mut().filter(|n| n.leg == leg).for_each(|n| n.void = n.void.min(now));
        self.spoil(leg, |_| true);
        self.book.changes.push(self.now);
        self.tell(json!({"do": "void_proofs", "call": "c", "leg": LEGS[leg], "reason": "transfer"}));
    }

    fn cut(&mut self) {
        let Some(tap) = self.book.taps.last().map(|t| t.id.clone()) else { return };
        let from = self.now - self.roll(300) * MS;
        let to = self.now + self.roll(400) * MS;
        // The book does not tell taps apart: cut them all.
        self.book.cuts.push((self.now, Span { from, to }));
        for tap in self.book.taps.iter().map(|t| t.id.clone()).chain([tap]).collect::<Vec<_>>() {
            self.tell(json!({"do": "cut", "call": "c", "tap": tap, "from_ns": from, "to_ns": to}));
        }
    }

    fn another_party(&mut self, leg: usize) {
        self.spoil(leg, |_| true);
        let now = self.now;
        self.book.parties.iter_mut().filter(|p| p.leg == leg).for_each(|p| p.there.to = p.there.to.min(now));
        self.book.told.iter_mut().filter(|t| t.leg == leg).for_each(|t| t.gone = t.gone.min(now));
        self.book.notices.iter_mut().filter(|n| n.leg == leg).for_each(|n| n.gone = n.gone.min(now));
        self.legs[leg].open = false;
        self.kept_as_it_stood(|_| true);
        self.tell(json!({"do": "close_leg", "call": "c", "leg": LEGS[leg]}));
        if leg == 1 && self.odds(1, 2) {
            self.wait(20 * MS);
            // Recorded alone, and then somebody joins.
            self.open_tap();
            for _ in 0..15 {
                self.wait(20 * MS);
                self.talk(0, 0);
            }
        }
        let outside = leg == 0 || self.odds(2, 3);
        self.open_leg(leg, outside);
    }

    // ------------------------------------------------------------------------------------ what came of it

    pub(super) fn collect(&mut self) {
        for mut sent in self.sim.take_packets() {
            sent.data = self.read(sent.from_port, sent.data);
            if self.ear_sent(&sent) {
                continue;
            }
            let stamp = u32::from_be_bytes(sent.data[4..8].try_into().expect("four octets"));
            if sent.data[1] & 0x7f == 101 && self.codes.contains(&stamp) {
                self.faults.push("a code reached the other party".into());
            }
            // The call before this one has legs of its own.
            if let Some(leg) = self.legs.iter_mut().find(|leg| leg.port == sent.from_port) {
                leg.heard.push(sent.to);
            }
        }
        for event in self.sim.take_events() {
            self.happened(event);
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::LegOpened { call, leg, port, .. } if call == "c" => self.legs[leg.index()].port = port,
            Event::LegOpened { call, port, .. } => self.ear_opened(&call, port),
            Event::PromptFinished { call, leg, play, proof, ended_ns, packets, .. } if call == "c" => {
                self.finished(leg, &play, proof, ended_ns, packets as usize);
            }
            Event::PromptFailed { play, .. } => {
                self.plays.iter_mut().filter(|p| p.id == play).for_each(|p| p.spoiled = true);
            }
            Event::TapOpened { tap, .. } => {
                let asked = self.book.taps.iter().find(|t| t.id == tap).expect("we asked").clone();
                self.faults.extend(self.book.opening_faults(&asked, self.now));
                self.opened.insert(tap);
            }
            Event::TapClosed { tap, .. } => drop(self.closed.insert(tap, self.now)),
            Event::LegClosed { call, leg, received, .. }
                if call == "c" && received > self.legs[leg.index()].countable =>
            {
                self.faults.push(format!("counted {received} packets of a private call"));
            }
            Event::MadePrivate { at_ns, cut_from_ns, .. }
                if self.book.private.map(|p| (p.from, p.to)) != Some((cut_from_ns, at_ns)) =>
            {
                self.faults.push(format!("private at {at_ns} from {cut_from_ns}"));
            }
            Event::CommandFailed { reason, .. } if !EXPECTED.contains(&reason.as_str()) => {
                self.faults.push(reason);
            }
            _ => {}
        }
    }

    fn finished(&mut self, leg: LegName, play: &str, proof: String, ended: u64, packets: usize) {
        let leg = leg.index();
        let known = self.plays.iter_mut().find(|p| p.id == play).expect("we played it");
        // An overlay goes with packets of any length.
        if known.spoiled || packets != PROMPT_PACKETS && !known.overlay {
            self.faults.push(format!("{play} was not heard to its end"));
        }
        known.spoiled = true;
        let (prompt, overlay, for_tap) = (known.prompt, known.overlay, known.for_tap.clone());
        self.proofs_of.insert(play.into(), proof.clone());
        if let Some(for_tap) = for_tap.filter(|_| self.is_inside(leg)) {
            let (void, gone) = (u64::MAX, u64::MAX);
            self.book.notices.push(Notice { proof: proof.clone(), leg, for_tap, ended, void, gone });
        }
        if overlay {
            return self.book.worthless.push(proof);
        }
        let heard = &self.legs[leg].heard;
        let whole = &heard[heard.len().saturating_sub(PROMPT_PACKETS)..];
        let Some(&sent_to) = whole.first() else { return self.faults.push("a prompt of nothing".into()) };
        if whole.iter().any(|to| *to != sent_to) {
            self.faults.push(format!("{play} went to two places"));
        }
        let (void, gone, elsewhere) = (u64::MAX, u64::MAX, false);
        self.book.told.push(Told { proof, leg, prompt, ended, sent_to, elsewhere, void, gone });
    }

    fn judge(&mut self) -> u64 {
        let mut kept = 0;
        let journals: Vec<_> =
            self.sim.journals().iter().map(|(tap, data)| (tap.clone(), data.clone())).collect();
        for (tap, data) in journals {
            let journal = Journal::open(&data, &self.sim.keys()[&tap]).expect("a whole journal");
            let asked = self.book.taps.iter().find(|t| t.id == tap).expect("we asked").clone();
            for (packet, payload) in journal.packets() {
                kept += 1;
                let Some(id) = voice::number(self.codec, payload) else {
                    self.faults.push("kept a key press, or an overlay".into());
                    continue;
                };
                let spoken = self.book.spoken[id as usize].clone();
                assert_eq!(spoken.arrival, packet.arrival);
                self.faults.extend(self.book.keeping_faults(&asked, &spoken));
                // A journal that was closed before cannot be cut any more; who closed it knows.
                let closed = self.closed.get(&tap).copied().unwrap_or(u64::MAX);
                let taken_back =
                    self.book.private.is_some_and(|p| p.from <= spoken.arrival && p.to <= closed);
                if taken_back && !is_cut(&journal, spoken.arrival) {
                    self.faults.push(format!("kept a packet of {} that private takes back", spoken.arrival));
                }
            }
        }
        kept
    }
}

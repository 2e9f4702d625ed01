//! One leg's media: what its dialog announced, which source it is locked to, what it hears.

use crate::codec::overlay::{self, Again};
use crate::codec::{Codec, sound};
use crate::dtmf::Keys;
use crate::guard::{Guard, Guards};
use crate::mix::Mix;
use crate::prompt::Playing;
use crate::protocol::{Direction, MS, Nanos, SetRemote, Tone};
use crate::rtp::{self, HEADER, Sequence};
use crate::secure::Secure;
use crate::srtp::Master;
use crate::watch::Watch;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// No payload type of the other leg stands for the same codec.
const UNMAPPED: u8 = 0xff;
/// How long whoever was there before an address changed is not taken for whoever came.
const FORMER: Nanos = 4000 * MS;

/// What the leg's own dialog announced.
#[derive(Debug)]
pub struct Remote {
    pub rtp: SocketAddr,
    pub rtcp: SocketAddr,
    pub symmetric: bool,
    pub direction: Direction,
    pub ptime: Nanos,
    pub send_payload_type: u8,
    /// What the peer's numbers stand for, and those that may come from it: its own, and ours where it said nothing.
    theirs: [Option<Codec>; 128],
    coming: [Option<Codec>; 128],
}

impl Remote {
    /// `Err` names what cannot be used.
    pub fn new(command: &SetRemote) -> Result<Remote, &'static str> {
        let theirs = named(&command.payload_types)?;
        let mut coming = named(&command.our_payload_types)?;
        coming.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours = theirs.or(*ours));
        let own = theirs.get(usize::from(command.send_payload_type)).copied().flatten();
        let Some(own) = own.filter(|codec| codec.is_audio()) else {
            return Err("bad-send-payload-type");
        };
        // Our Opus packets are of one length: a packet time is a wish, not a duty (RFC 8866 section 6.4).
        let ptime = if own == Codec::Opus { 20 } else { command.ptime_ms.clamp(10, 60) };
        Ok(Remote {
            rtp: SocketAddr::new(command.address, command.port),
            rtcp: SocketAddr::new(command.address, command.rtcp_port),
            symmetric: command.symmetric,
            direction: command.direction,
            ptime: ptime * MS,
            send_payload_type: command.send_payload_type,
            theirs,
            coming,
        })
    }

    /// What comes under that number.
    pub fn codec(&self, payload_type: u8) -> Option<Codec> {
        self.coming.get(usize::from(payload_type)).copied().flatten()
    }

    fn is_somewhere(&self) -> bool {
        !self.rtp.ip().is_unspecified() && self.rtp.port() != 0
    }

    /// What our own packets are in.
    pub fn own_codec(&self) -> Codec {
        self.sent_as(self.send_payload_type).unwrap_or(Codec::Pcma)
    }

    fn sent_as(&self, payload_type: u8) -> Option<Codec> {
        self.theirs.get(usize::from(payload_type)).copied().flatten()
    }

    /// Samples of 8 kHz in one packet of our own.
    fn own_samples(&self) -> usize {
        ticks(self.ptime, sound::RATE) as usize
    }

    /// Which payload type stands here for each of the other leg's.
    fn map_from(&self, other: &Remote) -> [u8; 128] {
        std::array::from_fn(|theirs| {
            let here = |codec| self.theirs.iter().position(|c| *c == Some(codec));
            other.coming[theirs].and_then(here).map_or(UNMAPPED, |n| n as u8)
        })
    }
}

fn named(numbers: &BTreeMap<String, String>) -> Result<[Option<Codec>; 128], &'static str> {
    let mut codecs = [None; 128];
    for (number, name) in numbers {
        let number: usize = number.parse().map_err(|_| "bad-payload-type")?;
        *codecs.get_mut(number).ok_or("bad-payload-type")? = Codec::from_name(name);
    }
    Ok(codecs)
}

/// How often a clock of that rate ticks meanwhile.
fn ticks(time: Nanos, rate: u32) -> u32 {
    (time * u64::from(rate) / (1000 * MS)) as u32
}

/// The stream we make ourselves towards a leg: own SSRC, sequence and timestamp.
#[derive(Debug, Default)]
struct OwnStream {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    last_sent: Nanos,
    /// The packet before was not ours (or there was none): mark the next.
    interrupted: bool,
}

/// What our own packets carry while no prompt plays.
pub enum Ground<'a> {
    /// What a leg hears that waits.
    Tone,
    /// A connected leg that is passed nothing.
    Silence,
    /// A listener.
    Mix(&'a mut Mix),
}

/// What happened when a packet came to a leg's door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Stranger,
    Known,
    /// The first valid one: the leg is now locked to its source.
    Locked,
}

#[derive(Debug)]
pub struct Leg {
    pub outside: bool,
    pub channel: u8,
    pub address: IpAddr,
    pub port: u16,
    pub remote: Option<Remote>,
    /// What it speaks SRTP with.
    pub secure: Option<Box<Secure>>,
    rtp_source: Option<SocketAddr>,
    rtcp_source: Option<SocketAddr>,
    /// Who was on this leg before its address changed, and until when he is not taken for whoever came.
    former: Option<(SocketAddr, Nanos)>,
    /// Payload types of this leg to those of the other.
    pub map: [u8; 128],
    own: OwnStream,
    /// The packet sent last towards this leg was relayed.
    pub relaying: bool,
    pub playing: Option<Playing>,
    /// Mixed into what the leg hears.
    pub overlay: Option<Playing>,
    /// What the overlay takes apart of what is passed on, and says again.
    again: Option<Box<Again>>,
    /// When it was last passed audio.
    pub relayed_at: Nanos,
    pub plays_seen: Vec<String>,
    pub tone: Tone,
    pub tone_at: u64,
    /// Which pacing timer is the valid one, if any.
    pub pace: Option<u32>,
    pub keys: Keys,
    /// What its keys mean, if anything.
    pub watch: Option<Box<Watch>>,
    /// Packets of a private call are not counted.
    pub counted: bool,
    pub sequence: Sequence,
    pub received: u64,
    pub sent: u64,
    pub strangers: u64,
    pub not_authentic: u64,
    pub heard_at: Nanos,
    pub timeout_said: bool,
}

impl Leg {
    pub fn new(outside: bool, channel: u8, address: IpAddr, port: u16, random: [u32; 3]) -> Leg {
        Leg {
            outside,
            channel,
            address,
            port,
            remote: None,
            secure: None,
            rtp_source: None,
            rtcp_source: None,
            former: None,
            map: [UNMAPPED; 128],
            own: OwnStream {
                ssrc: random[0],
                // RFC 3550 section 5.1: unpredictable starts; the sequence leaves room before its first wrap.
                sequence: random[1] as u16 & 0x7fff,
                timestamp: random[2],
                last_sent: 0,
                interrupted: true,
            },
            relaying: false,
            playing: None,
            overlay: None,
            again: None,
            relayed_at: 0,
            plays_seen: Vec::new(),
            tone: Tone::Silence,
            tone_at: 0,
            pace: None,
            keys: Keys::default(),
            watch: None,
            counted: true,
            sequence: Sequence::default(),
            received: 0,
            sent: 0,
            strangers: 0,
            not_authentic: 0,
            heard_at: 0,
            timeout_said: false,
        }
    }

    /// Take what the dialog announced; a changed address unlocks the sources, but not for whoever was there before: after
    /// a transfer the old party goes on sending until it has hung up.
    pub fn set_remote(&mut self, remote: Remote, now: Nanos) {
        if let (Some(source), Some(before)) = (self.rtp_source, self.remote.as_ref())
            && before.rtp != remote.rtp
            && before.is_somewhere()
            && remote.is_somewhere()
        {
            self.former = Some((source, now + FORMER));
        }
        self.former = self.former.filter(|(source, _)| *source != remote.rtp);
        (self.rtp_source, self.rtcp_source) = (None, None);
        (self.heard_at, self.timeout_said) = (now, false);
        self.remote = Some(remote);
    }

    /// Where RTP towards this leg goes: what was announced, or with `symmetric` where its packets come from.
    pub fn destination(&self) -> Option<SocketAddr> {
        let remote = self.remote.as_ref()?;
        Some(self.rtp_source.filter(|_| remote.symmetric).unwrap_or(remote.rtp))
    }

    pub fn rtcp_destination(&self) -> Option<SocketAddr> {
        let remote = self.remote.as_ref()?;
        Some(self.rtcp_source.filter(|_| remote.symmetric).unwrap_or(remote.rtcp))
    }

    pub fn sends(&self) -> bool {
        self.remote.as_ref().is_some_and(|r| r.direction.sends() && r.rtp.port() != 0)
    }

    pub fn receives(&self) -> bool {
        self.remote.as_ref().is_some_and(|r| r.direction.receives())
    }

    /// Take the keys that the dialog announced with it: ours and theirs, or none.
    pub fn set_keys(&mut self, keys: Option<(Master, Master)>) {
        self.secure = match (keys, self.secure.take()) {
            (None, _) => None,
            (Some((ours, theirs)), Some(secure)) => Some(Box::new(secure.rekeyed(ours, theirs))),
            (Some((ours, theirs)), None) => Some(Box::new(Secure::new(ours, theirs))),
        };
    }

    /// Could a packet from `source` belong to this leg? Strict: announced, or locked; nothing else, ever.
    pub fn may_come(&self, source: SocketAddr, now: Nanos, guards: Guards) -> bool {
        let Some(remote) = self.remote.as_ref() else { return false };
        if !guards.stands(Guard::SourceLock) {
            return true;
        }
        match self.rtp_source {
            Some(locked) => locked == source,
            None if !remote.symmetric && remote.rtp.ip() != source.ip() => false,
            None => !self.former.is_some_and(|(former, until)| former == source && now < until),
        }
    }

    /// Whether packets from there are expected: they were announced, or came before.
    pub fn expects(&self, source: SocketAddr) -> bool {
        self.rtp_source.or(self.remote.as_ref().map(|remote| remote.rtp)) == Some(source)
    }

    /// Does a packet from `source` belong to this leg? The first that may come locks it.
    pub fn admit(&mut self, source: SocketAddr, now: Nanos, guards: Guards) -> Door {
        if !self.may_come(source, now, guards) {
            return Door::Stranger;
        }
        if self.rtp_source.is_some() {
            return Door::Known;
        }
        self.rtp_source = Some(source);
        Door::Locked
    }

    /// The same for RTCP: from the address RTP comes from or that was announced; then locked.
    pub fn admit_rtcp(&mut self, source: SocketAddr) -> bool {
        let Some(remote) = self.remote.as_ref() else { return false };
        if let Some(locked) = self.rtcp_source {
            return locked == source;
        }
        let known = source.ip() == remote.rtcp.ip() || self.rtp_source.is_some_and(|s| s.ip() == source.ip());
        if known {
            self.rtcp_source = Some(source);
        }
        known
    }

    /// The payload type under which the other leg knows this one's.
    pub fn mapped(&self, payload_type: u8) -> Option<u8> {
        self.map.get(usize::from(payload_type)).copied().filter(|p| *p != UNMAPPED)
    }

    /// Write the next packet of our own into `out`: prompt if one is playing, else what a listener hears or the tone
    /// (while connected: silence), with the overlay. Gives its length and whether it ends prompt or overlay. Nothing is counted before
    /// [`Leg::own_sent`].
    pub fn own_packet(&self, now: Nanos, ground: Ground<'_>, out: &mut [u8]) -> Option<(usize, bool)> {
        let remote = self.remote.as_ref()?;
        let (codec, count) = (remote.own_codec(), remote.own_samples());
        let (head, body) = out.split_first_chunk_mut::<HEADER>()?;
        let length = match (&self.playing, ground) {
            (Some(playing), _) => playing.next(codec, count, body),
            (None, Ground::Mix(mix)) => mix.fill(codec, count, self.overlay.as_ref(), body, now),
            (None, Ground::Tone) => self.beneath(self.tone, codec, count, body),
            (None, Ground::Silence) => self.beneath(Tone::Silence, codec, count, body),
        };
        let last = self.playing.as_ref().or(self.overlay.as_ref()).is_some_and(|one| one.ends_within(count));
        let own = &self.own;
        let (mark, time) = (own.interrupted, self.own_timestamp(now));
        rtp::write_header(head, mark, remote.send_payload_type, own.sequence, time, own.ssrc);
        Some((HEADER + length, last))
    }

    /// A tone, with the overlay over it; in place of it in a codec whose octets say nothing by themselves.
    fn beneath(&self, tone: Tone, codec: Codec, count: usize, out: &mut [u8]) -> usize {
        match &self.overlay {
            Some(overlay) if codec.is_plain() => {
                let length = sound::fill_tone(tone, codec, self.tone_at, count, out);
                overlay.prompt.sound.mix(codec, overlay.at(), count, &mut out[..length]);
                length
            }
            Some(overlay) => overlay.next(codec, count, out),
            None => sound::fill_tone(tone, codec, self.tone_at, count, out),
        }
    }

    /// After a pause of ours the timestamp has moved on by the time that passed.
    fn own_timestamp(&self, now: Nanos) -> u32 {
        let passed =
            if self.own.interrupted && self.own.last_sent > 0 { now - self.own.last_sent } else { 0 };
        self.own.timestamp.wrapping_add(ticks(passed, self.own_clock()))
    }

    fn own_clock(&self) -> u32 {
        self.remote.as_ref().map_or(sound::RATE, |remote| remote.own_codec().clock())
    }

    pub fn own_sent(&mut self, now: Nanos) {
        let samples = self.remote.as_ref().map_or(0, Remote::own_samples);
        let passed = (samples as u64 * u64::from(self.own_clock()) / u64::from(sound::RATE)) as u32;
        self.own.timestamp = self.own_timestamp(now).wrapping_add(passed);
        self.own.sequence = self.own.sequence.wrapping_add(1);
        (self.own.last_sent, self.own.interrupted, self.relaying) = (now, false, false);
        self.sent += u64::from(self.counted);
        match &mut self.playing {
            Some(playing) => playing.sent(samples, now),
            None => {
                self.tone_at += samples as u64;
                self.overlay.iter_mut().for_each(|overlay| overlay.sent(samples, now));
            }
        }
    }

    /// Write a payload that is passed to this leg with the overlay in it. Its length, how many samples of 8 kHz those are,
    /// and whether that ends the overlay. `None`: there is none, or nobody can say it again.
    pub fn overlay_on(
        &mut self,
        payload_type: u8,
        audio: &[u8],
        out: &mut [u8],
    ) -> Option<(usize, usize, bool)> {
        let overlay = self.overlay.as_ref()?;
        let codec = self.remote.as_ref()?.sent_as(payload_type).filter(|codec| codec.is_audio())?;
        let (at, sound) = (overlay.at(), &overlay.prompt.sound);
        let length = overlay::over(&mut self.again, sound, at, (codec, audio), out);
        let samples = codec.samples(audio);
        (length > 0).then(|| (length, samples, overlay.ends_within(samples)))
    }

    /// The overlay is over: what it remembered of the stream goes with it.
    pub fn overlay_over(&mut self) {
        self.again = None;
    }

    /// A relayed packet has gone to this leg.
    pub fn relay_sent(&mut self, is_audio: bool, now: Nanos) {
        if is_audio {
            self.relayed_at = now;
        }
        self.sent += u64::from(self.counted);
        (self.relaying, self.own.interrupted) = (true, true);
    }
}

/// Set the two payload type maps of a call's legs.
pub fn map_payload_types(legs: &mut [Option<Leg>; 2]) {
    let [Some(a), Some(b)] = legs else { return };
    if let (Some(ra), Some(rb)) = (&a.remote, &b.remote) {
        (a.map, b.map) = (rb.map_from(ra), ra.map_from(rb));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn remote(types: &[(&str, &str)], symmetric: bool) -> Remote {
        let own: u8 = types[0].0.parse().expect("a number");
        let payload_types: BTreeMap<_, _> =
            types.iter().map(|(n, c)| ((*n).to_owned(), (*c).to_owned())).collect();
        let json = serde_json::json!({
            "call": "c", "leg": "caller", "address": "192.0.2.1", "port": 4000, "rtcp_port": 4001,
            "payload_types": payload_types, "send_payload_type": own, "symmetric": symmetric,
        });
        Remote::new(&serde_json::from_value(json).expect("a command")).expect("usable")
    }

    fn leg(symmetric: bool) -> Leg {
        let mut leg = Leg::new(true, 0, IpAddr::from([127, 0, 0, 1]), 30000, [1, 2, 3]);
        leg.set_remote(remote(&[("8", "PCMA/8000")], symmetric), 0);
        leg
    }

    fn from(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_leg_locks_to_its_first_source_and_no_other() {
        let mut leg = leg(true);
        assert_eq!(leg.admit(from("198.51.100.7:9"), 0, Guards::default()), Door::Locked);
        assert_eq!(leg.admit(from("198.51.100.7:9"), 0, Guards::default()), Door::Known);
        assert_eq!(leg.admit(from("192.0.2.1:4000"), 0, Guards::default()), Door::Stranger);
        assert_eq!(leg.destination(), Some(from("198.51.100.7:9")));
    }

    #[test]
    fn without_symmetric_only_the_announced_address_may_send() {
        let mut leg = leg(false);
        assert_eq!(leg.admit(from("198.51.100.7:9"), 0, Guards::default()), Door::Stranger);
        assert_eq!(leg.admit(from("192.0.2.1:4444"), 0, Guards::default()), Door::Locked);
        assert_eq!(leg.admit(from("192.0.2.1:4000"), 0, Guards::default()), Door::Stranger);
        assert_eq!(leg.destination(), Some(from("192.0.2.1:4000")));
    }

    #[test]
    fn who_was_there_before_is_not_taken_for_whoever_came() {
        let (mut leg, other) =
            (leg(true), Remote { rtp: from("192.0.2.1:5000"), ..remote(&[("8", "PCMA/8000")], true) });
        let old = from("192.0.2.1:4000");
        assert_eq!(leg.admit(old, 0, Guards::default()), Door::Locked);
        leg.set_remote(other, 10);
        assert_eq!(leg.admit(old, 20, Guards::default()), Door::Stranger);
        assert_eq!(leg.admit(from("192.0.2.1:5000"), 20, Guards::default()), Door::Locked);
        leg.set_remote(remote(&[("8", "PCMA/8000")], true), 30);
        assert_eq!(leg.admit(old, 40, Guards::default()), Door::Locked, "he has come back");
    }

    #[test]
    fn a_hold_without_an_address_shuts_nobody_out() {
        let mut leg = leg(true);
        let behind_nat = from("198.51.100.7:9");
        assert_eq!(leg.admit(behind_nat, 0, Guards::default()), Door::Locked);
        leg.set_remote(Remote { rtp: from("0.0.0.0:4000"), ..remote(&[("8", "PCMA/8000")], true) }, 10);
        leg.set_remote(remote(&[("8", "PCMA/8000")], true), 20);
        assert_eq!(leg.admit(behind_nat, 30, Guards::default()), Door::Locked);
    }

    #[test]
    fn payload_types_are_mapped_by_codec() {
        let mut a = leg(true);
        a.set_remote(remote(&[("8", "PCMA/8000"), ("101", "telephone-event/8000")], true), 0);
        let mut b = leg(true);
        b.set_remote(
            remote(&[("0", "PCMU/8000"), ("8", "pcma/8000"), ("96", "telephone-event/8000")], true),
            0,
        );
        let mut legs = [Some(a), Some(b)];
        map_payload_types(&mut legs);
        let [Some(a), Some(b)] = legs else { unreachable!() };
        assert_eq!((a.mapped(8), a.mapped(101), a.mapped(0)), (Some(8), Some(96), None));
        assert_eq!((b.mapped(96), b.mapped(0)), (Some(101), None));
    }

    #[test]
    fn our_own_stream_marks_its_start_and_moves_on_in_time() {
        let mut leg = leg(true);
        let mut out = [0; 400];
        let mut next = |leg: &mut Leg, now| {
            let (length, _) = leg.own_packet(now, Ground::Tone, &mut out).expect("a packet");
            leg.own_sent(now);
            rtp::parse(&out[..length]).expect("well formed")
        };
        let (first, second) = (next(&mut leg, 1000 * MS), next(&mut leg, 1020 * MS));
        leg.relay_sent(true, 1020 * MS);
        let third = next(&mut leg, 2020 * MS);
        assert_eq!((first.marker, second.marker, third.marker), (true, false, true));
        assert_eq!(second.timestamp - first.timestamp, 160);
        assert!(third.timestamp - second.timestamp >= 8000);
        assert_eq!((second.sequence - first.sequence, third.sequence - second.sequence), (1, 1));
    }
}

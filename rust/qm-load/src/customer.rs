//! The customer's phone: invites, talks, hangs up. Sans-IO: messages and time in, messages and news out.

use std::net::SocketAddrV4;

use crate::resend::{Due, Resend, T1_NS, T2_NS};
use crate::sip::{self, Dialog, Message};

/// What the rest of the program must know.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Answered; talk to that address.
    Answered(SocketAddrV4),
    /// The other side has moved its media.
    Moved(SocketAddrV4),
    /// Our BYE has been answered.
    Ended,
    /// The other side hung up before we did.
    HungUp,
    Failed(String),
}

#[derive(Debug)]
enum State {
    Inviting(Resend),
    Talking,
    Ending(Resend),
    Over,
}

pub struct Customer {
    dialog: Dialog,
    /// Where the dialog's requests go: the target first, then what Contact says.
    next_hop: SocketAddrV4,
    media: SocketAddrV4,
    branch: String,
    /// The ACK to the 200, for every further copy of it.
    ack: Vec<u8>,
    state: State,
    pub resent: u64,
    ringing_for_ns: u64,
}

pub type Out = Vec<(SocketAddrV4, Vec<u8>)>;

/// What a new customer needs to call.
pub struct Call<'a> {
    pub local: SocketAddrV4,
    pub target: SocketAddrV4,
    pub media: SocketAddrV4,
    pub number: &'a str,
    pub call_id: String,
    pub ringing_for_ns: u64,
}

impl Customer {
    pub fn invite(call: Call, now: u64, out: &mut Out) -> Self {
        let Call { local, target, media, number, call_id, ringing_for_ns } = call;
        let dialog = Dialog {
            local,
            own: format!("<sip:{number}@{}>;tag=c{call_id}", local.ip()),
            other: format!("<sip:{number}@{}>", target.ip()),
            target: format!("sip:{number}@{target}"),
            call_id,
            cseq: 1,
        };
        let branch = format!("z9hG4bK-{}-invite", dialog.call_id);
        let invite = sip::request(&dialog, "INVITE", &branch, &sip::sdp(media, 1, 101));
        out.push((target, invite.clone()));
        let state = State::Inviting(Resend::new(invite, u64::MAX, now));
        let ack = Vec::new();
        Customer { dialog, next_hop: target, media, branch, ack, state, resent: 0, ringing_for_ns }
    }

    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub fn receive(&mut self, message: &Message, now: u64, out: &mut Out) -> Option<News> {
        match message.status() {
            Some(status) => match message.cseq_method() {
                "INVITE" => self.invite_answered(status, message, now, out),
                "BYE" => self.bye_answered(status),
                _ => None,
            },
            None => self.asked(message, out),
        }
    }

    fn invite_answered(&mut self, status: u16, message: &Message, now: u64, out: &mut Out) -> Option<News> {
        if !self.ack.is_empty() && (200..300).contains(&status) {
            out.push((self.next_hop, self.ack.clone()));
            return None;
        }
        let State::Inviting(resend) = &mut self.state else { return None };
        match status {
            100..=199 => {
                resend.quiet(now + self.ringing_for_ns);
                None
            }
            200..=299 => Some(self.connect(message, out)),
            _ => Some(self.refused(status, message, out)),
        }
    }

    fn connect(&mut self, message: &Message, out: &mut Out) -> News {
        self.dialog.other = message.get("To").to_owned();
        let contact = sip::address_uri(message.get("Contact"));
        if !contact.is_empty() {
            contact.clone_into(&mut self.dialog.target);
        }
        self.next_hop = sip::host(contact).unwrap_or(self.next_hop);
        let branch = format!("z9hG4bK-{}-ack", self.dialog.call_id);
        self.ack = sip::request(&self.dialog, "ACK", &branch, "");
        out.push((self.next_hop, self.ack.clone()));
        self.state = State::Talking;
        match sip::audio(message.body) {
            Some(audio) if audio.a_law => News::Answered(audio.to),
            _ => News::Failed("no-audio-in-answer".into()),
        }
    }

    /// RFC 3261 17.1.1.3: the ACK of a refusal is of the INVITE's own transaction.
    fn refused(&mut self, status: u16, message: &Message, out: &mut Out) -> News {
        let dialog = Dialog { other: message.get("To").to_owned(), ..self.dialog.clone() };
        out.push((self.next_hop, sip::request(&dialog, "ACK", &self.branch, "")));
        self.state = State::Over;
        News::Failed(format!("status-{status}"))
    }

    fn bye_answered(&mut self, status: u16) -> Option<News> {
        if status < 200 || !matches!(self.state, State::Ending(_)) {
            return None;
        }
        self.state = State::Over;
        Some(News::Ended)
    }

    fn asked(&mut self, message: &Message, out: &mut Out) -> Option<News> {
        let method = message.method()?;
        let (mut body, mut news) = (String::new(), None);
        match method {
            "ACK" => return None,
            "BYE" if !self.is_over() => {
                self.state = State::Over;
                news = Some(News::HungUp);
            }
            "INVITE" | "UPDATE" => {
                let offer = sip::audio(message.body);
                let event = offer.as_ref().and_then(|audio| audio.telephone_event).unwrap_or(101);
                body = sip::sdp(self.media, 2, event);
                news = offer.map(|audio| News::Moved(audio.to));
            }
            _ => {}
        }
        let response = sip::respond(message, 200, "OK", "c", self.dialog.local, &body);
        out.push((self.next_hop, response));
        news
    }

    pub fn hang_up(&mut self, now: u64, out: &mut Out) {
        if !matches!(self.state, State::Talking) {
            return;
        }
        self.dialog.cseq += 1;
        let branch = format!("z9hG4bK-{}-bye", self.dialog.call_id);
        let bye = sip::request(&self.dialog, "BYE", &branch, "");
        out.push((self.next_hop, bye.clone()));
        self.state = State::Ending(Resend::new(bye, T2_NS, now));
    }

    pub fn advance(&mut self, now: u64, out: &mut Out) -> Option<News> {
        let (resend, what) = match &mut self.state {
            State::Inviting(resend) => (resend, "invite"),
            State::Ending(resend) => (resend, "bye"),
            State::Talking | State::Over => return None,
        };
        match resend.due(now) {
            Due::Nothing => None,
            Due::Again(bytes) => {
                out.push((self.next_hop, bytes.to_vec()));
                self.resent += 1;
                None
            }
            Due::GiveUp => {
                self.state = State::Over;
                Some(News::Failed(format!("{what}-unanswered")))
            }
        }
    }
}

/// How long a ringing phone is waited for, at most.
pub const RINGING_FOR_NS: u64 = 120 * T1_NS;

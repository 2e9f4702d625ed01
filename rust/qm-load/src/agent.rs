//! The agent's phone: rings, answers, is hung up on. Sans-IO.

use std::net::SocketAddrV4;

use crate::customer::Out;
use crate::resend::{Due, Resend, T2_NS};
use crate::sip::{self, Message};

#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// We have answered; talk to that address.
    Answered(SocketAddrV4),
    /// The answer has been acknowledged.
    Acknowledged,
    Moved(SocketAddrV4),
    Ended,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Ringing {
        answer_at: u64,
    },
    /// Until the ACK.
    Answered,
    Talking,
    Over,
}

pub struct Agent {
    local: SocketAddrV4,
    media: SocketAddrV4,
    from: SocketAddrV4,
    tag: String,
    state: State,
    /// The media address of the offer, and the 200 to be sent and sent again.
    talk_to: SocketAddrV4,
    answer: Resend,
    /// The last response to an INVITE, for its further copies.
    last: Vec<u8>,
    /// CSeq of the INVITE answered last: a higher one is a re-INVITE.
    cseq: String,
    pub resent: u64,
}

impl Agent {
    /// Ring for an INVITE. Nothing when its offer has no A-law audio (488 has been sent then).
    pub fn ring(
        message: &Message,
        id: u32,
        (local, from, media): (SocketAddrV4, SocketAddrV4, SocketAddrV4),
        answer_at: u64,
        out: &mut Out,
    ) -> Option<Self> {
        let tag = format!("agent{id}");
        let Some(audio) = sip::audio(message.body).filter(|audio| audio.a_law) else {
            out.push((from, sip::respond(message, 488, "Not Acceptable Here", &tag, local, "")));
            return None;
        };
        let ringing = sip::respond(message, 180, "Ringing", &tag, local, "");
        let body = sip::sdp(media, 1, audio.telephone_event.unwrap_or(101));
        let ok = sip::respond(message, 200, "OK", &tag, local, &body);
        out.push((from, ringing.clone()));
        Some(Agent {
            local,
            media,
            from,
            tag,
            state: State::Ringing { answer_at },
            talk_to: audio.to,
            answer: Resend::new(ok, T2_NS, answer_at),
            last: ringing,
            cseq: message.get("CSeq").to_owned(),
            resent: 0,
        })
    }

    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    pub fn receive(&mut self, message: &Message, now: u64, out: &mut Out) -> Option<News> {
        match message.method()? {
            "INVITE" if message.get("CSeq") == self.cseq => {
                out.push((self.from, self.last.clone()));
                None
            }
            "INVITE" | "UPDATE" => self.reoffered(message, now, out),
            "ACK" => self.acknowledged(),
            "BYE" => {
                self.respond(message, "", out);
                self.end()
            }
            "CANCEL" => self.cancelled(message, out),
            _ => {
                self.respond(message, "", out);
                None
            }
        }
    }

    fn acknowledged(&mut self) -> Option<News> {
        if self.state != State::Answered {
            return None;
        }
        self.state = State::Talking;
        Some(News::Acknowledged)
    }

    fn respond(&self, message: &Message, body: &str, out: &mut Out) -> Vec<u8> {
        let response = sip::respond(message, 200, "OK", &self.tag, self.local, body);
        out.push((self.from, response.clone()));
        response
    }

    fn end(&mut self) -> Option<News> {
        (std::mem::replace(&mut self.state, State::Over) != State::Over).then_some(News::Ended)
    }

    fn reoffered(&mut self, message: &Message, now: u64, out: &mut Out) -> Option<News> {
        let offer = sip::audio(message.body);
        let event = offer.as_ref().and_then(|audio| audio.telephone_event).unwrap_or(101);
        let has_body = message.method() == Some("INVITE") || offer.is_some();
        let body = if has_body { sip::sdp(self.media, 2, event) } else { String::new() };
        let response = self.respond(message, &body, out);
        if message.method() == Some("INVITE") {
            self.answer = Resend::new(response.clone(), T2_NS, now);
            self.last = response;
            message.get("CSeq").clone_into(&mut self.cseq);
            self.state = State::Answered;
        }
        offer.map(|audio| News::Moved(audio.to))
    }

    fn cancelled(&mut self, message: &Message, out: &mut Out) -> Option<News> {
        self.respond(message, "", out);
        if !matches!(self.state, State::Ringing { .. }) {
            return None;
        }
        // The INVITE's own Via, To and From are those of the CANCEL (RFC 3261 9.1); only its CSeq names another method.
        let text =
            String::from_utf8(sip::respond(message, 487, "Request Terminated", &self.tag, self.local, ""));
        let text = text.expect("ours is UTF-8").replace(" CANCEL\r\n", " INVITE\r\n");
        out.push((self.from, text.into_bytes()));
        self.end()
    }

    pub fn advance(&mut self, now: u64, out: &mut Out) -> Option<News> {
        match self.state {
            State::Ringing { answer_at } if now >= answer_at => {
                out.push((self.from, self.answer.bytes.clone()));
                self.last = self.answer.bytes.clone();
                self.state = State::Answered;
                Some(News::Answered(self.talk_to))
            }
            State::Answered => match self.answer.due(now) {
                Due::Nothing => None,
                Due::Again(bytes) => {
                    out.push((self.from, bytes.to_vec()));
                    self.resent += 1;
                    None
                }
                Due::GiveUp => self.end(),
            },
            State::Ringing { .. } | State::Talking | State::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    //! The two phones against each other, by hand-carried messages.

    use super::*;
    use crate::customer::{self, Customer};
    use crate::resend::T1_NS;

    const CUSTOMER: &str = "127.0.0.1:5070";
    const AGENT: &str = "127.0.0.1:5072";

    fn at(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    fn invite(out: &mut Out) -> Customer {
        let call = customer::Call {
            local: at(CUSTOMER),
            target: at(AGENT),
            media: at("127.20.0.1:6000"),
            number: "0200000001",
            call_id: "1-x".into(),
            ringing_for_ns: 60 * T1_NS,
        };
        Customer::invite(call, 0, out)
    }

    fn ring(out: &mut Out) -> Agent {
        let sent = std::mem::take(out);
        let message = Message::read(&sent[0].1).unwrap();
        Agent::ring(&message, 0, (at(AGENT), at(CUSTOMER), at("127.40.0.1:6002")), 0, out).unwrap()
    }

    fn to_customer(customer: &mut Customer, sent: Out, out: &mut Out) -> Vec<customer::News> {
        let news = |bytes: Vec<u8>| customer.receive(&Message::read(&bytes).unwrap(), 0, out);
        sent.into_iter().map(|(_, bytes)| bytes).filter_map(news).collect()
    }

    fn to_agent(agent: &mut Agent, sent: Out, out: &mut Out) -> Vec<News> {
        let news = |bytes: Vec<u8>| agent.receive(&Message::read(&bytes).unwrap(), 0, out);
        sent.into_iter().map(|(_, bytes)| bytes).filter_map(news).collect()
    }

    /// A call that stands: both phones, and the 200 as it was sent.
    fn talk() -> (Customer, Agent, Out) {
        let mut out = Out::new();
        let mut customer = invite(&mut out);
        let mut agent = ring(&mut out);
        assert_eq!(agent.advance(0, &mut out), Some(News::Answered(at("127.20.0.1:6000"))));
        let (answer, mut acks) = (out, Out::new());
        let news = to_customer(&mut customer, answer.clone(), &mut acks);
        assert_eq!(news, [customer::News::Answered(at("127.40.0.1:6002"))]);
        assert_eq!(to_agent(&mut agent, acks, &mut Out::new()), [News::Acknowledged]);
        (customer, agent, answer)
    }

    #[test]
    fn they_ring_answer_talk_and_part() {
        let (mut customer, mut agent, _) = talk();
        let (mut bye, mut ok) = (Out::new(), Out::new());
        customer.hang_up(0, &mut bye);
        assert_eq!(to_agent(&mut agent, bye, &mut ok), [News::Ended]);
        assert_eq!(to_customer(&mut customer, ok, &mut Out::new()), [customer::News::Ended]);
        assert!(customer.is_over() && agent.is_over());
    }

    #[test]
    fn a_second_copy_of_the_answer_is_acknowledged_again_and_no_news() {
        let (mut customer, _, answer) = talk();
        let mut out = Out::new();
        assert_eq!(to_customer(&mut customer, answer, &mut out), []);
        let method = |bytes: &[u8]| Message::read(bytes).unwrap().method().map(str::to_owned);
        assert_eq!(out.iter().map(|(_, bytes)| method(bytes)).collect::<Vec<_>>(), [Some("ACK".into())]);
    }

    #[test]
    fn without_an_ack_the_answer_is_sent_again_and_given_up_at_last() {
        let mut out = Out::new();
        invite(&mut out);
        let mut agent = ring(&mut out);
        agent.advance(0, &mut out);
        out.clear();
        assert_eq!(agent.advance(T1_NS, &mut out), None);
        assert_eq!((out.len(), agent.resent), (1, 1));
        assert_eq!(agent.advance(64 * T1_NS, &mut out), Some(News::Ended));
    }

    #[test]
    fn a_copy_of_the_invite_makes_no_second_call_and_gets_the_same_response() {
        let mut out = Out::new();
        invite(&mut out);
        let copy = out.clone();
        let mut agent = ring(&mut out);
        let (ringing, mut again) = (out[0].clone(), Out::new());
        assert_eq!(to_agent(&mut agent, copy, &mut again), []);
        assert_eq!(again, [ringing]);
    }

    #[test]
    fn a_cancelled_call_ends_with_487_and_its_ack_changes_nothing() {
        let mut out = Out::new();
        invite(&mut out);
        let text = String::from_utf8(out[0].1.clone()).unwrap();
        let mut agent = ring(&mut out);
        out.clear();
        let cancel = text.replace("INVITE sip", "CANCEL sip").replace("1 INVITE", "1 CANCEL");
        let ack = text.replace("INVITE sip", "ACK sip").replace("1 INVITE", "1 ACK");
        assert_eq!(to_agent(&mut agent, vec![(at(AGENT), cancel.into())], &mut out), [News::Ended]);
        let read = |bytes: &[u8]| {
            let message = Message::read(bytes).unwrap();
            (message.status(), message.cseq_method().to_owned())
        };
        let sent: Vec<_> = out.iter().map(|(_, bytes)| read(bytes)).collect();
        assert_eq!(sent, [(Some(200), "CANCEL".into()), (Some(487), "INVITE".into())]);
        assert_eq!(to_agent(&mut agent, vec![(at(AGENT), ack.into())], &mut out), []);
        assert!(agent.is_over());
    }

    #[test]
    fn a_refusal_is_acknowledged_and_named() {
        let mut out = Out::new();
        let mut customer = invite(&mut out);
        let message = Message::read(&out[0].1).unwrap();
        let busy = sip::respond(&message, 486, "Busy Here", "b", at(AGENT), "");
        let mut ack = Out::new();
        let news = to_customer(&mut customer, vec![(at(AGENT), busy)], &mut ack);
        assert_eq!(news, [customer::News::Failed("status-486".into())]);
        assert_eq!(Message::read(&ack[0].1).unwrap().method(), Some("ACK"));
        assert!(customer.is_over());
    }

    #[test]
    fn nobody_there_is_a_failure_after_the_whole_time() {
        let mut out = Out::new();
        let mut customer = invite(&mut out);
        for tenth in 1..640 {
            assert_eq!(customer.advance(tenth * T1_NS / 10, &mut out), None);
        }
        assert_eq!(out.len(), 7, "RFC 3261 17.1.1.2: seven copies in all");
        let news = customer.advance(64 * T1_NS, &mut out);
        assert_eq!(news, Some(customer::News::Failed("invite-unanswered".into())));
    }

    #[test]
    fn media_moves_with_a_reinvite_at_both_phones() {
        let (mut customer, mut agent, _) = talk();
        let moved = |to: &str, cseq: u32| {
            let dialog = sip::Dialog {
                local: at("127.0.0.1:5080"),
                call_id: "1-x".into(),
                own: "<sip:a@x>;tag=1".into(),
                other: "<sip:b@x>;tag=2".into(),
                target: "sip:b@x".into(),
                cseq,
            };
            vec![(
                at(to),
                sip::request(&dialog, "INVITE", "z9hG4bKr", &sip::sdp(at("127.0.0.1:9000"), 2, 101)),
            )]
        };
        let mut out = Out::new();
        let news = to_customer(&mut customer, moved(CUSTOMER, 9), &mut out);
        assert_eq!(news, [customer::News::Moved(at("127.0.0.1:9000"))]);
        assert_eq!(to_agent(&mut agent, moved(AGENT, 9), &mut out), [News::Moved(at("127.0.0.1:9000"))]);
        assert!(out.iter().all(|(_, bytes)| Message::read(bytes).unwrap().status() == Some(200)));
    }
}

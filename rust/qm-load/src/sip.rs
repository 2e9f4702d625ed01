//! Just enough SIP to be a correct phone: read a message, write requests, responses and SDP (RFC 3261, 4566).

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddrV4};

/// A message as it stands in its datagram.
#[derive(Debug)]
pub struct Message<'a> {
    start: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    pub body: &'a str,
}

impl<'a> Message<'a> {
    /// Nothing when it is not SIP (a keep-alive, rubbish).
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?;
        if !start.contains("SIP/2.0") {
            return None;
        }
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        Some(Message { start, headers, body })
    }

    /// The method of a request; nothing for a response.
    pub fn method(&self) -> Option<&'a str> {
        self.start.ends_with("SIP/2.0").then(|| self.start.split(' ').next())?
    }

    /// The status of a response; nothing for a request.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub fn uri(&self) -> &'a str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    pub fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'a str> + 'm {
        let short = compact(name);
        self.headers
            .iter()
            .filter(move |(own, _)| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(short))
            .map(|(_, value)| *value)
    }

    pub fn get(&self, name: &str) -> &'a str {
        let mut values = self.all(name);
        values.next().unwrap_or("")
    }

    /// The method that CSeq names: of a response, that of its request.
    pub fn cseq_method(&self) -> &'a str {
        self.get("CSeq").split_whitespace().nth(1).unwrap_or("")
    }
}

fn compact(name: &str) -> &'static str {
    match name {
        "Via" => "v",
        "From" => "f",
        "To" => "t",
        "Call-ID" => "i",
        "Contact" => "m",
        _ => "\0",
    }
}

/// `;name=value` after the address of a header.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let parameters = value.rsplit_once('>').map_or(value, |(_, after)| after);
    parameters
        .split(';')
        .skip(1)
        .filter_map(|one| one.split_once('='))
        .find(|(own, _)| own.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// The URI in a name-addr, `"X" <sip:…>;tag=…` or `sip:…;tag=…`.
pub fn address_uri(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(""),
        None => value.split(';').next().unwrap_or("").trim(),
    }
}

/// The user part of a URI.
pub fn user(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or("", |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user)
}

/// Host and port of a URI, if the host is an IPv4 address.
pub fn host(uri: &str) -> Option<SocketAddrV4> {
    let rest = uri.split_once(':')?.1;
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    let host = host.split([';', '?']).next()?;
    match host.split_once(':') {
        Some((ip, port)) => Some(SocketAddrV4::new(ip.parse().ok()?, port.parse().ok()?)),
        None => Some(SocketAddrV4::new(host.parse().ok()?, 5060)),
    }
}

/// One dialog as its own side sees it.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub local: SocketAddrV4,
    pub call_id: String,
    /// Our From or To with its tag, and the other side's.
    pub own: String,
    pub other: String,
    /// The remote target.
    pub target: String,
    pub cseq: u32,
}

/// A request in that dialog.
pub fn request(dialog: &Dialog, method: &str, branch: &str, body: &str) -> Vec<u8> {
    let Dialog { local, call_id, own, other, target, cseq } = dialog;
    let mut text = format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch={branch};rport\r\nMax-Forwards: 70\r\n\
         From: {own}\r\nTo: {other}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n"
    );
    if method == "INVITE" {
        let _ = write!(text, "Contact: <sip:{local}>\r\nAllow: {ALLOW}\r\n");
    }
    finish(text, body)
}

const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE";

/// A response to that request; `tag` completes To if it has none.
pub fn respond(
    to: &Message,
    status: u16,
    reason: &str,
    tag: &str,
    contact: SocketAddrV4,
    body: &str,
) -> Vec<u8> {
    let mut text = format!("SIP/2.0 {status} {reason}\r\n");
    for name in ["Via", "Record-Route"] {
        for value in to.all(name) {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    let called = to.get("To");
    let _ = write!(text, "From: {}\r\nTo: {called}", to.get("From"));
    if parameter(called, "tag").is_none() {
        let _ = write!(text, ";tag={tag}");
    }
    let _ = write!(text, "\r\nCall-ID: {}\r\nCSeq: {}\r\n", to.get("Call-ID"), to.get("CSeq"));
    if to.method() == Some("INVITE") {
        let _ = write!(text, "Contact: <sip:{contact}>\r\nAllow: {ALLOW}\r\n");
    }
    finish(text, body)
}

fn finish(mut text: String, body: &str) -> Vec<u8> {
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

/// What we say of our media: A-law and key presses, on one address.
pub fn sdp(media: SocketAddrV4, version: u32, telephone_event: u8) -> String {
    let (ip, port, event) = (media.ip(), media.port(), telephone_event);
    format!(
        "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 {event}\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:{event} telephone-event/8000\r\na=fmtp:{event} 0-16\r\na=ptime:20\r\n\
         a=sendrecv\r\n"
    )
}

/// What the other side says of its media.
#[derive(Debug, PartialEq, Eq)]
pub struct Audio {
    pub to: SocketAddrV4,
    pub a_law: bool,
    pub telephone_event: Option<u8>,
}

/// The first audio stream of an SDP; nothing when there is none for us.
pub fn audio(sdp: &str) -> Option<Audio> {
    let mut ip: Option<Ipv4Addr> = None;
    let mut found: Option<(u16, bool)> = None;
    let mut telephone_event = None;
    for line in sdp.lines() {
        if let Some(rest) = line.strip_prefix("m=") {
            if found.is_some() {
                break;
            }
            let mut words = rest.split(' ');
            if words.next() == Some("audio") {
                let port = words.next()?.parse().ok()?;
                found = Some((port, words.skip(1).any(|format| format == "8")));
            }
        } else if let Some(rest) = line.strip_prefix("c=IN IP4 ") {
            ip = rest.trim().parse().ok();
        } else if let Some((number, name)) = line.strip_prefix("a=rtpmap:").and_then(|r| r.split_once(' '))
            && name.starts_with("telephone-event/8000")
        {
            telephone_event = number.parse().ok();
        }
    }
    let (port, a_law) = found?;
    Some(Audio { to: SocketAddrV4::new(ip?, port), a_law, telephone_event })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:0201234567@127.0.0.1:5072 SIP/2.0\r\n\
        v: SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bKabc;rport\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKdef\r\n\
        From: \"A; B\" <sip:123@127.0.0.1;x=y>;tag=t1\r\nt: <sip:0201234567@127.0.0.1>\r\nCall-ID: c1@host\r\n\
        CSeq: 7 INVITE\r\nContact: <sip:127.0.0.1:5080;transport=udp>\r\n\r\n";

    #[test]
    fn a_request_is_read() {
        let message = Message::read(INVITE.as_bytes()).unwrap();
        assert_eq!((message.method(), message.status()), (Some("INVITE"), None));
        assert_eq!(parameter(message.get("Via"), "branch"), Some("z9hG4bKabc"));
        assert_eq!(user(address_uri(message.get("From"))), "123");
        assert_eq!(parameter(message.get("From"), "tag"), Some("t1"));
        assert_eq!(host(address_uri(message.get("Contact"))), Some("127.0.0.1:5080".parse().unwrap()));
        assert_eq!(message.cseq_method(), "INVITE");
    }

    #[test]
    fn a_response_carries_every_via_in_order_and_a_tag() {
        let message = Message::read(INVITE.as_bytes()).unwrap();
        let contact = "127.0.0.1:5072".parse().unwrap();
        let bytes = respond(&message, 180, "Ringing", "mine", contact, "");
        let response = Message::read(&bytes).unwrap();
        assert_eq!((response.status(), response.method()), (Some(180), None));
        assert_eq!(response.all("Via").collect::<Vec<_>>(), message.all("Via").collect::<Vec<_>>());
        assert_eq!(parameter(response.get("To"), "tag"), Some("mine"));
        assert_eq!(response.cseq_method(), "INVITE");
    }

    #[test]
    fn our_sdp_says_what_it_should() {
        let media = "127.20.0.3:6000".parse().unwrap();
        let wanted = Audio { to: media, a_law: true, telephone_event: Some(101) };
        assert_eq!(audio(&sdp(media, 1, 101)), Some(wanted));
    }

    #[test]
    fn an_sdp_without_audio_gives_none() {
        assert_eq!(audio("v=0\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n"), None);
        assert_eq!(audio(""), None);
    }

    #[test]
    fn rubbish_is_not_sip() {
        for data in [&b""[..], b"\r\n\r\n", b"\xff\xfe", b"GET / HTTP/1.1\r\n\r\n"] {
            assert!(Message::read(data).is_none());
        }
    }

    #[test]
    fn a_request_is_written_whole() {
        let dialog = Dialog {
            local: "127.0.0.1:5070".parse().unwrap(),
            call_id: "1@x".into(),
            own: "<sip:a@127.0.0.1>;tag=1".into(),
            other: "<sip:b@127.0.0.1>".into(),
            target: "sip:b@127.0.0.1:5080".into(),
            cseq: 3,
        };
        let bytes = request(&dialog, "BYE", "z9hG4bK1", "");
        let message = Message::read(&bytes).unwrap();
        assert_eq!((message.method(), message.uri()), (Some("BYE"), "sip:b@127.0.0.1:5080"));
        assert_eq!(message.get("CSeq"), "3 BYE");
        assert_eq!(message.get("Content-Length"), "0");
    }
}

//! RTP packets (RFC 3550 section 5.1): read without ever panicking, write the header of our own.

use std::ops::Range;

/// Octets of a header without contributing sources and extension.
pub const HEADER: usize = 12;

/// The fixed header of one packet, and where its payload lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: Range<usize>,
}

/// Read a packet; `None` if it is not well-formed RTP version 2 (RFC 3550 appendix A.1).
pub fn parse(data: &[u8]) -> Option<Packet> {
    let (&first, &second) = (data.first()?, data.get(1)?);
    if first >> 6 != 2 {
        return None;
    }
    let start = payload_start(data)?;
    let end = if first & 0x20 == 0 { data.len() } else { before_padding(data)? };
    (start <= end).then_some(())?;
    Some(Packet {
        marker: second & 0x80 != 0,
        payload_type: second & 0x7f,
        sequence: u16::from_be_bytes(field(data, 2)?),
        timestamp: u32::from_be_bytes(field(data, 4)?),
        ssrc: u32::from_be_bytes(field(data, 8)?),
        payload: start..end,
    })
}

/// Where the payload begins; that may be beyond the end of what is cut short.
pub fn payload_start(data: &[u8]) -> Option<usize> {
    let first = data.first()?;
    let start = HEADER + 4 * usize::from(first & 0x0f);
    if first & 0x10 == 0 { Some(start) } else { after_extension(data, start) }
}

/// RFC 3550 section 5.3.1: two octets of profile, two of length in words.
fn after_extension(data: &[u8], start: usize) -> Option<usize> {
    let words = u16::from_be_bytes(field(data, start + 2)?);
    Some(start + 4 + 4 * usize::from(words))
}

/// The last octet counts the padding, itself included.
fn before_padding(data: &[u8]) -> Option<usize> {
    let padding = usize::from(*data.last()?);
    (padding > 0).then(|| data.len().checked_sub(padding)).flatten()
}

fn field<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..at + N)?.try_into().ok()
}

/// Write the header of a packet of our own into the first twelve octets.
pub fn write_header(
    out: &mut [u8; HEADER],
    marker: bool,
    payload_type: u8,
    seq: u16,
    timestamp: u32,
    ssrc: u32,
) {
    out[0] = 0x80;
    out[1] = (u8::from(marker) << 7) | (payload_type & 0x7f);
    out[2..4].copy_from_slice(&seq.to_be_bytes());
    out[4..8].copy_from_slice(&timestamp.to_be_bytes());
    out[8..12].copy_from_slice(&ssrc.to_be_bytes());
}

/// Give a packet the payload type of the leg it goes to; `mark` sets the marker bit (RFC 3551 section 4.1), which
/// starts a talkspurt and lets the hearer's jitter buffer begin anew after a prompt.
pub fn readdress(data: &mut [u8], payload_type: u8, mark: bool) {
    if let Some(octet) = data.get_mut(1) {
        *octet = (*octet & 0x80) | (payload_type & 0x7f) | (u8::from(mark) << 7);
    }
}

/// Whether this is a compound of well-formed RTCP (RFC 3550 section 6.1 and appendix A.2): every part version 2 and a
/// known kind, the lengths filling the datagram.
pub fn is_rtcp(data: &[u8]) -> bool {
    let mut rest = data;
    while let [first, kind, high, low, ..] = *rest {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        if first >> 6 != 2 || !(192..=223).contains(&kind) || rest.len() < length {
            return false;
        }
        rest = &rest[length..];
    }
    rest.is_empty() && !data.is_empty()
}

/// Counts what a sender sent and we did not get, by sequence number (RFC 3550 appendix A.3).
#[derive(Debug, Default)]
pub struct Sequence {
    ssrc: Option<u32>,
    // 64 bits: a hostile sender that skips as far as it may is past 32 within the hour.
    first: u64,
    highest: u64,
    received: u64,
    lost_before: u64,
}

/// A jump of more than this is a sender that started again, not loss (RFC 3550 appendix A.1, MAX_DROPOUT).
const MAX_DROPOUT: u16 = 3000;

impl Sequence {
    pub fn saw(&mut self, ssrc: u32, sequence: u16) {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if self.ssrc != Some(ssrc) || (MAX_DROPOUT..u16::MAX - 100).contains(&ahead) {
            self.begin(ssrc, sequence);
        } else if ahead < MAX_DROPOUT {
            self.highest += u64::from(ahead);
        }
        self.received += 1;
    }

    fn begin(&mut self, ssrc: u32, sequence: u16) {
        self.lost_before = self.lost();
        self.ssrc = Some(ssrc);
        (self.first, self.highest, self.received) = (u64::from(sequence), u64::from(sequence), 0);
    }

    pub fn lost(&self) -> u64 {
        let expected = self.ssrc.map_or(0, |_| self.highest - self.first + 1);
        self.lost_before + expected.saturating_sub(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut data = vec![first, 8, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
        data.extend_from_slice(rest);
        data
    }

    #[test]
    fn reads_a_plain_packet() {
        let got = parse(&packet(0x80, b"audio")).expect("well formed");
        assert_eq!((got.payload_type, got.sequence, got.timestamp, got.ssrc), (8, 1, 160, 0x0102_0304));
        assert_eq!(got.payload, 12..17);
    }

    #[test]
    fn skips_sources_extension_and_padding() {
        let data = packet(0xb1, &[9, 9, 9, 9, 0xbe, 0xde, 0, 1, 7, 7, 7, 7, b'a', b'b', 0, 2]);
        assert_eq!(parse(&data).expect("well formed").payload, 24..26);
    }

    #[test]
    fn refuses_what_is_cut_short() {
        assert_eq!(parse(&packet(0x80, b"")[..11]), None);
        assert_eq!(parse(&packet(0x40, b"audio")), None, "version 1");
        assert_eq!(parse(&packet(0x82, b"only")), None, "two sources announced");
        assert_eq!(parse(&packet(0x90, &[0, 0, 0, 9])), None, "extension longer than the packet");
        assert_eq!(parse(&packet(0xa0, &[200])), None, "padding longer than the packet");
    }

    #[test]
    fn counts_loss_over_the_wrap_and_forgives_a_restart() {
        let mut seen = Sequence::default();
        [65534, 65535, 1, 2].iter().for_each(|s| seen.saw(7, *s));
        assert_eq!(seen.lost(), 1);
        seen.saw(7, 30000);
        seen.saw(8, 5);
        assert_eq!(seen.lost(), 1);
    }

    #[test]
    fn counts_loss_of_a_sender_that_skips_as_far_as_it_may_without_end() {
        let mut seen = Sequence::default();
        (0..1_500_000_u32).for_each(|i| seen.saw(7, i.wrapping_mul(2999) as u16));
        assert_eq!(seen.lost(), 2998 * 1_499_999);
    }

    #[test]
    fn tells_rtcp_from_noise() {
        assert!(is_rtcp(&[0x80, 201, 0, 1, 0, 0, 0, 1]));
        assert!(!is_rtcp(&[0x80, 201, 0, 2, 0, 0, 0, 1]));
        assert!(!is_rtcp(&[]));
        assert!(!is_rtcp(&[0x80, 8, 0, 0]));
    }

    proptest! {
        #[test]
        fn never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(got) = parse(&data) {
                prop_assert!(data.get(got.payload).is_some());
            }
            is_rtcp(&data);
        }

        #[test]
        fn loss_never_underflows(seen in proptest::collection::vec((0u32..2, any::<u16>()), 0..300)) {
            let mut sequence = Sequence::default();
            seen.iter().for_each(|(ssrc, s)| sequence.saw(*ssrc, *s));
            prop_assert!(sequence.lost() < 300 * 3001);
        }
    }
}

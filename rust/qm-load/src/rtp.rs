//! One RTP packet of 20 ms of A-law, with what is needed to know it again in its payload.
//!
//! A relay may rewrite SSRC, sequence and timestamp of RTP; it may not touch the audio. So the packet's own name (who
//! sent it, which one, when) travels in the first 22 bytes of the payload, and the rest must arrive as it left.

use std::net::Ipv4Addr;

use crate::speech;

pub const HEADER: usize = 12;
pub const PAYLOAD: usize = 160;
pub const PACKET: usize = HEADER + PAYLOAD;
pub const PCMA: u8 = 8;
const MAGIC: [u8; 4] = *b"qmL1";
const MARK: usize = 22;

/// Which phone a packet comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Customer = 0,
    Agent = 1,
}

pub const SIDES: [Side; 2] = [Side::Customer, Side::Agent];

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub side: Side,
    /// False in the last moments of a call, when a packet may rightly be lost to the BYE.
    pub counted: bool,
    pub phone: u32,
    pub sequence: u32,
    /// CLOCK_REALTIME just before it was handed to the kernel.
    pub sent: u64,
}

/// What an arriving packet turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    Ours(Mark),
    /// One of ours, but its audio is not what left.
    Damaged,
    /// A prompt, a tone or comfort noise: made by the program under test.
    Foreign,
}

/// Writes and recognises packets; holds the sound.
pub struct Codec {
    sound: Vec<u8>,
}

impl Codec {
    pub fn new() -> Self {
        let mut sound = speech::table();
        sound.extend_from_within(..PAYLOAD);
        Codec { sound }
    }

    fn audio(&self, mark: &Mark) -> &[u8] {
        let start = (mark.sequence as usize * PAYLOAD + mark.phone as usize * 37) % speech::LENGTH;
        &self.sound[start..start + PAYLOAD - MARK]
    }

    pub fn write(&self, mark: &Mark, packet: &mut [u8; PACKET]) {
        let ssrc = mark.phone << 1 | mark.side as u32 | 0x4000_0000;
        packet[0] = 0x80;
        packet[1] = PCMA | if mark.sequence == 0 { 0x80 } else { 0 };
        packet[2..4].copy_from_slice(&(mark.sequence as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&mark.sequence.wrapping_mul(PAYLOAD as u32).to_be_bytes());
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let payload = &mut packet[HEADER..];
        payload[..4].copy_from_slice(&MAGIC);
        payload[4] = mark.side as u8;
        payload[5] = mark.counted as u8;
        payload[6..10].copy_from_slice(&mark.phone.to_be_bytes());
        payload[10..14].copy_from_slice(&mark.sequence.to_be_bytes());
        payload[14..22].copy_from_slice(&mark.sent.to_be_bytes());
        payload[MARK..].copy_from_slice(self.audio(mark));
    }

    pub fn read(&self, data: &[u8]) -> Read {
        let Some(payload) = data.get(HEADER..) else { return Read::Foreign };
        if payload.len() != PAYLOAD || payload[..4] != MAGIC {
            return Read::Foreign;
        }
        let mark = Mark {
            side: if payload[4] == 0 { Side::Customer } else { Side::Agent },
            counted: payload[5] == 1,
            phone: u32::from_be_bytes(payload[6..10].try_into().expect("4 bytes")),
            sequence: u32::from_be_bytes(payload[10..14].try_into().expect("4 bytes")),
            sent: u64::from_be_bytes(payload[14..22].try_into().expect("8 bytes")),
        };
        if payload[4] > 1 || payload[5] > 1 || payload[MARK..] != *self.audio(&mark) {
            return Read::Damaged;
        }
        Read::Ours(mark)
    }
}

/// The address of a phone's media: the side's first address and onwards, one for each phone.
pub fn address(base: Ipv4Addr, phone: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(base).wrapping_add(phone))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Mark = Mark {
        side: Side::Agent,
        counted: true,
        phone: 70_000,
        sequence: 123_456,
        sent: 1_700_000_000_000_000_001,
    };

    #[test]
    fn what_was_written_is_read_back() {
        let codec = Codec::new();
        let mut packet = [0; PACKET];
        codec.write(&SOME, &mut packet);
        assert_eq!(codec.read(&packet), Read::Ours(SOME));
    }

    #[test]
    fn a_rewritten_rtp_header_changes_nothing() {
        let codec = Codec::new();
        let mut packet = [0; PACKET];
        codec.write(&SOME, &mut packet);
        packet[2..12].fill(7);
        assert_eq!(codec.read(&packet), Read::Ours(SOME));
    }

    #[test]
    fn every_single_changed_bit_of_audio_is_damage() {
        let codec = Codec::new();
        let mut packet = [0; PACKET];
        codec.write(&SOME, &mut packet);
        for at in HEADER + MARK..PACKET {
            packet[at] ^= 1;
            assert_eq!(codec.read(&packet), Read::Damaged, "byte {at}");
            packet[at] ^= 1;
        }
    }

    #[test]
    fn a_prompt_or_rubbish_is_foreign() {
        let codec = Codec::new();
        for data in [&[][..], &[0x80; 5], &[0xd5; PACKET], &[0; 1400]] {
            assert_eq!(codec.read(data), Read::Foreign);
        }
    }

    #[test]
    fn each_phone_has_its_own_address() {
        assert_eq!(address(Ipv4Addr::new(127, 20, 0, 255), 1), Ipv4Addr::new(127, 20, 1, 0));
    }
}

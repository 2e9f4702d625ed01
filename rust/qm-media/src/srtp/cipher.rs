//! One packet, encrypted and authenticated with session keys: AES in counter mode with HMAC-SHA1 (RFC 3711 sections 4.1
//! and 4.2), or AES-GCM (RFC 7714). In place, without an allocation.

use aes::{Aes128, Aes256};
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit as _};
use ctr::Ctr128BE;
use ctr::cipher::{InnerIvInit as _, StreamCipher as _};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use std::ops::Range;

/// Octets of an RTCP packet that stay readable: the first header, and who sent it.
pub const RTCP_HEADER: usize = 8;

const GCM_TAG: usize = 16;

/// AES as the suite wants it. Both clear their keys when dropped.
pub enum Block {
    Short(Aes128),
    Long(Aes256),
}

impl Block {
    /// `key`: 16 octets, or 32.
    pub fn new(key: &[u8]) -> Block {
        match Aes128::new_from_slice(key) {
            Ok(aes) => Block::Short(aes),
            Err(_) => Block::Long(Aes256::new_from_slice(key).expect("16 octets or 32")),
        }
    }

    /// Counter mode from `iv` on (RFC 3711 section 4.1.1).
    pub fn keystream(&self, iv: &[u8; 16], data: &mut [u8]) {
        let iv = iv.into();
        match self {
            Block::Short(aes) => {
                Ctr128BE::from_core(ctr::CtrCore::inner_iv_init(aes, iv)).apply_keystream(data);
            }
            Block::Long(aes) => {
                Ctr128BE::from_core(ctr::CtrCore::inner_iv_init(aes, iv)).apply_keystream(data);
            }
        }
    }
}

/// Half of a context, RTP's or RTCP's: what a packet is sealed and opened with.
pub enum Half {
    CounterMode { block: Box<Block>, salt: [u8; 14], auth: Hmac<Sha1>, tag: usize },
    Gcm128 { aead: Box<Aes128Gcm>, salt: [u8; 12] },
    Gcm256 { aead: Box<Aes256Gcm>, salt: [u8; 12] },
}

impl Half {
    pub fn counter_mode(key: &[u8], salt: &[u8], auth: &[u8], tag: usize) -> Half {
        let auth = Hmac::new_from_slice(auth).expect("a key of any length");
        Half::CounterMode {
            block: Box::new(Block::new(key)),
            salt: salt.try_into().expect("14 octets"),
            auth,
            tag,
        }
    }

    pub fn gcm(key: &[u8], salt: &[u8]) -> Half {
        let salt = salt.try_into().expect("12 octets");
        match Aes128Gcm::new_from_slice(key) {
            Ok(aead) => Half::Gcm128 { aead: Box::new(aead), salt },
            Err(_) => {
                let aead = Aes256Gcm::new_from_slice(key).expect("16 octets or 32");
                Half::Gcm256 { aead: Box::new(aead), salt }
            }
        }
    }

    /// Octets of its tag.
    pub fn tag(&self) -> usize {
        match self {
            Half::CounterMode { tag, .. } => *tag,
            _ => GCM_TAG,
        }
    }

    /// Where the index stands in an SRTCP packet of that length: before the tag, but with AEAD behind it (RFC 7714
    /// section 9.2).
    pub fn index_at(&self, length: usize) -> usize {
        match self {
            Half::CounterMode { tag, .. } => length.saturating_sub(tag + 4),
            _ => length.saturating_sub(4),
        }
    }

    /// `packet` ends with room for the tag; `body` is what is encrypted.
    pub fn seal(&self, packet: &mut [u8], body: Range<usize>, ssrc: u32, index: u64) {
        let (text, tag) = packet.split_at_mut(body.end);
        match self {
            Half::CounterMode { block, salt, auth, .. } => {
                block.keystream(&iv(salt, ssrc, index), &mut text[body.start..]);
                tag.copy_from_slice(&hmac(auth, text, (index >> 16) as u32)[..tag.len()]);
            }
            _ => {
                let (header, text) = text.split_at_mut(body.start);
                self.gcm_seal(&nonce_of(ssrc, index), header, text, tag);
            }
        }
    }

    /// The same back: false if it is not authentic, and then `packet` is as it was.
    pub fn open(&self, packet: &mut [u8], body: Range<usize>, ssrc: u32, index: u64) -> bool {
        let (text, tag) = packet.split_at_mut(body.end);
        match self {
            Half::CounterMode { block, salt, auth, .. } => {
                if !same(&hmac(auth, text, (index >> 16) as u32)[..tag.len()], tag) {
                    return false;
                }
                block.keystream(&iv(salt, ssrc, index), &mut text[body.start..]);
                true
            }
            _ => {
                let (header, text) = text.split_at_mut(body.start);
                self.gcm_open(&nonce_of(ssrc, index), header, text, tag)
            }
        }
    }

    /// `packet` ends with room for index and tag after `end`.
    pub fn seal_rtcp(&self, packet: &mut [u8], end: usize, ssrc: u32, trailer: u32) {
        let (text, rest) = packet.split_at_mut(end);
        let index = u64::from(trailer & !super::ENCRYPTED);
        match self {
            Half::CounterMode { block, salt, auth, .. } => {
                block.keystream(&iv(salt, ssrc, index), &mut text[RTCP_HEADER..]);
                let (word, tag) = rest.split_at_mut(4);
                word.copy_from_slice(&trailer.to_be_bytes());
                tag.copy_from_slice(&hmac(auth, text, trailer)[..tag.len()]);
            }
            _ => {
                let (header, text) = text.split_at_mut(RTCP_HEADER);
                let (tag, word) = rest.split_at_mut(GCM_TAG);
                word.copy_from_slice(&trailer.to_be_bytes());
                self.gcm_seal(&nonce_of(ssrc, index), &associated(header, trailer), text, tag);
            }
        }
    }

    /// The same back. One that was left unencrypted was not agreed on.
    pub fn open_rtcp(&self, packet: &mut [u8], end: usize, ssrc: u32, trailer: u32) -> bool {
        if trailer & super::ENCRYPTED == 0 {
            return false;
        }
        let (text, rest) = packet.split_at_mut(end);
        let index = u64::from(trailer & !super::ENCRYPTED);
        match self {
            Half::CounterMode { block, salt, auth, .. } => {
                let tag = &rest[4..];
                if !same(&hmac(auth, text, trailer)[..tag.len()], tag) {
                    return false;
                }
                block.keystream(&iv(salt, ssrc, index), &mut text[RTCP_HEADER..]);
                true
            }
            _ => {
                let (header, text) = text.split_at_mut(RTCP_HEADER);
                let header = associated(header, trailer);
                self.gcm_open(&nonce_of(ssrc, index), &header, text, &rest[..GCM_TAG])
            }
        }
    }

    fn gcm_seal(&self, nonce: &[u8; 12], header: &[u8], text: &mut [u8], tag: &mut [u8]) {
        let text = InOutBuf::from(text);
        let made = match self {
            Half::Gcm128 { aead, salt } => {
                aead.encrypt_inout_detached(&salted(nonce, salt).into(), header, text)
            }
            Half::Gcm256 { aead, salt } => {
                aead.encrypt_inout_detached(&salted(nonce, salt).into(), header, text)
            }
            Half::CounterMode { .. } => return,
        };
        tag.copy_from_slice(&made.expect("a packet is shorter than GCM's limit"));
    }

    fn gcm_open(&self, nonce: &[u8; 12], header: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        let text = InOutBuf::from(text);
        let Ok(tag) = <[u8; GCM_TAG]>::try_from(tag) else { return false };
        let opened = match self {
            Half::Gcm128 { aead, salt } => {
                aead.decrypt_inout_detached(&salted(nonce, salt).into(), header, text, &tag.into())
            }
            Half::Gcm256 { aead, salt } => {
                aead.decrypt_inout_detached(&salted(nonce, salt).into(), header, text, &tag.into())
            }
            Half::CounterMode { .. } => return false,
        };
        opened.is_ok()
    }
}

/// RFC 3711 section 4.1.1: salt, source and index, and 16 bits for the blocks of one packet.
pub(super) fn iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[4..8].copy_from_slice(&ssrc.to_be_bytes());
    iv[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
    iv.iter_mut().zip(salt).for_each(|(octet, salt)| *octet ^= salt);
    iv
}

/// RFC 7714 sections 8.1 and 9.1: source and index. SRTCP's index has no more than 31 bits.
fn nonce_of(ssrc: u32, index: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
    nonce
}

fn salted(nonce: &[u8; 12], salt: &[u8; 12]) -> [u8; 12] {
    std::array::from_fn(|i| nonce[i] ^ salt[i])
}

/// What of an SRTCP packet is authenticated without being encrypted (RFC 7714 section 9.2).
fn associated(header: &[u8], trailer: u32) -> [u8; RTCP_HEADER + 4] {
    let mut data = [0; RTCP_HEADER + 4];
    data[..RTCP_HEADER].copy_from_slice(header);
    data[RTCP_HEADER..].copy_from_slice(&trailer.to_be_bytes());
    data
}

/// RFC 3711 section 4.2: over the packet, and the rollover counter or SRTCP's index.
fn hmac(auth: &Hmac<Sha1>, text: &[u8], word: u32) -> [u8; 20] {
    let mut mac = auth.clone();
    mac.update(text);
    mac.update(&word.to_be_bytes());
    mac.finalize().into_bytes().into()
}

/// In constant time.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

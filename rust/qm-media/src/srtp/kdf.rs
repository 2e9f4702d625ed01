//! Session keys out of a master key (RFC 3711 section 4.3, with AES of the suite's size: RFC 6188 section 3, RFC 7714
//! section 11). Derived once: the key derivation rate is zero.

use super::cipher::{Block, Half};
use super::suite::Master;
use zeroize::Zeroizing;

/// What a session key is for; SRTCP's are three higher.
const ENCRYPTION: u8 = 0;
const AUTHENTICATION: u8 = 1;
const SALT: u8 = 2;
const RTCP: u8 = 3;

/// Octets of an HMAC-SHA1 key.
const AUTH_KEY: usize = 20;

/// The keys of RTP, and of RTCP.
pub fn derive(master: &Master) -> (Half, Half) {
    (half(master, false), half(master, true))
}

fn half(master: &Master, rtcp: bool) -> Half {
    let suite = master.suite;
    let label = |label| if rtcp { label + RTCP } else { label };
    let key = session_key(master, label(ENCRYPTION), suite.key());
    let salt = session_key(master, label(SALT), suite.salt());
    if suite.is_gcm() {
        return Half::gcm(&key, &salt);
    }
    let auth = session_key(master, label(AUTHENTICATION), AUTH_KEY);
    Half::counter_mode(&key, &salt, &auth, suite.tag(rtcp))
}

/// The keystream of the master key at label and salt. A salt of 96 bits stands on the left of 112.
pub(super) fn session_key(master: &Master, label: u8, length: usize) -> Zeroizing<Vec<u8>> {
    let mut iv = [0; 16];
    iv[..master.salt().len()].copy_from_slice(master.salt());
    iv[7] ^= label;
    let mut key = Zeroizing::new(vec![0; length]);
    Block::new(master.key()).keystream(&iv, &mut key);
    key
}

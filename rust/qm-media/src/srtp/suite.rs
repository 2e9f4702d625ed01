//! Crypto suites by their names in SDP (RFC 4568 section 6.2, RFC 6188, RFC 7714), and a master key as SDP carries it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use std::fmt;
use zeroize::Zeroizing;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Suite {
    #[serde(rename = "AES_CM_128_HMAC_SHA1_80")]
    Cm128Sha80,
    #[serde(rename = "AES_CM_128_HMAC_SHA1_32")]
    Cm128Sha32,
    #[serde(rename = "AES_256_CM_HMAC_SHA1_80")]
    Cm256Sha80,
    #[serde(rename = "AES_256_CM_HMAC_SHA1_32")]
    Cm256Sha32,
    #[serde(rename = "AEAD_AES_128_GCM")]
    Gcm128,
    #[serde(rename = "AEAD_AES_256_GCM")]
    Gcm256,
}

impl Suite {
    pub const ALL: [Suite; 6] = [
        Suite::Cm128Sha80,
        Suite::Cm128Sha32,
        Suite::Cm256Sha80,
        Suite::Cm256Sha32,
        Suite::Gcm128,
        Suite::Gcm256,
    ];

    /// Octets of a key.
    pub fn key(self) -> usize {
        match self {
            Suite::Cm128Sha80 | Suite::Cm128Sha32 | Suite::Gcm128 => 16,
            Suite::Cm256Sha80 | Suite::Cm256Sha32 | Suite::Gcm256 => 32,
        }
    }

    /// Octets of a salt.
    pub fn salt(self) -> usize {
        if self.is_gcm() { 12 } else { 14 }
    }

    pub fn is_gcm(self) -> bool {
        matches!(self, Suite::Gcm128 | Suite::Gcm256)
    }

    /// Octets of the tag after an RTP packet. After RTCP a short one is never used (RFC 4568 section 6.2.2).
    pub fn tag(self, rtcp: bool) -> usize {
        match self {
            Suite::Gcm128 | Suite::Gcm256 => 16,
            Suite::Cm128Sha32 | Suite::Cm256Sha32 if !rtcp => 4,
            _ => 10,
        }
    }
}

/// A master key with its salt. Cleared when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Master {
    pub suite: Suite,
    octets: Zeroizing<Vec<u8>>,
}

impl Master {
    /// What stands after `inline:`; `Err` names what is wrong with it, not what it is.
    pub fn read(suite: Suite, inline: &str) -> Result<Master, &'static str> {
        let engine = if inline.ends_with('=') { &STANDARD } else { &STANDARD_NO_PAD };
        let octets = Zeroizing::new(engine.decode(inline).map_err(|_| "bad-key")?);
        Master::new(suite, octets)
    }

    pub fn new(suite: Suite, octets: Zeroizing<Vec<u8>>) -> Result<Master, &'static str> {
        let fits = octets.len() == suite.key() + suite.salt();
        fits.then_some(Master { suite, octets }).ok_or("bad-key")
    }

    pub fn key(&self) -> &[u8] {
        &self.octets[..self.suite.key()]
    }

    pub fn salt(&self) -> &[u8] {
        &self.octets[self.suite.key()..]
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Master({:?}, private)", self.suite)
    }
}

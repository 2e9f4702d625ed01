//! Key presses as RTP (RFC 4733): read, reported once, passed on, never kept.

const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// Remembers which event was reported last: its end packet is sent three times (RFC 4733 section 2.5.1.4).
#[derive(Debug, Default)]
pub struct Keys {
    reported: Option<(u32, u32)>,
}

impl Keys {
    /// The key, when this payload is the first to say that its event has ended.
    pub fn read(&mut self, ssrc: u32, timestamp: u32, payload: &[u8]) -> Option<char> {
        let (&event, &flags) = (payload.first()?, payload.get(1)?);
        let ended = flags & 0x80 != 0 && payload.len() >= 4;
        if !ended || self.reported == Some((ssrc, timestamp)) {
            return None;
        }
        let key = *KEYS.get(usize::from(event))?;
        self.reported = Some((ssrc, timestamp));
        Some(char::from(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_key_is_reported_once_though_its_end_comes_thrice() {
        let mut keys = Keys::default();
        assert_eq!(keys.read(1, 800, &[10, 0x0a, 0, 160]), None);
        let ends: Vec<_> = (0..3).map(|_| keys.read(1, 800, &[10, 0x8a, 3, 32])).collect();
        assert_eq!(ends, [Some('*'), None, None]);
        assert_eq!(keys.read(1, 1600, &[9, 0x8a, 3, 32]), Some('9'));
    }

    proptest! {
        #[test]
        fn never_panics(payload in proptest::collection::vec(any::<u8>(), 0..8)) {
            Keys::default().read(1, 2, &payload);
        }
    }
}

//! Key presses as RTP (RFC 4733): read, reported once, passed on, never kept.

pub const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// Which event a packet is about: every packet of one event has its timestamp (RFC 4733 section 2.2).
pub type EventId = (u32, u32, u8);

/// What one telephone-event packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stroke {
    pub id: EventId,
    pub key: char,
    pub ended: bool,
}

/// Read a packet; `None` if it is cut short or no key (a hook flash, a line signal).
pub fn read(ssrc: u32, timestamp: u32, payload: &[u8]) -> Option<Stroke> {
    let &[event, flags, _, _, ..] = payload else { return None };
    let key = char::from(*KEYS.get(usize::from(event))?);
    Some(Stroke { id: (ssrc, timestamp, event), key, ended: flags & 0x80 != 0 })
}

/// Remembers which event was reported last: its end packet is sent three times (RFC 4733 section 2.5.1.4).
#[derive(Debug, Default)]
pub struct Keys {
    reported: Option<EventId>,
}

impl Keys {
    /// The key, when this packet is the first to say that its event has ended.
    pub fn ended(&mut self, stroke: Stroke) -> Option<char> {
        let first = stroke.ended && self.reported != Some(stroke.id);
        first.then(|| {
            self.reported = Some(stroke.id);
            stroke.key
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_key_is_reported_once_though_its_end_comes_thrice() {
        let mut keys = Keys::default();
        let mut see = |timestamp, payload| keys.ended(read(1, timestamp, payload).expect("a key"));
        assert_eq!(see(800, &[10, 0x0a, 0, 160]), None);
        assert_eq!([(); 3].map(|()| see(800, &[10, 0x8a, 3, 32])), [Some('*'), None, None]);
        assert_eq!(see(1600, &[9, 0x8a, 3, 32]), Some('9'));
    }

    #[test]
    fn a_hook_flash_is_no_key() {
        assert_eq!(read(1, 800, &[16, 0x8a, 3, 32]), None);
    }

    proptest! {
        #[test]
        fn never_panics(payload in proptest::collection::vec(any::<u8>(), 0..8)) {
            read(1, 2, &payload).and_then(|stroke| Keys::default().ended(stroke));
        }
    }
}

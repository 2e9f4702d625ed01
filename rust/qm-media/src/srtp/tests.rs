use super::cipher::{Block, iv};
use super::*;
use proptest::prelude::*;
use zeroize::Zeroizing;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let octet =
        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("hex");
    digits.chunks(2).map(octet).collect()
}

fn master(suite: Suite, key: &str, salt: &str) -> Master {
    Master::new(suite, Zeroizing::new([hex(key), hex(salt)].concat())).expect("of the suite's size")
}

fn some_master(suite: Suite, seed: u8) -> Master {
    let octets = (0..suite.key() + suite.salt()).map(|i| (i as u8).wrapping_mul(7) ^ seed).collect();
    Master::new(suite, Zeroizing::new(octets)).expect("of the suite's size")
}

fn sealed(sender: &mut Sender, packet: &[u8]) -> Vec<u8> {
    let mut out = [0; 400];
    let length = sender.seal(packet, &mut out).expect("sealed");
    sender.sent(packet);
    out[..length].to_vec()
}

fn sealed_rtcp(sender: &mut Sender, packet: &[u8]) -> Vec<u8> {
    let mut out = [0; 400];
    let length = sender.seal_rtcp(packet, &mut out).expect("sealed");
    out[..length].to_vec()
}

fn opened(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut data = packet.to_vec();
    let length = receiver.open(&mut data).inspect_err(|_| assert_eq!(data, packet, "left as it was"))?;
    Ok(data[..length].to_vec())
}

fn opened_rtcp(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut data = packet.to_vec();
    let length = receiver.open_rtcp(&mut data)?;
    Ok(data[..length].to_vec())
}

fn packet(ssrc: u32, sequence: u16, text: &[u8]) -> Vec<u8> {
    let mut data = vec![0x80, 8];
    data.extend_from_slice(&sequence.to_be_bytes());
    data.extend_from_slice(&[0, 0, 0, 160]);
    data.extend_from_slice(&ssrc.to_be_bytes());
    data.extend_from_slice(text);
    data
}

// ------------------------------------------------------------------------------------------- vectors

/// RFC 3711 appendix B.2.
#[test]
fn the_keystream_is_that_of_the_rfc() {
    let salt: [u8; 14] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().expect("14 octets");
    let mut stream = [0; 48];
    Block::new(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).keystream(&iv(&salt, 0, 0), &mut stream);
    let expected =
        "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
    assert_eq!(stream.to_vec(), hex(expected));
}

/// RFC 3711 appendix B.3 and RFC 6188 section 7.2.
#[test]
fn session_keys_are_those_of_the_rfcs() {
    let short = master(Suite::Cm128Sha80, "E1F97A0D3E018BE0D64FA32C06DE4139", "0EC675AD498AFEEBB6960B3AABE6");
    let derived = |master, label, length| kdf::session_key(master, label, length).to_vec();
    assert_eq!(derived(&short, 0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(&short, 2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let auth = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2";
    assert_eq!(derived(&short, 1, 94), hex(auth));
    let long = master(
        Suite::Cm256Sha80,
        "F0F04914B513F2763A1B1FA130F10E2998F6F6E43E4309D1E622A0E332B9F1B6",
        "3B04803DE51EE7C96423AB5B78D2",
    );
    let key = "5BA1064E30EC51613CAD926C5A28EF731EC7FB397F70A960653CAF06554CD8C4";
    assert_eq!(derived(&long, 0, 32), hex(key));
    assert_eq!(derived(&long, 2, 14), hex("FA31791685CA444A9E07C6C64E93"));
}

const QUID: &str = "517569642070726f2071756f";
const GALLIA: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573";
const MARS: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef deadbeef deadbeef";

/// RFC 7714 sections 16.1.1 and 16.2.1, which give session keys.
#[test]
fn gcm_is_that_of_the_rfc() {
    let short = "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce";
    let long = "32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13";
    for (key, expected) in [(0..16u8, short), (0..32u8, long)] {
        let half = Half::gcm(&key.collect::<Vec<_>>(), &hex(QUID));
        let plain = hex(GALLIA);
        let mut data = [plain.clone(), vec![0; 16]].concat();
        half.seal(&mut data, 12..plain.len(), 0x5501_a0b2, 0xf17b);
        assert_eq!(data[12..], hex(expected));
        assert!(half.open(&mut data, 12..plain.len(), 0x5501_a0b2, 0xf17b));
        assert_eq!(data[..plain.len()], plain);
    }
}

/// RFC 7714 sections 17.1 and 17.2.
#[test]
fn gcm_of_reports_is_that_of_the_rfc() {
    let short = "63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4";
    let long = "d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4";
    for (key, expected) in [(0..16u8, short), (0..32u8, long)] {
        let half = Half::gcm(&key.collect::<Vec<_>>(), &hex(QUID));
        let plain = hex(MARS);
        let mut data = [plain.clone(), vec![0; 20]].concat();
        half.seal_rtcp(&mut data, plain.len(), 0x4d61_7273, 0x5d4 | ENCRYPTED);
        assert_eq!(data[8..], hex(expected));
        assert!(half.open_rtcp(&mut data, plain.len(), 0x4d61_7273, 0x5d4 | ENCRYPTED));
        assert_eq!(data[..plain.len()], plain);
    }
}

/// Whole packets as libsrtp, which most peers are built on, makes them of master keys.
#[test]
fn packets_are_those_of_the_reference_implementation() {
    let (rtp, rtcp) = ("800f1234decafbadcafebabe", "81c8000bcafebabe");
    let text = "abababababababababababababababab";
    let cm = master(Suite::Cm128Sha80, "e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6");
    let gcm = master(Suite::Gcm128, "000102030405060708090a0b0c0d0e0f", "a0a1a2a3a4a5a6a7a8a9aaab");
    let long = "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6";
    let long = master(Suite::Cm256Sha80, long, "3b04803de51ee7c96423ab5b78d2");
    let cases = [
        (&cm, "4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"),
        (&gcm, "c5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392"),
        (&long, "f1d9de17ff251ff1aa007774b0b4b40da08d9d9a5b3a55d8873b"),
    ];
    for (master, expected) in cases {
        let plain = hex(&format!("{rtp}{text}"));
        let cipher = sealed(&mut Sender::new(master), &plain);
        assert_eq!(cipher[12..], hex(expected));
        assert_eq!(opened(&mut Receiver::new(master), &cipher), Ok(plain));
    }
    let cases = [
        (&cm, "7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"),
        (&gcm, "c98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001"),
    ];
    for (master, expected) in cases {
        let plain = hex(&format!("{rtcp}{text}"));
        let cipher = sealed_rtcp(&mut Sender::new(master), &plain);
        assert_eq!(cipher[8..], hex(expected));
        assert_eq!(opened_rtcp(&mut Receiver::new(master), &cipher), Ok(plain));
    }
}

// ----------------------------------------------------------------------------------------- behaviour

#[test]
fn a_copy_is_opened_once() {
    for suite in Suite::ALL {
        let master = some_master(suite, 1);
        let (mut sender, mut receiver) = (Sender::new(&master), Receiver::new(&master));
        let rtp = sealed(&mut sender, &packet(7, 1, b"hello"));
        assert!(opened(&mut receiver, &rtp).is_ok());
        assert_eq!(opened(&mut receiver, &rtp), Err(Refused::Replayed));
        let rtcp = sealed_rtcp(&mut sender, &[0x80, 201, 0, 1, 0, 0, 0, 7]);
        assert!(opened_rtcp(&mut receiver, &rtcp).is_ok());
        assert_eq!(opened_rtcp(&mut receiver, &rtcp), Err(Refused::Replayed));
    }
}

#[test]
fn what_left_already_does_not_leave_again() {
    let mut sender = Sender::new(&some_master(Suite::Gcm128, 1));
    let first = packet(7, 1, b"one text");
    sealed(&mut sender, &first);
    let again = packet(7, 1, b"another!");
    assert_eq!(sender.seal(&again, &mut [0; 200]), Err(Refused::Replayed), "under the same index");
    let unsent = packet(7, 2, b"held up");
    sender.seal(&unsent, &mut [0; 200]).expect("sealed");
    sender.seal(&unsent, &mut [0; 200]).expect("it has not left yet");
}

#[test]
fn a_new_key_goes_on_counting_or_begins_anew_as_the_sender_likes() {
    let (old, new) = (some_master(Suite::Cm128Sha80, 1), some_master(Suite::Cm128Sha80, 2));
    let mut receiver = Receiver::new(&old);
    let mut sender = Sender::new(&old);
    for sequence in [65_000, 65_535, 5, 6] {
        assert!(opened(&mut receiver, &sealed(&mut sender, &packet(7, sequence, b"x"))).is_ok());
    }
    let carried = {
        let mut sender = Sender::new(&new);
        sender.streams = Streams::default();
        sender.streams.commit(7, 65_536 + 6);
        sealed(&mut sender, &packet(7, 7, b"on"))
    };
    assert_eq!(opened(&mut Receiver::after(&new, &receiver), &carried), Ok(packet(7, 7, b"on")));
    let anew = sealed(&mut Sender::new(&new), &packet(7, 7, b"anew"));
    assert_eq!(opened(&mut Receiver::after(&new, &receiver), &anew), Ok(packet(7, 7, b"anew")));
}

#[test]
fn a_source_that_was_elsewhere_before_is_found_where_it_stands() {
    let master = some_master(Suite::Gcm128, 1);
    let mut sender = Sender::new(&master);
    sender.streams.commit(7, 3 << 16 | 40_000);
    let mut receiver = Receiver::new(&master);
    for sequence in [40_001, 40_002] {
        let plain = packet(7, sequence, b"moved");
        assert_eq!(opened(&mut receiver, &sealed(&mut sender, &plain)), Ok(plain));
    }
}

#[test]
fn a_report_left_readable_was_not_agreed_on() {
    let mut receiver = Receiver::new(&some_master(Suite::Cm128Sha80, 1));
    let mut data = [0x80, 201, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1].to_vec();
    data.extend_from_slice(&[0; 10]);
    assert_eq!(opened_rtcp(&mut receiver, &data), Err(Refused::NotAuthentic));
}

#[test]
fn a_key_is_of_its_suites_size_and_is_never_printed() {
    let inline = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let master = Master::read(Suite::Cm128Sha32, inline).expect("30 octets (RFC 4568 section 9.2)");
    assert_eq!(Master::read(Suite::Gcm128, inline), Err("bad-key"));
    assert_eq!(Master::read(Suite::Cm128Sha32, "not base64!"), Err("bad-key"));
    assert_eq!(format!("{master:?}"), "Master(Cm128Sha32, private)");
    let printed = format!("{:?} {:?}", Sender::new(&master), Receiver::new(&master));
    assert_eq!(printed, "Sender(private) Receiver(private)");
}

fn suites() -> impl Strategy<Value = Suite> {
    proptest::sample::select(&Suite::ALL[..])
}

proptest! {
    /// Loss, reordering within the window, copies, two sources, over the wrap: what arrives first is what was sent.
    #[test]
    fn what_is_sealed_is_opened_once(
        suite in suites(),
        first in any::<u16>(),
        order in proptest::collection::vec((0usize..120, any::<bool>()), 1..200),
    ) {
        let master = some_master(suite, 3);
        let (mut sender, mut receiver) = (Sender::new(&master), Receiver::new(&master));
        let sent: Vec<_> = (0..120u16)
            .flat_map(|n| [7u32, 8].map(|ssrc| packet(ssrc, first.wrapping_add(n), &n.to_be_bytes())))
            .map(|plain| (sealed(&mut sender, &plain), plain))
            .collect();
        let mut seen = std::collections::HashSet::new();
        // The first of each source arrives first: whatever comes before an unknown first packet cannot be placed.
        for at in [0, 1].into_iter().chain(order.iter().map(|(n, second)| n * 2 + usize::from(*second))) {
            let (cipher, plain) = &sent[at];
            let expected = if seen.insert(at) { Ok(plain.clone()) } else { Err(Refused::Replayed) };
            prop_assert_eq!(opened(&mut receiver, cipher), expected);
        }
    }

    /// One bit anywhere, and it is not opened; nor by another key, and nothing is different afterwards.
    #[test]
    fn what_was_touched_is_not_opened(suite in suites(), at in 0usize..1000, bit in 0u8..8) {
        let master = some_master(suite, 4);
        let (mut sender, mut receiver) = (Sender::new(&master), Receiver::new(&master));
        let cipher = sealed(&mut sender, &packet(7, 9, &[0x55; 160]));
        let mut touched = cipher.clone();
        let at = at % touched.len();
        touched[at] ^= 1 << bit;
        prop_assert!(opened(&mut receiver, &touched).is_err());
        let other = some_master(suite, 5);
        prop_assert_eq!(opened(&mut Receiver::new(&other), &cipher), Err(Refused::NotAuthentic));
        prop_assert_eq!(opened(&mut receiver, &cipher), Ok(packet(7, 9, &[0x55; 160])));
        let report = sealed_rtcp(&mut sender, &[0x80, 201, 0, 2, 0, 0, 0, 7, 1, 2, 3, 4]);
        let mut touched = report.clone();
        let at = at % touched.len();
        touched[at] ^= 1 << bit;
        prop_assert!(opened_rtcp(&mut receiver, &touched).is_err());
        prop_assert!(opened_rtcp(&mut receiver, &report).is_ok());
    }

    #[test]
    fn hostile_bytes_never_panic(suite in suites(), data in proptest::collection::vec(any::<u8>(), 0..200)) {
        let master = some_master(suite, 6);
        let mut receiver = Receiver::new(&master);
        prop_assert!(opened(&mut receiver, &data).is_err());
        prop_assert!(opened_rtcp(&mut receiver, &data).is_err());
        let mut sender = Sender::new(&master);
        let _ = sender.seal(&data, &mut [0; 100]);
        let _ = sender.seal_rtcp(&data, &mut [0; 100]);
    }
}

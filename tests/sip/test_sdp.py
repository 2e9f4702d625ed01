"""Session descriptions: nothing lost, little changed, nothing of the other side's given away."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm_sip.sip.sdp import (
    Direction,
    OriginOf,
    Sdp,
    SdpError,
    answer,
    keep_formats,
    offer,
    rewrite_origin,
    with_direction,
    with_media,
)

PHONE = """v=0
o=alice.private 4711 1 IN IP4 10.0.0.7
s=a call
i=unused
c=IN IP4 10.0.0.7
b=AS:84
t=0 0
a=x-unknown:kept
m=audio 4000 RTP/AVP 9 8 0 96 101 13
c=IN IP4 10.0.0.8
a=rtpmap:9 G722/8000
a=rtpmap:8 pcma/8000
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:101 Telephone-Event/8000
a=fmtp:101 0-16
a=rtcp-fb:96 nack
a=rtcp:4009 IN IP4 10.0.0.8
a=candidate:1 1 UDP 2130706431 10.0.0.8 4000 typ host
a=ice-ufrag:x
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret
a=ptime:20
a=label:1
a=sendonly
m=video 5000 RTP/AVP 97
a=rtpmap:97 H264/90000
m=image 5002 udptl t38
a=T38FaxVersion:0
""".replace("\n", "\r\n").encode()


def parsed(text: bytes = PHONE) -> Sdp:
    return Sdp.parse(text)


def test_it_leaves_as_it_came() -> None:
    for data in (PHONE, PHONE.replace(b"\r\n", b"\n"), PHONE[:-2], PHONE.replace(b"s=a call", b"s=caf\xe9")):
        assert parsed(data).to_bytes() == data


def test_the_views() -> None:
    sdp = parsed()
    audio = sdp.audio
    assert audio is not None
    assert sdp.origin.session_id == "4711" and sdp.connection == "10.0.0.7"
    assert (sdp.address_of(audio), audio.port, audio.rtcp_port, audio.ptime) == ("10.0.0.8", 4000, 4009, 20)
    assert [(f.payload_type, f.name) for f in audio.codecs] == [
        (9, "G722"),
        (8, "PCMA"),
        (0, "PCMU"),
        (96, "OPUS"),
        (101, "telephone-event"),
        (13, "CN"),
    ]
    assert sdp.direction_of(audio) is Direction.SENDONLY and Direction.SENDONLY.mirrored is Direction.RECVONLY
    assert [m.kind for m in sdp.media] == ["audio", "video", "image"] and not sdp.media[2].codecs


def test_only_what_we_speak_is_left_with_its_lines() -> None:
    text = keep_formats(parsed()).to_bytes().decode()
    assert "m=audio 4000 RTP/AVP 8 0 101\r\n" in text
    for gone in ("G722", "opus", "useinbandfec", "rtcp-fb"):
        assert gone not in text
    for kept in ("a=rtpmap:8 pcma/8000", "a=fmtp:101 0-16", "a=x-unknown:kept", "a=label:1", "m=video 5000"):
        assert kept in text


def test_no_voice_in_common_is_an_error() -> None:
    for formats in (b"m=audio 4000 RTP/AVP 9 96", b"m=audio 4000 RTP/AVP 101", b"m=audio 4000 RTP/AVP"):
        with pytest.raises(SdpError):
            keep_formats(parsed(PHONE.replace(b"m=audio 4000 RTP/AVP 9 8 0 96 101 13", formats)))


def test_a_wideband_codec_under_our_name_is_not_ours() -> None:
    data = PHONE.replace(b"a=rtpmap:8 pcma/8000", b"a=rtpmap:8 PCMA/16000")
    assert [f.name for f in (keep_formats(parsed(data)).audio or pytest.fail()).codecs] == [
        "PCMU",
        "telephone-event",
    ]


def test_our_media_takes_the_place_of_theirs_and_nothing_of_theirs_shows() -> None:
    sdp = with_media(rewrite_origin(parsed(), 5, 6, "192.0.2.9"), "192.0.2.9", 6000, 6001)
    text = sdp.to_bytes().decode()
    for gone in ("10.0.0", "alice", "candidate", "ice-ufrag", "crypto", "secret", "a=rtcp:"):
        assert gone not in text
    assert "o=- 5 6 IN IP4 192.0.2.9\r\n" in text and "m=audio 6000 RTP/AVP 9 8 0" in text
    assert [m.port for m in sdp.media] == [6000, 0, 0]
    assert sdp.direction_of(sdp.media[0]) is Direction.SENDONLY


def test_an_odd_rtcp_port_is_said() -> None:
    assert "a=rtcp:7000 IN IP4 192.0.2.9" in with_media(parsed(), "192.0.2.9", 6000, 7000).to_bytes().decode()


def test_ipv6_is_ip6() -> None:
    text = with_media(rewrite_origin(parsed(), 1, 1, "2001:db8::9"), "2001:db8::9", 6000).to_bytes().decode()
    assert "o=- 1 1 IN IP6 2001:db8::9" in text and "c=IN IP6 2001:db8::9" in text


def test_c_is_added_where_it_was_only_in_the_media() -> None:
    data = PHONE.replace(b"c=IN IP4 10.0.0.7\r\n", b"")
    lines = with_media(parsed(data), "192.0.2.9", 6000).to_bytes().decode().split("\r\n")
    assert lines.index("c=IN IP4 192.0.2.9") == lines.index("b=AS:84") - 1


def test_an_answer_has_as_many_streams_and_the_offerers_numbers() -> None:
    made = answer(parsed(), 7, 8, "192.0.2.9", 6000)
    assert [m.port for m in made.media] == [6000, 0, 0]
    assert [(f.payload_type, f.name) for f in made.media[0].codecs] == [
        (8, "PCMA"),
        (0, "PCMU"),
        (101, "telephone-event"),
    ]
    assert made.direction_of(made.media[0]) is Direction.RECVONLY
    assert Sdp.parse(made.to_bytes()) == made
    assert answer(parsed(), 7, 8, "192.0.2.9", 6000, direction=Direction.INACTIVE).audio is not None


def test_an_offer_of_our_own() -> None:
    made = offer(1, 2, "192.0.2.9", 6000)
    assert made.audio is not None and [f.payload_type for f in made.audio.codecs] == [8, 0, 101]
    assert Sdp.parse(made.to_bytes()) == made
    assert answer(made, 3, 3, "192.0.2.10", 7000).media[0].port == 7000


@pytest.mark.parametrize("nowhere", [b"c=IN IP4 0.0.0.0", b"c=IN IP6 ::"])
def test_hold_of_old_is_hold(nowhere: bytes) -> None:
    sdp = parsed(PHONE.replace(b"c=IN IP4 10.0.0.8", nowhere).replace(b"a=sendonly\r\n", b""))
    assert sdp.audio is not None and sdp.direction_of(sdp.audio) is Direction.SENDONLY


def test_direction_is_set_once() -> None:
    text = with_direction(
        parsed(PHONE.replace(b"t=0 0", b"t=0 0\r\na=inactive")), Direction.SENDRECV
    ).to_bytes()
    assert text.count(b"a=sendrecv") == 1 and b"a=sendonly" not in text and b"a=inactive" not in text


def test_our_version_goes_up_only_on_change() -> None:
    ours = OriginOf(100)
    first = ours.stamp(parsed(), "192.0.2.9")
    moved = PHONE.replace(b"alice.private 4711 1", b"alice.private 4711 2")
    assert ours.stamp(parsed(moved), "192.0.2.9") == first
    changed = ours.stamp(parsed(PHONE.replace(b"m=audio 4000", b"m=audio 4002")), "192.0.2.9")
    assert (first.origin.version, changed.origin.version) == ("100", "101")
    assert first.origin.session_id == changed.origin.session_id == "100"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"v=1\r\n",
        b"v=0\r\ns=-\r\n",
        PHONE.replace(b"m=audio 4000", b"m=audio x"),
        PHONE.replace(b"m=audio 4000", b"m=audio 70000"),
        PHONE.replace(b"m=audio 4000 RTP/AVP", b"m=audio\r\nx="),
        PHONE.replace(b"c=IN IP4 10.0.0.8", b"c=IN"),
        PHONE.replace(b"o=alice.private 4711 1 IN IP4 10.0.0.7", b"o=alice"),
        PHONE.replace(b"s=a call", b"no letter"),
        b"v=0\r\n" + b"a=x\r\n" * 3_000,
        b"v=0\r\n" + b"a" * 70_000,
    ],
)
def test_what_we_cannot_read_is_one_error(data: bytes) -> None:
    with pytest.raises(SdpError):
        parsed(data)


@pytest.mark.parametrize(
    "made", [with_media, lambda s, a, p: keep_formats(s), lambda s, a, p: answer(s, 1, 1, a, p)]
)
def test_without_audio_there_is_nothing_to_do(made: object) -> None:
    with pytest.raises(SdpError):
        made(
            parsed(b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\nm=image 5002 udptl t38\r\n"),
            "1.2.3.4",
            6000,
        )  # type: ignore[operator]


LETTERS = st.sampled_from("iuepbzkart")
LINES = st.lists(
    st.tuples(LETTERS, st.text(st.characters(blacklist_characters="\r\n", codec="utf-8"), max_size=20)),
    max_size=6,
)


@settings(deadline=None)
@given(
    LINES, st.lists(st.tuples(st.sampled_from(["audio", "video"]), st.integers(0, 65535), LINES), max_size=4)
)
def test_every_line_keeps_its_place(
    session: list[tuple[str, str]], media: list[tuple[str, int, list[tuple[str, str]]]]
) -> None:
    lines = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", *(f"{k}={v}" for k, v in session)]
    for kind, port, more in media:
        lines += [f"m={kind} {port} RTP/AVP 0 8", "c=IN IP4 192.0.2.1", *(f"{k}={v}" for k, v in more)]
    data = "\r\n".join([*lines, ""]).encode()
    sdp = Sdp.parse(data)
    assert sdp.to_bytes() == data
    assert rewrite_origin(sdp, 1, 1, "192.0.2.1").to_bytes() == data
    assert len(sdp.media) == len(media)

"""Voices: which a call may use, what goes with them, and under which numbers a leg knows them."""

from __future__ import annotations

import pytest

from qm_sip.sip.codecs import EVERY, Voices, voices_named
from qm_sip.sip.sdp import Sdp, SdpError, answer, keep_formats, offer, with_numbers_of

ALL = (
    "m=audio 4000 RTP/AVP 96 9 0 8 97 18 98 101 102 13 99",
    "a=rtpmap:96 opus/48000/2",
    "a=fmtp:96 useinbandfec=1",
    "a=rtpmap:97 L16/16000",
    "a=rtpmap:98 L16/16000/2",
    "a=rtpmap:99 red/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=rtpmap:102 telephone-event/48000",
    "a=fmtp:102 0-16",
)


def described(*lines: str) -> Sdp:
    head = ("v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0")
    return Sdp.parse("".join(f"{line}\r\n" for line in (*head, *lines)).encode())


def numbers(sdp: Sdp) -> list[int]:
    assert sdp.audio is not None
    return [int(word) for word in sdp.audio.formats]


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ((), [96, 9, 0, 8, 101, 102, 13]),
        (("PCMA",), [8, 101, 13]),
        (("opus",), [96, 102]),
        (("PCMA", "opus"), [8, 96, 101, 102, 13]),
        (("L16",), [97, 101]),
        (("G722", "PCMU"), [9, 0, 101, 13]),
    ],
)
def test_the_lines_codecs_are_left_in_its_order_with_events_of_their_clock(
    wanted: tuple[str, ...], left: list[int]
) -> None:
    voices = voices_named(wanted)
    assert numbers(keep_formats(described(*ALL), voices.kept, ordered=voices.ordered)) == left


def test_red_video_codecs_and_two_channels_are_negotiated_away() -> None:
    text = keep_formats(described(*ALL), EVERY.kept).to_bytes().decode()
    assert not {"a=rtpmap:99", "a=rtpmap:98"} & set(text.split(" "))
    with pytest.raises(SdpError):
        keep_formats(described("m=audio 4000 RTP/AVP 99", "a=rtpmap:99 red/8000"), EVERY.kept)


@pytest.mark.parametrize(
    ("formats", "wanted", "best"),
    [
        ("96 9 0 8", (), "PCMU"),  # of the two laws his first
        ("96 9", (), "OPUS"),
        ("96 9 0 8", ("opus", "PCMA"), "OPUS"),
        ("96 9 0 8", ("PCMA", "PCMU"), "PCMA"),
        ("18", (), None),
    ],
)
def test_what_we_answer_with_ourselves(formats: str, wanted: tuple[str, ...], best: str | None) -> None:
    sdp = described(f"m=audio 4000 RTP/AVP {formats}", *ALL[1:])
    assert sdp.audio is not None
    found = voices_named(wanted).best(sdp.audio.codecs)
    assert (found.name if found else None) == best


def test_a_leg_keeps_the_numbers_it_gave() -> None:
    theirs = described(
        "m=audio 4000 RTP/AVP 111 110", "a=rtpmap:111 opus/48000/2", "a=rtpmap:110 telephone-event/48000"
    )
    text = (
        with_numbers_of(keep_formats(described(*ALL), ("OPUS", "telephone-event")), theirs)
        .to_bytes()
        .decode()
    )
    assert "m=audio 4000 RTP/AVP 111 110\r\n" in text
    assert "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n" in text
    assert "a=rtpmap:110 telephone-event/48000\r\na=fmtp:110 0-16\r\n" in text


def test_a_number_that_means_something_else_to_him_is_given_to_nobody() -> None:
    theirs = described("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 telephone-event/48000")
    ours = keep_formats(described(*ALL), ("OPUS", "telephone-event"))
    found = with_numbers_of(ours, theirs)
    assert len(set(numbers(found))) == 2
    assert 96 in numbers(found)
    assert [one.name for one in found.audio.codecs if one.payload_type == 96] == ["telephone-event"]  # type: ignore[union-attr]


def test_our_own_offer_and_answer_name_clock_and_channels() -> None:
    ours = offer(1, 1, "192.0.2.9", 6000, names=(*Voices().names, "telephone-event")).to_bytes().decode()
    assert "m=audio 6000 RTP/AVP 8 0 9 96 101 102\r\n" in ours
    assert "a=rtpmap:96 opus/48000/2\r\n" in ours and "a=rtpmap:102 telephone-event/48000\r\n" in ours
    agreed = answer(described(*ALL), 1, 1, "192.0.2.9", 6000, names=("OPUS", "telephone-event"))
    assert numbers(agreed) == [96, 102]

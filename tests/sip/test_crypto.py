"""a=crypto: which lines are taken, and that their keys are shown nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.call.security import Security
from qm_sip.sip.crypto import KEY_OCTETS, offered, without_keys
from qm_sip.sip.sdp import Sdp, offer
from qm_sip.sip.sdp_model import Media
from qm_sip.trace.pseudonyms import Pseudonyms
from qm_sip.trace.redact_sdp import redact_sdp

CM, GCM = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"  # RFC 4568 section 9.2
SHORT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw=="


def stream(*lines: str, profile: str = "RTP/SAVP") -> Media:
    return Media((f"m=audio 4000 {profile} 8", *(f"a=crypto:{line}" for line in lines)))


@pytest.mark.parametrize(
    "line",
    [
        f"1 {CM} inline:{KEY}",
        f"999999999 {CM} inline:{KEY}|2^20|1:4".replace("|2^20|1:4", "|2^48"),
        f"1  {CM}  inline:{KEY}|1000000000",
        f"1 {CM} INLINE:{KEY} WSH=128",
        f"1 {GCM} inline:{SHORT}",
        f"1 {GCM} inline:{SHORT.rstrip('=')}",
    ],
)
def test_what_can_be_obeyed_is_taken(line: str) -> None:
    (found,) = offered(stream(line), KEY_OCTETS)
    assert found.suite in line
    assert found.key.reveal() in (KEY, SHORT, SHORT.rstrip("="))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1",
        f"1 {CM}",
        f"x {CM} inline:{KEY}",
        f"1 {CM} uri:{KEY}",
        f"1 {CM} inline:{KEY}|2^20",
        f"1 {CM} inline:{KEY}|1048576",
        f"1 {CM} inline:{KEY}|1:4",
        f"1 {CM} inline:{KEY}|2^31|1:1",
        f"1 {CM} inline:{KEY};inline:{KEY}",
        f"1 {CM} inline:{KEY} KDR=1",
        f"1 {CM} inline:{KEY} UNENCRYPTED_SRTCP",
        f"1 {CM} inline:{KEY} UNAUTHENTICATED_SRTP",
        f"1 {CM} inline:{SHORT}",
        f"1 {CM} inline:{KEY[:-1]}!",
        f"1 F8_128_HMAC_SHA1_80 inline:{KEY}",
    ],
)
def test_what_cannot_is_as_if_it_were_not_there(line: str) -> None:
    assert offered(stream(line), KEY_OCTETS) == []
    assert Security("require", KEY_OCTETS).problem(stream(line)) == "encrypted"


def test_the_first_that_is_allowed_is_chosen_and_answered_under_its_tag() -> None:
    theirs = offer(1, 1, "192.0.2.1", 4000).with_media_at(
        0, stream(f"1 {CM} inline:{KEY}|1:4", f"2 {GCM} inline:{SHORT}", f"3 {CM} inline:{KEY}")
    )
    ours = offer(2, 1, "192.0.2.2", 5000)
    for suites, tag, suite in [((CM, GCM), "2", GCM), ((CM,), "3", CM)]:
        audio = Security("opportunistic", suites).sealed(ours, "answer", theirs).audio
        assert audio is not None
        (line,) = audio.attributes("crypto")
        assert line.split()[:2] == [tag, suite]
        assert audio.protocol == "RTP/SAVP"
        assert KEY not in line


def test_an_offer_has_a_key_for_each_suite_and_the_same_ones_again() -> None:
    security, plain = Security("offer", (CM, GCM)), offer(2, 1, "192.0.2.2", 5000)
    first, again = (security.sealed(plain, "offer", None) for _ in range(2))
    assert first == again
    assert first.audio is not None
    lines = first.audio.attributes("crypto")
    assert [line.split()[:2] for line in lines] == [["1", CM], ["2", GCM]]
    assert security.renewed().sealed(plain, "offer", None) != first


@given(st.text(alphabet="0123456789 |^:;=ABWSHinlieAEScm_128+/\t", max_size=80))
def test_no_line_is_more_than_passed_over(text: str) -> None:
    for crypto in offered(stream(text), KEY_OCTETS):
        assert crypto.suite in KEY_OCTETS


def test_keys_are_taken_out_octet_for_octet() -> None:
    text = f"m=audio 1 RTP/SAVP 8\r\na=crypto:1 {CM} inline:{KEY}|2^31\r\na=key-mgmt:mikey {KEY}\r\nk=base64:{KEY}\r\n"
    found = without_keys(text.encode())
    assert len(found) == len(text)
    assert KEY.encode() not in found
    assert b"|2^31\r\n" in found
    plain = b"a=sendrecv\r\n"
    assert without_keys(plain) is plain


def test_no_repr_and_no_redacted_description_shows_a_key() -> None:
    sdp = offer(1, 1, "192.0.2.1", 4000).with_media_at(0, stream(f"1 {CM} inline:{KEY}"))
    shown = [repr(sdp), str(sdp), repr(sdp.media), repr(offered(sdp.media[0], KEY_OCTETS))]
    shown.append(redact_sdp(sdp.to_bytes(), Pseudonyms()).decode())
    assert not [text for text in shown if KEY in text or "192.0.2.1" in text]
    assert Sdp.parse(sdp.to_bytes()) == sdp

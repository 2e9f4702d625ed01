"""Nobody is in what is shown: whatever names are planted in a message, none of them comes out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qm_sip.sip.message import parse
from qm_sip.sip.sdp_model import Sdp
from qm_sip.trace.ladder import draw, rows, sdp_of
from qm_sip.trace.pseudonyms import Pseudonyms
from qm_sip.trace.redact import heading, redact, without_secrets
from qm_sip.trace.store import Line
from tests.call.world import PBX, QM
from tests.torture.messages import MESSAGES

USERS = ("31612345678", "jan.jansen", "anna-de-vries")
HOSTS = ("pbx.klinkers-zorg.example", "10.77.66.55", "fd00:77::66")
NAMES = ("Jan Jansen", "Klinkers Zorg", "Ondernemingsraad")
SECRETS = (*USERS, *HOSTS, *NAMES)
ADDRESSED = ("From", "To", "Contact", "Route", "Record-Route", "P-Asserted-Identity", "Diversion", "Refer-To")
FREE = (
    "X-Account",
    "User-Agent",
    "Subject",
    "Organization",
    "Call-Info",
    "Alert-Info",
    "Server",
    "Date",
    "Replaces",
)

SDP = (
    b"v=0\r\no=jan.jansen 77 78 IN IP4 10.77.66.55\r\ns=Klinkers Zorg\r\ni=Jan Jansen\r\nu=http://pbx.klinkers-zorg."
    b"example/\r\ne=jan.jansen@pbx.klinkers-zorg.example\r\np=31612345678\r\nc=IN IP4 10.77.66.55\r\nt=0 0\r\n"
    b"k=clear:31612345678\r\na=tool:Jan Jansen\r\nm=audio 40000 RTP/AVP 8 101\r\nc=IN IP6 fd00:77::66\r\n"
    b"a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendonly\r\n"
    b"a=rtcp:40001 IN IP4 10.77.66.55\r\na=crypto:1 AES inline:jan.jansen\r\na=candidate:1 1 UDP 1 10.77.66.55 4 typ "
    b"host\r\na=label:31612345678\r\na=31612345678\r\n"
)


def comes_out(data: bytes, secrets: tuple[str, ...] = SECRETS) -> list[str]:
    """Which of the secrets can be read in what is shown of a message: itself, its row, its ladder."""
    names = Pseudonyms()
    names.are_ours([QM.host])
    shown = redact(data, names).decode("latin-1")
    line = Line(1, 0.0, "caller", True, data, PBX, QM)
    shown += (
        repr(list(rows([line], ()))) + "\n".join(draw(list(rows([line], ())), "", "")) + repr(heading(data))
    )
    return [secret for secret in secrets if secret.lower() in shown.lower()]


def invite(*lines: str, body: bytes = SDP, first: str = "") -> bytes:
    usual = [
        first or f"INVITE sip:{USERS[0]}@{HOSTS[0]}:5070;user=phone;x={USERS[1]}?Subject={USERS[1]} SIP/2.0",
        f"Via: SIP/2.0/UDP {HOSTS[0]}:5060;rport=5060;received={HOSTS[1]};branch=z9hG4bK{USERS[1]};x={HOSTS[1]}",
        f'From: "{NAMES[0]}" <sip:{USERS[0]}@{HOSTS[0]}>;tag={USERS[1]};x={USERS[2]}',
        f"To: {NAMES[1]} <tel:{USERS[0]};phone-context={HOSTS[0]}>",
        f"Call-ID: {USERS[1]}@{HOSTS[1]}",
        "CSeq: 7 INVITE",
        "Content-Type: application/sdp",
        *lines,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*usual, "", ""]).encode() + body


def test_of_an_ordinary_invite_nobody_comes_out_and_the_ladder_stays_readable() -> None:
    data = invite(f'P-Asserted-Identity: "{NAMES[2]}" <sip:{USERS[0]}@{HOSTS[1]}>', "X-Account: 31612345678")
    assert not comes_out(data)
    text = redact(data, Pseudonyms()).decode()
    assert text.startswith("INVITE sip:user-1@host-1:5070;user=phone SIP/2.0\r\n")
    assert 'P-Asserted-Identity: "name-3" <sip:user-1@host-2>' in text  # the same person, the same stand-in
    assert "X-Redacted: redacted" in text and "X-Account" not in text
    assert "c=IN IP4 host-2" in text and "a=sendonly" in text and "a=rtpmap:8 PCMA/8000" in text
    assert sdp_of(data, ()) == "sendonly RTP/AVP PCMA,telephone-event"


def test_what_comes_out_is_sip_again_with_its_true_length() -> None:
    again = parse(redact(invite(), Pseudonyms()))
    assert again.cseq.method == "INVITE" and again.via.branch.startswith("z9hG4bK")
    assert Sdp.parse(again.body).audio is not None


def test_a_pseudonym_is_stable_within_a_trace() -> None:
    names = Pseudonyms()
    first, second = redact(invite(), names), redact(invite(), names)
    assert first == second
    assert names.host(HOSTS[0].upper()) == names.host(HOSTS[0])


def test_our_own_address_and_hold_are_not_hidden() -> None:
    names = Pseudonyms()
    names.are_ours(["192.0.2.2"])
    held = SDP.replace(b"10.77.66.55", b"0.0.0.0")
    text = redact(invite("Contact: <sip:192.0.2.2:5080>", body=held), names).decode()
    assert "Contact: <sip:qm-sip:5080>" in text and "c=IN IP4 0.0.0.0" in text


@pytest.mark.parametrize("method", ["INFO", "MESSAGE", "NOTIFY"])
def test_bodies_of_other_kinds_are_a_count(method: str) -> None:
    data = invite("Content-Type: text/plain", first=f"{method} sip:a@b SIP/2.0", body=b"Signal=7 Jan Jansen")
    data = data.replace(b"Content-Type: application/sdp\r\n", b"")
    assert b"Signal" not in redact(data, Pseudonyms()) and not comes_out(data)


def test_a_multipart_body_shows_its_session_description_alone() -> None:
    parts = (
        b"--b\r\nContent-Type: text/plain\r\n\r\nJan Jansen\r\n--b\r\nContent-Type: application/sdp\r\n\r\n"
    )
    body = parts + SDP + b"\r\n--b--\r\n"
    data = invite("Content-Type: multipart/mixed;boundary=b", body=body)
    data = data.replace(b"Content-Type: application/sdp\r\n", b"", 1)
    assert not comes_out(data) and b"m=audio 40000" in redact(data, Pseudonyms())


@pytest.mark.parametrize("name", MESSAGES)
@given(picks=st.lists(st.sampled_from(SECRETS), min_size=4, max_size=4))
@settings(max_examples=25, deadline=None)
def test_nobody_planted_in_a_torture_message_comes_out(name: str, picks: list[str]) -> None:
    """Every user, host, display name and free value of the RFC's messages is somebody."""
    data = MESSAGES[name]
    for word, pick in zip(
        (rb"user|caller|watson|vivekg|jdrosen", rb"example\.(com|net|org)"), picks, strict=False
    ):
        data = re.sub(word, pick.encode(), data)
    data = re.sub(rb"192\.0\.2\.\d+", picks[2].encode(), data)
    data = data.replace(b"\r\n", f"\r\nX-{picks[3].replace(' ', '-')}: {picks[3]}\r\n".encode(), 1)
    assert not comes_out(data)
    assert not comes_out(data.replace(b"\r\n\r\n", b"\r\nSubject: " + picks[0].encode() + b"\r\n\r\n", 1))


VALUES = st.one_of(
    st.sampled_from(SECRETS),
    st.sampled_from(SECRETS).map(lambda s: f'"{s}" <sip:{s}@{s}>;x={s}'),
    st.sampled_from(SECRETS).map(lambda s: f"<sip:{s};{s}={s}@{s};{s}?{s}={s}>, sip:{s}"),
    st.sampled_from(SECRETS).map(lambda s: f'{s} {s};cause=16;text="{s}"'),
    st.sampled_from(SECRETS).map(lambda s: f'Digest username="{s}", realm="{s}"'),
    st.tuples(st.text(max_size=8), st.sampled_from(SECRETS)).map(lambda p: "".join(p)),
)
HEADERS = st.sampled_from(
    (
        *ADDRESSED,
        *FREE,
        *(
            "Via",
            "CSeq",
            "Allow",
            "Supported",
            "Require",
            "Accept",
            "Event",
            "Reason",
            "Warning",
            "Privacy",
            "Expires",
        ),
        *(
            "Session-Expires",
            "RSeq",
            "RAck",
            "Max-Forwards",
            "Authorization",
            "WWW-Authenticate",
            "History-Info",
        ),
        *(
            "X-QM-Line",
            "X-QM-Receipt",
            "Session-ID",
            "Retry-After",
            "Timestamp",
            "Content-Disposition",
            "i",
            "f",
            "t",
        ),
    )
)


@given(
    extra=st.lists(st.tuples(HEADERS, VALUES), max_size=6),
    method=st.sampled_from(["INVITE", "BYE", USERS[1], "SIP/2.0 200"]),
    lines=st.lists(st.tuples(st.sampled_from("acbimostuvz"), VALUES), max_size=5),
)
@settings(max_examples=600, deadline=None)
def test_nobody_planted_anywhere_comes_out(
    extra: list[tuple[str, str]], method: str, lines: list[tuple[str, str]]
) -> None:
    clean = [f"{name}: {on_one_line(value)}" for name, value in extra]
    first = (
        f"{method} {NAMES[0]}" if method.startswith("SIP") else f"{method} sip:{USERS[0]}@{HOSTS[0]} SIP/2.0"
    )
    added = "".join(f"{letter}={on_one_line(value)}\r\n" for letter, value in lines)
    data = invite(*clean, first=first, body=SDP + added.encode("utf-8", "replace"))
    assert not [secret for secret in comes_out(data) if not _is_a_number_in_its_place(secret, extra)]


def on_one_line(value: str) -> str:
    return re.sub("[\r\n]", " ", value)


def _is_a_number_in_its_place(secret: str, extra: list[tuple[str, str]]) -> bool:
    """A CSeq may be any number, also one that somebody could dial."""
    return secret.isdigit() and len(secret) <= 10


def test_credentials_are_not_shown_to_anybody() -> None:
    data = invite(
        'Authorization: Digest username="jan",\r\n response="deadbeef"', "X-QM-Receipt: secret-token"
    )
    shown = without_secrets(data)
    assert b"deadbeef" not in shown and b"secret-token" not in shown and b'username="jan"' not in shown
    assert b"Authorization: redacted\r\n" in shown and shown.endswith(SDP) and b"31612345678" in shown

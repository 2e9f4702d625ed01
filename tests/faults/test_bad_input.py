"""What strangers, broken phones and dead peers send to a running server: nothing of it reaches a call, or a log."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qm_sip.recorder.rows import State
from qm_sip.sip.events import Address
from tests.faults import rtp
from tests.faults.phones import AGENT, CUSTOMER, Call, Phones
from tests.faults.site import BEFORE, ON_ANSWER, Site, lost

pytestmark = pytest.mark.wire
STRANGER = 999  # the call that strangers' packets claim to be of
NAME = "Piet Pietersen"

INVITE = (
    "INVITE sip:{called}@{server}:5080 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{branch}\r\n"
    'From: "{name}" <sip:0687654321@{host}>;tag={branch}\r\n'
    "To: <sip:{called}@{server}:5080>\r\n"
    "Call-ID: {branch}@{host}\r\n"
    "CSeq: 1 INVITE\r\n"
    "Contact: <sip:0687654321@{host}:{port}>\r\n"
    "Max-Forwards: 70\r\n"
    "Content-Type: application/sdp\r\n"
    "Content-Length: {length}\r\n\r\n{body}"
)
BODY = "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"


@contextmanager
def socket_at(host: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(5)
        yield sock


def invite(site: Site, source: Address, called: str = BEFORE) -> bytes:
    body = BODY.format(host=source.host)
    branch = f"{random.getrandbits(64):x}"
    return INVITE.format(
        called=called, server=site.where.server, host=source.host, port=source.port, branch=branch, name=NAME,
        length=len(body), body=body,
    ).encode()  # fmt: skip


def garbage(site: Site, source: Address, chance: random.Random) -> Iterator[bytes]:
    """Random bytes of every length, a whole message cut at every place, wrong numbers in it, the largest datagrams."""
    for length in (1, 2, 3, 4, 11, 12, 100, 1500, 9000, 65507):
        yield chance.randbytes(length)
        yield b"INVITE " + b"A" * (length - 7)
    whole = invite(site, source)
    head = whole.index(b"\r\n\r\n") + 4
    yield from (whole[:at] for at in range(1, head, 7))
    for wrong in (b"-1", b"99999999999999999999", b"x", b"\xff\xfe"):
        yield whole.replace(b"Content-Length: ", b"Content-Length: " + wrong)
        yield whole.replace(b"CSeq: 1", b"CSeq: " + wrong)
        yield whole.replace(b"Via: SIP/2.0", b"Via: SIP/" + wrong)
    for _ in range(200):  # without a CSeq none of them can be taken for a call
        broken = bytearray(whole.replace(b"CSeq: 1 INVITE\r\n", b""))
        for _ in range(chance.randrange(1, 20)):
            broken[chance.randrange(head)] = chance.randrange(256)
        yield bytes(broken)
    yield from (
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 200",
        b"\r\n\r\n",
        b"\0" * 4,
        b"ACK sip:x SIP/2.0\r\n\r\n",
    )


def recorded(site: Site, call: Call, end: float) -> None:
    """The call was recorded as if nothing had happened: every packet, and no other."""
    site.settled()
    mine = site.kept()[call.caller]
    assert (mine.outcome, mine.recording.state) == ("recorded", State.SEALED), mine
    assert lost(site, call, mine, until=end) <= 0.1


def test_garbage_at_the_sip_port_harms_no_call_and_leaves_no_trace(tmp_path: Path) -> None:
    chance, site = random.Random(), Site(tmp_path)
    with site.running(), site.phones() as phones:
        call = phones.call(BEFORE)
        call.wait_until_talking()
        with socket_at(site.where.strangers) as stranger:
            for data in garbage(site, Address(*stranger.getsockname()), chance):
                stranger.sendto(data, phones.server[:2])
                time.sleep(0.002)
        for data in garbage(site, phones.address(CUSTOMER), chance):
            phones.say(data, CUSTOMER)
            time.sleep(0.002)
        call.hear_each_other(time.monotonic())
        end = time.monotonic()
        call.hang_up()
        another = phones.call(ON_ANSWER)
        another.wait_until_talking()
        another.hang_up()
        recorded(site, call, end)
        assert site.kept()[another.caller].outcome in ("recorded", "blocked")
        assert site.server.ask("status")["counts"]["sip_garbage"] > 100
    site.nothing_in_clear(call.caller, another.caller, BEFORE, ON_ANSWER, NAME, "0687654321")
    assert "Traceback" not in site.log, site.log
    assert "failed" not in site.log


def test_strangers_at_the_rtp_ports_are_dropped_counted_and_not_recorded(tmp_path: Path) -> None:
    chance, site = random.Random(), Site(tmp_path)
    sent = 0
    with site.running(), site.phones() as phones:
        call = phones.call(BEFORE)
        call.wait_until_talking()
        assert call.agent is not None
        with socket_at(site.where.strangers) as stranger, socket_at(site.where.customers) as neighbour:
            for number in range(100):
                for phone in (call.customer, call.agent):
                    assert phone.target is not None
                    spoofed = rtp.packet(
                        phone.ssrc, 30_000 + number, rtp.payload(STRANGER, phone.side, number)
                    )
                    for data in (spoofed, chance.randbytes(chance.randrange(1400))):
                        stranger.sendto(data, phone.target)
                        neighbour.sendto(data, phone.target)
                        sent += 2
                time.sleep(0.01)
        for phone in (call.customer, call.agent):  # nonsense from the right socket
            for length in (0, 1, 11, 12, 13, 2000, 9000):
                phone.socket.sendto(chance.randbytes(length), phone.target)  # type: ignore[arg-type]
                phone.socket.sendto(b"\x80\xc8" + bytes(length), phone.target)  # type: ignore[arg-type]
        call.hear_each_other(time.monotonic())
        time.sleep(0.3)
        end = time.monotonic()
        call.hang_up()
        recorded(site, call, end)
        samples = site.samples(site.kept()[call.caller].recording)
        for side in (CUSTOMER, AGENT):
            assert {at for at, _, _ in rtp.in_samples(samples[:, side])} == {call.number}
        assert site.server.ask("status")["counts"]["rtp_strangers"] >= sent
    assert "Traceback" not in site.log, site.log


@pytest.mark.parametrize("line", [BEFORE, ON_ANSWER], ids=["before-ring", "on-answer"])
def test_an_unreachable_peer_is_told_to_the_caller_at_once(tmp_path: Path, line: str) -> None:
    site = Site(tmp_path)
    # The agents' own socket is on another port than the one that calls go to: nobody listens there.
    with site.running(), Phones(site.where.customers, site.where.agents, site.address) as phones:
        began = time.monotonic()
        call = phones.call(line)
        call.wait_until_over(10)
        assert time.monotonic() - began < 5
        # Before-ring he has been answered by then: what he gets is the end of the call.
        assert call.statuses in ([503], [480]) if line == ON_ANSWER else call.statuses == [200]
        site.settled()
        mine = site.kept()[call.caller]
        assert mine.reasons == ["peer-unreachable"], mine
        assert mine.recordings == []
        assert site.server.ask("status")["calls"] == 0
    assert "Traceback" not in site.log, site.log


def test_a_stranger_gets_403_and_one_line_in_the_security_log(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running():
        with socket_at(site.where.strangers) as stranger:
            stranger.sendto(invite(site, Address(*stranger.getsockname())), site.address[:2])
            answer = stranger.recv(65535)
            assert answer.startswith(b"SIP/2.0 403 ")
            stranger.settimeout(0.7)
            with pytest.raises(TimeoutError):  # one answer, nothing more
                stranger.recv(65535)
        lines = [line for line in site.log.splitlines() if "qm_sip.security" in line]
        assert len(lines) == 1
        assert "kind=stranger" in lines[0] and "INVITE" in lines[0]
        assert site.where.strangers in lines[0]
        with site.catalog() as catalog:
            assert catalog.calls() == []
    site.nothing_in_clear(BEFORE, NAME, "0687654321")


def test_no_name_number_or_address_of_anybody_stands_in_the_log_of_a_whole_run(tmp_path: Path) -> None:
    """I10, with the log as talkative as it gets: calls that are recorded, given up, refused, cut short, unreadable."""
    site = Site(tmp_path)
    site.server.environment["QM_SIP_LOG"] = "DEBUG"
    with site.running(), site.phones(rings=0.3) as phones:
        for line in (BEFORE, ON_ANSWER):
            call = phones.call(line)
            call.wait_until_talking()
            call.hang_up(AGENT)
        for line, after in ((BEFORE, 0.1), (BEFORE, 0.5), (ON_ANSWER, 0.1), (ON_ANSWER, 0.5)):
            call = phones.call(line)
            time.sleep(after)
            phones.hang_up(call, CUSTOMER)
            call.wait_until_over()
        unknown = phones.call("0209999999")  # no line: direct
        unknown.wait_until_talking()
        unknown.hang_up()
        here = phones.address(CUSTOMER)
        whole = invite(site, here)
        for wrong in (
            b"m=audio x RTP/AVP 8",
            b"m=video 40000 RTP/AVP 31",
            b"c=IN IP4",
            b"m=audio 4000 RTP/SAVP 8",
        ):
            phones.say(whole.replace(b"m=audio 40000 RTP/AVP 8", wrong), CUSTOMER)
            whole = invite(site, here)
        phones.say(whole.replace(BEFORE.encode(), b"sales;isub=1"), CUSTOMER)
        phones.say(whole.replace(b"sip:0687654321", b"tel:0687654321"), CUSTOMER)
        time.sleep(1)
    numbers = [call.caller for call in phones.calls]
    never = [*numbers, BEFORE, ON_ANSWER, "0209999999", "0687654321", NAME, "Jansen",
             site.where.customers, site.where.agents]  # fmt: skip
    assert "DEBUG" in site.log
    assert [word for word in never if word in site.log] == []
    site.nothing_in_clear(*numbers, BEFORE, ON_ANSWER, NAME)
    assert "Traceback" not in site.log, site.log

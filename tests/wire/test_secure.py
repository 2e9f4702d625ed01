"""Calls over TLS and over IPv6 through a running server, and between these and the plain ones."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.support.certificates import Authority, Pair
from tests.wire.party import Leg, Party
from tests.wire.site import Site, running
from tests.wire.stream import TlsParty

pytestmark = pytest.mark.wire

TLS_PORT, SIX_CALLS, SIX_IS_CALLED = 5081, 25_060, 25_070
RTP_CALLS, RTP_IS_CALLED = 35_000, 35_010


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Secure:
    """The site, and what its certificates are made of."""

    site: Site
    authority: Authority
    theirs: Pair
    six: tuple[str, int]

    def reload(self) -> str:
        """What the server says of it."""
        answer = self.site.ask("reload")
        return str(answer)

    def ended(self) -> str:
        until = time.monotonic() + 4
        while (outcome := self.site.outcomes()[0]) is None:
            assert time.monotonic() < until, "the call has no outcome"
            time.sleep(0.02)
        return outcome

    def recording(self) -> None:
        until = time.monotonic() + 4
        while not any(tap["seconds"] > 0.05 for tap in self.site.ask("taps")["taps"]):
            assert time.monotonic() < until, "nothing is being recorded"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    home = tmp_path_factory.mktemp("certificates")
    authority = Authority(home)
    six = ("::1", free_port())
    made: dict[str, Pair] = {}

    def settings(site: Site) -> str:
        made["ours"] = authority.issue("ours", site.at(1), "qm.example")
        made["theirs"] = authority.issue("theirs", "sip:secure.example")
        return SETTINGS.format(at=site.network, six=six[1], home=home, called=SIX_IS_CALLED, tls=TLS_PORT)

    with running(settings) as site:
        yield Secure(site, authority, made["theirs"], six)


SETTINGS = """
[sip]
listen = ["udp:{at}.1:5080", "tls:{at}.1:{tls}", "udp:[::1]:{six}"]
carry_headers = ["X-QM-Line"]
[sip.tls]
certificate = "{home}/ours.pem"
private_key = "{home}/ours.key"
ca_file = "{home}/ca.pem"
client_certificate = "required"
[media]
address = "{at}.1"
second_address = "::1"
ports = [20000, 29999]
[storage]
directory = "storage"
key_directory = "keys"
host_key = "host.key"
[control]
socket = "run/control"
[prompts]
directory = "prompts"
[unsafe]
load_test = true
[peers.pbx]
addresses = ["{at}.10"]
trusted = true
[peers.agents]
addresses = ["{at}.20"]
trusted = true
next_hop = "{at}.20:5060"
[peers.secure]
tls_identity = ["secure.example"]
trusted = true
next_hop = "{at}.48:5061"
transport = "tls"
tls_name = "secure.example"
[peers.six]
addresses = ["::1"]
trusted = true
next_hop = "[::1]:{called}"
[[routes]]
from = "secure"
to = "secure"
direction = "inbound"
called = "6"
[[routes]]
from = "secure"
to = "agents"
direction = "inbound"
[[routes]]
from = "six"
to = "six"
direction = "inbound"
[[routes]]
from = "six"
to = "agents"
direction = "inbound"
called = "7"
[[routes]]
from = "pbx"
to = "six"
direction = "inbound"
[[routes]]
from = "pbx"
to = "secure"
direction = "inbound"
called = "7"
"""


@pytest.fixture
def phones(secure: Secure) -> Iterator[dict[str, Party]]:
    site = secure.site
    pair = (secure.authority.ca, secure.theirs.certificate, secure.theirs.key)
    with ExitStack() as stack:
        parties: dict[str, Party] = {
            "pbx": Party(site.at(10), site.server),
            "agents": Party(site.at(20), site.server),
            "secure": TlsParty(site.at(48), (site.at(1), TLS_PORT), *pair),
            "six": Party("::1", secure.six, port=SIX_CALLS, rtp=RTP_CALLS),
            "six-called": Party("::1", secure.six, port=SIX_IS_CALLED, rtp=RTP_IS_CALLED),
        }
        for party in parties.values():
            stack.enter_context(party)
        site.left = site.ask("status")["calls"]
        yield parties
        site.calls_end()


def talk(caller: Leg, callee: Leg) -> None:
    callee.answer()
    caller.connected()
    callee.expect("ACK")


def end(caller: Leg, callee: Leg) -> None:
    caller.hang_up()
    callee.hung_up()


def test_a_call_over_tls_is_recorded(secure: Secure, phones: dict[str, Party]) -> None:
    site, phone = secure.site, phones["secure"]
    caller, callee = phone.call("6200"), phone.called()
    assert callee.invite.get("Via").startswith(f"SIP/2.0/TLS {site.at(1)}:{TLS_PORT};branch=")
    assert callee.invite.start == f"INVITE sip:6200@{site.at(48)}:5061;transport=tls SIP/2.0"
    assert callee.invite.contact == f"sip:qm@{site.at(1)}:{TLS_PORT};transport=tls"
    talk(caller, callee)
    secure.recording()
    callee.request("BYE")
    caller.hung_up()
    callee.expect(200, "BYE")
    site.calls_end()
    assert secure.ended() == "recorded"


def test_a_call_from_tls_to_udp_is_recorded(secure: Secure, phones: dict[str, Party]) -> None:
    caller, callee = phones["secure"].call("2100"), phones["agents"].called()
    assert callee.invite.get("Via").startswith("SIP/2.0/UDP")
    assert "transport" not in callee.invite.contact + callee.invite.start
    callee.reply(180)
    assert caller.expect(180).contact.endswith(f":{TLS_PORT};transport=tls")
    talk(caller, callee)
    secure.recording()
    end(caller, callee)
    secure.site.calls_end()
    assert secure.ended() == "recorded"


def test_a_call_from_udp_to_tls_passes_every_request(secure: Secure, phones: dict[str, Party]) -> None:
    caller, callee = phones["pbx"].call("7000"), phones["secure"].called()
    talk(caller, callee)
    for by, to in ((caller, callee), (callee, caller)):
        by.request("INVITE", body=by.sdp("sendonly"))
        to.answer(to.sdp("recvonly"), to=to.expect("INVITE"))
        to.expect("ACK")
        by.expect(200, "INVITE")
        by.ack()
    end(caller, callee)


def test_a_call_over_ipv6_is_recorded(secure: Secure, phones: dict[str, Party]) -> None:
    caller, callee = phones["six"].call("2100"), phones["six-called"].called()
    port = secure.six[1]
    assert callee.invite.get("Via").startswith(f"SIP/2.0/UDP [::1]:{port};rport;branch=")
    assert callee.invite.start == f"INVITE sip:2100@[::1]:{SIX_IS_CALLED} SIP/2.0"
    assert callee.invite.contact == f"sip:qm@[::1]:{port}"
    assert callee.invite.sdp("c") == ["IN IP6 ::1"] and callee.invite.sdp("o")[0].endswith("IN IP6 ::1")
    callee.answer()
    answer = caller.connected()
    assert answer.sdp("c") == ["IN IP6 ::1"]
    assert answer.get("Via").count("received=::1") <= 1
    callee.expect("ACK")
    secure.recording()
    end(caller, callee)
    secure.site.calls_end()
    assert secure.ended() == "recorded"


@pytest.mark.parametrize(
    ("by", "called", "number"), [("pbx", "six-called", "2100"), ("six", "agents", "7000")]
)
def test_a_call_from_one_family_to_the_other(
    secure: Secure, phones: dict[str, Party], by: str, called: str, number: str
) -> None:
    """Recorded, each leg speaks of our address in its own family; direct, the two are put together as they are."""
    caller, callee = phones[by].call(number), phones[called].called()
    families = {"pbx": "IP4", "agents": "IP4", "six": "IP6", "six-called": "IP6"}
    assert ("[::1]" in callee.invite.get("Via")) == (families[called] == "IP6")
    callee.answer()
    answer = caller.connected()
    callee.expect("ACK")
    if number == "2100":
        secure.recording()
        assert callee.invite.sdp("c")[0].split()[1] == families[called]
        assert callee.invite.sdp("o")[0].split()[4] == families[called]
        assert answer.sdp("c")[0].split()[1] == answer.sdp("o")[0].split()[4] == families[by]
    end(caller, callee)
    secure.site.calls_end()
    if number == "2100":
        assert secure.ended() == "recorded"


def test_who_shows_no_certificate_has_no_connection(secure: Secure, phones: dict[str, Party]) -> None:
    site = secure.site
    before = site.ask("status")["counts"]["sip_tls_refused"]
    bare = ssl.create_default_context(cafile=str(secure.authority.ca))
    with socket.create_connection((site.at(1), TLS_PORT)) as raw:
        raw.settimeout(3)
        with pytest.raises(OSError), bare.wrap_socket(raw, server_hostname=site.at(1)) as end:
            end.sendall(b"OPTIONS")
            assert end.recv(10)
    assert site.ask("status")["counts"]["sip_tls_refused"] == before + 1
    assert "refused: kind=tls method=other transport=tls" in site.log()
    assert "did not return a certificate" in site.log()


def test_who_shows_another_ones_name_is_a_stranger(secure: Secure, phones: dict[str, Party]) -> None:
    """Although he calls from the address of the peer."""
    other = secure.authority.issue("other", "else.example")
    with TlsParty(
        secure.site.at(48), (secure.site.at(1), TLS_PORT), secure.authority.ca, other.certificate, other.key,
        port=5062, rtp=30_020,
    ) as impostor:  # fmt: skip
        impostor.call("2100").expect(403)


def test_a_reload_takes_a_new_certificate_and_a_broken_one_changes_nothing(
    secure: Secure, phones: dict[str, Party]
) -> None:
    site, home = secure.site, secure.authority.home

    def shown() -> bytes | None:
        context = ssl.create_default_context(cafile=str(secure.authority.ca))
        context.load_cert_chain(secure.theirs.certificate, secure.theirs.key)
        raw = socket.create_connection((site.at(1), TLS_PORT))
        with context.wrap_socket(raw, server_hostname=site.at(1)) as end:
            return end.getpeercert(binary_form=True)

    first = shown()
    caller, callee = phones["secure"].call("2100"), phones["agents"].called()
    talk(caller, callee)
    kept = (home / "ours.pem").read_bytes()
    (home / "ours.pem").write_text("broken")
    with pytest.raises(Exception, match=r"ours\.pem.*not a certificate"):
        secure.reload()
    assert shown() == first
    (home / "ours.pem").write_bytes(kept)
    secure.authority.issue("ours", site.at(1))
    secure.reload()
    assert shown() not in (first, None)
    secure.recording()
    end(caller, callee)  # on the connection that it began on
    assert len(phones["secure"].ends) == 1  # type: ignore[attr-defined]


def test_sips_is_refused(secure: Secure, phones: dict[str, Party]) -> None:
    leg = phones["secure"].call("2100", request="OPTIONS")
    assert leg.expect(200).status == 200
    phones["secure"].send(leg.sent.replace(" sip:", " sips:", 1).replace(leg.call_id, "other@x"))
    refused = phones["secure"].wait(lambda m: m.get("Call-ID") == "other@x", "answer")
    assert refused.status == 416

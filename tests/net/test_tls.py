"""TLS on loopback: real handshakes, and peers that are not who they must be."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qm_sip.config.server import Server
from qm_sip.errors import ConfigError
from qm_sip.net.limits import Limits
from qm_sip.net.trust import Expiry, Trust
from qm_sip.sip import events as ev
from qm_sip.sip.events import Address
from qm_sip.sip.incidents import Incident
from qm_sip.sip.ua import UserAgentSettings
from tests.net.test_tcp import Hand, answering, both_loops, nobody, options
from tests.net.test_udp import SHORT, Party, running
from tests.support.certificates import Authority, Pair

TLS = Address("127.0.0.1", 0, "tls")
LONG = UserAgentSettings()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Vouches for people whom nobody knows."""
    return Authority(tmp_path_factory.mktemp("stranger"), "nobody")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Pair:
    return authority.issue("ours", "127.0.0.1", "::1", "qm.example")


def trust(
    pair: Pair, ca: Path | None, peers: dict[str, Any] | None = None, *, owner: str | None = None, **tls: Any
) -> Trust:
    """As made from settings; `owner` is the peer that has every address."""
    table = {"certificate": pair.certificate, "private_key": pair.key, "ca_file": ca, **tls}
    server = Server.model_validate(
        {
            "sip": {"listen": ("tls:127.0.0.1:5061",), "tls": table},
            "peers": {name: {"transport": "tls", **peer} for name, peer in (peers or {}).items()},
        }
    )
    return Trust.made(server, lambda host: owner)


def party(
    seed: int, trusted: Trust, settings: UserAgentSettings = SHORT, listen: Address = TLS, **more: Any
) -> Party:
    told: list[Incident] = []
    made = Party(settings, seed, (listen,), trust=trusted, tell=lambda one, now: told.append(one), **more)
    made.told = told  # type: ignore[attr-defined]
    return made


def client(authority: Authority | None, pair: Pair | None = None) -> ssl.SSLContext:
    """A phone's side, by the library's own means."""
    context = ssl.create_default_context(cafile=str(authority.ca) if authority else None)
    context.check_hostname = authority is not None
    if authority is None:
        context.verify_mode = ssl.CERT_NONE
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


async def hand(to: Party, context: ssl.SSLContext, host: str = "127.0.0.1") -> Hand:
    there = to.endpoint.addresses[0]
    return Hand(
        *await asyncio.open_connection(
            *there[:2], ssl=context, server_hostname=there.host, local_addr=(host, 0)
        )
    )


async def shows(hand: Hand) -> bytes | None:
    """The certificate that the other side gave."""
    return hand.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)  # type: ignore[no-any-return]


# --------------------------------------------------------------------------- calls


@both_loops
def test_a_whole_call_over_one_connection(run: Callable[..., None], authority: Authority, ours: Pair) -> None:
    async def scenario() -> None:
        trusted = trust(ours, authority.ca)
        caller, callee = party(1, trusted), answering(party(2, trusted))
        async with running(caller, callee):
            caller.call("c", callee.endpoint.addresses[0])
            offer = await callee.until(ev.CallOffered)
            assert isinstance(offer, ev.CallOffered) and offer.source.transport == "tls"
            assert str(offer.request.via).startswith("SIP/2.0/TLS 127.0.0.1:")
            assert offer.request.contacts[0].uri.param("transport") == "tls"
            await callee.until(ev.Acknowledged)
            assert len(caller.endpoint.streams) == len(callee.endpoint.streams) == 1
            caller.ua.bye("c", now=caller.now)
            caller.endpoint.flush()
            await callee.until(ev.LegGone)
            await caller.until(ev.LegGone)
        assert [type(e).__name__ for e in caller.events] == ["Progressed", "Answered", "LegGone"]
        assert not callee.endpoint.streams.counts["tls"] and not caller.endpoint.streams.counts["tls"]

    run(scenario())


@both_loops
def test_bytes_one_by_one_and_many_messages_in_one_piece(
    run: Callable[..., None], authority: Authority, ours: Pair
) -> None:
    async def scenario() -> None:
        us = party(1, trust(ours, authority.ca))
        async with running(us):
            one = await hand(us, client(authority))
            for byte in options(1):
                one.say(bytes([byte]))
                await asyncio.sleep(0)
            assert (await one.hears()).call_id == "c1"
            one.say(b"".join(options(number) for number in range(300)))
            assert [(await one.hears()).call_id for _ in range(300)] == [f"c{n}" for n in range(300)]
            one.close()

    run(scenario())


@both_loops
def test_the_goodbye_of_either_side_ends_it(
    run: Callable[..., None], authority: Authority, ours: Pair
) -> None:
    async def scenario() -> None:
        us = party(1, trust(ours, authority.ca), limits=Limits(stranger_idle=0.2), known=lambda h, n: False)
        async with running(us):
            one, two = await hand(us, client(authority)), await hand(us, client(authority))
            one.close()
            assert await two.is_cut(2) < 1 and us.endpoint.streams.counts["idle"] == 1
            await asyncio.sleep(0.05)
            assert len(us.endpoint.streams) == 0

    run(scenario())


# --------------------------------------------------------------------------- a peer that we call


def called(pair: Pair, ca: Path | None, caller: Trust, seen: list[logging.LogRecord] | None = None) -> float:
    """Call somebody who shows `pair`: seconds until it is a 503; 0 if he answered."""

    async def scenario() -> float:
        callee = answering(party(2, trust(pair, ca)))
        async with running(callee):
            there = callee.endpoint.addresses[0]
            us = party(1, caller, LONG)
            async with running(us):
                began = us.now
                us.call("c", there)
                async with asyncio.timeout(3):
                    while not (done := [e for e in us.events if isinstance(e, ev.Answered | ev.Rejected)]):  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                if isinstance(done[0], ev.Answered):
                    return 0
                assert done[0].status == 503 and us.endpoint.streams.counts["tls"] == 1
                assert not callee.events
                return us.now - began

    return asyncio.run(scenario())


def next_to(**peer: Any) -> dict[str, Any]:
    """A peer at whatever address; `owner` finds it by its host."""
    return {"peers": {"pbx": {"next_hop": "127.0.0.1:5061", **peer}}, "owner": "pbx"}


def test_a_name_that_is_looked_for_must_be_in_the_certificate(authority: Authority) -> None:
    named = authority.issue("named", "pbx.example")
    assert not called(named, authority.ca, trust(named, authority.ca, **next_to(tls_name="pbx.example")))
    assert not called(named, authority.ca, trust(named, authority.ca, **next_to(tls_name="PBX.example.")))
    assert 0 < called(named, authority.ca, trust(named, authority.ca, **next_to(tls_name="x.example"))) < 1
    assert 0 < called(named, authority.ca, trust(named, authority.ca, **next_to())) < 1  # not its address
    assert 0 < called(named, authority.ca, trust(named, authority.ca)) < 1  # nobody's host: the same


def test_a_sip_domain_in_the_certificate_is_the_only_name_of_it(authority: Authority) -> None:
    both = authority.issue("both", "sip:example.com", "pbx.example.com")
    assert not called(both, authority.ca, trust(both, authority.ca, **next_to(tls_name="example.com")))
    assert called(both, authority.ca, trust(both, authority.ca, **next_to(tls_name="pbx.example.com")))


def test_the_common_name_and_a_wildcard_are_no_names(authority: Authority) -> None:
    plain = authority.issue("plain", cn="pbx.example")
    assert called(plain, authority.ca, trust(plain, authority.ca, **next_to(tls_name="pbx.example")))
    wild = authority.issue("wild", "*.example")
    assert called(wild, authority.ca, trust(wild, authority.ca, **next_to(tls_name="pbx.example")))


def test_an_expired_certificate_and_an_unknown_authority_are_refused(
    authority: Authority, stranger: Authority, ours: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    old = authority.issue("old", "127.0.0.1", lasts=timedelta(hours=-1))
    assert called(old, authority.ca, trust(ours, authority.ca, **next_to()))
    assert "no TLS with peer pbx: certificate verify failed: certificate has expired" in caplog.text
    theirs = stranger.issue("theirs", "127.0.0.1")
    assert called(theirs, None, trust(ours, authority.ca, **next_to()))
    said = [record.getMessage() for record in caplog.records if record.name == "qm_sip.net.streams"]
    assert said and "127.0.0.1" not in " ".join(said)  # a peer is named by his name


def test_who_is_not_verified_is_believed(stranger: Authority, authority: Authority, ours: Pair) -> None:
    theirs = stranger.issue("theirs", "elsewhere.example", lasts=timedelta(hours=-1))
    loose = next_to(tls_verify=False, tls_unverified_because="test")
    assert not called(theirs, None, trust(ours, authority.ca, **loose))


def test_our_own_certificate_for_one_peer(authority: Authority, stranger: Authority, ours: Pair) -> None:
    """He asks for one that his authority signed."""
    special = stranger.issue("special", "qm.example")
    theirs = authority.issue("theirs2", "127.0.0.1")
    asking = trust(theirs, stranger.ca, client_certificate="required")
    mine = {"tls_certificate": special.certificate, "tls_private_key": special.key}

    async def scenario(caller: Trust) -> ev.UaEvent:
        callee = answering(party(2, asking))
        us = party(1, caller, LONG)
        async with running(callee, us):
            us.call("c", callee.endpoint.addresses[0])
            async with asyncio.timeout(3):
                while not (done := [e for e in us.events if isinstance(e, ev.Answered | ev.Rejected)]):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            return done[0]

    assert isinstance(asyncio.run(scenario(trust(ours, authority.ca, **next_to(**mine)))), ev.Answered)
    refused = asyncio.run(scenario(trust(ours, authority.ca, **next_to())))
    assert isinstance(refused, ev.Rejected) and refused.status == 503


@pytest.mark.parametrize(("name", "asked"), [("pbx.example", "pbx.example"), ("", None), ("10.0.0.1", None)])
def test_a_name_is_asked_for_and_an_address_is_not(
    authority: Authority, ours: Pair, name: str, asked: str | None
) -> None:
    """RFC 6066 3: SNI holds names only."""
    trusted = trust(ours, authority.ca, **next_to(tls_name=name))
    heard: list[str | None] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(ours.certificate, ours.key)
    server.sni_callback = lambda sock, shown, context: heard.append(shown)

    async def scenario() -> None:
        listening = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0, ssl=server)
        us = party(1, trusted, LONG)
        async with listening, running(us):
            us.call("c", Address(*listening.sockets[0].getsockname(), "tls"))
            async with asyncio.timeout(3):
                while not heard:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert heard == [asked]


def test_a_peer_that_is_not_there_or_never_shakes_hands_is_a_503_soon(
    authority: Authority, ours: Pair
) -> None:
    async def scenario() -> None:
        us = party(1, trust(ours, authority.ca), LONG, limits=Limits(handshake=0.3))
        mute = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        async with mute, running(us):
            for number, (there, most) in enumerate(
                ((nobody(), 0.2), (Address(*mute.sockets[0].getsockname()), 0.8))
            ):
                began = us.now
                us.call(f"c{number}", there._replace(transport="tls"))
                event = await us.until(ev.Rejected, within=2, number=number + 1)
                assert isinstance(event, ev.Rejected) and event.status == 503
                assert us.now - began < most and len(us.endpoint.streams) <= 1
            await asyncio.sleep(0.5)
            assert len(us.endpoint.streams) == 0
            assert us.endpoint.streams.lost == 2

    asyncio.run(scenario())


# --------------------------------------------------------------------------- whoever calls us


def refused(us: Party, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Why, each time; the address stands in the security log alone."""
    told: list[Incident] = us.told  # type: ignore[attr-defined]
    why = [record.getMessage() for record in caplog.records if record.name == "qm_sip.net.streams"]
    assert us.endpoint.streams.counts["tls"] == us.endpoint.streams.refused == len(why) == len(told)
    assert {(one.kind, one.source.host) for one in told} <= {("tls", "127.0.0.1")}
    assert "127.0.0.1" not in " ".join(why)
    return why


def test_who_has_no_certificate_or_a_wrong_one_does_not_come_in(
    authority: Authority, stranger: Authority, ours: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        us = party(1, trust(ours, authority.ca, client_certificate="required"))
        wrong = [None, stranger.issue("wrong", "pbx.example"),
                 authority.issue("late", "pbx.example", lasts=timedelta(hours=-1))]  # fmt: skip
        async with running(us):
            for pair in wrong:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    one = await hand(us, client(authority, pair))
                    one.say(options(1))
                    assert not await one.reader.read(100)
            lines = refused(us, caplog)
            assert len(lines) == 3
            assert "did not return a certificate" in lines[0] and "expired" in lines[2]
            right = await hand(us, client(authority, authority.issue("right", "pbx.example")))
            right.say(options(1))
            assert (await right.hears()).status == 200
            right.close()
        assert us.ua.counts["received"] == 1

    asyncio.run(scenario())


def test_the_names_of_a_verified_certificate_are_told_and_no_others(
    authority: Authority, stranger: Authority, ours: Pair
) -> None:
    async def scenario() -> None:
        asked: list[Collection[str] | None] = []

        def known(host: str, names: Collection[str] | None) -> bool:
            asked.append(names)
            return names is not None and "pbx.example" in names

        us = party(1, trust(ours, authority.ca, client_certificate="asked"), known=known)
        seen: list[Collection[str]] = []

        def look(event: ev.UaEvent) -> None:
            if isinstance(event, ev.CallOffered):
                seen.append(us.endpoint.identities(event.source))

        us.react = look
        async with running(us):
            named = await hand(us, client(authority, authority.issue("right", "pbx.example", "b.example")))
            bare = await hand(us, client(authority))
            for number, one in enumerate((named, bare)):
                data = options(number).replace(b"OPTIONS", b"INVITE")
                one.say(data)
                await one.hears()
            assert seen == [{"pbx.example", "b.example"}, frozenset()]
            assert asked == [None, {"pbx.example", "b.example"}, None, frozenset()]
            assert [one.stranger for one in us.endpoint.streams._all if one.identities] == [False]
            assert [one.stranger for one in us.endpoint.streams._all if not one.identities] == [True]
            there = Address(*named.writer.get_extra_info("sockname"), "tls")
            assert us.endpoint.identities(there) and not us.endpoint.identities(
                there._replace(transport="udp")
            )
            named.close()
            await asyncio.sleep(0.1)
            assert not us.endpoint.identities(there)
            bare.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("least", ["1.2", "1.3"])
def test_old_tls_is_not_spoken(
    authority: Authority, ours: Pair, caplog: pytest.LogCaptureFixture, least: str
) -> None:
    async def scenario() -> None:
        us = party(1, trust(ours, authority.ca, minimum_version=least))
        context = client(None)
        context.minimum_version = context.maximum_version = (
            ssl.TLSVersion.TLSv1 if least == "1.2" else ssl.TLSVersion.TLSv1_2
        )
        context.set_ciphers("ALL:@SECLEVEL=0")
        async with running(us):
            with pytest.raises(ssl.SSLError):
                await hand(us, context)
            assert "unsupported protocol" in refused(us, caplog)[0]

    with pytest.warns(DeprecationWarning) if least == "1.2" else contextlib.nullcontext():
        asyncio.run(scenario())


@pytest.mark.parametrize(
    "data",
    [
        options(1),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
        b"\r\n\r\n",
        b"\0" * 100,
    ],
    ids=["sip", "http", "record", "ping", "zeros"],
)
def test_what_is_no_tls_is_refused(
    authority: Authority, ours: Pair, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    async def scenario() -> None:
        us = party(1, trust(ours, authority.ca), limits=Limits(handshake=0.3))
        async with running(us):
            one = await Hand.to(us)
            one.say(data)
            assert await one.is_cut(2) < 1
            assert len(refused(us, caplog)) == 1 and us.ua.counts["received"] == 0
            other = await hand(us, client(authority))
            other.say(options(2))
            assert (await other.hears()).call_id == "c2"
            other.close()

    asyncio.run(scenario())


@both_loops
def test_garbage_after_the_handshake_costs_one_connection(
    run: Callable[..., None], authority: Authority, ours: Pair
) -> None:
    async def scenario() -> None:
        us = party(1, trust(ours, authority.ca))
        async with running(us):
            one, other = await hand(us, client(authority)), await hand(us, client(authority))
            under = one.writer.transport.get_extra_info("socket").fileno()
            socket.socket(fileno=socket.dup(under)).send(b"garbage" * 9)
            with contextlib.suppress(ssl.SSLError):  # our alert
                assert await one.is_cut(2) < 1
            other.say(options(2))
            assert (await other.hears()).call_id == "c2"
            other.close()
            assert us.endpoint.streams.counts["tls"] == 1

    run(scenario())


@both_loops
def test_handshakes_held_open_keep_out_nobody_whom_we_know(
    run: Callable[..., None], authority: Authority, ours: Pair
) -> None:
    async def scenario() -> None:
        limits = Limits(handshake=0.5, of_strangers=6)
        us = party(1, trust(ours, authority.ca), limits=limits, known=lambda host, names: host == "127.0.0.1")
        async with running(us):
            held = [await Hand.to(us, f"127.0.0.{host}") for host in (2, 3, 4) for _ in range(6)]
            for one in held:
                one.say(b"\x16\x03\x01\x02\x00")  # so it begins, and goes no further
            await asyncio.sleep(0.1)
            assert len(us.endpoint.streams) == 6 and us.endpoint.streams.counts["too-many"] == 12
            friend = await hand(us, client(authority))
            friend.say(options(1))
            assert (await friend.hears()).status == 200
            assert max([await one.is_cut(3) for one in held]) < 1.5
            assert len(us.endpoint.streams) == 1
            friend.close()

    run(scenario())


def test_handshakes_of_strangers_are_few_a_second(
    authority: Authority, ours: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        us = party(
            1, trust(ours, authority.ca), known=lambda h, n: False, limits=Limits(handshakes_of_strangers=15)
        )
        async with running(us):
            began, served = time.monotonic(), 0
            for _ in range(40):
                one = await Hand.to(us)
                one.say(b"nonsense")
                await one.is_cut(2)
            served = us.endpoint.streams.counts["tls"]
            seconds = int(time.monotonic() - began) + 1
            assert served <= 15 * seconds and us.endpoint.streams.counts["too-many"] == 40 - served > 0
            assert 0 < len([record for record in caplog.records if record.name == "qm_sip.net.streams"]) <= 10

    asyncio.run(scenario())


# --------------------------------------------------------------------------- reload


@both_loops
def test_new_connections_take_the_new_certificate_and_running_ones_go_on(
    run: Callable[..., None], authority: Authority, ours: Pair
) -> None:
    async def scenario() -> None:
        us = party(1, trust(ours, authority.ca))
        async with running(us):
            before = await hand(us, client(authority))
            us.endpoint.use(trust(authority.issue("renewed", "127.0.0.1"), authority.ca))
            after = await hand(us, client(authority))
            assert await shows(before) != await shows(after)
            for number, one in enumerate((before, after)):
                one.say(options(number))
                assert (await one.hears()).status == 200
                one.close()

    run(scenario())


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("no key", "cannot be read"),
        ("another key", "is not a private key of the certificate"),
        ("no certificate", "is not a certificate"),
        ("a locked key", "locked by a password"),
        ("no authority", "holds no certificate"),
    ],
)
def test_files_that_are_wrong_are_one_clear_error(
    authority: Authority, tmp_path: Path, what: str, says: str
) -> None:
    from cryptography.hazmat.primitives import serialization

    home = Authority(tmp_path)
    pair, other = home.issue("a", "a.example"), home.issue("b", "b.example")
    ca = home.ca
    if what == "no key":
        pair.key.unlink()
    elif what == "another key":
        pair.key.write_bytes(other.key.read_bytes())
    elif what == "no certificate":
        pair.certificate.write_text("nothing")
    elif what == "no authority":
        ca.write_text("nothing")
    else:
        key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
        locked = serialization.BestAvailableEncryption(b"secret")
        pair.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
        )
    began = time.monotonic()
    with pytest.raises(ConfigError, match=says) as wrong:
        trust(pair, ca)
    assert wrong.value.file and wrong.value.remedy and time.monotonic() - began < 10  # it asks nobody


@pytest.mark.parametrize(
    ("days", "says"),
    [(40, None), (30.5, None), (29.5, "in 29 days"), (0.5, "in 0 days"), (-1, "expired")],
)
def test_a_certificate_that_ends_soon_is_spoken_of(days: float, says: str | None) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    warning = Expiry(Path("x"), now + timedelta(days=days)).warning(now)
    assert warning is None if says is None else says in (warning or "")

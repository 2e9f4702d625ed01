"""The connection to the manager, with whoever may answer there: nothing waits for it, and it is made again."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from qm_sip.asterisk.manager import Account, Happening
from qm_sip.beside import where_of
from qm_sip.config.server import Asterisk
from qm_sip.errors import StartError
from qm_sip.net import ami
from qm_sip.net.ami import AmiLink, Where
from qm_sip.private import Private
from tests.support.certificates import Authority

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GREETING = b"Asterisk Call Manager/11.0.0\r\n"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(ami, "MOST_WAIT", 0.1)


def plain(host: str, port: int) -> Where:
    return Where(host, port, Account("qm-sip", Private("the secret")))


class Run:
    """A link, and a manager that does what the test says with each connection."""

    def __init__(
        self, *talks: Talk, serves: ssl.SSLContext | None = None, where: Callable[[str, int], Where] = plain
    ) -> None:
        self.talks, self.connections = list(talks), 0
        self.serves, self.where = serves, where
        self.heard: list[Happening] = []
        self.changes: list[bool] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = self.talks[min(self.connections, len(self.talks) - 1)]
        self.connections += 1
        try:
            await talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def until(self, done: Callable[[AmiLink], bool], seconds: float = 5.0) -> AmiLink:
        return asyncio.run(self._until(done, seconds))

    async def _until(self, done: Callable[[AmiLink], bool], seconds: float) -> AmiLink:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.serves)
        host, port = server.sockets[0].getsockname()
        link = AmiLink(
            self.where(host, port),
            lambda happening, now: self.heard.append(happening),
            lambda up, now: self.changes.append(up),
        )
        await link.start()
        end = time.monotonic() + seconds
        while not done(link):
            assert time.monotonic() < end, (link.trouble, self.connections)
            await asyncio.sleep(0.01)
        await link.stop()
        server.close()
        return link


async def manager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What an Asterisk answers to what we ask."""
    writer.write(GREETING)
    while action := await reader.readuntil(b"\r\n\r\n"):
        asked = dict(line.split(": ", 1) for line in action.decode().strip().split("\r\n"))
        said = {
            "Challenge": "Challenge: 77\r\n",
            "Ping": f"Ping: Pong\r\nTimestamp: {time.time()}\r\n",
            "CoreShowChannels": "EventList: start\r\n",
        }
        more = said.get(asked["Action"], "")
        number = asked["ActionID"]
        writer.write(f"Response: Success\r\nActionID: {number}\r\n{more}\r\n".encode())
        if asked["Action"] == "CoreShowChannels":
            end = "Event: CoreShowChannelsComplete\r\nEventList: Complete\r\n"
            writer.write(f"{end}ActionID: {number}\r\n\r\n".encode())


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It goes away at once."""


async def talks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await asyncio.sleep(1)


async def never_ends_its_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING + b"x" * 1_000_000)
    await asyncio.sleep(1)


async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING)
    for answer in ("Response: Success\r\nChallenge: 1\r\nActionID: 1", "Response: Error\r\nActionID: 2"):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{answer}\r\n\r\n".encode())
    await asyncio.sleep(1)


async def dies_when_it_is_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    talking = asyncio.ensure_future(manager(reader, writer))
    await asyncio.sleep(0.2)
    talking.cancel()


def test_it_comes_up_and_is_said_once() -> None:
    run = Run(manager)
    link = run.until(lambda link: link.up)
    assert run.changes == [True] and link.trouble == "" and link.lost == 0


@pytest.mark.parametrize(
    ("talk", "trouble"),
    [
        (closes, "closed"),
        (talks_http, "no Asterisk manager"),
        (never_ends_its_message, "does not end"),
        (refuses, "user or secret"),
    ],
)
def test_whoever_answers_there_it_is_tried_again_until_it_is_asterisk(talk: Talk, trouble: str) -> None:
    troubles: set[str] = set()

    def seen(link: AmiLink) -> bool:
        troubles.add(link.trouble)
        return link.up

    run = Run(talk, talk, manager)
    run.until(seen)
    assert run.connections == 3 and any(trouble in one for one in troubles)
    assert run.changes[-1] is True and True not in run.changes[:-1]


def test_when_it_breaks_that_is_said_and_it_is_made_again() -> None:
    run = Run(dies_when_it_is_up, manager)
    link = run.until(lambda link: run.changes == [True, False, True])
    assert link.lost == 1


def test_an_error_of_ours_breaks_the_connection_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, wrong = Run(manager), iter([ZeroDivisionError()])

    def receive(self: ami.Manager, data: bytes, now: float) -> list[Happening]:
        if (error := next(wrong, None)) is not None:
            raise error
        return whole(self, data, now)

    whole = ami.Manager.receive
    monkeypatch.setattr(ami.Manager, "receive", receive)
    assert run.until(lambda link: link.up).lost == 1
    assert "connecting anew" in caplog.text


def over_tls(home: Path, ca: Path, name: str = "") -> Callable[[str, int], Where]:
    """As the settings say it."""
    secret = home / "secret"
    secret.write_text("the secret\n")

    def where(host: str, port: int) -> Where:
        settings = Asterisk(address=f"{host}:{port}", secret_file=secret, tls=True, ca_file=ca, tls_name=name)
        found = where_of(settings, {})
        assert found is not None and found.account.plain
        return found

    return where


@pytest.mark.parametrize(
    ("names", "asked", "believed"),
    [
        (["127.0.0.1"], "", True),
        (["pbx.example"], "pbx.example", True),
        (["pbx.example"], "", False),
        (["127.0.0.1"], "other", False),
    ],
)
def test_over_tls_its_certificate_must_bear_the_name(
    tmp_path: Path, names: list[str], asked: str, believed: bool
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("pbx", *names)
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serves.load_cert_chain(pair.certificate, pair.key)
    run = Run(manager, serves=serves, where=over_tls(tmp_path, authority.ca, asked))
    link = run.until(lambda link: link.up if believed else link.lost > 1)
    assert link.up is believed and ("TLS" in link.trouble) is not believed


def test_over_tls_whoever_is_signed_by_another_is_not_believed(tmp_path: Path) -> None:
    pair = Authority(tmp_path, "theirs").issue("pbx", "127.0.0.1")
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serves.load_cert_chain(pair.certificate, pair.key)
    run = Run(manager, serves=serves, where=over_tls(tmp_path, Authority(tmp_path, "ours").ca))
    link = run.until(lambda link: link.lost > 1)
    assert "TLS" in link.trouble and "127.0.0.1" not in link.trouble


def test_a_secret_comes_from_a_file_or_the_environment_and_none_is_an_error(tmp_path: Path) -> None:
    at = "127.0.0.1:5038"
    found = where_of(Asterisk(address=at), {"QM_SIP_ASTERISK_SECRET": "s"})
    assert found is not None and found.account.secret.reveal() == "s" and not found.account.plain
    assert where_of(Asterisk(), {}) is None
    for settings in (Asterisk(address=at), Asterisk(address=at, secret_file=tmp_path / "none")):
        with pytest.raises(StartError, match=r"\[asterisk\]"):
            where_of(settings, {})
    with pytest.raises(StartError, match="certificates"):
        (tmp_path / "secret").write_text("x\n")
        where_of(
            Asterisk(address=at, secret_file=tmp_path / "secret", tls=True, ca_file=tmp_path / "secret"), {}
        )


def test_nothing_is_asked_of_a_manager_that_is_not_there() -> None:
    link = AmiLink(
        Where("127.0.0.1", 1, Account("x", Private("y"))), lambda what, now: None, lambda up, now: None
    )
    assert not link.ask([("Action", "Ping")])

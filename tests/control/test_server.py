"""The control socket with real sockets: who asks is known, what is asked is bounded, errors stay clear."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import socket
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from qm_sip.control import server as server_module
from qm_sip.control.client import ServerAway, ServerSaid, call, fetch
from qm_sip.control.server import ControlServer, PeerCredentials, Reply
from qm_sip.errors import ConfigError, Refused, StartError


async def echo(request: dict[str, Any], peer: PeerCredentials) -> dict[str, Any]:
    return {"got": request, "pid": peer.pid, "uid": peer.uid, "gid": peer.gid}


async def refuse(request: dict[str, Any], peer: PeerCredentials) -> dict[str, Any]:
    raise Refused("playback/not-granted", "no")


async def misconfigured(request: dict[str, Any], peer: PeerCredentials) -> dict[str, Any]:
    raise ConfigError("wrong", file="lines.toml", key="line.a", remedy="mend it")


async def fault(request: dict[str, Any], peer: PeerCredentials) -> dict[str, Any]:
    raise RuntimeError("+31612345678")


async def slow(request: dict[str, Any], peer: PeerCredentials) -> dict[str, Any]:
    await asyncio.sleep(30)
    return {}


HANDLERS = {"echo": echo, "refuse": refuse, "misconfigured": misconfigured, "fault": fault, "slow": slow}


@contextlib.contextmanager
def running(path: Path, **more: Any) -> Iterator[ControlServer]:
    """A server in a thread of its own, on the loop that production uses."""
    control = ControlServer(path, {**HANDLERS, **more})
    ready, stop = threading.Event(), asyncio.Event()
    loop = uvloop.new_event_loop()

    async def serve() -> None:
        await control.start()
        ready.set()
        await stop.wait()
        await control.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(5)
        yield control
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def alone(work: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), 10))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control"


def test_the_kernel_says_who_asks(path: Path) -> None:
    with running(path):
        answer = call(path, "echo", limit=3)
    assert answer == {
        "got": {"what": "echo", "limit": 3},
        "pid": os.getpid(),
        "uid": os.getuid(),
        "gid": os.getgid(),
    }


def test_only_owner_and_group_may_connect(path: Path) -> None:
    with running(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


def test_an_error_keeps_its_code_and_remedy(path: Path) -> None:
    with running(path):
        with pytest.raises(Refused) as refused:
            call(path, "refuse")
        with pytest.raises(ServerSaid, match=r"lines\.toml: line\.a: wrong \(mend it\)"):
            call(path, "misconfigured")
        with pytest.raises(ServerSaid, match="unknown request 'dance'"):
            call(path, "dance")
    assert refused.value.code == "playback/not-granted"


def test_a_fault_of_ours_names_its_type_and_tells_nothing_private(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(path), pytest.raises(ServerSaid) as caught:
        call(path, "fault")
    assert "RuntimeError" in str(caught.value)
    assert "316" not in str(caught.value) + caplog.text
    assert "RuntimeError" in caplog.text


def raw(path: Path, data: bytes) -> bytes:
    """What the server answers to these bytes before it closes or falls silent."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while block := connection.recv(65536):
                answer += block
        return answer


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"hello\n", "not JSON"),
        (b"[]\n", "an object"),
        (b"{}\n", "an object"),
        (b'{"what": 3}\n', "an object"),
        (b'{"what": ' + b"[" * 20000 + b"\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
        (b"x" * 70_000 + b"\n", "too long"),
    ],
)
def test_garbage_gets_one_clear_error_and_the_server_lives_on(path: Path, data: bytes, says: str) -> None:
    with running(path):
        assert says in json.loads(raw(path, data))["error"]["text"]
        assert call(path, "echo")["uid"] == os.getuid()


def test_a_torn_request_gets_no_answer(path: Path) -> None:
    with running(path):
        assert raw(path, b'{"what": "echo"}') == b""


def test_one_connection_may_ask_twice(path: Path) -> None:
    with running(path):
        lines = raw(path, b'{"what": "echo"}\n{"what": "dance"}\n').splitlines()
    assert [next(iter(json.loads(line))) for line in lines] == ["ok", "error"]


def test_a_handler_that_hangs_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HANDLER_SECONDS", 0.1)
    with running(path), pytest.raises(ServerSaid, match="no answer within"):
        call(path, "slow")


def test_a_silent_connection_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "IDLE_SECONDS", 0.1)
    with running(path), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        assert connection.recv(1) == b""


def test_too_many_connections_are_told_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 2)
    with running(path), contextlib.ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(path))
            connection.sendall(b'{"what": "echo"}\n')
            connection.recv(10)
        with pytest.raises(ServerSaid, match="too many"):
            call(path, "echo")


def test_a_file_follows_its_answer(path: Path, tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    sealed.write_bytes(os.urandom(300_000))

    async def file(request: dict[str, Any], peer: PeerCredentials) -> Reply:
        return Reply({"recording": "r1"}, sealed)

    async def gone(request: dict[str, Any], peer: PeerCredentials) -> Reply:
        return Reply({}, tmp_path / "nowhere")

    with running(path, file=file, gone=gone):
        sink = io.BytesIO()
        assert fetch(path, "file", sink) == {"recording": "r1"}
        assert sink.getvalue() == sealed.read_bytes()
        assert call(path, "file") == {"recording": "r1"}
        with pytest.raises(ServerSaid, match="cannot be read"):
            fetch(path, "gone", sink)


def test_the_socket_is_gone_after_the_server(path: Path) -> None:
    with running(path):
        assert path.exists()
    assert not path.exists()
    with pytest.raises(ServerAway, match="no qm-sip server runs"):
        call(path, "echo")


def test_a_socket_that_a_killed_server_left_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(ServerAway, match="no qm-sip server runs"):
        call(path, "echo")
    with running(path):
        assert call(path, "echo")["uid"] == os.getuid()


def test_a_second_server_does_not_take_the_socket_over(path: Path) -> None:
    with running(path):
        with pytest.raises(StartError, match="another server listens"):
            alone(ControlServer(path, HANDLERS).start)
        assert call(path, "echo")["uid"] == os.getuid()


def test_a_file_in_the_sockets_place_is_not_touched(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(StartError, match="not a socket"):
        alone(ControlServer(path, HANDLERS).start)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["x" * 120, "a" * 60 + "/" + "b" * 60])
def test_a_path_that_cannot_be_a_socket_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError, match="cannot"):
        alone(ControlServer(tmp_path / name, HANDLERS).start)


def test_stopping_ends_requests_that_run(path: Path) -> None:
    async def work() -> str:
        control = ControlServer(path, HANDLERS)
        await control.start()
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"what": "slow"}\n')
        await asyncio.sleep(0.1)
        await control.stop()
        left = await reader.read()
        writer.close()
        return left.decode()

    assert alone(work) == ""

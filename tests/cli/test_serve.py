"""`qm-sip serve` as a process: ready, asked, stopped; and what stops its start is one clear error."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.announce.site import environ, rewrite, site

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from qm_sip.cli.main import main; main()"]

pytestmark = pytest.mark.wire


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = site(tmp_path)
    rewrite(home / "qm_sip.toml", "udp:127.0.0.2:5080", f"udp:127.0.0.1:{free_port()}")
    rewrite(home / "qm_sip.toml", 'address = "127.0.0.2"', 'address = "127.0.0.1"')
    return home


def env(home: Path) -> dict[str, str]:
    return {**environ(home), "PYTHONPATH": str(ROOT)}


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    line = [*PROGRAM, *arguments, "--config", str(home)]
    return subprocess.run(line, capture_output=True, text=True, env=env(home), cwd=ROOT, timeout=60)


@contextlib.contextmanager
def running(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A server that has said it is ready."""
    ready = home / "ready"
    line = [*PROGRAM, "serve", "--config", str(home), "--ready-file", str(ready)]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(line, env=env(home), cwd=ROOT, stdout=log, stderr=log, text=True)
    try:
        until = time.monotonic() + 30
        while not ready.exists():
            assert server.poll() is None, (home / "log").read_text()
            assert time.monotonic() < until, (home / "log").read_text()
            time.sleep(0.05)
        yield server
    finally:
        server.kill()
        server.wait(10)


def test_a_server_becomes_ready_answers_reloads_and_stops(home: Path) -> None:
    with running(home) as server:
        assert (home / "ready").read_text().strip() == str(server.pid)
        status = json.loads(command(home, "status", "--json").stdout)
        assert (status["calls"], status["regulation_status"]) == (0, "in-force")
        assert command(home, "reload").returncode == 0
        rewrite(home / "lines.toml", 'capture = "all"', 'capture = "everything"')
        assert command(home, "reload").returncode == 3
        assert command(home, "status").returncode == 0
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    assert not (home / "ready").exists()
    assert command(home, "status").returncode == 5
    assert "Traceback" not in (home / "log").read_text()


def fails(home: Path, status: int, *says: str) -> None:
    """The start fails with this status, and the last line on stderr says these things."""
    done = command(home, "serve", "--ready-file", str(home / "never"))
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == status, done.stderr
    assert last.startswith("qm-sip: ")
    assert [text for text in says if text not in last] == []
    assert "Traceback" not in done.stderr
    assert not (home / "never").exists()


def test_a_missing_prompt_stops_the_start(home: Path) -> None:
    (home / "prompts/nl/K11-all-key.wav").unlink()
    fails(home, 3, "K11-all-key.wav", "missing", "qm-sip prompts build")


def test_a_prompt_of_a_wrong_format_stops_the_start(home: Path) -> None:
    (home / "prompts/nl/K11-all-key.wav").write_bytes(b"ID3 an mp3")
    fails(home, 3, "K11-all-key.wav", "not a RIFF/WAVE file", "sox")


def test_a_prompt_that_promises_a_key_stops_the_start(home: Path) -> None:
    with (home / "prompts/nl/K11-all-key.toml").open("a") as sidecar:
        sidecar.write('keys = ["7"]\n')
    fails(home, 3, "promises key 7")


def test_an_unknown_key_in_a_file_stops_the_start(home: Path) -> None:
    rewrite(home / "people.toml", "monitorable = true", "monitorabel = true")
    fails(home, 3, "people.toml", "monitorabel")


def test_a_port_that_is_taken_stops_the_start(home: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = (home / "qm_sip.toml").read_text()
        listen = next(line for line in text.splitlines() if line.startswith("listen"))
        (home / "qm_sip.toml").write_text(text.replace(listen, f'listen = ["udp:127.0.0.1:{port}"]'))
        fails(home, 4, str(port), "in use")


def test_storage_that_cannot_be_written_stops_the_start(home: Path) -> None:
    (home / "storage").write_text("a file, not a directory")
    fails(home, 4, "cannot write to", "storage")


def test_a_second_server_on_the_same_storage_does_not_start_and_harms_nothing(home: Path) -> None:
    with running(home):
        fails(home, 4, "another server uses")
        assert command(home, "status").returncode == 0


def test_a_control_socket_that_is_a_file_stops_the_start(home: Path) -> None:
    (home / "run").mkdir()
    (home / "run" / "control").write_text("precious")
    fails(home, 4, "not a socket")
    assert (home / "run" / "control").read_text() == "precious"

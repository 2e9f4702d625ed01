"""Each command as an administrator runs it, against a real socket: what it prints and how it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest

from qm_sip.cli.main import main
from qm_sip.recorder.keys import read_identity
from tests.announce.helpers import put
from tests.announce.site import environ, rewrite, site
from tests.control.state import NUMBER, State, make_state, serving

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = site(tmp_path)
    for name, value in environ(home).items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture
def state(home: Path) -> Iterator[State]:
    state = make_state(home)
    with serving(state):
        yield state


class Run:
    """Runs a command in this process; keeps what it printed and how it ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), out, err

    def json(self, *arguments: str | Path) -> Any:
        status, out, err = self(*arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


LISTINGS = [
    ("calls",),
    ("explain", "c1"),
    ("ledger",),
    ("recordings", "list"),
    ("recordings", "verify"),
    ("taps",),
    ("status",),
    ("lines",),
    ("people",),
    ("prompts", "list"),
    ("keys", "list"),
]


@pytest.mark.parametrize("command", LISTINGS, ids=" ".join)
def test_every_listing_is_a_table_and_json(
    run: Run, home: Path, state: State, command: tuple[str, ...]
) -> None:
    assert run.json(*command, "--config", home)
    status, out, err = run(*command, "--config", home)
    assert (status, err) == (0, "")
    assert out.strip()
    assert NUMBER not in out


def test_calls_shows_outcome_seconds_and_reasons(run: Run, home: Path, state: State) -> None:
    _, out, _ = run("calls", "--config", home)
    (line,) = [line.split() for line in out.splitlines() if line.startswith("c2")]
    assert line == [
        "c2",
        "support",
        "inbound",
        "ended",
        "blocked",
        "2.5",
        "0.0",
        "announcement-not-completed",
    ]


def test_the_officer_may_see_parties(run: Run, home: Path, state: State) -> None:
    status, out, _ = run("calls", "--config", home, "--as", "o1")
    assert status == 0
    assert NUMBER in out
    status, out, err = run("calls", "--config", home, "--as", "m1")
    assert (status, out) == (6, "")
    assert err.count("\n") == 1
    assert "[not-the-officer]" in err


def test_the_socket_can_be_named_alone(run: Run, state: State) -> None:
    socket = state.config.server.control.socket
    assert [row["call"] for row in run.json("calls", "--socket", socket)] == ["c3", "c2", "c1"]


def test_without_a_server_the_error_says_so_once(run: Run, home: Path) -> None:
    status, out, err = run("calls", "--config", home)
    assert (status, out) == (5, "")
    assert err.startswith("qm-sip: no qm-sip server runs at ")
    assert err.count("\n") == 1


def test_what_is_not_there_ends_with_no(run: Run, home: Path, state: State) -> None:
    status, _, err = run("explain", "c99", "--config", home)
    assert (status, err) == (1, "qm-sip: no call 'c99': see `qm-sip calls`\n")


def test_a_failed_reload_is_a_configuration_error(run: Run, home: Path, state: State) -> None:
    assert run("reload", "--config", home)[0] == 0
    rewrite(home / "lines.toml", 'capture = "all"', 'capture = "everything"')
    status, _, err = run("reload", "--config", home)
    assert status == 3
    assert "lines.toml" in err


def test_verify_ends_with_no_when_a_file_was_changed(run: Run, home: Path, state: State) -> None:
    assert run("recordings", "verify", "r1", "--config", home)[0] == 0
    (state.config.server.storage.directory / "recordings" / "r1.0.flac.age").write_bytes(b"other")
    status, out, _ = run("recordings", "verify", "--config", home)
    assert status == 1
    assert "not the one that was sealed" in out


def test_show_and_export_need_a_person_and_a_purpose(run: Run, home: Path, state: State) -> None:
    assert run("recordings", "show", "r1", "--config", home)[0] == 2
    asked = ("--as", "m1", "--purpose", "coaching", "--config", home)
    assert run.json("recordings", "show", "r1", *asked)["agent"] == "a1"
    refused = ("--as", "a2", "--purpose", "coaching", "--config", home)
    assert run("recordings", "show", "r1", *refused)[0] == 6


def sealed_for(identity: str, flac: bytes) -> tuple[bytes, str]:
    """A recording sealed as the renderer seals: to a fresh identity, wrapped to the holder."""
    import base64

    fresh = pyrage.x25519.Identity.generate()
    holder = pyrage.x25519.Identity.from_str(identity).to_public()
    wrapped = pyrage.encrypt(str(fresh).encode(), [holder])
    return pyrage.encrypt(flac, [fresh.to_public()]), base64.b64encode(wrapped).decode()


def seal_r1(run: Run, home: Path, state: State, flac: bytes) -> Path:
    """Make a key with the command line, and seal recording r1 to it."""
    run("keys", "generate", "coaching", "--out", home / "holder")
    identity = home / "holder" / "coaching.agekey"
    data, wrapped = sealed_for(read_identity(identity), flac)
    (state.config.server.storage.directory / "recordings" / "r1.0.flac.age").write_bytes(data)
    sql = "update wrapped_keys set wrapped = ? where recording = 'r1'"
    state.catalog.submit(lambda db: db.execute(sql, [wrapped])).result(5)
    return identity


def test_export_opens_with_the_holders_identity(run: Run, home: Path, state: State, tmp_path: Path) -> None:
    flac = b"fLaC and the rest"
    identity, out = seal_r1(run, home, state, flac), tmp_path / "r1.flac"
    asked = ("r1", "--as", "m1", "--purpose", "coaching", "--config", home, "--identity", identity)
    written = run.json("recordings", "export", *asked, "--out", out)
    assert out.read_bytes() == flac
    assert (written["bytes"], written["recording"]) == (len(flac), "r1")
    assert out.stat().st_mode & 0o777 == 0o600


def test_export_with_another_identity_writes_nothing(
    run: Run, home: Path, state: State, tmp_path: Path
) -> None:
    seal_r1(run, home, state, b"fLaC")
    run("keys", "generate", "coaching", "--out", home / "stranger")
    asked = ("r1", "--as", "m1", "--purpose", "coaching", "--config", home, "--out", tmp_path / "r1.flac")
    status, _, err = run("recordings", "export", *asked, "--identity", home / "stranger" / "coaching.agekey")
    assert (status, (tmp_path / "r1.flac").exists()) == (6, False)
    assert "not-a-recipient" in err


def test_an_export_that_cannot_be_written_is_not_asked_for(
    run: Run, home: Path, state: State, tmp_path: Path
) -> None:
    identity, out = seal_r1(run, home, state, b"fLaC"), tmp_path / "r1.flac"
    out.write_bytes(b"precious")
    asked = ("r1", "--as", "m1", "--purpose", "coaching", "--config", home, "--identity", identity)
    status, _, err = run("recordings", "export", *asked, "--out", out)
    assert (status, out.read_bytes(), state.catalog.uses("r1")) == (4, b"precious", [])
    assert "exists" in err


def test_keys_generate_makes_files_for_their_holder_and_says_what_to_configure(
    run: Run, tmp_path: Path
) -> None:
    made = run.json("keys", "generate", "coaching", "complaint", "--out", tmp_path / "keys")
    assert [key["purpose"] for key in made] == ["coaching", "complaint"]
    for key in made:
        path = Path(key["path"])
        assert path.stat().st_mode & 0o777 == 0o600
        identity = pyrage.x25519.Identity.from_str(read_identity(path))
        assert str(identity.to_public()) == key["recipient"]
    status, _, err = run("keys", "generate", "coaching", "--out", tmp_path / "keys")
    assert status == 4
    assert "exists" in err
    assert run("keys", "generate", "gossip", "--out", tmp_path / "keys")[0] == 2


def test_prompts_are_built_listed_and_checked_without_a_server(run: Run, home: Path) -> None:
    directory = home / "prompts"
    (directory / "nl" / "K1-all-short-key.wav").unlink()
    built = run.json("prompts", "build", "K1-all-short-key", "--config", home)
    assert [row["action"] for row in built] == ["own-recording", "built"]
    listed = run.json("prompts", "list", "--directory", directory)
    assert [row["own_recording"] for row in listed if row["id"] == "K1-all-short-key"] == [True, False]
    status, out, _ = run("prompts", "check", "--directory", directory)
    assert status == 1  # the helper's prompts speak Dutch in the folder of English
    assert "rule" in out


def test_prompts_check_is_content_with_what_is_shipped(run: Run, tmp_path: Path) -> None:
    for language in ("nl", "en"):
        put(tmp_path, "K1", language)
    rewrite(tmp_path / "en/K1.toml", "Welkom bij", "Welcome to")
    rewrite(
        tmp_path / "en/K1.toml",
        "Dit gesprek wordt opgenomen om onze medewerkers te",
        "This call is recorded to",
    )
    rewrite(tmp_path / "en/K1.toml", "coachen", "coach our staff")
    assert run("prompts", "check", "--directory", tmp_path) == (0, "2 prompts, no fault\n", "")
    put(tmp_path, "K2").with_suffix(".wav").unlink()
    assert run("prompts", "check", "--directory", tmp_path)[0] == 3


def findings(run: Run, home: Path) -> tuple[int, list[dict[str, Any]]]:
    status, out, _ = run("check", "--config", home, "--json")
    found: list[dict[str, Any]] = json.loads(out)["findings"]
    return status, [one for one in found if "media engine" not in one["problem"]]


def test_check_of_a_sound_site_finds_no_error(run: Run, home: Path) -> None:
    _, found = findings(run, home)
    assert [one for one in found if one["level"] == "error"] == []


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("lines.toml", 'capture = "all"', 'capture = "everything"', "capture"),
        ("lines.toml", 'prompt = "K11-all-key"', 'prompt = "K99"', "no prompt 'K99'"),
        ("people.toml", "monitorable = true", "monitorable = yes", "TOML"),
        ("regulation.toml", 'status = "in-force"', 'status = "in-farce"', "status"),
        ("qm_sip.toml", 'next_hop = "127.0.0.1:5060"', "", "next_hop"),
        ("prompts/nl/K11-all-key.toml", 'says = "does"', 'says = "may"', 'needs "does"'),
    ],
)
def test_check_names_what_would_stop_the_start(
    run: Run, home: Path, file: str, old: str, new: str, says: str
) -> None:
    assert old in (home / file).read_text()
    rewrite(home / file, old, new)
    status, found = findings(run, home)
    assert status == 3
    assert says in json.dumps([one for one in found if one["level"] == "error"]).replace('\\"', '"')


def test_check_sees_storage_that_cannot_be_written(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "a-file").write_text("")
    monkeypatch.setenv("QM_SIP_STORAGE_DIRECTORY", str(home / "a-file"))
    monkeypatch.setenv("QM_SIP_STORAGE_KEY_DIRECTORY", "/proc/1/keys")
    status, found = findings(run, home)
    keys = [one["key"] for one in found if one["level"] == "error"]
    assert (status, keys) == (3, ["storage.directory", "storage.key_directory"])


def test_check_sees_a_host_key_that_cannot_be_made(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QM_SIP_STORAGE_HOST_KEY", "/proc/1/host.key")
    status, found = findings(run, home)
    assert (status, [one["key"] for one in found if one["level"] == "error"]) == (3, ["storage.host_key"])


def test_check_advises_a_key_directory_in_memory(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def advised() -> bool:
        return any(one["key"] == "storage.key_directory" for one in findings(run, home)[1])

    monkeypatch.setenv("QM_SIP_STORAGE_KEY_DIRECTORY", "/dev/shm/qm_sip-check")
    assert not advised()
    monkeypatch.setenv("QM_SIP_STORAGE_KEY_DIRECTORY", "/proc/self")
    assert advised()


def test_the_shipped_configuration_has_no_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And records nothing."""
    monkeypatch.setenv("QM_SIP_STORAGE_DIRECTORY", str(tmp_path / "storage"))
    _, found = findings(run, ROOT / "config")
    assert [one for one in found if one["level"] == "error"] == []
    assert "no line records or is heard" in [one["problem"] for one in found]


def test_the_command_itself_runs_and_tells_its_name() -> None:
    program = "from qm_sip.cli.main import main; main(['calls', '--socket', '/nowhere/socket'])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert "Traceback" not in done.stderr
    assert io.StringIO(done.stderr).readline().startswith("qm-sip: no qm-sip server runs at /nowhere/socket")

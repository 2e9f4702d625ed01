"""Each command as an administrator runs it, against a real socket: what it prints and how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest

from qm_sip.call.spans import Span
from qm_sip.cli.main import main
from qm_sip.cli.output import Status
from qm_sip.policy.codes import code_fits
from qm_sip.policy.draw import commitment, draw
from qm_sip.policy.facts import CallId, PersonId, SpanState, Version
from qm_sip.policy.reasons import NOT_DRAWN
from qm_sip.recorder.keys import read_identity
from qm_sip.recorder.rows import RecordingRow
from tests.announce.helpers import put
from tests.announce.site import RECIPIENT, environ, load, rewrite, site
from tests.control.state import NOW, NUMBER, State, decision, make_state, other_call, serving
from tests.support.certificates import Authority

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
    ("monitors",),
    ("draws",),
    ("monitor", "list"),
]


@pytest.mark.parametrize("command", LISTINGS, ids=" ".join)
def test_every_listing_is_a_table_and_json(
    run: Run, home: Path, state: State, command: tuple[str, ...]
) -> None:
    state.listen(PersonId("m1"), "1001", "coaching")
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


TLS = """
[sip]
listen = ["udp:127.0.0.2:5080", "tls:127.0.0.2:5061"]
[sip.tls]
certificate = "ours.pem"
private_key = "ours.key"
[peers.loose]
addresses = ["127.0.0.99"]
next_hop = "127.0.0.99:5061"
transport = "tls"
tls_verify = false
tls_unverified_because = "the carrier signs its own"
[peers.old]
addresses = ["127.0.0.98"]
srtp = "offer"
srtp_without_tls_because = "an old phone"
"""


@pytest.mark.parametrize(
    ("lasts", "level", "says"),
    [
        (40, "", ""),
        (20, "advice", "expires on"),
        (-1, "advice", "expired on"),
        (None, "error", "cannot be read"),
    ],
)
def test_check_looks_at_certificates(run: Run, home: Path, lasts: int | None, level: str, says: str) -> None:
    text = (home / "qm_sip.toml").read_text()
    listen = next(line for line in text.splitlines() if line.startswith("listen"))
    rewrite(home / "qm_sip.toml", f"[sip]\n{listen}", TLS)
    if lasts is not None:
        pair = Authority(home).issue("ours", "127.0.0.2", lasts=timedelta(days=lasts, hours=1))
        pair.key.chmod(0o644)
    status, found = findings(run, home)
    told = [one for one in found if one["file"].endswith(("ours.pem", "ours.key"))]
    assert (level, True) in [(one["level"], says in one["problem"]) for one in told] or not level
    assert status == (3 if level == "error" else 0)
    if lasts is not None:
        assert any("others than its owner" in one["problem"] for one in told)
        assert sum("ours.pem" in one["file"] for one in told) == bool(level)
    assert any("the carrier signs its own" in one["problem"] for one in found)
    assert any("can be read on the way: an old phone" in one["problem"] for one in found)


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


def test_what_no_file_can_be_called_is_one_line_too() -> None:
    program = (
        "from qm_sip.cli.main import main; import os, sys; main([os.fsdecode(one) for one in sys.argv[1:]])"
    )
    for directory, status in ((b"a" * 5000, 4), (b"\xff", 3)):
        done = subprocess.run(
            [sys.executable, "-c", program, "prompts", "check", "--directory", directory],
            capture_output=True,
            cwd=ROOT,
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
            timeout=60,
        )
        assert done.returncode == status and b"Traceback" not in done.stderr, done.stderr
        assert (done.stderr + done.stdout).count(b"\n") < 5


# --------------------------------------------------------------------------- what is done to a running call


def test_a_running_call_is_paused_and_goes_on(run: Run, home: Path, state: State) -> None:
    assert run.json("pause", "c3", "--config", home) == {"call": "c3", "paused": True}
    assert run("pause", "c3", "--off", "--config", home)[0] == 0
    assert not state.paused
    status, _, err = run("pause", "c3", "--off", "--config", home)
    assert (status, "[not-paused]" in err) == (6, True)


def test_an_agent_has_his_own_call_recorded(run: Run, home: Path, state: State) -> None:
    assert run("record", "c3", "--config", home)[0] == 2  # in whose name?
    assert run("record", "c3", "--as", "a2", "--config", home)[0] == 6
    assert run.json("record", "c3", "--as", "a1", "--config", home) == {"call": "c3", "requested": True}


def test_a_supervisor_begins_and_ends_a_session(run: Run, home: Path, state: State) -> None:
    asked = ("monitor", "start", "1001", "--purpose", "coaching", "--config", home)
    assert run(*asked)[0] == 2
    session = run.json(*asked, "--as", "m1")["session"]
    (row,) = run.json("monitor", "list", "--config", home)
    assert (row["session"], row["purpose"], "monitor" in row) == (session, "coaching", False)
    assert run("monitor", "list", "--as", "o1", "--config", home)[1].split()[-2:] == ["m1", "a1"]
    assert run("monitor", "stop", session, "--config", home)[0] == 0
    assert run("monitor", "list", "--config", home)[1].strip() == "nobody listens"
    assert run("monitor", "stop", session, "--config", home)[0] == 1


# --------------------------------------------------------------------------- who may listen; samples


def monitor(home: Path, text: str) -> None:
    with (home / "people.toml").open("a") as file:
        file.write(text)


LISTENER = """
[monitor.m7]
purposes = ["coaching"]
may = ["listen"]
modes = ["live"]
agents = ["a2"]
extensions = ["1077"]
granted_by = "m0"
granted = 2020-01-01
secrecy_signed = 2020-01-01
expires = "P6M"
"""


def test_monitors_lists_everybody_who_may_and_why_not(run: Run, state: State, home: Path) -> None:
    monitor(home, LISTENER)
    state.config = load(home)
    answer = run.json("monitors", "--config", home)
    row = next(one for one in answer["monitors"] if one["person"] == "m7")
    assert (row["usable"], row["because"], row["expires"]) == (False, "grant-expired", "2020-07-01")
    assert answer["questions_to"] == list(state.config.regulation.regulation.questions_to)
    to = {
        agent: {one["person"] for one in run.json("monitors", "--config", home, "--agent", agent)["monitors"]}
        for agent in ("a1", "a2")
    }
    assert "m7" in to["a2"] and "m7" not in to["a1"]
    edited = (home / "people.toml").read_text().replace('expires = "P6M"\n', 'expires = "P99Y"\n')
    (home / "people.toml").write_text(edited)
    state.config = load(home)
    row = next(one for one in run.json("monitors", "--config", home)["monitors"] if one["person"] == "m7")
    assert (row["usable"], row["because"]) == (False, "no-code")
    status, out, _ = run("monitors", "--config", home)
    assert status == 0 and "m7" in out and "1077" not in out and "scrypt" not in out


def test_a_code_is_asked_twice_and_printed_as_a_hash(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["246813", "246814", "246813", "246813"])  # the first time two different ones
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: next(typed))
    status, out, _ = run("monitors", "code")
    assert status == 0 and "246813" not in out
    hashed = re.search(r'code_hash = "(scrypt:[^"]+)"', out)
    assert hashed and code_fits("246813", hashed[1]) and not code_fits("246814", hashed[1])


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", "777777", "123456", "654321", "٣٣٣٣٣١"])
def test_a_code_that_is_none_or_too_easy(run: Run, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: code)
    status, out, _ = run("monitors", "code")
    assert status == 2 and "scrypt" not in out


def sampled(state: State, call: str, secret: bytes, lot: str | None = None) -> None:
    """A call that was drawn, and its recording."""
    other_call(state, call, finished=True)
    right = f"{draw(secret, CallId(call), 'support'):016x}"
    state.catalog.open_recording(
        RecordingRow(
            f"r-{call}",
            CallId(call),
            decision(allowed=True, reason="capture-sample"),
            "agent",
            PersonId("a1"),
            NOW,
            Version("sha256:r"),
            (),
            {"coaching": [RECIPIENT]},
            draw=lot or right,
            seed=commitment(secret),
        )
    ).result(5)


def test_every_lot_of_a_day_is_drawn_again(run: Run, state: State, home: Path) -> None:
    secret, today = bytes(range(32)), NOW.date()
    state.catalog.commit_draw(today, secret).result(5)
    calls = sorted(
        (f"s{number}" for number in range(6)), key=lambda call: draw(secret, CallId(call), "support")
    )
    for call in calls[:2]:
        sampled(state, call, secret)
    for call in calls[2:]:
        other_call(state, call, finished=False)
        state.catalog.finish_call(
            CallId(call), NOW, [Span(SpanState.NOT_SELECTED, 0, 2500, NOT_DRAWN.code)], [NOT_DRAWN]
        ).result(5)
    (row,) = run.json("draws", "--config", home)["draws"]
    assert (row["commitment"], row["seed"], row["ok"]) == (commitment(secret), None, None)
    assert run("draws", "--config", home, "--day", str(today))[0] == 1  # not revealed before the day is over
    state.catalog.reveal_draws(today + timedelta(days=1)).result(5)
    answer = run.json("draws", "--config", home, "--day", str(today))
    lots = [draw(secret, CallId(call), "support") / 2**64 for call in calls]
    assert answer["draws"][0]["ok"] is True and answer["ok"] is True
    assert answer["lines"] == [
        {
            "line": "support",
            "recorded": 2,
            "left_out": 4,
            "wrong": 0,
            "largest_recorded": round(lots[1], 6),
            "smallest_left_out": round(lots[2], 6),
        }
    ]
    status, out, _ = run("draws", "--config", home, "--day", str(today))
    assert status == 0 and f"{lots[1]:.6f}" in out
    sampled(state, "s9", secret, lot="0" * 16)  # somebody was picked out
    status, out, _ = run("draws", "--config", home, "--day", str(today))
    assert status == 1
    assert (
        run("draws", "--config", home, "--day", "2020-01-01")[0] == 1
        and run("draws", "--config", home, "--day", "yesterday")[0] == 4
    )


# --------------------------------------------------------------------------- what a number is


def test_lines_of_a_number_says_by_which_entries_it_is_found(run: Run, home: Path) -> None:
    site = ROOT / "tests/cases/site"
    rows = run.json("lines", "--config", site, "--of", "+31 6 87654321")
    assert [(row["list"], row["rule"], row["source"]) for row in rows] == [
        ("agreed", "agreed", "letter of 5 January")
    ]
    rows = run.json("lines", "--config", site, "--of", "0201230805")
    assert (rows[0]["list"], rows[0]["rule"]) == ("confidential", "line.adviser")
    status, out, _ = run("lines", "--config", site, "--of", "1913")
    assert status == 0 and "function" in out and "2026-06-30" in out and "reorganisation" not in out
    assert run.json("lines", "--config", site, "--of", "0999999999") == []


def test_lines_of_a_number_needs_the_files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QM_SIP_CONFIG", raising=False)
    status, _, err = run("lines", "--of", "1900")
    assert status == Status.USAGE and "--config" in err

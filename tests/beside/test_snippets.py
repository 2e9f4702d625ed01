"""What is written for an Asterisk is what is shipped as its example, and `check` has nothing to say of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from qm_sip.asterisk.check import faults, read_site
from qm_sip.asterisk.check.conf import read
from qm_sip.asterisk.snippets import written
from qm_sip.cli.main import main
from qm_sip.config import Config, load
from qm_sip.config.network import Listen
from qm_sip.errors import ConfigError
from tests.beside.test_check import SHIPPED, with_manager

DEMO = with_manager()
EXAMPLES = SHIPPED.parents[0] / "examples"
PHONES = ("1001", "1002", "1003", "1050", "1051", "1900")


def test_the_files_that_are_shipped_are_what_the_command_writes_for_the_demo() -> None:
    """To write them anew: `python -m tests.beside.test_snippets`."""
    for name, text in written(DEMO).items():
        assert (SHIPPED / name).read_text() == text, name
    generated = {path.name for path in SHIPPED.glob("*.conf")} - {"pjsip_qm_trunk.conf"}
    assert generated == set(written(DEMO))


def test_the_trunk_side_is_written_where_a_route_leads_there(tmp_path: Path) -> None:
    environment = {"QM_SIP_KEYS_COACHING_RECIPIENTS": DEMO.recipients("coaching")[0]}
    files = written(load(EXAMPLES / "trunk", environment))
    assert files["pjsip_qm_trunk.conf"] == (SHIPPED / "pjsip_qm_trunk.conf").read_text()
    assert set(files) == {"pjsip_qm_trunk.conf", "features_qm_sip.conf"}


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """An Asterisk that is made of what the command writes, and little more."""
    return made(tmp_path, DEMO)


def made(etc: Path, config: Config) -> Path:
    for name, text in written(config).items():
        (etc / name).write_text(text)
    shutil.copy(SHIPPED / "site/modules.conf", etc)
    (etc / "pjsip.conf").write_text("#include pjsip_qm_sip.conf\n")
    (etc / "extensions.conf").write_text(
        "#include extensions_qm_sip.conf\n#include extensions_qm_lines.conf\n"
        "[from-trunk]\nexten => 3001,1,Goto(qm-lines,sales,1)\n[phones]\ninclude => qm-phones\n"
    )
    (etc / "queues.conf").write_text("#include queues_qm_sip.conf\n")
    (etc / "features.conf").write_text("#include features_qm_sip.conf\n")
    general = "[general]\nenabled=yes\ntimestampevents=yes\nchannelvars=QM_LEG,QM_PARENT\n"
    (etc / "manager.conf").write_text(f"{general}#include manager_qm_sip.conf\n")
    return etc


def test_the_check_has_nothing_to_say_of_them(etc: Path) -> None:
    site = read_site(DEMO, etc)
    assert site.ours >= {"qm-sip"} and "from-qmsip" in site.back
    assert len(site.members) > 4
    assert faults(DEMO, site) == []


def test_confidential_extensions_are_called_past_us_and_are_no_agents() -> None:
    files = written(DEMO)
    assert "exten => 1900,1,Dial(PJSIP/1900,25)" in files["extensions_qm_lines.conf"]
    assert "PJSIP/1900@qm-sip" not in "".join(files.values())
    assert "1900" not in files["queues_qm_sip.conf"]


def test_no_line_of_a_private_kind_and_no_number_of_the_outside_is_in_them() -> None:
    text = "".join(written(DEMO).values())
    assert "112" not in text.split()
    assert "secret=  " in text  # which is yours to fill in


def test_a_line_that_must_be_recorded_has_no_way_around() -> None:
    lines = dict(DEMO.lines.line)
    lines["sales"] = lines["sales"].model_copy(update={"must_record": True})
    config = replace(DEMO, lines=DEMO.lines.model_copy(update={"line": lines}))
    files = written(config)
    assert "direct-sales" not in files["extensions_qm_lines.conf"]
    assert "[sales-direct]" not in files["queues_qm_sip.conf"]


def listening(*listen: Listen, **peer: object) -> Config:
    server = DEMO.server
    asterisk = server.peers["asterisk"].model_copy(update=peer)
    sip = server.sip.model_copy(update={"listen": listen})
    return replace(DEMO, server=server.model_copy(update={"sip": sip, "peers": {"asterisk": asterisk}}))


@pytest.mark.parametrize(
    ("listen", "transport", "contact", "match"),
    [
        (Listen("udp", "10.0.0.5", 5080), "udp", "sip:10.0.0.5:5080", "10.0.0.5:5080"),
        (Listen("tcp", "10.0.0.5", 5080), "tcp", "sip:10.0.0.5:5080\\;transport=tcp", "10.0.0.5"),
        (Listen("tls", "10.0.0.5", 5061), "tls", "sip:10.0.0.5:5061\\;transport=tls", "10.0.0.5"),
        (Listen("udp", "::1", 5080), "udp", "sip:[::1]:5080", "::1"),
    ],
)
def test_it_is_reached_where_it_listens(
    tmp_path: Path, listen: Listen, transport: str, contact: str, match: str
) -> None:
    text = written(listening(listen, transport=transport))["pjsip_qm_sip.conf"]
    assert f"contact={contact}\n" in text and f"match={match} " in text
    (tmp_path / "pjsip.conf").write_text(text)
    kinds = [section.value("type") for section in read(tmp_path, "pjsip.conf")]
    assert kinds == ["endpoint", "aor", "identify"]


def test_an_address_that_nobody_can_call_is_one_error() -> None:
    with pytest.raises(ConfigError, match="external_address"):
        written(listening(Listen("udp", "0.0.0.0", 5080)))


def test_whoever_asterisk_is_must_be_sayable() -> None:
    with pytest.raises(ConfigError, match="--peer"):
        written(DEMO, "nobody")
    assert written(DEMO, "asterisk") == written(DEMO)


@pytest.mark.parametrize(("code", "theirs"), [("*1", "#77"), ("#1", "D77")])
def test_the_record_keys_code_begins_like_none_of_ours(code: str, theirs: str) -> None:
    """Else Asterisk would hold back the first key of ours for a second."""
    lines = DEMO.lines.model_copy(update={"private": DEMO.lines.private.model_copy(update={"code": code})})
    assert f"qmpriv => {theirs}," in written(replace(DEMO, lines=lines))["features_qm_sip.conf"]


def test_the_command_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QM_SIP_KEYS_COACHING_RECIPIENTS", DEMO.recipients("coaching")[0])
    out = tmp_path / "out"
    with pytest.raises(SystemExit):
        main(["asterisk", "snippets", "--config", str(DEMO.directory), "--out", str(out), "--json"])
    said = json.loads(capsys.readouterr().out)["files"]
    assert {path.name: path.read_text() for path in out.iterdir()} == said


def put() -> None:
    """Write the shipped examples anew."""
    for name, text in written(DEMO).items():
        (SHIPPED / name).write_text(text)


if __name__ == "__main__":
    put()

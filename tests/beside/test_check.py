"""What is wrong with an Asterisk is found, with its line; and the site that is shipped has nothing wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.asterisk.check import Fault, faults, read_site
from qm_sip.asterisk.check.conf import read
from qm_sip.asterisk.check.dialplan import arguments, matches, options, read_steps, told_steps
from qm_sip.asterisk.check.live import _listeners, _members
from qm_sip.config import Config
from qm_sip.config.network import SocketAddress
from qm_sip.errors import ConfigError
from tests.beside.streams import event
from tests.call.world import settings

SHIPPED = Path(__file__).parents[2] / "config/asterisk"
Change = Callable[[Path], None]


def with_manager() -> Config:
    """The demo's settings, with Asterisk's manager and its lamps."""
    config = settings().config
    update = {"address": SocketAddress("127.0.0.1", 5038), "lamps": ("private", "recording")}
    asterisk = config.server.asterisk.model_copy(update=update)
    return replace(config, server=config.server.model_copy(update={"asterisk": asterisk}))


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Asterisk's directory, as the site that is shipped has it."""
    for file in [*SHIPPED.glob("*.conf"), *(SHIPPED / "site").glob("*.conf")]:
        shutil.copy(file, tmp_path)
    return tmp_path


def found(etc: Path, config: Config | None = None) -> list[Fault]:
    config = config or with_manager()
    return faults(config, read_site(config, etc))


def change(etc: Path, file: str, old: str, new: str) -> None:
    text = (etc / file).read_text()
    assert old in text
    (etc / file).write_text(text.replace(old, new))


def test_the_shipped_site_has_no_fault_but_what_it_says_it_shows(etc: Path) -> None:
    assert [(f.level, f.where.file) for f in found(etc)] == [("advice", str(etc / "extensions.conf"))]
    assert "3901" in found(etc)[0].problem


SITE = "extensions.conf"
QUEUES, PJSIP = "queues.conf", "pjsip_qm_sip.conf"
PLACES = [
    # what is changed: file, old, new; what is then said, and where
    (SITE, " same => n,Queue(sales,b(qm-hdr^s^1),,,60)", " same => n,MixMonitor(x.wav)", "MixMonitor"),
    (SITE, "Dial(PJSIP/1900,25)", "ExecIf($[1]?MixMonitor(x.wav))", "MixMonitor"),
    (SITE, "Dial(PJSIP/1900,25)", "ChanSpy(PJSIP/1001)", "ChanSpy"),
    (SITE, "Dial(PJSIP/1900,25)", "extenspy(1001@x)", "ExtenSpy"),
    (SITE, "Dial(PJSIP/1900,25)", "AudioSocket(x,host:1)", "AudioSocket"),
    (SITE, "Dial(PJSIP/1900,25)", "Stasis(app)", "Stasis"),
    (SITE, "Dial(PJSIP/1900,25)", "Record(x.wav)", "Record"),
    (SITE, "Queue(sales,b(qm-hdr^s^1),,,60)", "Queue(sales,tb(qm-hdr^s^1),,,60)", "option t on the way"),
    (SITE, "@qm-sip,40,b(", "@qm-sip,40,Tb(", "option T on the way"),
    (SITE, "Dial(PJSIP/1900,25)", "Dial(PJSIP/1900,25,tX)", "option X"),
    (SITE, "Queue(sales,b(qm-hdr^s^1),,,60)", "Queue(sales,wb(qm-hdr^s^1),,,60)", "option w"),
    (SITE, "@qm-sip,40,b(", "@qm-sip,40,A(beep)b(", "option A"),
    (SITE, "@qm-sip,40,b(", "@qm-sip,40,U(x)b(", "option U"),
    (SITE, "@qm-sip,60,b(", "@qm-sip,60,D(w1)b(", "option D"),
    (SITE, "Dial(PJSIP/${EXTEN},25,tb(", "Dial(PJSIP/${EXTEN}@qm-sip,25,b(", "leads to us again"),
    (SITE, "exten => 3999,1,Answer()", "exten => 3999,1,Dial(PJSIP/1001)", "past us"),
    (SITE, "3900,1,Set(QM_LEG=${CHANNEL(pjsip,call-id)})", "3900,1,NoOp()", "sets no QM_LEG"),
    (SITE, "hint,Custom:rec-1002", "hint,Custom:nothing", "no hint"),
    (QUEUES, "[sales]", "[sales]\nmemberdelay=3", "memberdelay"),
    (QUEUES, "[sales]", "[sales]\nannounce=hello", "announce"),
    (QUEUES, "[sales]", "[sales]\nreportholdtime=yes", "reportholdtime"),
    (QUEUES, "[sales]", "[sales]\nmonitor-format=wav", "monitor-format"),
    (QUEUES, "@qm-sip,0,Agent One,PJSIP/1001", "@qm-sip,0,Agent One", "state_interface"),
    (QUEUES, "PJSIP/1001@qm-sip,0,", "PJSIP/1001,0,", "past us"),
    (PJSIP, "direct_media=no ", "direct_media=yes ", "direct_media"),
    (PJSIP, "direct_media=no ", ";", "direct_media"),
    (PJSIP, "send_pai=yes", "send_pai=no", "send_pai"),
    (PJSIP, "trust_id_outbound=yes", "trust_id_outbound=no", "trust_id_outbound"),
    ("manager.conf", "channelvars=QM_LEG", "channelvars=CHANNEL(pjsip,call-id)", "hangs calls"),
    ("manager.conf", "channelvars=QM_LEG,", "channelvars=", "lacks QM_LEG"),
    ("manager.conf", "timestampevents=yes", "", "timestampevents"),
    ("manager.conf", "enabled=yes", "enabled=no", "not enabled"),
    ("manager.conf", "[qm-sip]", "[other]", "there is no [qm-sip]"),
    ("manager.conf", "read=call,agent,user,system", "read=call", "lacks user"),
    ("manager.conf", "write=call,reporting", "write=call", "lacks reporting"),
    ("manager.conf", "[qm-sip]", "[boss]\nwrite=originate,system\n[qm-sip]", "[boss] may"),
    ("features.conf", "UserEvent", "MixMonitor,x.wav ;", "makes Asterisk itself record"),
    ("features.conf", "[applicationmap]", "automixmon => *5\n[applicationmap]", "automixmon"),
    ("features.conf", "QMPrivate", "Else", "record key"),
    ("features.conf", "qmpriv => #77", "qmpriv => *77", "*1 comes late"),
    ("features.conf", "blindxfer => #1", "blindxfer => *5", "*1 comes late"),
    ("modules.conf", "autoload=no", "autoload=yes", "app_mixmonitor.so"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "said"), PLACES)
def test_each_fault_is_found_where_it_is(etc: Path, file: str, old: str, new: str, said: str) -> None:
    before = {(f.problem, f.where.file) for f in found(etc)}
    change(etc, file, old, new)
    fresh = [f for f in found(etc) if (f.problem, f.where.file) not in before]
    assert fresh and all(f.remedy for f in fresh)
    about = [f for f in fresh if said in f.problem]
    assert about, [f.problem for f in fresh]
    assert Path(about[0].where.file).name == file


def test_a_fault_bears_the_line_it_is_on_also_in_an_included_file(etc: Path) -> None:
    change(etc, PJSIP, "send_pai=yes", "send_pai=no")
    (fault,) = [f for f in found(etc) if "send_pai" in f.problem]
    assert fault.where.file.endswith(PJSIP)
    lines = Path(fault.where.file).read_text().splitlines()
    assert lines[fault.where.line - 1].startswith("send_pai=no")


def test_without_the_manager_nothing_is_asked_of_it(etc: Path) -> None:
    (etc / "manager.conf").unlink()
    assert not [f for f in found(etc, settings().config) if f.level == "error"]
    assert [f for f in found(etc) if "not enabled" in f.problem]


def test_templates_comments_and_includes_are_read_as_asterisk_reads_them(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text(
        "[base](!)\na=1\n;--\nb=9\n--;\n[one](base)\nb => 2 ; note\nc=x\\;y\n#include more.conf\n"
    )
    (tmp_path / "more.conf").write_text("[two](base,base)\na = 3\n")
    base, one, two = read(tmp_path, "x.conf")
    assert base.template and not one.template
    assert [(s.key, s.value) for s in one.settings] == [("a", "1"), ("b", "2"), ("c", "x;y")]
    assert two.value("a") == "3" and two.where.file.endswith("more.conf")


def test_a_directory_that_is_none_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        read_site(settings().config, tmp_path / "nowhere")


def test_files_that_include_each_other_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "extensions.conf").write_text("#include extensions.conf\n[a]\nexten => 1,1,NoOp()\n")
    assert len(read(tmp_path, "extensions.conf")) <= 20


@pytest.mark.parametrize(
    ("pattern", "number", "fits"),
    [
        ("1001", "1001", True),
        ("1001", "1002", False),
        ("_1XXX", "1001", True),
        ("_1XXX", "10011", False),
        ("_[1-3]00[12]", "2001", True),
        ("_[1-3]00[12]", "4001", False),
        ("_NXX", "150", False),
        ("_X.", "12", True),
        ("_X.", "1", False),
        ("_X!", "1", True),
        ("_rec-X.", "rec-1001", False),  # a dash is nothing in a pattern
        ("_[", "1", False),
    ],
)
def test_patterns(pattern: str, number: str, fits: bool) -> None:
    assert matches(pattern, number) is fits


def test_arguments_and_options() -> None:
    assert arguments("PJSIP/1@x,25,tb(a^s^1(b,c))") == ["PJSIP/1@x", "25", "tb(a^s^1(b,c))"]
    assert options("tb(a^s^1(b,c))g") == {"t": "", "b": "a^s^1(b,c)", "g": ""}


def test_steps_told_by_a_running_asterisk_are_the_same(etc: Path) -> None:
    steps = read_steps(read(etc, "extensions.conf"))
    messages = [
        event(
            "ListDialplan",
            Context=step.context,
            Extension=step.exten,
            Priority="hint" if step.app == "hint" else "1",
            Application=step.data if step.app == "hint" else step.app,
            AppData="" if step.app == "hint" else step.data,
        )
        for step in steps
    ]
    told = told_steps(messages)
    assert [(s.context, s.exten, s.app, s.data) for s in told] == [
        (s.context, s.exten, s.app, s.data) for s in steps
    ]


def test_whoever_listens_now_is_seen_and_a_member_without_a_state_of_his_own() -> None:
    channels = (
        event("CoreShowChannel", Channel="Snoop/1-2", Application="Stasis"),
        event("CoreShowChannel", Channel="PJSIP/1050-3", Application="ChanSpy"),
        event("CoreShowChannel", Channel="PJSIP/1001-3", Application="Dial"),
    )
    assert len(list(_listeners(channels))) == 2
    member = event("QueueMember", Queue="sales", Location="PJSIP/1@qm-sip", StateInterface="PJSIP/1@qm-sip")
    assert next(_members([member])).state_interface == ""


@given(st.text(alphabet="abX[](){}^,&=>;#!_-$\\\n .", max_size=200))
def test_no_file_breaks_the_check(text: str) -> None:
    for piece in text.split("\n"):
        options(piece)
        matches(f"_{piece}", "1001")
        arguments(piece)

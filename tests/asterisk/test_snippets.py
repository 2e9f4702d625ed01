"""A site that is made of what `qm-sip asterisk snippets` writes, in a real Asterisk 22: its queue, its agents, the
works council, numbers outside, and the way past us when we are gone.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qm_sip.demo.asterisk import SNIPPETS, Asterisk
from qm_sip.demo.counter import RtpCounter
from tests.beside.test_check import with_manager
from tests.beside.test_snippets import made
from tests.support.house import RECORDER, House
from tests.support.site import Site


@pytest.fixture
def made_house(tree: Path, site: Site, tmp_path: Path) -> Iterator[House]:
    """The house, with a dialplan, queues and features that the command wrote."""
    etc = made(Path(shutil.copytree(SNIPPETS / "site", tmp_path / "site")), with_manager())
    general = (SNIPPETS / "site/manager.conf").read_text()
    (etc / "manager.conf").write_text(general)
    (etc / "pjsip.conf").write_text((SNIPPETS / "site/pjsip.conf").read_text())
    (etc / "extensions.conf").write_text(
        "#include extensions_qm_sip.conf\n#include extensions_qm_lines.conf\n"
        "[from-trunk]\nexten => 3001,1,Goto(qm-lines,sales,1)\n"
        "exten => 3003,1,Set(QM_AGENT=1001)\n same => n,Goto(qm-lines,support,1)\n"
        "[from-phones]\ninclude => qm-phones\n[from-carrier]\n"
    )
    queues = (etc / "queues_qm_sip.conf").read_text()
    (etc / "queues_qm_sip.conf").write_text(re.sub(r"(?m)^member => PJSIP/1002.*$", "", queues))
    with Asterisk(tree, tmp_path / "asterisk", network=site.network, site=etc) as pbx:
        house = House(site, pbx, tmp_path)
        with house.server:
            pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
            yield house


def test_calls_go_as_the_files_say(made_house: House) -> None:
    house = made_house
    talk = house.begin("3001")
    time.sleep(1.0)
    talk.end()
    assert house.ended()["outcome"] == "recorded"
    agent, council = house.phone("1001"), house.phone("1900")
    with RtpCounter(house.site.network, [RECORDER]) as counter:
        house.know()
        house.site.connect(agent, "1900", council).end()
        assert counter.packets(RECORDER) == 0 and house.new_calls() == []
    house.site.connect(agent, "1002", house.phone("1002")).end()
    (row,) = house.new_calls()
    assert row["recordings"] == []
    house.know()
    house.site.connect(agent, "0687654321", house.customer).end()
    assert house.ended()["line"] == "outbound"


def test_when_we_are_gone_the_queue_is_answered_all_the_same(made_house: House) -> None:
    house = made_house
    house.server.stop()
    house.pbx.wait_idle()
    house.site.connect(house.customer, "3001", house.phone("1001"), timeout=20).end()

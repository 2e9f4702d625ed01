"""The security log: its form, what is left out of it, and that nobody else writes in it."""

from __future__ import annotations

import logging
import re

import pytest

from qm_sip.sip.events import Address
from qm_sip.sip.incidents import KINDS, Incident, SecurityLog

FORM = re.compile(r"refused: kind=[a-z]+ method=\w+ transport=[a-z]+ source=[0-9a-f.:]+ port=\d+ more=\d+\Z")
HERE = Address("192.0.2.7", 5060)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> SecurityLog:
    caplog.set_level(logging.WARNING)
    return SecurityLog(logging.getLogger("qm_sip.security"), most=100)


def test_one_line_of_one_form(log: SecurityLog, caplog: pytest.LogCaptureFixture) -> None:
    for number, kind in enumerate(KINDS):
        log(Incident(kind, "INVITE", HERE), float(number))
    log(Incident("stranger", "INVITE", Address("2001:db8::7", 5061, "tcp")), 9.0)
    assert all(FORM.match(line) for line in caplog.messages)
    assert caplog.messages[-1] == (
        "refused: kind=stranger method=INVITE transport=tcp source=2001:db8::7 port=5061 more=0"
    )


def test_a_method_that_is_none_is_not_repeated(log: SecurityLog, caplog: pytest.LogCaptureFixture) -> None:
    log(Incident("stranger", "X%0Asource=127.0.0.1", HERE), 0.0)
    assert "method=other " in caplog.text
    assert "127.0.0.1" not in caplog.text


def test_a_flood_of_one_is_a_line_a_second_and_nothing_is_lost_of_its_number(
    log: SecurityLog, caplog: pytest.LogCaptureFixture
) -> None:
    for tick in range(1000):
        log(Incident("stranger", "INVITE", HERE), tick / 100)
    more = [int(line.rpartition("=")[2]) for line in caplog.messages]
    assert len(more) == 10
    assert more == [0] + [99] * 9


def test_a_flood_of_many_is_twenty_lines_a_second_and_says_how_many_more(
    log: SecurityLog, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(10_000):
        log(Incident("stranger", "INVITE", Address(f"10.{n >> 8}.{n & 255}.1", 5060)), n / 1000)
    assert 200 <= sum("kind=" in line for line in caplog.messages) <= 225
    untold = sum(int(line.split()[1]) for line in caplog.messages if "not written" in line)
    assert untold > 9000
    assert len(log._said) <= 100

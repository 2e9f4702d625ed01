"""What a supervisor's keys mean, key by key."""

from __future__ import annotations

import pytest

from qm_sip.monitor.menu import Menu


def pressed(keys: str, length: int = 6) -> Menu:
    menu = Menu(length)
    for key in keys:
        menu.press(key)
    return menu


def test_extension_purpose_code() -> None:
    menu = pressed("1001#1246813")
    assert menu.question is None
    assert (menu.asked.extension, menu.asked.purpose, menu.asked.code) == ("1001", "coaching", "246813")


@pytest.mark.parametrize(
    ("keys", "question"),
    [("", "W0-extension"), ("1001", "W0-extension"), ("1001#", "W0-purpose"), ("1001#3", "W0-purpose"),
     ("1001#2", "W0-code"), ("1001#224681", "W0-code")],
)  # fmt: skip
def test_each_question_stands_until_it_is_answered(keys: str, question: str) -> None:
    assert pressed(keys).question == question


def test_a_pause_ends_the_extension_as_the_hash_does() -> None:
    menu = pressed("1001")
    assert menu.half
    menu.pause()
    assert menu.extension == "1001" and menu.question == "W0-purpose"


def test_a_star_begins_the_question_again() -> None:
    assert pressed("10*1002#").extension == "1002"
    assert pressed("1001#1999*246813").code == "246813"


def test_nothing_a_finger_does_overflows() -> None:
    assert len(pressed("9" * 500 + "#").extension) == 20
    assert len(pressed("1001#1" + "9" * 50).code) == 50  # too long is simply wrong


def test_started_by_a_command_only_the_code_is_asked() -> None:
    assert Menu(6, extension="1001", purpose="coaching").question == "W0-code"

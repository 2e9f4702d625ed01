"""Key presses that come as INFO: which are ours, and when the others go on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.call.keypad import info_key
from qm_sip.call.keys import CodeReader
from qm_sip.sip.message import Request, header

CODES = {"*1": "private", "*8": "object-for-him", "9": "object"}


def read(keys: str) -> tuple[list[str], str]:
    """The words that the keys gave, and the keys that went on."""
    reader, words, held, on = CodeReader(CODES), [], "", ""
    for key in keys:
        held += key
        word, let_go = reader.press(key)
        on, held = on + held[:let_go], held[let_go:]
        if word is not None:
            words.append(word)
            held = ""
    return words, on + held[: reader.give_up()]


@pytest.mark.parametrize(
    ("keys", "words", "on"),
    [
        ("*1", ["private"], ""),
        ("9", ["object"], ""),
        ("12", [], "12"),
        ("*", [], "*"),
        ("*5", [], "*5"),
        ("**1", ["private"], "*"),
        ("5*1*8", ["private", "object-for-him"], "5"),
        ("*9", ["object"], "*"),
    ],
)
def test_codes_are_taken_out_and_everything_else_goes_on_in_order(
    keys: str, words: list[str], on: str
) -> None:
    assert read(keys) == (words, on)


@given(st.text(alphabet="0123456789*#", max_size=30))
def test_no_key_is_lost_or_doubled(keys: str) -> None:
    words, on = read(keys)
    spelled = {word: code for code, word in CODES.items()}
    assert len(on) + sum(len(spelled[word]) for word in words) == len(keys)


def info(kind: str, body: bytes) -> Request:
    return Request("INFO", "sip:a@b", [header("Content-Type", kind)], body)


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        ("application/dtmf-relay", b"Signal=*\r\nDuration=160", "*"),
        ("application/dtmf-relay", b"Signal= 5\r\n", "5"),
        ("application/dtmf-relay", b"signal=11\r\nDuration=100", "#"),
        ("application/dtmf", b"10", "*"),
        ("application/dtmf", b"7", "7"),
        ("application/dtmf-relay", b"Duration=160", None),
        ("application/dtmf-relay", b"Signal=77", None),
        ("application/dtmf-relay", b"\xff\xfe", None),
        ("text/plain", b"Signal=5", None),
    ],
)
def test_both_kinds_of_info(kind: str, body: bytes, key: str | None) -> None:
    assert info_key(info(kind, body)) == key

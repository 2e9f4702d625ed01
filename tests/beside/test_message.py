"""AMI's text: whole messages out of any pieces, and nothing that is no AMI is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qm_sip.asterisk.message import BORING, MOST, AmiError, Reader, written
from qm_sip.errors import BrokenInvariant
from tests.beside.streams import HERE, NAMES, stream

GREETING = b"Asterisk Call Manager/11.0.0\r\n"


@pytest.mark.parametrize("name", NAMES)
def test_real_streams_in_pieces_are_the_same_messages(name: str) -> None:
    data = (HERE / f"{name}.ami").read_bytes()
    reader = Reader()
    pieces = [message for at in range(0, len(data), 7) for message in reader.feed(data[at : at + 7])]
    assert pieces == stream(name)
    assert len(pieces) > 20 and not {message.event.encode() for message in pieces} & BORING


def test_the_items_of_a_list_are_read_whatever_their_name() -> None:
    items = b"Event: Load\r\nActionID: 1\r\n\r\nEvent: Load\r\nX: y\r\n\r\n"
    assert [message.get("ActionID") for message in Reader().feed(GREETING + items)] == ["1"]


def test_a_key_that_comes_twice_is_kept_twice() -> None:
    message = next(Reader().feed(GREETING + b"Event: X\r\nChanVariable: A=1\r\nChanVariable: B=x=y\r\n\r\n"))
    assert message.get("ChanVariable") == "A=1"
    assert message.variables() == {"A": "1", "B": "x=y"}
    assert message.event == "X" and message.get("Nothing") == ""


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b"Asterisk\r\n",
        b"Asterisk Call Manager/" + b"9" * (MOST + 1),
        GREETING + b"A" * (MOST + 1),
        GREETING + b"A: " + b"b" * MOST + b"\r\n\r\n",
        GREETING + b"A: b\r\n" * MOST,
    ],
)
def test_what_is_no_ami_ends_the_connection(data: bytes) -> None:
    with pytest.raises(AmiError):
        list(Reader().feed(data))


@given(st.binary(max_size=400))
def test_no_bytes_do_any_harm(data: bytes) -> None:
    for message in Reader().feed(GREETING + data + b"\r\n\r\nEvent: Last\r\n\r\n"):
        last = message
    assert last.event in ("Last", message.get("Event"))


@pytest.mark.parametrize("value", ["x\r\nAction: Originate", "x\nAction: Originate", "\r"])
def test_nobody_elses_lines_get_into_an_action(value: str) -> None:
    with pytest.raises(BrokenInvariant):
        written([("Action", "Setvar"), ("Value", value)])
    with pytest.raises(BrokenInvariant):
        written([(value, "x")])

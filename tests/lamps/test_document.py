"""A lamp as dialog-info XML: a phone reads it, and nothing of a call stands in it."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree

from qm_sip.lamps.document import MEDIA_TYPE, dialog_info
from tests.sip.subscriber import Shown


def test_it_says_lit_or_not_and_which() -> None:
    for version, lit in ((0, False), (17, True)):
        shown = Shown.read(dialog_info("sip:private-1001@192.0.2.9:5080", version, lit=lit))
        assert shown == Shown(version, "sip:private-1001@192.0.2.9:5080", lit)
    assert MEDIA_TYPE == "application/dialog-info+xml"


def test_lit_and_not_are_the_same_but_for_one_word() -> None:
    on, off = (dialog_info("sip:heard-1001@x", 3, lit=lit) for lit in (True, False))
    assert on.replace(b"confirmed", b"terminated") == off


def test_whatever_stands_in_the_uri_it_is_xml() -> None:
    rng = random.Random(2)
    for _ in range(500):
        entity = "".join(chr(rng.choice([*range(33, 127), 0xE9, 0x20AC, 0xDCE9])) for _ in range(30))
        root = ElementTree.fromstring(dialog_info(entity, 0, lit=True))
        assert root.get("entity") == entity.encode("utf-8", "replace").decode()

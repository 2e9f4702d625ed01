"""A peer does what it has the right for and nothing else, whatever it dials and whomever it names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qm_sip.call.switchboard import Settings
from qm_sip.call.words import SetPreset
from qm_sip.media import protocol
from tests.call.world import World

DIALLED = {
    "1001": "carry",
    "*660201234567": "carry",
    "*661001": "carry",
    "*66*55": "carry",
    "announce": "carry",
    "*67": "toggle",
    "*68": "toggle",
    "*69": "toggle",
    "*57": "toggle",
    "*55": "listen",
}


def with_rights(*may: str, trusted: bool = True) -> World:
    world = World()
    config, library = world.switchboard.settings
    peer = config.server.peers["asterisk"].model_copy(update={"may": may, "trusted": trusted})
    server = config.server.model_copy(update={"peers": {**config.server.peers, "asterisk": peer}})
    world.settings = world.switchboard.settings = Settings(replace(config, server=server), library)
    return world


@pytest.mark.parametrize("right", ["carry", "toggle", "listen"])
@pytest.mark.parametrize("dialled", DIALLED)
def test_each_right_opens_its_own_numbers_and_no_other(dialled: str, right: str) -> None:
    if right == DIALLED[dialled]:
        return
    world = with_rights(right)
    more = [("X-QM-Call", "customer-1@pbx")]
    phone = world.dial(dialled, line="waiting", caller="1050", more=more)
    world.run(2.0)
    assert phone.gone and world.rejected == [403]
    assert not world.keeper.words and not world.engine.asked(protocol.OpenCall) and world.agent is None


def test_a_private_number_may_not_be_dialled_by_who_only_carries() -> None:
    world = with_rights("carry")
    world.dial("*660201234567", line="outbound", caller="1001")
    world.run(2.0)
    assert world.rejected == [403] and world.agent is None


def test_nobody_outside_has_a_private_number_dialled_for_him() -> None:
    world = with_rights("carry", "toggle")
    world.dial("*661001", caller="0612345678")
    world.run(2.0)
    assert world.rejected == [403] and world.agent is None


def test_who_is_not_trusted_brings_no_receipt_and_gets_none() -> None:
    world = with_rights("carry", trusted=False)
    world.dial("announce", line="waiting", more=[("X-QM-Call", "customer-1@pbx")])
    world.run(2.0)
    assert world.rejected == [480] and not world.keeper.said(SetPreset)

"""Every peer in every scenario: `docs/interop.md` is written from what this comes to.

With `QM_SIP_INTEROP=whole` (`make interop`); without it a few cells of the peers that start quickly, so that a change
of ours that a peer minds is seen at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interop.matrix import PEERS
from tests.interop.peers.base import Lack, Peer
from tests.interop.scenarios import SCENARIOS, Stage, about

ELSEWHERE = ("inbound", "outbound", "peer cancels", "peer holds")


FEW = ("inbound", "outbound", "peer holds")
WHOLE = os.environ.get("QM_SIP_INTEROP") == "whole"


def places() -> list[object]:
    """Each peer over each of its transports: it is started once for all its scenarios."""
    kinds = PEERS if WHOLE else [kind for kind in PEERS if kind.quick]
    return [
        pytest.param((kind, transport), id=f"{kind.name}-{transport}",
                     marks=pytest.mark.xdist_group(f"{kind.name}-{transport}"))
        for kind in kinds
        for transport in (kind.transports if WHOLE else kind.transports[:1])
    ]  # fmt: skip


def is_played(kind: type[Peer], transport: str, name: str) -> bool:
    """Over a peer's other transports only what differs there is played."""
    return name in (FEW if not WHOLE else SCENARIOS if transport == kind.transports[0] else ELSEWHERE)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("peer", places(), indirect=True)
def test_cell(
    peer: Peer | str, name: str, record_property: pytest.RecordProperty, request: pytest.FixtureRequest
) -> None:
    assert isinstance(peer, Peer), peer
    record_property(
        "cell",
        {"peer": peer.name, "version": peer.version, "transport": peer.ground.transport, "scenario": name},
    )
    if lack := peer.lacks.get(name):
        lack.check()
        record_property("why", str(lack))
        pytest.skip(str(lack))
    if wrong := peer.fails.get(f"{peer.ground.transport} {name}"):
        record_property("why", wrong)
        request.node.add_marker(pytest.mark.xfail(reason=wrong, strict=True))
    peer.expect(name)
    stage = Stage(peer.ground, peer)
    record_property("measured", stage.measured)
    try:
        SCENARIOS[name](stage)
    finally:
        peer.ground.partner.hang_up_all()
        peer.tidy()


def test_every_scenario_is_told_in_a_sentence() -> None:
    assert all(about(name) for name in SCENARIOS)


@pytest.mark.parametrize("kind", PEERS, ids=lambda kind: kind.name)
def test_a_transport_that_a_peer_has_not_is_still_not_there(kind: type[Peer]) -> None:
    assert not set(kind.without) & set(kind.transports)
    for lack in kind.without.values():
        lack.check()


def test_a_function_that_has_come_ends_the_cell(tmp_path: Path) -> None:
    (tmp_path / "menu").write_text("hold, transfer")
    Lack("it cannot record", "its menu", str(tmp_path / "*"), ("record",)).check()
    with pytest.raises(AssertionError, match="play the scenario"):
        Lack("it cannot hold", "its menu", str(tmp_path / "*"), ("Hold",)).check()


def test_whoever_lacks_something_lacks_a_scenario_that_exists() -> None:
    for kind in PEERS:
        failing = {name.partition(" ")[2] for name in kind.fails}
        assert set(kind.lacks) | failing <= set(SCENARIOS), kind.name

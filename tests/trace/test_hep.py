"""HEP3 packets, read again by hand; `tests/wire` has Wireshark read them. And what is exported when."""

from __future__ import annotations

import struct

import pytest

from qm_sip.trace.export import Exporter
from qm_sip.trace.hep import Captured, encode
from tests.trace.world import TracedWorld, talking


def chunks(packet: bytes) -> dict[int, bytes]:
    assert packet[:4] == b"HEP3" and struct.unpack("!H", packet[4:6])[0] == len(packet)
    found, at = {}, 6
    while at < len(packet):
        vendor, kind, length = struct.unpack("!HHH", packet[at : at + 6])
        assert vendor == 0 and length >= 6
        found[kind] = packet[at + 6 : at + length]
        at += length
    assert at == len(packet)
    return found


def test_every_chunk_says_what_it_should() -> None:
    one = Captured(1700000000.25, "tcp", ("192.0.2.1", 5060), ("192.0.2.2", 5080), b"INVITE", "call")
    found = chunks(encode(one, 7, b"key"))
    assert found[1] == b"\x02" and found[2] == b"\x06" and found[11] == b"\x01"
    assert found[3] == bytes([192, 0, 2, 1]) and found[4] == bytes([192, 0, 2, 2])
    assert struct.unpack("!HH", found[7] + found[8]) == (5060, 5080)
    assert struct.unpack("!II", found[9] + found[10]) == (1700000000, 250_000)
    assert struct.unpack("!I", found[12]) == (7,)
    assert (found[14], found[15], found[17]) == (b"key", b"INVITE", b"call")


def test_without_a_key_and_over_ipv6() -> None:
    found = chunks(encode(Captured(0.0, "udp", ("2001:db8::1", 1), ("2001:db8::2", 2), b"", "c"), 0))
    assert found[1] == b"\x0a" and found[2] == b"\x11" and len(found[5]) == len(found[6]) == 16
    assert 14 not in found and 3 not in found


class Collector:
    """A collector that is there, or is not."""

    def __init__(self, *, ready: bool = True) -> None:
        self.ready, self.packets = ready, list[bytes]()

    def send(self, packet: bytes) -> bool:
        self.packets.append(packet)
        return True


def exporting(world: TracedWorld, *, unredacted: bool = False) -> Exporter:
    return Exporter(world.store, agent=1, key=b"", own=(), unredacted=unredacted)


def export(exporter: Exporter, world: TracedWorld, collector: Collector) -> list[dict[int, bytes]]:
    world.swept()
    for trace in exporter.due(world.now):
        list(exporter.export(trace, collector))
    return [chunks(packet) for packet in collector.packets]


def test_a_call_is_exported_when_it_has_ended_and_once() -> None:
    world, collector = TracedWorld(), Collector()
    exporter = exporting(world)
    trace = talking(world)
    assert not export(exporter, world, collector)  # it might still turn out to be confidential
    world.hang_up(world.caller)
    world.run(1.0)
    found = export(exporter, world, collector)
    assert len(found) == trace.count == exporter.sent
    assert {one[17] for one in found} == {trace.id.encode()}  # both legs
    assert not [one for one in found if b"0612345678" in one[15] or b"127.0.0" in one[15]]
    assert len(export(exporter, world, collector)) == trace.count


@pytest.mark.parametrize("how", ["confidential", "private"])
def test_what_is_not_to_be_known_is_never_exported(how: str) -> None:
    world, collector = TracedWorld(), Collector()
    exporter = exporting(world, unredacted=True)
    talking(world)
    assert world.agent is not None
    if how == "confidential":
        world.becomes(world.agent, "1900")
    else:
        world.press(world.agent, "*1")
    world.run(2.0)
    world.hang_up(world.caller)
    for _ in range(50):
        world.run(1.0)
        assert not export(exporter, world, collector)
    assert not exporter.dropped


def test_nothing_is_made_for_a_collector_that_is_not_there() -> None:
    world, collector = TracedWorld(), Collector(ready=False)
    exporter = exporting(world)
    trace = talking(world)
    world.hang_up(world.caller)
    world.run(1.0)
    assert not export(exporter, world, collector)
    assert exporter.dropped == trace.count and not exporter.due(world.now)


def test_unredacted_it_is_as_it_was_but_for_credentials() -> None:
    world, collector = TracedWorld(), Collector()
    exporter = exporting(world, unredacted=True)
    talking(world)
    world.hang_up(world.caller)
    world.run(1.0)
    found = export(exporter, world, collector)
    assert [one for one in found if b"0612345678" in one[15]] and found[0][3] == bytes([127, 0, 0, 1])

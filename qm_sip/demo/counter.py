"""How many RTP packets an address saw, counted by the kernel and not by the program that is being judged.

nftables rules in the input hook, where each packet on loopback passes once. A packet is RTP or RTCP if the
first two bits of its UDP payload are version 2 (RFC 3550 section 5.1); SIP begins with a letter: left out.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from types import TracebackType

from qm_sip.demo.namespace import Network
from qm_sip.errors import QmSipError

RULES = """
table inet {table} {{
{counters}
    chain seen {{
        type filter hook input priority filter; policy accept;
{rules}
    }}
}}
"""


class CounterError(QmSipError):
    """The kernel's packet counters cannot be used here (no root, no nft)."""


class RtpCounter:
    """`with RtpCounter(network, ["127.0.0.2"]) as counter: ...; counter.packets("127.0.0.2")`."""

    def __init__(self, network: Network, addresses: Sequence[str]) -> None:
        self._network = network
        self._table = f"qm_sip_{os.getpid()}_{id(self)}"
        counters, rules = [], []
        for address in addresses:
            name = _name(address)
            counters.append(f"    counter {name} {{ }}")
            for side in ("saddr", "daddr"):
                rules.append(f"        ip {side} {address} meta l4proto udp @th,64,2 2 counter name {name}")
        text = RULES.format(table=self._table, counters="\n".join(counters), rules="\n".join(rules))
        self._nft("-f", "-", text=text)

    def packets(self, address: str) -> int:
        """RTP and RTCP packets from and to this address since the start."""
        listed = json.loads(self._nft("-j", "list", "counters", "table", "inet", self._table))
        found = [entry["counter"] for entry in listed["nftables"] if "counter" in entry]
        return sum(int(counter["packets"]) for counter in found if counter["name"] == _name(address))

    def close(self) -> None:
        self._nft("delete", "table", "inet", self._table)

    def _nft(self, *arguments: str, text: str | None = None) -> str:
        command = self._network.inside(["nft", *arguments])
        try:
            done = subprocess.run(
                command, input=text, capture_output=True, text=True, timeout=10, check=False
            )
        except OSError as error:
            raise CounterError(f"packets cannot be counted: {error}") from error
        if done.returncode != 0:
            raise CounterError(f"packets cannot be counted: {done.stderr.strip()}")
        return done.stdout

    def __enter__(self) -> RtpCounter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _name(address: str) -> str:
    return "at_" + address.replace(".", "_")

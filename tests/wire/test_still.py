"""After all that: nothing of it is left. Its name puts it after the flows, whose last legs have lingered by then."""

from __future__ import annotations

import time

import pytest

from tests.wire.site import Site

pytestmark = pytest.mark.wire


def lingering(site: Site) -> dict[str, int]:
    counts = site.ask("status")["counts"]
    return {name: counts[name] for name in ("sip_legs", "sip_transactions")}


def test_no_leg_is_left(site: Site) -> None:
    """A leg stays for 64*T1 after its last message, for copies that come late; then each one is gone, and so is each of
    their transactions.
    """
    until = time.monotonic() + 45
    while any((left := lingering(site)).values()):
        assert time.monotonic() < until, f"{left} are left"
        time.sleep(0.25)
    assert site.ask("status")["calls"] == 0

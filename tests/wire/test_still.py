"""After all that: nothing of it is left. Its name puts it after the flows, whose last legs have lingered by then."""

from __future__ import annotations

import time

import pytest

from tests.wire.site import Site

pytestmark = pytest.mark.wire


def test_no_leg_is_left(site: Site) -> None:
    """A leg stays for 64*T1 after its last message, for copies that come late; then it is gone, each one."""
    until = time.monotonic() + 45
    while (status := site.ask("status"))["counts"]["sip_legs"]:
        assert time.monotonic() < until, f"{status['counts']['sip_legs']} legs are left"
        time.sleep(0.25)
    assert status["calls"] == 0

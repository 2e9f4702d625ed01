"""Fixtures for tests with a real Asterisk 22. They need root, for the chroot; without it they are skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from qm_sip.demo import chroot
from qm_sip.demo.asterisk import Asterisk
from qm_sip.demo.namespace import Network
from tests.support import site as sites
from tests.support.house import House
from tests.support.site import Site

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.asterisk)
            item.add_marker(pytest.mark.timeout(900))  # the very first one builds the tree
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root: Asterisk 22 runs in a chroot"))


@pytest.fixture(scope="session")
def tree() -> Path:
    return chroot.ensure()


@pytest.fixture
def network() -> Iterator[Network]:
    here = sites.network()
    yield here
    here.close()


@pytest.fixture
def site(network: Network, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(network, tmp_path, stack)


@pytest.fixture
def pbx(tree: Path, site: Site) -> Asterisk:
    """Asterisk, booted; it ends after the phones and the server that a test starts later."""
    return site.asterisk(tree)


@pytest.fixture
def house(shared_house: House) -> Iterator[House]:
    """The house of this file, with nobody in a call and the settings it began with."""
    yield shared_house
    shared_house.tidy()


@pytest.fixture(scope="module")
def shared_house(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Asterisk, server and phones of all tests of one file."""
    work = tmp_path_factory.mktemp("house")
    with ExitStack() as stack:
        here = sites.network()
        stack.callback(here.close)
        site = Site(here, work, stack)
        house = House(site, site.asterisk(tree), work)
        stack.enter_context(house.server)
        house.pbx.wait_device("PJSIP/qm-sip", "NOT_INUSE", 15)
        yield house

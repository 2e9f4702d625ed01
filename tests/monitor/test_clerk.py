"""The real clerk and the real catalog: how many codes can be tried, also all at once and across a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from qm_sip.monitor.clerk import CatalogClerk
from qm_sip.monitor.session import Checked
from qm_sip.policy.facts import PersonId
from qm_sip.recorder.catalog import Catalog
from tests.call.world import settings

M1, RIGHT = PersonId("m1"), "246813"
KEY = bytes(32)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path / "catalog.db", KEY)
    yield opened
    opened.close()


def tried(catalog: Catalog, codes: Sequence[str]) -> list[Checked]:
    """These codes, all at the same moment, from as many phones."""

    async def run() -> list[Checked]:
        tasks: list[asyncio.Task[None]] = []
        found: list[Checked] = []
        clerk = CatalogClerk(
            catalog,
            lambda: settings().config,
            lambda work: tasks.append(asyncio.get_running_loop().create_task(work)),  # type: ignore[arg-type]
            lambda: None,
        )
        for code in codes:
            clerk.check(M1, code, None, lambda checked, now: found.append(checked))
        await asyncio.gather(*tasks)
        return found

    return asyncio.run(run())


def test_as_many_are_tried_at_once_as_one_after_another(catalog: Catalog) -> None:
    found = tried(catalog, [f"{number:06}" for number in range(20)])
    assert [checked.locked for checked in found].count(False) == 3
    assert not any(checked.code_fits for checked in found)


def test_the_right_one_among_them_is_too_late(catalog: Catalog) -> None:
    found = tried(catalog, ["000000", "000001", "000002", RIGHT])
    assert not any(checked.code_fits for checked in found)


def test_a_lock_outlives_the_server(catalog: Catalog, tmp_path: Path) -> None:
    tried(catalog, ["000000", "000001", "000002"])
    catalog.close()
    again = Catalog(tmp_path / "catalog.db", KEY)
    try:
        (found,) = tried(again, [RIGHT])
        assert found.locked and not found.code_fits
    finally:
        again.close()


def test_two_wrong_ones_and_the_right_one_begin_anew(catalog: Catalog) -> None:
    found = [tried(catalog, [code])[0] for code in ("000000", "000001", RIGHT, "000002", "000003", RIGHT)]
    assert [checked.code_fits for checked in found] == [False, False, True, False, False, True]


def test_what_cannot_be_looked_up_fits_nothing(catalog: Catalog) -> None:
    catalog.close()
    (found,) = tried(catalog, [RIGHT])
    assert not found.code_fits

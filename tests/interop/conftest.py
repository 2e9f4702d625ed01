"""One ground for all scenarios of a peer over one transport, and the collecting of what came out.

With `QM_SIP_INTEROP_RESULTS=file` what each cell came to is added to that JSON file at the end (`page.py`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qm_sip.demo import chroot
from qm_sip.errors import QmSipError
from tests.interop.ground import Ground
from tests.interop.peers.base import Peer

HERE = Path(__file__).parent
CELLS: list[dict[str, Any]] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if _is_played(item)]
    for item in items:
        if HERE in item.path.parents and "peer" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.wire)
            item.add_marker(pytest.mark.timeout(900))  # the very first one may build a tree
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root: peers run in namespaces and chroots"))


def _is_played(item: pytest.Item) -> bool:
    """pytest multiplies peers by scenarios; not every product is wanted."""
    if (
        HERE not in item.path.parents
        or not isinstance(item, pytest.Function)
        or not hasattr(item, "callspec")
    ):
        return True
    chosen = item.callspec.params
    return "peer" not in chosen or item.module.is_played(*chosen["peer"], chosen["name"])


@dataclass
class Grounds:
    """Where peers were: each server runs on to the end, when none of them may have a leg left."""

    stack: ExitStack
    used: list[Ground] = field(default_factory=list)


@pytest.fixture(scope="session")
def grounds() -> Iterator[Grounds]:
    with ExitStack() as stack:
        found = Grounds(stack)
        yield found
        for ground in found.used:
            ground.wait_still()


@pytest.fixture(scope="session")
def peer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, grounds: Grounds
) -> Iterator[Peer | str]:
    """A peer that runs, over the transport asked for; or why it does not."""
    kind, transport = request.param
    work = tmp_path_factory.mktemp(f"{kind.__name__}-{transport}-", numbered=True)
    ground = grounds.stack.enter_context(Ground(work, transport, kind.at))
    try:
        peer: Peer = kind(ground)
        peer.start()
        grounds.used.append(ground)
    except (QmSipError, AssertionError, OSError, chroot.ChrootError) as error:
        yield f"{kind.name} did not start: {error}"
    else:
        yield peer
    finally:
        ground.send_home()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    facts = dict(report.user_properties)
    if "cell" not in facts or (report.when != "call" and report.outcome == "passed"):
        return
    result = _result(report)
    why = facts.get("why", "")
    if result == "failed":
        why = " ".join(filter(None, [_reason(report), why]))
    measured = "; ".join(facts.get("measured", ())) if result == "passed" else ""
    CELLS.append({**facts["cell"], "result": result, "why": why, "measured": measured})


def _reason(report: pytest.TestReport) -> str:
    """What the run itself said, in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else str(report.longrepr)).splitlines() or [""]
    return re.sub(r"^(\w+\.)*(\w+Error): ", "", lines[0])[:300].rstrip(".") + "."


def _result(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "failed"
    return {"skipped": "not supported"}.get(report.outcome, report.outcome)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In the process that has all reports: with xdist the workers have only their own."""
    where = os.environ.get("QM_SIP_INTEROP_RESULTS")
    if where and CELLS and not hasattr(session.config, "workerinput"):
        Path(where).write_text(json.dumps(CELLS, indent=1) + "\n")

"""Facts of made-up people for the recorder's tests. The words in `SECRETS` may stand nowhere in clear."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyrage

from qm_sip.policy.facts import (
    CallFacts,
    CallId,
    Cause,
    Decision,
    Digest,
    Direction,
    How,
    Kind,
    LineKind,
    Party,
    PersonId,
    Purpose,
    Reason,
    RecordingClass,
    Role,
    Told,
    Use,
    Version,
)
from qm_sip.private import Private
from qm_sip.recorder.rows import CallRow, PartyRow, RecordingRow

STARTED = datetime(2026, 3, 2, 14, 37, 51, tzinfo=UTC)
DESTROY_BY = datetime(2026, 5, 2, 14, 37, 51, tzinfo=UTC)

SECRETS = [
    "+31612345678",
    "person-jansen",
    "manager-devries",
    "device-204",
    "line-klantenservice",
    "Voorbeeld Energie",
    "queue-north",
    "campaign-may",
    "session-77aa",
    "linked-88bb",
    "player-officer",
    "2026-03-02",
    "2026-05-02",
    "14:37",
]

HOLDER = pyrage.x25519.Identity.generate()
RECIPIENT = str(HOLDER.to_public())


def told() -> Told:
    return Told(
        identity="Voorbeeld Energie",
        uses=frozenset({Use.RECORD}),
        purposes=frozenset({"coaching"}),
        language="nl",
        how=How.PROMPT,
        prompt=Digest("d1" * 32),
        began=1.0,
        ended=9.0,
        packets=400,
    )


def facts(call: str = "c-1", **changes: Any) -> CallFacts:
    customer = Party("customer", Role.CUSTOMER, True, address=Private("+31612345678"), told=(told(),))
    agent = Party(
        "agent", Role.AGENT, False, person=PersonId("person-jansen"), device="device-204", known_by="static"
    )
    values: dict[str, Any] = {
        "call": CallId(call),
        "started": STARTED,
        "direction": Direction.INBOUND,
        "line": "line-klantenservice",
        "kind": LineKind.CUSTOMER_FACING,
        "controller": "Voorbeeld Energie",
        "client": None,
        "campaign": "campaign-may",
        "queue": "queue-north",
        "duty": None,
        "must_record": False,
        "parties": (customer, agent),
        "language": "nl",
        "regulation": Version("sha256:aa"),
        "lines": Version("sha256:bb"),
        "people": Version("sha256:cc"),
        "session_id": "session-77aa",
        "linkedid": "linked-88bb",
    }
    return CallFacts(**{**values, **changes})


def call_row(call: str = "c-1", **changes: Any) -> CallRow:
    of = facts(call, **changes)
    rows = [PartyRow(p, language="nl", manager=PersonId("manager-devries")) for p in of.parties]
    return CallRow(of, run="run-1", zone="Europe/Amsterdam", parties=rows)


def decision(*, allowed: bool = True) -> Decision:
    ground = {Kind.AGENT: "b", Kind.CUSTOMER: "f"}
    return Decision(
        use=Use.RECORD,
        allowed=allowed,
        cls=RecordingClass.QUALITY if allowed else None,
        purposes=(Purpose("coaching", ground, "lia-3", DESTROY_BY),) if allowed else (),
        cause=Cause.ALL if allowed else Cause.NONE,
        plan=None,
        reasons=(Reason("told", "KSF15-6.6a"), Reason("capture-all", "KSF15-0.2")),
    )


def recording_row(recording: str = "rec-1", call: str = "c-1") -> RecordingRow:
    return RecordingRow(
        id=recording,
        call=CallId(call),
        decision=decision(),
        party="agent",
        person=PersonId("person-jansen"),
        started=STARTED,
        regulation=Version("sha256:aa"),
        announcement=(Digest("d1" * 32),),
        recipients={"coaching": [RECIPIENT]},
    )

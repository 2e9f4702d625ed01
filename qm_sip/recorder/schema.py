"""The catalog's tables, drawn where they are made; each migration is one named function in one transaction.

Who and when never stands in clear (I6): every row that has any keeps it in one column, `sealed`,
encrypted with the host key. Times in clear are milliseconds from the call's own start. What the sealed
columns hold:

    calls        started, ended, zone, line, controller, client, campaign, queue, session_id, linkedid
    parties      address, person, device, manager, mandated_by, joined, left
    told         identity, began, ended, receipts
    objections   since, undone
    decisions    at
    purposes     destroy_by, select_by, evaluate_by, selected, evaluated
    recordings   person, started, kept_from, ended
    uses         person, at, note
    holds        approver, agreed, since, until
    certificates at
    sessions     agent, monitor, account, device, requested, decided, notice_began, notice_ended, first, last,
                 closed, notice_due, notice_sent
    presets      person, device, until
    locks        account, until
    draws        seed, until it is revealed

Of a call that was forgotten (`retention.py`) the sealed columns are empty. What must be found again by a person or an
account has beside it a mark: HMAC under the host key (`rowseal.py`).

A confidential call has no row anywhere: a count per day, and nothing else (I8).
"""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database, Migrations

migrations = Migrations("qm_sip")


def _table(db: Database, name: str, columns: dict[str, Any], pk: Any, **options: Any) -> None:
    db.table(name).create(columns, pk=pk, **options)


@migrations()
def calls_and_parties(db: Database) -> None:
    """A call, who took part, what they were told and objected to."""
    _table(
        db,
        "calls",
        {
            "id": str,
            "run": str,  # of the server that opened it
            "state": str,  # open | ended
            "direction": str,
            "kind": str,
            "language": str,
            "duty": str,
            "must_record": int,
            "regulation": str,
            "lines": str,
            "people": str,
            "outcome": str,
            "length_ms": int,
            "private_since_ms": int,  # the agent made it private: since when on the call's axis
            "private_cut_ms": int,  # and how far that reached back
            "sealed": bytes,
        },
        "id",
        not_null={"state", "direction", "kind", "sealed"},
    )
    _table(
        db,
        "parties",
        {
            "call": str,
            "party": str,
            "role": str,
            "outside": int,
            "known_by": str,
            "language": str,
            "notice_version": str,
            "population": str,  # why this person may be monitored at all
            "confidential_scope": str,
            "sealed": bytes,
        },
        ("call", "party"),
        foreign_keys=[("call", "calls", "id")],
    )
    _table(
        db,
        "told",
        {
            "id": int,
            "call": str,
            "party": str,
            "uses": str,
            "purposes": str,
            "language": str,
            "how": str,
            "prompt": str,
            "document": str,
            "packets": int,
            "sealed": bytes,
        },
        "id",
        foreign_keys=[("call", "calls", "id")],
    )
    _table(
        db,
        "objections",
        {"id": int, "call": str, "party": str, "use": str, "how": str, "undone": int, "sealed": bytes},
        "id",
        foreign_keys=[("call", "calls", "id")],
    )
    db.table("told").create_index(["call"])
    db.table("objections").create_index(["call"])


@migrations()
def decisions_and_spans(db: Database) -> None:
    """What was decided, for which reasons in which order, and how the call's time was spent."""
    _table(
        db,
        "decisions",
        {
            "id": int,
            "call": str,
            "about": str,
            "use": str,
            "allowed": int,
            "class": str,
            "cause": str,
            "plan": str,
            "purposes": str,
            "sealed": bytes,
        },
        "id",
        foreign_keys=[("call", "calls", "id")],
    )
    _table(
        db,
        "reasons",
        {
            "id": int,
            "call": str,
            "decision": int,  # null: a reason of the outcome
            "code": str,
            "requirement": str,
            "tell": str,
        },
        "id",
        foreign_keys=[("call", "calls", "id")],
    )
    _table(
        db,
        "spans",
        {"call": str, "seq": int, "state": str, "from_ms": int, "to_ms": int, "reason": str},
        ("call", "seq"),
        foreign_keys=[("call", "calls", "id")],
    )
    db.table("decisions").create_index(["call"])
    db.table("reasons").create_index(["call"])


@migrations()
def recordings_and_keys(db: Database) -> None:
    """Recordings, one per agent and class; per purpose its ground, its clock, its wrapped key."""
    _table(
        db,
        "recordings",
        {
            "id": str,
            "call": str,
            "party": str,  # whose recording it is
            "class": str,
            "cause": str,
            "plan": str,
            "draw": str,
            "seed": str,
            "regulation": str,
            "announcement": str,
            "state": str,  # see qm_sip.recorder.rows.State
            "reason": str,  # why failed, quarantined or destroyed
            "tries": int,
            "file": str,
            "bytes": int,
            "sha256": str,
            "sealed_sha256": str,
            "frames": int,
            "rate": int,
            "packets": int,
            "lost": int,
            "gaps": str,
            "ended_by": str,
            "restricted": int,
            "held": int,
            "derived_from": str,
            "sealed": bytes,
        },
        "id",
        foreign_keys=[("call", "calls", "id")],
    )
    _table(
        db,
        "purposes",
        {
            "recording": str,
            "purpose": str,
            "ground_agent": str,
            "ground_customer": str,
            "balancing": str,
            "recipients": str,
            "sealed": bytes,
        },
        ("recording", "purpose"),
        foreign_keys=[("recording", "recordings", "id")],
    )
    _table(
        db,
        "wrapped_keys",
        {"recording": str, "purpose": str, "wrapped": str},
        ("recording", "purpose"),
        foreign_keys=[("recording", "recordings", "id")],
    )
    db.table("recordings").create_index(["call"])
    db.table("recordings").create_index(["state"])


@migrations()
def uses_counts_and_ledger(db: Database) -> None:
    """Who used what, the count of confidential calls, and the ledger: one line and outcome per call."""
    _table(
        db,
        "uses",
        {
            "id": int,
            "recording": str,
            "action": str,  # show | select | export; proof: then `recording` is the call of a private proof
            "purpose": str,
            "allowed": int,
            "reasons": str,
            "sealed": bytes,
        },
        "id",
    )
    db.table("uses").create_index(["recording"])
    _table(db, "confidential_counts", {"day": str, "count": int}, "day")
    db.create_view("ledger", LEDGER)
    for table, columns in FIXED.items():
        db.execute(NEVER_EDITED.format(table=table, columns=", ".join(f"[{name}]" for name in columns)))


LEDGER = """
select calls.id as call, calls.state, calls.direction, calls.kind, calls.outcome, calls.length_ms,
  (select coalesce(sum(to_ms - from_ms), 0) from spans
     where spans.call = calls.id and spans.state = 'recorded') as recorded_ms,
  (select coalesce(sum(to_ms - from_ms), 0) from spans
     where spans.call = calls.id and spans.state = 'private') as private_ms,
  (select code from reasons where reasons.call = calls.id and reasons.decision is null
     order by reasons.id limit 1) as reason,
  (select count(*) from recordings where recordings.call = calls.id) as recordings
from calls
"""

# What is fixed before the first sample cannot be edited, not even by a bug of ours (I3).
FIXED = {
    "recordings": [
        "id",
        "call",
        "party",
        "class",
        "cause",
        "plan",
        "draw",
        "seed",
        "regulation",
        "announcement",
    ],
    "purposes": ["recording", "purpose", "ground_agent", "ground_customer", "balancing", "recipients"],
    "decisions": ["call", "about", "use", "allowed", "class", "cause", "plan", "purposes", "sealed"],
}

# The facts of each sealed column, and so what is left of a row that was forgotten: nothing.
SEALED = {
    "calls": (
        "started",
        "ended",
        "zone",
        "line",
        "controller",
        "client",
        "campaign",
        "queue",
        "session_id",
        "linkedid",
        "private_by",
    ),
    "parties": ("address", "person", "device", "manager", "mandated_by", "joined", "left"),
    "told": ("identity", "began", "ended", "receipts"),
    "objections": ("since", "undone"),
    "decisions": ("at",),
    "purposes": ("destroy_by", "select_by", "evaluate_by"),
    "recordings": ("person", "started", "kept_from", "ended"),
}

NEVER_EDITED = """
create trigger {table}_are_fixed before update of {columns} on {table}
begin select raise(abort, 'fixed before the first sample (I3)'); end
"""

ONLY_FORGOTTEN = """
create trigger decisions_are_only_forgotten before update of sealed on decisions when length(new.sealed) > 0
begin select raise(abort, 'fixed before the first sample (I3)'); end
"""


@migrations()
def private_calls_and_holds(db: Database) -> None:
    """How a private call's media went on, and recordings whose destruction somebody asked to put off."""
    calls = db.table("calls")
    calls.add_column("private_path", str)  # direct | blind-relay | null: it still came here
    calls.add_column("private_direct_ms", int)  # since when no packet came here, on the call's axis
    _table(
        db,
        "holds",
        {"id": int, "recording": str, "reason": str, "ended": int, "sealed": bytes},
        "id",
        foreign_keys=[("recording", "recordings", "id")],
    )
    db.table("holds").create_index(["recording"])


@migrations()
def certificates_of_destruction(db: Database) -> None:
    """What was destroyed, for which purpose, by which rule. It names nobody and outlives what it is about."""
    _table(
        db,
        "certificates",
        {"id": int, "recording": str, "purpose": str, "rule": str, "sealed": bytes},
        "id",
    )
    db.table("certificates").create_index(["recording"])


@migrations()
def decisions_can_be_forgotten(db: Database) -> None:
    """A decision is fixed, but when it was made goes with the rest of who and when."""
    db.execute("drop trigger decisions_are_fixed")
    fixed = [name for name in FIXED["decisions"] if name != "sealed"]
    columns = ", ".join(f"[{name}]" for name in fixed)
    db.execute(NEVER_EDITED.format(table="decisions", columns=columns))
    db.execute(ONLY_FORGOTTEN)


@migrations()
def sessions_presets_locks_and_draws(db: Database) -> None:
    """Who listened in, who set a call to private beforehand, wrong codes, and the seeds that samples are drawn by."""
    _table(
        db,
        "sessions",
        {
            "id": str,
            "call": str,  # null: refused, or it waits for the agent's next call
            "agent_mark": str,
            "monitor_mark": str,
            "capacity": str,  # monitor | peer | client | trainer
            "purpose": str,
            "plan": str,
            "grant": str,
            "allowed": int,
            "reasons": str,
            "ended_by": str,
            "heard_ms": int,
            "notice": str,  # afterwards (FAQ-A.8): none | due | sent
            "sealed": bytes,
        },
        "id",
        foreign_keys=[("call", "calls", "id")],
    )
    for column in ("call", "agent_mark", "monitor_mark", "notice"):
        db.table("sessions").create_index([column])
    _table(db, "presets", {"mark": str, "mode": str, "sealed": bytes}, "mark")
    _table(db, "locks", {"mark": str, "tries": int, "sealed": bytes}, "mark")
    _table(db, "draws", {"day": str, "commitment": str, "seed": str, "sealed": bytes}, "day")


@migrations()
def transfers(db: Database) -> None:
    """When somebody came in the place of another, and what the two were: who they are stands with the parties."""
    _table(
        db,
        "transfers",
        {"id": int, "call": str, "how": str, "gone": str, "came": str, "at_ms": int},
        "id",
        foreign_keys=[("call", "calls", "id")],
    )
    db.table("transfers").create_index(["call"])

"""What became of calls: `calls`, `explain`, `ledger`. No numbers, names or times unless the officer asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from qm_sip.control.monitoring import session
from qm_sip.control.permit import may_see_parties, speaker
from qm_sip.control.requests import NotFound, count, word
from qm_sip.control.telling import sentence
from qm_sip.policy.facts import Role, Tell

if TYPE_CHECKING:
    from qm_sip.control.handlers import ServerState
    from qm_sip.control.server import Handler, PeerCredentials

Row = dict[str, Any]

# Columns that say nothing about who or when; everything else of a row is for the officer.
CALL = ("line", "direction", "kind", "language", "duty", "must_record", "regulation", "lines", "people")
PARTY = ("party", "role", "outside", "known_by", "language", "notice_version", "population")
TOLD = ("party", "identity", "uses", "purposes", "language", "how", "prompt", "document", "packets")
OBJECTION = ("party", "use", "how", "undone")
DECISION = ("about", "use", "allowed", "class", "cause", "plan", "purposes")
RECORDING = ("id", "state", "reason", "class", "cause", "regulation", "announcement", "lost", "gaps")
PARTY_PRIVATE = ("address", "person", "device", "manager", "joined", "left")


def handlers(state: ServerState) -> dict[str, Handler]:
    history = History(state)
    return {"calls": history.calls, "explain": history.explain, "ledger": history.ledger}


class History:
    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def calls(self, request: Row, peer: PeerCredentials) -> Row:
        """The newest calls; running ones say what they are doing now."""
        viewer = self._viewer(request, peer)
        found = await asyncio.to_thread(self._explained, count(request, "limit", 50, most=1000))
        live = {row["call"]: row for row in self._state.live_calls()}
        return {"calls": [_call_row(told, live.get(told["call"]["id"]), viewer) for told in found]}

    def _explained(self, limit: int) -> list[Row]:
        catalog = self._state.catalog
        return [told for row in catalog.calls(limit) if (told := catalog.explain(row["id"])) is not None]

    async def explain(self, request: Row, peer: PeerCredentials) -> Row:
        """Everything decided about one call, in order."""
        call = word(request, "call")
        told = await asyncio.to_thread(self._state.catalog.explain, call)
        viewer = self._viewer(request, peer, told)
        if told is None:
            raise NotFound(f"no call {call!r}: see `qm-sip calls`")
        return {
            "call": _call_row(told, None, viewer) | _about(told, viewer),
            "parties": [_party(row, viewer) for row in told["parties"]],
            "told": [_told(row) for row in told["told"]],
            "objections": [_pick(row, OBJECTION) for row in told["objections"]],
            "decisions": [_decision(row, told["call"]["started"], viewer) for row in told["decisions"]],
            "transfers": [_transfer(row) for row in told["transfers"]],
            "spans": [_span(row) for row in told["spans"]],
            "sessions": [_session(row, viewer) for row in told["sessions"]],
            "recordings": [_recording(row) for row in told["recordings"]],
            **({"private": _made_private(told["call"])} if viewer is Tell.AGENT else {}),
        }

    async def ledger(self, request: Row, peer: PeerCredentials) -> Row:
        """One line for each call, and sums that add up to them."""
        limit = count(request, "limit", 1000, most=100_000)
        book = await asyncio.to_thread(self._state.catalog.ledger)
        return {
            "calls": [_in_seconds(line) for line in book["lines"][-limit:]],
            "totals": [_in_seconds(line) for line in book["outcomes"]],
            "spans": [{"state": row["state"], "seconds": row["ms"] / 1000} for row in book["states"]],
            "confidential": book["confidential"],
        }

    def _viewer(self, request: Row, peer: PeerCredentials, told: Row | None = None) -> Tell:
        """In which capacity is asked: anybody who reaches the socket is the administrator; the agent of a call is its
        agent.
        """
        if not request.get("as"):
            return Tell.ADMIN
        person = speaker(self._state.config, request, peer)
        agents = [row["person"] for row in told["parties"] if row["role"] == Role.AGENT] if told else []
        if person in agents and person != self._state.config.regulation.regulation.officer:
            return Tell.AGENT
        may_see_parties(self._state.config, person)
        return Tell.OFFICER


def _call_row(told: Row, live: Mapping[str, Any] | None, viewer: Tell) -> Row:
    call = told["call"]
    row = {
        "call": call["id"],
        "line": call["line"],
        "direction": call["direction"],
        "state": live["state"] if live else call["state"],
        "outcome": call["outcome"],
        "seconds": live["seconds"] if live else (call["length_ms"] or 0) / 1000,
        "recorded_seconds": _recorded(told["spans"]),
        "reasons": _codes(told["reasons"], viewer),
        "recordings": [recording["id"] for recording in told["recordings"]],
    }
    if viewer is Tell.OFFICER:
        row["started"], row["ended"], row["zone"] = call["started"], call["ended"], call["zone"]
        row["parties"] = [f"{party['role']} {party['address'] or '-'}" for party in told["parties"]]
    return row


def _recorded(spans: Sequence[Row]) -> float:
    return float(sum(span["to_ms"] - span["from_ms"] for span in spans if span["state"] == "recorded")) / 1000


def _codes(reasons: Iterable[Row], viewer: Tell) -> list[str]:
    """The reasons that this viewer may be told."""
    return [reason["code"] for reason in reasons if viewer in reason["tell"]]


def _sentences(reasons: Iterable[Row], viewer: Tell) -> list[str]:
    return [sentence(r["code"], r["requirement"]) for r in reasons if viewer in r["tell"]]


def _private(viewer: Tell) -> tuple[str, ...]:
    return PARTY_PRIVATE if viewer is Tell.OFFICER else ()


def _pick(row: Row, columns: Iterable[str]) -> Row:
    return {column: row.get(column) for column in columns}


def _about(told: Row, viewer: Tell) -> Row:
    """What `explain` says of a call besides its row in `calls`."""
    call = told["call"]
    sentences = _sentences(told["reasons"], viewer)
    return _pick(call, CALL) | {"must_record": bool(call["must_record"]), "because": sentences}


def _party(row: Row, viewer: Tell) -> Row:
    return _pick(row, PARTY + _private(viewer)) | {"outside": bool(row["outside"])}


def _told(row: Row) -> Row:
    known = row["ended"] is not None and row["began"] is not None
    return _pick(row, TOLD) | {"seconds": round(row["ended"] - row["began"], 3) if known else None}


def _decision(row: Row, started: str | None, viewer: Tell) -> Row:
    """A decision, and how many seconds after the call's start it was made; None if that was forgotten."""
    at = None
    if row["at"] and started:
        after = datetime.fromisoformat(row["at"]) - datetime.fromisoformat(started)
        at = max(0.0, round(after.total_seconds(), 3))
    said = {"allowed": bool(row["allowed"]), "reasons": _sentences(row["reasons"], viewer)}
    return {"at": at} | _pick(row, DECISION) | said


def _span(row: Row) -> Row:
    start, end = row["from_ms"] / 1000, row["to_ms"] / 1000
    return {"state": row["state"], "from": start, "to": end, "seconds": end - start, "reason": row["reason"]}


def _transfer(row: Row) -> Row:
    return {"at": row["at_ms"] / 1000, "how": row["how"], "gone": row["gone"], "came": row["came"]}


def _recording(row: Row) -> Row:
    days = {purpose: until[:10] for purpose, until in row["purposes"].items() if until}
    gaps = json.loads(row["gaps"] or "[]")
    return _pick(row, RECORDING) | {"gaps": gaps, "destroy_by": days, "ended": row["ended"]}


def _session(row: Row, viewer: Tell) -> Row:
    """Somebody listened, or asked to: as what, for what, how long. Who, for the officer."""
    return session(row) | ({"monitor": row["monitor"]} if viewer is Tell.OFFICER else {})


def _made_private(call: Row) -> Row | None:
    """For the agent alone: since when, in seconds, and which way his voice went."""
    if call["private_since_ms"] is None:
        return None
    back, path = (call["private_cut_ms"] or 0) / 1000, call["private_path"] or "here"
    return {"since": call["private_since_ms"] / 1000, "cut_back": back, "path": path}


def _in_seconds(line: Row) -> Row:
    """Milliseconds of the catalog as seconds."""
    return {
        key.replace("length_ms", "seconds").replace("_ms", "_seconds"): (value or 0) / 1000
        if key.endswith("_ms")
        else value
        for key, value in line.items()
    }

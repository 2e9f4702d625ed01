"""The Rust half of the two word lists against the Python half: names, fields, what each side reads."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from qm_sip.media import protocol as p
from qm_sip.media.sim import SimEngine

RUST = (Path(__file__).parents[2] / "rust/qm-media/src/protocol.rs").read_text()
SAMPLE: dict[str, Any] = {"str": "x", "int": 7, "bool": True, "list[str]": [], "dict[str, Any]": {}}
VALUES: dict[str, Any] = {
    "address": "127.0.0.1", "leg": "caller", "tone": "ringback", "use": "record", "direction": "sendrecv",
    "payload_types": {"8": "PCMA/8000"}, "our_payload_types": {"8": "PCMA/8000"}, "codecs": [],
    "send_payload_type": 8, "recipients": {}, "already_informed": None,
    "codes": {"*1": "private"}, "receipt": {"token": "x", "subject": "x", "lasts_ms": 7},
    "to": {"call": "x", "leg": "caller"}, "srtp": None,
}  # fmt: skip


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def variants(enum: str) -> list[str]:
    body = re.search(rf"pub enum {enum} \{{\n(.*?)\n\}}", RUST, re.S)
    assert body
    return [snake(name) for name in re.findall(r"^    ([A-Z]\w+)", body[1], re.M)]


def rust_fields(body: str) -> set[str]:
    renamed = re.sub(r'#\[serde\(rename = "(\w+)"\)\]\s*(pub )?\w+:', r"\1:", body)
    return set(re.findall(r"^\s*(?:pub )?([a-z_]+):", renamed, re.M))


def sample(kind: type[p.Command]) -> dict[str, Any]:
    return {f.name: VALUES.get(f.name, SAMPLE.get(str(f.type))) for f in fields(kind)}


def test_the_words_are_the_same() -> None:
    assert set(variants("Command")) == set(p.COMMANDS)
    assert set(variants("Event")) == set(p.EVENTS)


@pytest.mark.parametrize("kind", p.EVENTS.values(), ids=lambda kind: kind.__name__)
def test_every_event_has_the_same_fields(kind: type[p.Event]) -> None:
    name = "Stats" if kind is p.StatsReport else kind.__name__
    enum = RUST[RUST.index("pub enum Event") :]
    body = re.search(rf"\n    {name} \{{\n(.*?)\n    \}}", enum, re.S)
    assert body
    assert rust_fields(body[1]) == {f.name for f in fields(kind)}


@pytest.mark.parametrize("kind", p.COMMANDS.values(), ids=lambda kind: kind.__name__)
def test_every_command_is_read_and_an_unknown_field_is_not(kind: type[p.Command]) -> None:
    engine = SimEngine()
    message = {"do": kind.do, **sample(kind)}
    engine.raw_command(json.dumps(message), 0)
    malformed = [
        e for e in engine.take_events() if isinstance(e, p.CommandFailed) and e.reason != "not-configured"
    ]
    assert [e.reason for e in malformed] == (["no-ports"] if kind is p.Configure else [])
    engine.raw_command(json.dumps(message | {"surprise": 1}), 0)
    [failed] = engine.take_events()
    assert isinstance(failed, p.CommandFailed)
    assert "unknown field `surprise`" in failed.reason


@pytest.mark.parametrize("kind", p.COMMANDS.values(), ids=lambda kind: kind.__name__)
def test_no_command_is_read_without_a_required_field(kind: type[p.Command]) -> None:
    message = {"do": kind.do, **sample(kind)}
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    for name in required:
        engine = SimEngine()
        engine.raw_command(json.dumps({k: v for k, v in message.items() if k != name}), 0)
        [failed] = engine.take_events()
        assert isinstance(failed, p.CommandFailed)
        # `null` is a value for the one field that may be it.
        assert "missing field" in failed.reason or (kind, name) == (p.VoidProofs, "leg"), name


def test_every_sample_fits_its_command() -> None:
    for kind in p.COMMANDS.values():
        assert json.dumps(kind(**sample(kind)).to_json())

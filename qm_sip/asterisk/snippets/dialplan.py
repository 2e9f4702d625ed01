"""extensions.conf, the part that is of this configuration: lines, extensions, what is kept away from us, lamps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from qm_sip.asterisk.lamps import devices
from qm_sip.asterisk.snippets.place import Place
from qm_sip.config.lines import Line
from qm_sip.policy.facts import Direction, LineKind

if TYPE_CHECKING:
    from qm_sip.config import Config

SAYABLE: Final = re.compile(r"[A-Za-z0-9_-]{1,60}\Z")
SHORT: Final = re.compile(r"\d{1,6}\Z")  # an extension, and no number of the outside

_HEAD = """; qm_sip beside Asterisk: your lines, extensions and codes, by `qm-sip asterisk snippets`.
; In extensions.conf, after extensions_qm_sip.conf:   #include extensions_qm_lines.conf
;
; A number of yours that leads to a queue, or to one agent:
;   exten => 3001,1,Goto(qm-lines,sales,1)
;   exten => 3003,1,Set(QM_AGENT=1001)
;    same => n,Goto(qm-lines,support,1)
; Your phones' context:
;   include => qm-phones
"""
_CID = " same => n,Set(__QM_CID=${CHANNEL(pjsip,call-id)})"
_GUARD = (
    " same => n,Gosub(qm-guard,s,1(${{CONTEXT}},{to}))",
    ' same => n,GotoIf($["${{GOSUB_RETVAL}}" = "down"]?{to},1)',
)
_AFTER = (
    " same => n,Gosub(qm-failed,s,1)",
    ' same => n,GotoIf($["${{GOSUB_RETVAL}}" = "yes"]?{to},1)',
)
_END = " same => n,Hangup()"


def lines(config: Config, place: Place, trunk: str) -> str:
    """The whole file."""
    parts = [
        [_HEAD],
        ["; ---- the lines, by the names that qm_sip knows them by", "[qm-lines]", *_lines(config)],
        [
            "; ---- from your phones: colleagues, codes, numbers outside",
            "[qm-phones]",
            *_phones(config, trunk),
        ],
        [
            "; ---- what qm_sip calls back, and nothing that leads to it again",
            "[from-qmsip]",
            *_back(config, trunk),
        ],
        list(_lamps(config)),
    ]
    return "\n".join("\n".join(part) + "\n" for part in parts if part)


# --------------------------------------------------------------------------- lines


def _lines(config: Config) -> Iterator[str]:
    for line in config.lines.line.values():
        if line.kind is not LineKind.CUSTOMER_FACING or line.match.direction is Direction.OUTBOUND:
            continue
        for name in line.match.queues:
            if SAYABLE.match(name):
                yield from _line(name, line)


def _line(name: str, line: Line) -> Iterator[str]:
    """A queue, or for a line that is told before it rings, the agent of QM_AGENT."""
    one = line.announce == "before-ring"
    yield f"exten => {name},1,Set(__QM_LINE={name})"
    yield _CID
    if not one:
        yield " same => n,Answer()"
    if line.announce == "receipt":
        yield " same => n,Gosub(qm-announce,s,1)"
    to = f"direct-{name}"
    yield from () if line.must_record else _filled(_GUARD, to)
    yield (
        " same => n,Dial(PJSIP/${QM_AGENT}@qm-sip,40,b(qm-hdr^s^1))"
        if one
        else f" same => n,Queue({name},b(qm-hdr^s^1))"
    )
    if one and not line.must_record:
        yield from _filled(_AFTER, to)
    yield _END
    if line.must_record:
        yield f"; {name} must be recorded: when qm_sip is gone the call ends"
        return
    yield f"exten => {to},1," + ("Dial(PJSIP/${QM_AGENT},25)" if one else f"Queue({name}-direct)")
    yield _END


def _filled(steps: Sequence[str], to: str) -> list[str]:
    return [step.format(to=to) for step in steps]


# --------------------------------------------------------------------------- phones


def _phones(config: Config, trunk: str) -> Iterator[str]:
    for extension in confidential(config):
        yield f"exten => {extension},1,Dial(PJSIP/{extension},25)      ; confidential: never comes to qm_sip"
        yield _END
    for extension in ours(config):
        yield from _through(extension, f"PJSIP/{extension}@qm-sip", line="")
        yield f"exten => direct-{extension},1,Dial(PJSIP/{extension},25)"
        yield _END
    for code in _codes(config):
        yield f"exten => {code},1,Goto(qm-codes,${{EXTEN}},1)"
    for prefix, line in _outside(config):
        yield from _through(f"_{prefix}X.", "PJSIP/${EXTEN}@qm-sip", line=line)
        cut = "${EXTEN:7}"
        yield f"exten => _direct-{prefix}X.,1,Dial(PJSIP/{cut}@{trunk},60)"
        yield _END


def _through(exten: str, target: str, *, line: str) -> Iterator[str]:
    first = f"Set(__QM_LINE={line})" if line else "Set(QM_RESCUE_EXTEN=)"
    yield f"exten => {exten},1,{first}"
    if line:
        yield _CID
        yield " same => n,Set(DYNAMIC_FEATURES=qmpriv)"
    yield from _filled(_GUARD, "direct-${EXTEN}")
    yield f" same => n,Dial({target},60,b(qm-hdr^s^1))"
    yield from _filled(_AFTER, "direct-${EXTEN}")
    yield _END


def _codes(config: Config) -> Iterator[str]:
    """Those that are dialled. The prefix of a private call is followed by a number."""
    yield f"_{config.lines.private.prefix}."
    for code in sorted({feature.code for feature in config.index.features.values()}):
        if not code.isalpha():
            yield code


def _outside(config: Config) -> Iterator[tuple[str, str]]:
    """What is dialled before a number outside, and the line that such calls are of."""
    outbound = [
        name
        for line in config.lines.line.values()
        if line.match.direction is Direction.OUTBOUND
        for name in line.match.queues
        if SAYABLE.match(name)
    ]
    prefixes = [
        r.called for r in config.server.routes if r.direction is Direction.OUTBOUND and r.from_ == r.to
    ]
    for prefix in sorted(set(prefixes)):
        if prefix.isdigit():
            yield prefix, next(iter(outbound), "")


# --------------------------------------------------------------------------- what qm_sip calls


def _back(config: Config, trunk: str) -> Iterator[str]:
    targets = [(one, f"PJSIP/{one},25,tb(qm-leg^s^1)") for one in (*ours(config), *confidential(config))]
    targets += [
        (f"_{prefix}X.", f"PJSIP/${{EXTEN}}@{trunk},60,b(qm-leg^s^1)") for prefix, _ in _outside(config)
    ]
    for exten, target in targets:
        yield f"exten => {exten},1,Set(__QM_PARENT=${{CHANNEL(pjsip,call-id)}})"
        yield " same => n,Set(QM_LEG=${CHANNEL(pjsip,call-id)})"
        yield f" same => n,Dial({target})"
        yield _END


def ours(config: Config) -> list[str]:
    """The extensions of our people that may come by us."""
    found = {device for agent in config.people.agent.values() for device in agent.extensions}
    found |= {device for monitor in config.people.monitor.values() for device in monitor.extensions}
    found |= set(config.lines.internal.extensions)
    return sorted(device for device in found - set(confidential(config)) if SHORT.match(device))


def confidential(config: Config) -> list[str]:
    """Those that are best never sent to us: of confidential functions, and of confidential people."""
    found = {number for entry in config.lines.never.confidential for number in entry.numbers}
    found |= {
        device for agent in config.people.agent.values() if agent.confidential for device in agent.extensions
    }
    return sorted(number for number in found if SHORT.match(number))


# --------------------------------------------------------------------------- lamps


def _lamps(config: Config) -> Iterator[str]:
    """A context for each agent's phones: subscribe_context=qm-lamps-<id>. Nobody else sees whether he is private."""
    contexts: dict[str, list[str]] = {}
    for lamp, device in devices(config):
        contexts.setdefault(lamp.person, []).append(device)
    if contexts:
        yield "; ---- lamps: in pjsip.conf, on the phones of one agent:   subscribe_context=qm-lamps-<his id>"
    for person, shown in contexts.items():
        yield f"[qm-lamps-{person}]"
        for device in shown:
            yield f"exten => {device.removeprefix('Custom:')},hint,{device}"

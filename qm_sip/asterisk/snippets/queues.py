"""queues.conf: the agents, through us and, for when we are gone, past us."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qm_sip.asterisk.snippets.dialplan import SAYABLE, SHORT
from qm_sip.policy.facts import Direction, LineKind

if TYPE_CHECKING:
    from qm_sip.config import Config

_HEAD = """; Queues behind qm_sip. In queues.conf:   #include queues_qm_sip.conf
;
; - The fourth field of a member (state_interface) is mandatory: without it the member is invalid and never called.
; - None of announce, memberdelay, reportholdtime, monitor-format here: with them the customer does not hear the
;   announcement although it is played, or Asterisk records by itself.
; - Every queue names its own strategy; an inherited one cannot be overridden.
; - Who answers which queue is yours to say: every agent stands in both templates.
"""
_QUEUE = """
[{name}](qm-agents)
strategy=ringall
timeout=15
retry=1
ringinuse=no
joinempty=yes
"""
_DIRECT = """
[{name}-direct](qm-agents-direct)        ; without qm_sip: where [qm-guard] sends a call when it is gone
strategy=ringall
timeout=15
retry=1
ringinuse=yes               ; the phone may still be ringing for the qm_sip that died
joinempty=yes
"""


def members(config: Config) -> str:
    """The whole file."""
    agents = list(_agents(config))
    through = [f"member => PJSIP/{device}@qm-sip,0,{person},PJSIP/{device}" for person, device in agents]
    past = [f"member => PJSIP/{device},0,{person},PJSIP/{device}" for person, device in agents]
    text = [_HEAD, "[qm-agents](!)", *through, "", "[qm-agents-direct](!)", *past, ""]
    return "\n".join(text) + "".join(_queues(config))


def _agents(config: Config) -> Iterator[tuple[str, str]]:
    for person, agent in config.people.agent.items():
        for device in agent.extensions if not agent.confidential else ():
            if SHORT.match(device):
                yield person, device


def _queues(config: Config) -> Iterator[str]:
    for line in config.lines.line.values():
        inbound = line.match.direction is not Direction.OUTBOUND
        if line.kind is not LineKind.CUSTOMER_FACING or not inbound or line.announce == "before-ring":
            continue
        for name in line.match.queues:
            if SAYABLE.match(name):
                yield _QUEUE.format(name=name)
                yield "" if line.must_record else _DIRECT.format(name=name)

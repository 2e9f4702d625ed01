"""The closed list of purposes and what the code of conduct allows of each: the purpose x mode matrix
(KSF15-1.2).

A purpose nobody wrote rules for cannot be configured (KSF15-2.1b). `modes` in regulation.toml can only narrow
this.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from qm_sip.policy.facts import Kind, Use

if TYPE_CHECKING:
    from qm_sip.config import Config

MODES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "coaching": frozenset({"live", "later", "together", "side-by-side", "peer", "screen"}),  # 1.2a
        "assessment": frozenset({"live", "later", "side-by-side", "screen"}),  # 1.2b: not together, no peers
        "process_improvement": frozenset({"later", "screen"}),  # 1.2c: afterwards only
        "training_material": frozenset({"derived-redacted"}),  # 5.1
        "contract_evidence": frozenset({"later", "screen"}),  # 6.3b
        "complaint": frozenset({"later"}),  # FAQ-B.10
        "legal_duty": frozenset({"later"}),  # 6.3a
        "technical_fault": frozenset({"later"}),  # FAQ-B.2
    }
)
KNOWN = frozenset(MODES)
QUALITY = frozenset({"coaching", "assessment", "process_improvement", "training_material"})
EVIDENCE = frozenset({"legal_duty", "contract_evidence"})  # an objection does not end these (WP-28, K17)
NEVER_CAPTURED = frozenset({"training_material", "technical_fault"})  # places kept: copies, snippets

# What anybody may listen for, by his capacity: a colleague only coaches (0.9), a client never scores (6.5).
LISTENS_FOR: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "monitor": frozenset({"coaching", "assessment"}),
        "trainer": frozenset({"coaching", "assessment"}),  # at the agent's request (4.6)
        "peer": frozenset({"coaching"}),
        "client": frozenset({"coaching"}),
    }
)

MODE_OF: Mapping[Use, str] = MappingProxyType({Use.RECORD: "later", Use.LISTEN: "live"})

_B, _BF, _C, _F = frozenset("b"), frozenset("bf"), frozenset("c"), frozenset("f")

# Legal grounds, GDPR art. 6(1), that a regulation may name (KSF15-2.1c): (b) towards the agent is the
# employment contract; towards the customer it is (b) only where the call is about an agreement with him
# (FAQ-B.10).
GROUNDS: Mapping[str, Mapping[Kind, frozenset[str]]] = MappingProxyType(
    {
        name: MappingProxyType({Kind.AGENT: agent, Kind.CUSTOMER: customer})
        for name, agent, customer in (
            ("coaching", _BF, _F),
            ("assessment", _BF, _F),
            ("process_improvement", _F, _F),
            ("training_material", _F, _F),
            ("contract_evidence", _F, _BF),
            ("complaint", _F, _BF),
            ("legal_duty", _C, _C),
            ("technical_fault", _F, _F),
        )
    }
)


def may_be_used(config: Config, purpose: str, mode: str) -> bool:
    """Say whether the regulation lets this purpose have this mode, within what the code of conduct allows."""
    rule = config.regulation.purposes.get(purpose)
    return rule is not None and rule.enabled and mode in rule.modes and mode in MODES.get(purpose, ())

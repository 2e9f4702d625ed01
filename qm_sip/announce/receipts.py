"""Receipts: the customer was told while he waited, so no agent's time is spent on it (people.md 5A, `receipt`).

The dialplan sends the waiting customer to us first; we answer with a token, play the notice, and remember who was told
what. When the agent's leg comes, it brings token and customer (the Call-ID of his own leg): the notice counts only for
that customer and that line, and not for ever. The token is 128 random bits that only this run of ours can redeem, and
the engine holds the same receipt against its own proof (I2); there is nothing in it to sign.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from qm_sip.policy.facts import Told, Use
from qm_sip.private import Private

MOST = 10_000  # held at once; the oldest go first


@dataclass(frozen=True)
class Receipt:
    token: str
    customer: Private[str]  # the Call-ID of his own leg
    line: str
    expires: float  # monotonic seconds
    told: Told | None = None  # None: not to its end (yet)
    objects_to: frozenset[Use] = frozenset()


@dataclass
class Receipts:
    """Those that may still be redeemed. Ring-all and re-queueing redeem one more than once."""

    _held: dict[str, Receipt] = field(default_factory=dict)

    def keep(self, receipt: Receipt, now: float) -> None:
        """Keep it, or what has become of it."""
        self._held.pop(receipt.token, None)
        self._held[receipt.token] = receipt
        while self._held and (len(self._held) > MOST or self._oldest().expires <= now):
            del self._held[self._oldest().token]

    def _oldest(self) -> Receipt:
        return next(iter(self._held.values()))

    def find(self, token: str, customer: str, line: str, now: float) -> Receipt | None:
        """The receipt, if it is this customer's, for this line, not too old, and he heard it all or objected."""
        receipt = self._held.get(token)
        if receipt is None or receipt.expires <= now or receipt.line != line:
            return None
        if receipt.told is None and not receipt.objects_to:
            return None
        return receipt if receipt.customer.reveal() == customer else None

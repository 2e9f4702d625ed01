"""Event: which package somebody subscribes to, and by which id (RFC 6665 8.2.1)."""

from __future__ import annotations

from dataclasses import dataclass

from qm_sip.sip.grammar import Params, SipParseError, is_token, param, parse_params, split_outside
from qm_sip.sip.message import Message


@dataclass(frozen=True, slots=True)
class EventHeader:
    """`package[;id=token][;more]`. The id comes back in every NOTIFY, so it is a token or it is refused."""

    package: str
    id: str | None = None
    params: Params = ()

    @classmethod
    def of(cls, message: Message) -> EventHeader | None:
        """The one Event of a message; None: it has none. Raises SipParseError on several, or on what is none."""
        values = message.all("event")
        if not values:
            return None
        if len(values) > 1:
            raise SipParseError("Event stands there twice")
        return cls.parse(values[0])

    @classmethod
    def parse(cls, text: str) -> EventHeader:
        package, *raw = split_outside(text, ";")
        if not is_token(package):
            raise SipParseError("an event package is not a token")
        params = parse_params(raw)
        found = param(params, "id")
        if found is not None and not is_token(found):
            raise SipParseError("the id of a subscription is not a token")
        return cls(package.lower(), found, params)

    def names(self, *params: str) -> bool:
        """Whether one of these parameters stands there."""
        return any(key.lower() in params for key, _ in self.params)

    def __str__(self) -> str:
        return self.package if self.id is None else f"{self.package};id={self.id}"

"""Header names as written in the settings: which can be one, and which may be carried.

Two kinds may not. What belongs to a hop or a dialog would break the other leg or show it addresses; what has a rule of
its own in the header policy (docs/headers.md) is carried by that rule or not at all.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator

from qm_sip.sip.grammar import is_token
from qm_sip.sip.hop import is_never_copied
from qm_sip.sip.message import canonical

OWN_RULE: Final = frozenset(
    {
        *(
            "p-asserted-identity",
            "p-preferred-identity",
            "remote-party-id",
            "privacy",
            "session-id",
            "reason",
        ),
        *("retry-after", "warning", "recv-info", "info-package"),
        *("replaces", "join", "target-dialog", "refer-to", "refer-sub"),
    }
)
"""The rows of the table that no setting opens; a test compares the two."""


def _name(name: str) -> str:
    if not is_token(name) or not name.isascii():
        raise ValueError(f"{name!r} is not a SIP header name")
    return name


def _carried(name: str) -> str:
    key = canonical(_name(name))
    if is_never_copied(key):
        raise ValueError(f"{name} belongs to one hop or one dialog: it is written anew on each leg")
    if key in OWN_RULE:
        raise ValueError(f"{name} has a rule of its own (docs/headers.md): it cannot be carried by a setting")
    return name


HeaderName = Annotated[str, AfterValidator(_name)]
CarriedName = Annotated[str, AfterValidator(_carried)]


def _media_type(text: str) -> str:
    kind, slash, sub = text.partition("/")
    if not slash or not is_token(kind) or not is_token(sub):
        raise ValueError(f"{text!r} is not a media type, such as application/isup")
    if text.lower() == "application/sdp" or kind.lower() == "multipart":
        raise ValueError(f"{text} is what is read here: name the kinds beside it")
    return text.lower()


MediaType = Annotated[str, AfterValidator(_media_type)]

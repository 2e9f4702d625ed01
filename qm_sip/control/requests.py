"""Reading the fields of a request: each is checked once, and a wrong one is the client's fault."""

from __future__ import annotations

from typing import Any

from qm_sip.errors import QmSipError

WORD_LENGTH = 200


class BadRequest(QmSipError):
    """The request cannot be understood."""


class NotFound(QmSipError):
    """There is no such thing."""


def word(request: dict[str, Any], name: str) -> str:
    """A text field that must be there."""
    value = request.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= WORD_LENGTH:
        raise BadRequest(f"{name} must be a text of 1 to {WORD_LENGTH} characters")
    return value


def count(request: dict[str, Any], name: str, otherwise: int, *, most: int) -> int:
    """A number from 1 to `most`; more is taken as `most`."""
    value = request.get(name, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequest(f"{name} must be a whole number from 1")
    return min(value, most)

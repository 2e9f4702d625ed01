"""Sealing the who-and-when of a row: AEAD with the host key, bound to its table and primary key.

A sealed value cannot be moved to another row, and the same facts never look the same twice. What has to be found
again, a person or an account, is also kept as a mark: the same facts always give the same one, and without the host
key nobody can try names against it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from qm_sip.errors import QmSipError
from qm_sip.private import Private

NONCE = 12


class RowSealError(QmSipError):
    """This host key does not open this catalog, or a row was tampered with."""


class RowSeal:
    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._marks = hmac.digest(key, b"qm_sip: marks", hashlib.sha256)

    def seal(self, table: str, row: str, facts: Mapping[str, Any]) -> bytes:
        """Encrypt the facts of one row."""
        nonce = os.urandom(NONCE)
        plain = json.dumps(facts, default=_plain, ensure_ascii=False).encode(errors="backslashreplace")
        return nonce + self._cipher.encrypt(nonce, plain, f"{table}\0{row}".encode())

    def open(self, table: str, row: str, sealed: bytes) -> dict[str, Any]:
        """Decrypt them again."""
        try:
            plain = self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], f"{table}\0{row}".encode())
        except InvalidTag:
            raise RowSealError(f"a row of {table} cannot be opened with this host key") from None
        facts: dict[str, Any] = json.loads(plain)
        return facts

    def mark(self, kind: str, value: str) -> str:
        """What a person, device or account is found by."""
        return hmac.digest(
            self._marks, f"{kind}\0{value}".encode("utf-8", "surrogateescape"), hashlib.sha256
        ).hex()


def _plain(value: object) -> object:
    """JSON for the values that facts are made of. The one place where the catalog reveals what is private."""
    if isinstance(value, Private):
        return value.reveal()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not a fact that can be sealed")

"""Personal codes of those who listen, kept as a slow hash (scrypt, RFC 7914).

A code of six digits can be tried out by whoever has the file: the hash only makes that cost hours. What protects the
account is that it is his own phone, and that it locks after a few wrong codes (`[monitor.X] tries`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_COST, _BLOCK, _LANES = 2**14, 8, 1  # 16 MiB, about 50 ms
_FORM = re.compile(r"scrypt:(\d{4,6}):(\d{1,2}):(\d{1,2}):([0-9a-f]{32}):([0-9a-f]{64})", re.ASCII)
_MOST_MEMORY = 64 * 1024 * 1024


def hash_code(code: str) -> str:
    """Return what people.toml keeps of a code. Another one each time. Takes about 50 ms."""
    salt = secrets.token_bytes(16)
    return f"scrypt:{_COST}:{_BLOCK}:{_LANES}:{salt.hex()}:{_scrypt(code, salt, _COST, _BLOCK, _LANES).hex()}"


def is_hash(text: str) -> bool:
    """Say whether this has the form that `hash_code` gives, at a cost that can be paid at each call."""
    found = _FORM.fullmatch(text)
    if found is None:
        return False
    cost, block, lanes = (int(found[i]) for i in (1, 2, 3))
    power_of_two = cost > 1 and cost & (cost - 1) == 0
    return power_of_two and block > 0 and 0 < lanes <= 4 and 128 * cost * block <= _MOST_MEMORY


def code_fits(code: str, hash: str) -> bool:
    """Say whether this is the code. An empty or broken hash fits none. Takes about 50 ms: call it in a thread."""
    found = _FORM.fullmatch(hash) if is_hash(hash) else None
    if found is None:
        return False
    cost, block, lanes = (int(found[i]) for i in (1, 2, 3))
    return hmac.compare_digest(
        _scrypt(code, bytes.fromhex(found[4]), cost, block, lanes), bytes.fromhex(found[5])
    )


def _scrypt(code: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(
        code.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=2 * _MOST_MEMORY, dklen=32
    )

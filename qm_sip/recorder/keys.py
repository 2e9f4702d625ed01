"""Keys: making age identities for the holders of each purpose, and the host's own catalog key.

The recorder keeps *recipients* only: with them it can seal, and never open (I6). The identities that
open belong to those who may listen for a purpose, on another machine. The host key opens one thing, the
who-and-when columns of the catalog, and lies outside the data directory so that a copy of the data is
not a copy of the key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qm_sip.errors import StartError

HOST_KEY_BYTES = 32


@dataclass(frozen=True)
class NewKey:
    """A key that was made: the recipient goes into qm_sip.toml, the file to its holder."""

    purpose: str
    recipient: str
    path: Path


def generate(directory: Path, purposes: Iterable[str]) -> list[NewKey]:
    """Make one age identity per purpose, in files only the owner can read, never over an existing one."""
    import pyrage  # holds the GIL: only the command line comes here

    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = []
    for purpose in purposes:
        identity = pyrage.x25519.Identity.generate()
        recipient = str(identity.to_public())
        path = directory / f"{purpose}.agekey"
        _create(path, _identity_file(purpose, recipient, str(identity)).encode())
        made.append(NewKey(purpose, recipient, path))
    return made


def _identity_file(purpose: str, recipient: str, identity: str) -> str:
    return (
        f"# qm_sip: opens recordings made for {purpose}.\n"
        "# WARNING: this file belongs to whoever may play them, not on the machine that records.\n"
        "# Move it there, keep a copy offline, and delete it here.\n"
        f"# public key: {recipient}\n"
        f"{identity}\n"
    )


def recipients_table(keys: Iterable[NewKey]) -> str:
    """What goes into qm_sip.toml."""
    return "\n".join(f'[keys.{key.purpose}]\nrecipients = ["{key.recipient}"]\n' for key in keys)


def read_identity(path: Path) -> str:
    """Return the first identity of an age identity file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise StartError(f"cannot read the identity file {path}") from None
    for line in lines:
        if line.strip().startswith("AGE-SECRET-KEY-1"):
            return line.strip()
    raise StartError(f"{path} holds no age identity", remedy="make one with `qm-sip keys generate`")


def create_host_key(path: Path) -> bytes:
    """Make the catalog's host key, once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = os.urandom(HOST_KEY_BYTES)
    _create(path, key)
    return key


def load_host_key(path: Path, *, create: bool = False) -> bytes:
    """Read the catalog's host key, or raise StartError: missing, of the wrong size, open to others."""
    if create and not path.exists():
        return create_host_key(path)
    try:
        key, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        remedy = "put back the key this catalog was made with; without it nobody can read who and when"
        raise StartError(f"cannot read the host key {path}: {error.strerror}", remedy=remedy) from None
    if len(key) != HOST_KEY_BYTES:
        raise StartError(f"the host key {path} has {len(key)} bytes, not {HOST_KEY_BYTES}")
    if mode & 0o077:
        raise StartError(f"the host key {path} can be read by others", remedy=f"chmod 600 {path}")
    return key


def _create(path: Path, data: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise StartError(f"{path} exists", remedy="a key is never overwritten: move it away first") from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

"""Where recordings lie, and how a file is written so that it is whole or not there.

    <directory>/journals/<id>.qmj     a running recording, or one that waits to be rendered
    <directory>/journals/<id>.tomb    destroy it, before anything else; holds the reason, a code
    <directory>/.reserve              room that is given up where a full disk would keep something from being destroyed
    <directory>/recordings/<id>.<try>.flac.age    rendered and sealed; the catalog names the one that counts
    <directory>/recordings/<id>.qmj   a journal whose key died with the power: it is the sealed recording
    <directory>/quarantine/<id>.qmj   three renderers failed on it; only its recipients can open it
    <key_directory>/<id>.key          a running journal's key, in memory (tmpfs)

Every byte in these files is ciphertext from its first write (I6), but for a journal's envelope.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from qm_sip.errors import StartError
from qm_sip.recorder.journal import without_purpose

PART = ".part"
SEALED = ".flac.age"
RESERVE = ".reserve"
RESERVE_BYTES = 1 << 18  # a tomb, and what the catalog's log needs to say that something was destroyed
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


def write_synced(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that is there whole or not at all, and survives a power cut."""
    part = path.with_name(path.name + PART)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        part.unlink(missing_ok=True)  # half a file would only take the room that is wanting
        raise
    part.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make what was created, renamed or removed in a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Hash a file without holding it in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Store:
    """The folders of one recorder, and the few moves that are made in them."""

    def __init__(self, directory: Path, key_directory: Path) -> None:
        self.journals = directory / "journals"
        self.recordings = directory / "recordings"
        self.quarantine = directory / "quarantine"
        self.keys = key_directory
        self._reserve = directory / RESERVE
        self._lock: IO[bytes] | None = None

    @property
    def lock_handle(self) -> int:
        """The lock's descriptor: a process that inherits it holds the lock too."""
        assert self._lock is not None, "the storage is locked before it is used"
        return self._lock.fileno()

    def lock(self, wait: float = 0.0) -> None:
        """Hold this storage for the life of the process. A second server would take a running journal for one
        that was left over, so it does not start; the engine of a server that died gets `wait` seconds to close its
        journals. Raises StartError.
        """
        path = self.journals.parent / ".lock"
        held = path.open("ab")
        until = time.monotonic() + wait
        while not _locks(held):
            if time.monotonic() < until:
                time.sleep(0.05)
                continue
            held.close()
            remedy = "stop it first, or give this one a [storage] directory of its own"
            raise StartError(f"another server uses {path.parent}", remedy=remedy) from None
        self._lock = held

    def prepare(self) -> None:
        """Make the folders, for this user only. Raises StartError if that cannot be."""
        for folder in (self.journals, self.recordings, self.quarantine, self.keys):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                probe = folder / f".probe{PART}"
                probe.write_bytes(b"\0" * 4096)
                probe.unlink()
            except OSError as error:
                remedy = "give the service a directory it may write to, on a disk with room"
                raise StartError(f"cannot write to {folder}: {error.strerror}", remedy=remedy) from None
        self.keep_reserve()

    def journal(self, recording: str) -> Path:
        return self.journals / f"{recording}.qmj"

    def tomb(self, recording: str) -> Path:
        return self.journals / f"{recording}.tomb"

    def key(self, recording: str) -> Path:
        return self.keys / f"{recording}.key"

    def sealed_journal(self, recording: str) -> Path:
        return self.recordings / f"{recording}.qmj"

    def set_aside_as(self, recording: str) -> Path:
        return self.quarantine / f"{recording}.qmj"

    def sealed(self, name: str) -> Path:
        return self.recordings / name

    def new_sealed(self, recording: str) -> Path:
        """A name for one attempt: a renderer that outlived its server can never overwrite another's file."""
        return self.recordings / f"{recording}.{secrets.token_hex(4)}{SEALED}"

    def found(self, suffix: str) -> Iterator[str]:
        """Ids of the recordings that have a file of this suffix among the journals."""
        for path in sorted(self.journals.glob(f"*{suffix}")):
            if _ID.fullmatch(path.stem):
                yield path.stem

    def attempts(self, recording: str) -> list[Path]:
        """Sealed files of a recording, finished or not, whoever made them."""
        return [
            p for p in self.recordings.iterdir() if p.name.split(".")[0] == recording and p.suffix != ".qmj"
        ]

    def condemn(self, recording: str, reason: str) -> None:
        """Put up a recording's tomb, durably: from now on it has to go, whatever happens. A full disk is no excuse."""
        try:
            write_synced(self.tomb(recording), reason.encode())
        except OSError:
            self.give_up_reserve()
            write_synced(self.tomb(recording), reason.encode())

    def epitaph(self, recording: str) -> str:
        """The reason on a tomb."""
        try:
            reason = self.tomb(recording).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            reason = ""
        return reason or "destroyed"

    def keep_reserve(self) -> None:
        """Set room aside, if there is any: what is to be destroyed is destroyed even when the disk is full."""
        reserve = self._reserve
        if reserve.exists():
            return
        try:
            with os.fdopen(os.open(reserve, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            reserve.unlink(missing_ok=True)

    def give_up_reserve(self) -> None:
        self._reserve.unlink(missing_ok=True)

    def remains(self, recording: str) -> bool:
        """Whether anything is left of a recording."""
        places = (self.journal(recording), self.key(recording), self.sealed_journal(recording))
        return any(p.exists() for p in (*places, self.set_aside_as(recording))) or bool(
            self.attempts(recording)
        )

    def destroy_key(self, recording: str) -> None:
        self.key(recording).unlink(missing_ok=True)

    def destroy_journal(self, recording: str) -> None:
        """Destroy a journal: its key first, for without it the rest is noise."""
        self.destroy_key(recording)
        sync_directory(self.keys)
        self.journal(recording).unlink(missing_ok=True)
        sync_directory(self.journals)

    def keep_as_sealed(self, recording: str) -> None:
        """The journal whose key is gone becomes the sealed recording."""
        self.journal(recording).replace(self.sealed_journal(recording))
        sync_directory(self.recordings)
        sync_directory(self.journals)

    def set_aside(self, recording: str) -> None:
        """Move a journal to quarantine. Its key dies: the host cannot open what it has put away (I6)."""
        self.journal(recording).replace(self.set_aside_as(recording))
        sync_directory(self.quarantine)
        sync_directory(self.journals)
        self.destroy_key(recording)

    def erase(self, recording: str) -> None:
        """Remove every file of a recording but its tomb, durably. The journal before what was made of it: a renderer
        that is still at work finds it gone when it has written, and removes that itself.
        """
        self.destroy_journal(recording)
        for path in [self.sealed_journal(recording), self.set_aside_as(recording), *self.attempts(recording)]:
            path.unlink(missing_ok=True)
        sync_directory(self.recordings)
        sync_directory(self.quarantine)

    def remove_tomb(self, recording: str) -> None:
        """Last of all: a crash before this begins again."""
        self.tomb(recording).unlink(missing_ok=True)
        sync_directory(self.journals)

    def unwrap(self, recording: str, purpose: str) -> None:
        """Take one purpose's wrapped key out of the envelope of a journal that is the sealed recording."""
        for path in (self.sealed_journal(recording), self.set_aside_as(recording)):
            if path.exists():
                write_synced(path, without_purpose(path.read_bytes(), purpose))


def _locks(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

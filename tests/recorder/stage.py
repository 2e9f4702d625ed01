"""A recorder's folders, catalog and rows as the server would leave them, for the tests that crash it."""

from __future__ import annotations

from pathlib import Path

import pyrage

from qm_sip.policy.facts import CallId
from qm_sip.recorder.catalog import Catalog
from qm_sip.recorder.files import Store
from tests.recorder.facts import RECIPIENT, STARTED, call_row, recording_row
from tests.recorder.journal_writer import Writer, header, two_tones

HOST_KEY = bytes(range(32))


def store_in(directory: Path) -> Store:
    store = Store(directory / "data", directory / "keys")
    store.prepare()
    return store


def catalog_in(directory: Path) -> Catalog:
    return Catalog(directory / "data" / "catalog.db", HOST_KEY)


def journal_of(recording: str, seconds: float = 1.0) -> Writer:
    """A journal as the engine writes it for `recording_row(recording)`."""
    key = bytes(range(32))
    wrapped = {"coaching": pyrage.encrypt(key, [pyrage.x25519.Recipient.from_str(RECIPIENT)])}
    head = header(header=recording_row(recording).journal_header())
    return two_tones(seconds, recording=recording, key=key, wrapped=wrapped, head=head)


def put(store: Store, recording: str, *, data: bytes | None = None, seconds: float = 1.0) -> None:
    """Put a journal and its key where the engine puts them."""
    writer = journal_of(recording, seconds)
    store.key(recording).write_bytes(writer.key)
    store.journal(recording).write_bytes(writer.to_bytes() if data is None else data)


def enter(catalog: Catalog, recording: str, *, closed: bool = True) -> None:
    """Enter a call and its recording, as far as a server had come."""
    call = f"call-{recording}"
    catalog.open_call(call_row(call)).result()
    catalog.open_recording(recording_row(recording, CallId(call))).result()
    if closed:
        catalog.close_recording(recording, STARTED, "hung-up").result()

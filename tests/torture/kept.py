"""A journal as a disk gives it back: `journal` of `targets.py`.

The input is read as a file; and, since no mutation gets past a seal, as what lies under one: a line of JSON for the
header (or nothing for a usual one), then the records of one chunk. What can be read is laid out in time, as a renderer
does: the packets in it are as a stranger sent them.
"""

from __future__ import annotations

import json
from typing import Any, Final

from qm_sip.recorder.journal import JournalError, read_envelope, read_journal, without_purpose
from qm_sip.recorder.timeline import LONGEST_S, SLACK_S, blocks, lay_out
from tests.recorder.journal_writer import Writer

KEY: Final = bytes(32)


class _Raw(Writer):
    """A writer whose header is whatever it is given."""

    def __init__(self, head: bytes, chunk: bytes) -> None:
        super().__init__(key=KEY, chunks=[chunk])
        self._raw = head or json.dumps(self.head).encode()

    def parts(self) -> list[bytes]:
        return [self.envelope(), self.sealed(0, self._raw), *(self.sealed(1, chunk) for chunk in self.chunks)]


def read_kept(data: bytes) -> None:
    """As a file, and as what a sealed one holds."""
    read: tuple[Any, ...] = (read_envelope, lambda file: without_purpose(file, "p"), _laid_out)
    head, _, records = data.partition(b"\n")
    for work, file in [*((one, data) for one in read), (_laid_out, _Raw(head, records).to_bytes())]:
        try:
            work(file)
        except JournalError:
            continue


def _laid_out(file: bytes) -> None:
    timeline = lay_out(read_journal(file, KEY))
    assert 0 <= timeline.length <= (LONGEST_S + SLACK_S) * timeline.rate
    next(blocks(timeline, 8_000), None)

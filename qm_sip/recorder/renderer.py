"""A renderer: `python -m qm_sip.recorder.renderer`, a long-lived process of low priority that renders
journals.

One JSON line in is one job, one JSON line out its result; the end of standard input is the end of the
process. It gets paths, never keys, on its pipe. Plaintext lives in its memory only; it leaves no core
dump (I6).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from typing import Any, TextIO

from qm_sip.recorder.files import sync_directory, write_synced
from qm_sip.recorder.jobs import RenderJob, RenderResult
from qm_sip.recorder.journal import (
    Journal,
    JournalEmpty,
    JournalError,
    JournalMissing,
    read_journal,
    read_key,
)
from qm_sip.recorder.render import Rendered, Sealed, render, seal

NICENESS = 10


def main() -> None:
    """Become a renderer: humble, silent about what it knows, deaf to Ctrl-C (the server ends it)."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):  # the server is gone: recovery will do this again
        serve(sys.stdin, sys.stdout)


def serve(source: TextIO, sink: TextIO) -> None:
    """Answer every line with a line, until there are no more."""
    for line in source:
        sink.write(json.dumps(answer(line)) + "\n")
        sink.flush()


def answer(line: str) -> dict[str, Any]:
    """Do one job. What went wrong is named, never described with the recording's content."""
    try:
        return do_job(RenderJob.from_json(json.loads(line))).to_json()
    except JournalEmpty as error:
        return {"ok": False, "error": "empty", "text": str(error)}
    except JournalMissing as error:
        return {"ok": False, "error": "missing", "text": str(error)}
    except JournalError as error:
        return {"ok": False, "error": "journal", "text": str(error)}
    except OSError as error:
        return {"ok": False, "error": "storage", "text": f"{type(error).__name__} {error.strerror}"}
    except Exception as error:  # a renderer outlives any bug in audio code; the pool counts the tries
        return {"ok": False, "error": "bug", "text": type(error).__name__}


def do_job(job: RenderJob) -> RenderResult:
    """Open, render, seal, write."""
    began = time.process_time()
    journal = _open(job)
    if journal.envelope.recording != job.recording:
        raise JournalError("the journal is of another recording")
    rendered = render(journal)
    sealed = seal(rendered.flac, job.recipients)
    _write(job, sealed)
    return _result(job, rendered, sealed, time.process_time() - began)


def _write(job: RenderJob, sealed: Sealed) -> None:
    """Write the sealed file, unless the recording was destroyed while we were at it: then nothing of it may be left."""
    write_synced(job.output, sealed.ciphertext)
    if not job.journal.exists():
        job.output.unlink(missing_ok=True)
        sync_directory(job.output.parent)
        raise JournalMissing("the journal went while it was being rendered")


def _open(job: RenderJob) -> Journal:
    try:
        return read_journal(job.journal.read_bytes(), read_key(job.key))
    except FileNotFoundError:
        raise JournalMissing("the journal or its key is not there") from None


def _result(job: RenderJob, rendered: Rendered, sealed: Sealed, cpu: float) -> RenderResult:
    tracks = rendered.timeline.tracks
    return RenderResult(
        recording=job.recording,
        output=job.output.name,
        bytes=len(sealed.ciphertext),
        sha256=rendered.sha256,
        sealed_sha256=sealed.sha256,
        wrapped=dict(sealed.wrapped),
        frames=rendered.timeline.length,
        rate=rendered.timeline.rate,
        packets=sum(len(track.sizes) for track in tracks),
        lost=sum(track.lost for track in tracks),
        duplicates=sum(track.duplicates for track in tracks),
        anchors=sum(track.anchors for track in tracks),
        unusable=sum(track.unusable for track in tracks),
        gaps=rendered.timeline.gaps,
        ended=rendered.ended,
        cpu_seconds=round(cpu, 4),
    )


if __name__ == "__main__":
    main()

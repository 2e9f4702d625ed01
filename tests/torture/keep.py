"""The least of many inputs that covers what all of them cover: the corpus that is kept.

Coverage is pairs of lines that ran one after the other in `qm_sip`, with how often in steps of powers of two. An input
with a name of its own (`seed-`, `found-`) stays; of the others the one that adds most for its bytes is taken next.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any, Final

NAMED: Final = ("seed-", "found-")
OURS: Final = "/qm_sip/"
_LEAST: Final = 3
"""New pairs that an input must add to be worth a file."""

Covered = frozenset[tuple[Any, ...]]


def keep(name: str, folders: Iterable[Path]) -> None:
    """Minimise into the first of the folders, which is the corpus."""
    from tests.torture.targets import TARGETS

    corpus, *others = folders
    target = TARGETS[name]
    corpus.mkdir(parents=True, exist_ok=True)
    files = [file for folder in (corpus, *others) if folder.is_dir() for file in sorted(folder.iterdir())]
    found = {data: covered(target.run, data) for data in {f.read_bytes()[: target.most] for f in files}}
    named = [file for file in sorted(corpus.iterdir()) if file.name.startswith(NAMED)]
    had: set[tuple[Any, ...]] = set()
    shared = [file for of in target.corpora(name)[1:] for file in (corpus.parent / of).iterdir()]
    for file in (*named, *shared):
        had |= covered(target.run, file.read_bytes())
    chosen = choose(found, had)
    for file in corpus.iterdir():
        if not file.name.startswith(NAMED):
            file.unlink()
    for data in chosen:
        (corpus / hashlib.sha1(data).hexdigest()[:12]).write_bytes(data)
    size = sum(file.stat().st_size for file in corpus.iterdir())
    print(f"{name}: {len(found)} inputs, {len(named)} named and {len(chosen)} others kept, {size} bytes")


def choose(found: dict[bytes, Covered], had: set[tuple[Any, ...]]) -> list[bytes]:
    """The smallest first, each if it adds enough; then those that the rest makes needless go."""
    chosen, seen = [], set(had)
    for data in sorted(found, key=lambda data: (len(data), data)):
        new = found[data] - seen
        if len(new) >= _LEAST:
            seen |= new
            chosen.append(data)
    needed, left = Counter(pair for data in chosen for pair in found[data]), []
    needed.update(had)
    for data in chosen:
        if sum(needed[pair] == 1 for pair in found[data]) >= _LEAST:
            left.append(data)
        else:
            needed.subtract(found[data])
    return left


def covered(run: Callable[[bytes], None], data: bytes) -> Covered:
    """What an input runs through."""
    counts: Counter[tuple[Any, ...]] = Counter()

    def enter(frame: FrameType, event: str, arg: object) -> Any:
        code = frame.f_code
        if OURS not in code.co_filename:
            return None
        last = frame.f_lineno

        def line(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal last
            if event == "line":
                counts[code, last, frame.f_lineno] += 1
                last = frame.f_lineno
            return line

        return line

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        run(data)
    finally:
        sys.settrace(before)
    return frozenset((code.co_filename, a, b, n.bit_length() // 2) for (code, a, b), n in counts.items())

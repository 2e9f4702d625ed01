"""Looks for an input that breaks a target, led by what each input covers (atheris, which is libFuzzer for Python).

    python -m tests.torture.fuzz call --seconds 600       look; `.fuzz/call/` keeps what covered something new
    python -m tests.torture.fuzz call --keep              the least of it that covers all goes to `corpus/call/`
    python -m tests.torture.fuzz call --play FILE ...     these inputs alone, without atheris

An input that breaks something is written to `.fuzz/`, and the exit status is not 0. Mended, it belongs in the corpus
under a name that says what it did: `corpus/call/found-NAME`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
WORK: Final = HERE.parents[1] / ".fuzz"
WORDS: Final = HERE / "words.dict"
SLOWER: Final = 40
"""How many times its usual cost an input may have while coverage is measured."""


def main() -> None:
    arguments = _arguments()
    logging.disable(logging.CRITICAL)
    if arguments.play:
        _play(arguments.target, arguments.play)
    elif arguments.keep:
        from tests.torture.keep import keep

        keep(arguments.target, [CORPUS / arguments.target, WORK / arguments.target])
    else:
        _look(arguments.target, arguments.seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture.fuzz", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--keep", action="store_true", help="take what was found over into the corpus, minimised"
    )
    parser.add_argument("--play", nargs="+", type=Path, help="run these files and say what each costs")
    return parser.parse_args()


def _play(name: str, files: list[Path]) -> None:
    from tests.support.cost import cpu
    from tests.torture.targets import TARGETS

    for file in files:
        data = file.read_bytes()
        print(f"{cpu(lambda data=data: TARGETS[name].run(data)) * 1e3:8.2f} ms  {file}")  # type: ignore[misc]


def _look(name: str, seconds: int) -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("fuzzing needs atheris: pip install -c constraints.txt 'qm-sip[fuzz]'")
    with atheris.instrument_imports(include=["qm_sip"]):
        from tests.torture.targets import TARGETS
    target = TARGETS[name]
    work = WORK / name
    work.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={target.most}",
        f"-dict={WORDS}",
        f"-artifact_prefix={WORK}/{name}-",
        "-rss_limit_mb=4096",
        "-timeout=30",
        "-print_final_stats=1",
        "-reload=0",
    ]
    seeds = [str(folder) for of in target.corpora(name) if (folder := CORPUS / of).is_dir()]
    atheris.Setup([sys.argv[0], *options, str(work), *seeds], _timed(target.run, SLOWER * target.seconds))
    atheris.Fuzz()


def _timed(run: Callable[[bytes], None], most: float) -> Callable[[bytes], None]:
    def timed(data: bytes) -> None:
        began = time.thread_time()
        run(data)
        took = time.thread_time() - began
        assert took < most, f"{took:.2f} s of processor time"

    return timed


if __name__ == "__main__":
    main()

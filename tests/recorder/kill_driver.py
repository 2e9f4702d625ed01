"""The process that `test_kill.py` kills: a recorder that recovers, then finishes what is brought to it.

It says `ready` when recovery has begun its renders, and `done` when nothing is left to do.
"""

import asyncio
import sys
from pathlib import Path

from qm_sip.recorder.finish import Finisher
from qm_sip.recorder.pool import RendererPool
from qm_sip.recorder.recovery import recover
from tests.recorder.stage import catalog_in, store_in


async def main(directory: Path) -> None:
    store, catalog = store_in(directory), catalog_in(directory)
    finisher = Finisher(catalog, store, RendererPool(workers=2))
    print("ready", flush=True)
    await recover(catalog, store, finisher, wait=True)
    print("done", flush=True)
    await finisher.stop()
    catalog.close()


asyncio.run(main(Path(sys.argv[1])))

"""The process that `test_kill_destroying.py` kills: it recovers, renders what there is, and destroys every other one of
it, at random moments of being rendered. It says what it has promised: `condemned NAME`, `destroyed NAME`.
"""

import asyncio
import random
import sys
from pathlib import Path

from qm_sip.recorder.finish import Finisher
from qm_sip.recorder.pool import RendererPool
from qm_sip.recorder.recovery import recover
from tests.recorder.stage import catalog_in, store_in


async def destroy(finisher: Finisher, name: str, wait: float) -> None:
    await asyncio.sleep(wait)
    await finisher.condemn(name, "customer-objected")
    print("condemned", name, flush=True)
    await finisher.destroy(name, "customer-objected")
    print("destroyed", name, flush=True)


async def main(directory: Path, seed: int, names: list[str]) -> None:
    store, catalog = store_in(directory), catalog_in(directory)
    finisher = Finisher(catalog, store, RendererPool(workers=2))
    recovered = await recover(catalog, store, finisher)  # begins to render what was brought
    print("ready", flush=True)
    chance = random.Random(seed)
    await asyncio.gather(*(destroy(finisher, name, chance.uniform(0, 0.8)) for name in names))
    await asyncio.wait(recovered.rendering or [asyncio.create_task(asyncio.sleep(0))])
    print("done", flush=True)
    await finisher.stop()
    catalog.close()


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))

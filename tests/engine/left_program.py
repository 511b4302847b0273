"""A program with a backend and a coordinator of its own, to be killed: `python -m … DIR PORT`.

Prints the two process ids and waits.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sollol_tui.core.state import BackendStatus
from sollol_tui.engine.engine import Engine
from tests.engine.lives import Life
from tests.engine.place import Place
from tests.engine.support import until


async def main(directory: Path, port: int) -> None:
    place = Place(directory, port)
    engine = Engine(place.settings(rpc_server=str(place.rpc_program)), place.state_dir)
    async with engine.running():
        address = await engine.here.start_backend()
        assert isinstance(address, str), address
        await until(engine, lambda s: any(b.status is BackendStatus.IDLE for b in s.backends))
        await engine.start_coordinator(place.order)
        state = await Life(engine).until_ready()
        print(state.pid, address, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

"""An Ollama node whose every answer is mixed Markdown: 20 000 characters, 100 tokens a second.

`python -m tests.bench.long_node [CHARACTERS [TOKENS_PER_S [AT_ONCE]]]`.
"""

from __future__ import annotations

import asyncio
import json
import sys

from sollol_tui.demo.ollama import DemoNode
from sollol_tui.demo.runners import Limits

CHARACTERS = 20_000
TOKENS_PER_S = 100.0
MODEL = "rivers:1b"

PIECE = """\
## Where rivers go

Water finds **the lowest way**; it does not ask. A river carries *sand*, silt and `stones`, and
leaves them where it slows down.

1. the source, often a spring
2. the middle course, which winds
3. the mouth, where it meets the sea

```python
def flow(height: float, width: float) -> float:
    return height * width * 9.81  # and so on
```

| part | speed | width |
| --- | --- | --- |
| upper | fast | small |
| lower | slow | large |

"""


async def main(characters: int, tokens_per_s: float, at_once: int) -> None:
    node = DemoNode(
        [MODEL],
        preload=[MODEL],
        tokens_per_s=tokens_per_s,
        answer=(PIECE * (characters // len(PIECE) + 1))[:characters],
        limits=Limits(parallel=at_once),
    )
    await node.start()
    print(json.dumps({"url": node.url}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await node.stop()


if __name__ == "__main__":
    asked = [*sys.argv[1:], "", "", ""]
    asyncio.run(
        main(int(asked[0] or CHARACTERS), float(asked[1] or TOKENS_PER_S), int(asked[2] or 1))
    )

"""An Ollama node whose every answer is 20 000 characters of mixed Markdown, 100 tokens a second."""

from __future__ import annotations

import asyncio
import json
import sys

from sollol_tui.demo.ollama import DemoNode

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


async def main() -> None:
    text = (PIECE * (CHARACTERS // len(PIECE) + 1))[:CHARACTERS]
    node = DemoNode([MODEL], preload=[MODEL], tokens_per_s=TOKENS_PER_S, answer=text)
    await node.start()
    print(json.dumps({"url": node.url}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await node.stop()


if __name__ == "__main__":
    asyncio.run(main())

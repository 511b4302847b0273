"""The slots of a llama-server: parallel sequences, each with the prefix it still holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any


class Slot:
    """One sequence. `held` are the tokens in its cache: prompt and answer so far."""

    def __init__(self, number: int, context: int) -> None:
        self.number = number
        self.context = context
        self.busy = False
        self.task: int | None = None
        self.held: list[str] = []
        self.cached = 0
        self.read = 0
        self.written = 0
        self.most: int | None = None
        self.params: dict[str, Any] = {}
        self.used_at = -1

    def shared(self, prompt: Sequence[str]) -> int:
        """How many tokens of a prompt are in the cache; the last one is always processed."""
        pairs = zip(self.held, prompt[:-1], strict=False)
        return next((n for n, (old, new) in enumerate(pairs) if old != new), self._whole(prompt))

    def json(self) -> dict[str, Any]:
        """The slot as `/slots` tells it; what was never used says little."""
        first = {
            "id": self.number,
            "n_ctx": self.context,
            "speculative": False,
            "is_processing": self.busy,
        }
        if self.task is None:
            return first
        return {
            **first,
            "id_task": self.task,
            "n_prompt_tokens": len(self.held),
            "n_prompt_tokens_processed": self.read if self.busy else 0,
            "n_prompt_tokens_cache": self.cached if self.busy else 0,
            "params": self.params,
            "next_token": [self._next_token()],
        }

    def _whole(self, prompt: Sequence[str]) -> int:
        return max(min(len(self.held), len(prompt) - 1), 0)

    def _next_token(self) -> dict[str, Any]:
        left = -1 if self.most is None or not self.busy else self.most - self.written
        return {
            "has_next_token": self.busy,
            "has_new_line": False,
            "n_remain": left,
            "n_decoded": self.written if self.busy else 0,
        }


class Slots:
    """All slots of a server; requests beyond them wait in order."""

    def __init__(self, count: int, context: int) -> None:
        self.all = tuple(Slot(number, context) for number in range(count))
        self.deferred = 0
        self._free = asyncio.Semaphore(count)
        self._tasks = 0

    @property
    def busy(self) -> int:
        """How many are working."""
        return sum(slot.busy for slot in self.all)

    @asynccontextmanager
    async def use(self, prompt: Sequence[str]) -> AsyncIterator[Slot]:
        """Wait for a slot; of the free ones that with most of the prompt, else the oldest."""
        self.deferred += 1
        try:
            await self._free.acquire()
        finally:
            self.deferred -= 1
        slot = self._best(prompt)
        self._begin(slot, prompt)
        try:
            yield slot
        finally:
            slot.busy = False
            self._free.release()

    def forget(self) -> None:
        """Empty the caches: the model left the memory."""
        for slot in self.all:
            slot.held = []

    def _best(self, prompt: Sequence[str]) -> Slot:
        free = [slot for slot in self.all if not slot.busy]
        return max(free, key=lambda slot: (slot.shared(prompt), -slot.used_at))

    def _begin(self, slot: Slot, prompt: Sequence[str]) -> None:
        slot.busy = True
        slot.task = self._tasks
        slot.used_at = self._tasks
        self._tasks += 1
        slot.cached = slot.shared(prompt)
        slot.read = len(prompt) - slot.cached
        slot.written = 0
        slot.held = list(prompt)

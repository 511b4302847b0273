"""A llama-server look-alike that holds RPC backends and answers only as long as they do."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sollol_tui.demo import catalog, llama_asks, llama_shapes, proxy
from sollol_tui.demo.faults import Broken, Faults
from sollol_tui.demo.generation import Generation
from sollol_tui.demo.http import Exchange, Headers, HttpServer, json_bytes
from sollol_tui.demo.link import BackendLink
from sollol_tui.demo.llama_asks import Ask, Refused
from sollol_tui.demo.llama_log import LlamaLog
from sollol_tui.demo.llama_metrics import Metrics
from sollol_tui.demo.llama_replies import JSON, EventReply, Reply, WholeReply
from sollol_tui.demo.llama_shapes import Served
from sollol_tui.demo.pace import Pace
from sollol_tui.demo.rpc import LinkError
from sollol_tui.demo.slots import Slots
from sollol_tui.demo.speech import Answer, compose, prompt_tokens, tokens

PLAIN_TEXT = (("Content-Type", "text/plain; version=0.0.4"),)
_PUBLIC = ("/health", "/v1/health")


class DemoCoordinator(HttpServer):
    """A llama-server on loopback, with `--metrics`.

    `backends` are addresses: each gets one lasting connection before the port opens, and is needed
    for every token. `context` is per slot. `load_s` is how long it says "Loading model". `answer`
    is what every answer says, instead of one that fits the question.
    """

    keep_alive = (5.0, 100)

    def __init__(
        self,
        model: str | catalog.Model = "llama3.3:70b",
        name: str = "coordinator",
        tokens_per_s: float | None = None,
        faults: Faults | None = None,
        *,
        parameters: int | None = None,
        context: int = 8192,
        slots: int = 2,
        backends: Sequence[str] = (),
        load_s: float = 0.0,
        alias: str | None = None,
        path: str | None = None,
        answer: str | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(faults or Faults())
        served = catalog.model(model) if isinstance(model, str) else model
        if parameters is not None:
            served = served._replace(parameters=parameters)
        self.name = name
        self.tokens_per_s = tokens_per_s
        self.answer = answer
        self.load_s = load_s
        self.backends = tuple(backends)
        self.loading = False
        self.sleeping = False
        self.last_words = ""  # what it died of
        self.metrics = Metrics()
        self.slots = Slots(slots, context)
        self.served = Served(
            model=served,
            alias=alias or served.name,
            path=path or f"/srv/models/{served.name.replace(':', '-')}.gguf",
            context=context,
            slots=slots,
            media_marker=f"<__media_{random.randbytes(16).hex()}__>",
        )
        self.log = LlamaLog(log or (lambda line: None))
        self._links: list[BackendLink] = []
        self._waking = asyncio.Lock()
        self._loader: asyncio.Task[None] | None = None
        self._routes = self._all_routes()

    async def start(self, port: int = 0) -> None:
        """Connect the backends, then listen, then load.

        Waits for a backend that serves somebody else. Raises `LinkError` when one cannot be had,
        `OSError` when the port is taken.
        """
        try:
            await self._connect()
        except LinkError as error:
            self.log.aborted(str(error))
            raise
        self.log.starting(self.served, self._links)
        self.loading = self.load_s > 0
        await super().start(port)
        if self.loading:
            self._loader = asyncio.get_running_loop().create_task(self._load())
        else:
            self.log.ready(self.served, self.url)

    async def stop(self) -> None:
        if self._loader is not None:
            self._loader.cancel()
            await asyncio.wait([self._loader])
        links = self._release()
        await super().stop()
        for link in links:
            await link.closed()

    def die(self) -> None:
        self._release()
        super().die()

    def doze(self) -> None:
        """Fall asleep as after `--sleep-idle-seconds`: the backends are free until a task comes."""
        self.sleeping = True
        self.slots.forget()
        self._release()

    def usual_headers(self) -> tuple[Headers, Headers]:
        return (("Server", "llama.cpp"), ("Access-Control-Allow-Origin", "")), ()

    async def handle(self, exchange: Exchange) -> None:
        request = exchange.request
        if await self._refuse(exchange):
            return
        handler = self._routes.get((request.method, request.path), self._not_found)
        try:
            await handler(exchange)
        except Refused as refused:
            await exchange.answer(refused.status, json_bytes(refused.body), JSON)
        except LinkError as error:
            self.last_words = str(error)
            self.log.aborted(self.last_words)
            self.die()
            await exchange.cut()

    def _all_routes(self) -> Mapping[tuple[str, str], Callable[[Exchange], Awaitable[None]]]:
        return {
            ("GET", "/health"): self._health,
            ("GET", "/v1/health"): self._health,
            ("GET", "/props"): self._props,
            ("POST", "/props"): self._no_props,
            ("GET", "/slots"): self._slots,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/models"): self._models,
            ("GET", "/v1/models"): self._models,
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/tokenize"): self._tokenize,
        }

    # Its life.

    async def _connect(self) -> None:
        try:
            for address in self.backends:
                self._links.append(await BackendLink.connect(address))
        except BaseException:
            self._release()
            raise

    async def _load(self) -> None:
        await asyncio.sleep(self.load_s)
        self.loading = False
        self.log.ready(self.served, self.url)
        self.signal.tell()

    def _release(self) -> list[BackendLink]:
        links, self._links = self._links, []
        for link in links:
            link.close()
        return links

    async def _awake(self) -> None:
        async with self._waking:
            if self.sleeping:
                await self._connect()
                await asyncio.sleep(self.load_s)
                self.sleeping = False

    async def _compute(self) -> None:
        """One step of the model: every backend does its layers, in turn. Raises `LinkError`."""
        for link in self._links:
            await link.touch()

    # What it knows.

    async def _refuse(self, exchange: Exchange) -> bool:
        status, path = self.faults.status, exchange.request.path
        if (status == 503 or self.loading) and path != "/":
            body = llama_shapes.gate_error(503, "Loading model", "unavailable_error")
            await exchange.answer(503, json_bytes(body), JSON)
        elif status == 401 and path not in _PUBLIC:
            body = llama_shapes.gate_error(401, "Invalid API Key", "authentication_error")
            await exchange.answer(401, json_bytes(body), JSON)
        elif status not in (None, 401, 503):
            await proxy.refuse(exchange, status)
        else:
            return False
        return True

    async def _not_found(self, exchange: Exchange) -> None:
        body = llama_shapes.gate_error(404, "File Not Found", "not_found_error")
        await exchange.answer(404, json_bytes(body), JSON)

    async def _health(self, exchange: Exchange) -> None:
        await exchange.answer(200, json_bytes({"status": "ok"}), JSON)

    async def _props(self, exchange: Exchange) -> None:
        told = llama_shapes.props(self.served, sleeping=self.sleeping)
        await exchange.answer(200, json_bytes(told), JSON)

    async def _no_props(self, exchange: Exchange) -> None:
        message = "This server does not support changing global properties. Start it with `--props`"
        raise llama_asks.refusal(501, message, "not_supported_error")

    async def _slots(self, exchange: Exchange) -> None:
        await self._awake()
        if "fail_on_no_slot" in exchange.request.query and self.slots.busy == self.served.slots:
            raise llama_asks.refusal(503, "no slot available", "unavailable_error")
        told = [slot.json() for slot in self.slots.all]
        await exchange.answer(200, json_bytes(told), JSON)

    async def _metrics(self, exchange: Exchange) -> None:
        text = self.metrics.text(self.slots.busy, self.slots.deferred)
        started = ("Process-Start-Time-Unix", str(time.monotonic_ns() // 1000))
        await exchange.answer(200, text.encode(), (started, *PLAIN_TEXT))

    async def _models(self, exchange: Exchange) -> None:
        await exchange.answer(200, json_bytes(llama_shapes.models(self.served)), JSON)

    async def _tokenize(self, exchange: Exchange) -> None:
        body = llama_asks.body_of(exchange.request)
        pieces = tokens(str(body.get("content", "")))
        told: list[Any] = [self._token_id(piece) for piece in pieces]
        if body.get("with_pieces"):
            told = [{"id": n, "piece": piece} for n, piece in zip(told, pieces, strict=True)]
        await exchange.answer(200, json_bytes({"tokens": told}), JSON)

    def _token_id(self, piece: str) -> int:
        return zlib.crc32(piece.encode()) % self.served.model.shape.vocabulary

    # What it says.

    async def _chat(self, exchange: Exchange) -> None:
        ask = llama_asks.chat(exchange.request)
        prompt = prompt_tokens(ask.turns)
        if len(prompt) >= self.served.context:
            raise llama_asks.too_long(len(prompt), self.served.context)
        reply: Reply = (EventReply if ask.stream else WholeReply)(exchange, self.served.alias, ask)
        pace = Pace(self, self.tokens_per_s)
        with self.counted():
            await reply.open()
            await self._awake()
            async with self.slots.use(prompt) as slot:
                slot.most = ask.most_tokens
                slot.params = llama_shapes.task_params(
                    ask.most_tokens, ask.temperature, stream=ask.stream
                )
                try:
                    self.log.launched(slot.number, slot.task)
                    generation = Generation(slot, self.slots, self.metrics, pace, self._compute)
                    timing = await generation.run(reply, ask, self._compose(ask))
                    self.log.released(slot.number, slot.task, len(slot.held), timing)
                except Broken as broken:
                    if broken.how == "die":
                        self.die()
                        await exchange.cut()
                    await reply.broken(broken.how)

    def _compose(self, ask: Ask) -> Answer:
        think = ask.think and self.served.model.thinks
        return compose(ask.turns, ask.seed, think=think, said=self.answer)

"""An Ollama look-alike: its answers, its errors, its silences."""

from __future__ import annotations

import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sollol_tui.demo import catalog, ollama_asks, ollama_shapes, proxy
from sollol_tui.demo.catalog import Model
from sollol_tui.demo.clock import NS_PER_S
from sollol_tui.demo.faults import Broken, Faults
from sollol_tui.demo.http import Exchange, Headers, HttpServer, http_date
from sollol_tui.demo.ollama_asks import Ask, Refused
from sollol_tui.demo.ollama_replies import (
    JSON,
    LineReply,
    Reply,
    Shape,
    WholeReply,
    chat_shape,
    generate_shape,
    head,
)
from sollol_tui.demo.ollama_shapes import go_json
from sollol_tui.demo.pace import Pace
from sollol_tui.demo.runners import Limits, QueueFull, Runners
from sollol_tui.demo.speech import compose, pieces_of, prompt_tokens

VERSION = "0.32.15"
BUSY = "server busy, please try again.  maximum pending requests exceeded"
TEXT = (("Content-Type", "text/plain"),)
_DAY_NS = 86_400 * NS_PER_S
_ASKS = ("/api/chat", "/api/generate")


class DemoNode(HttpServer):
    """An Ollama node on loopback.

    `models` are names of the catalog, or any others, or `Model`s; `preload` names those in memory
    from the start, the others are loaded on first use and take `load_s`. `tokens_per_s` None: as
    fast as possible. `gpu_share` is the part of a model in GPU memory. `answer` is what every
    answer says, instead of one that fits the question.
    """

    def __init__(
        self,
        models: Sequence[str | Model] = ("llama3.2:3b", "qwen3:8b"),
        name: str = "node",
        tokens_per_s: float | None = None,
        faults: Faults | None = None,
        *,
        preload: Sequence[str] = (),
        load_s: float = 0.0,
        gpu_share: float = 1.0,
        limits: Limits | None = None,
        version: str = VERSION,
        answer: str | None = None,
    ) -> None:
        super().__init__(faults or Faults())
        self.models = tuple(catalog.model(m) if isinstance(m, str) else m for m in models)
        self.name = name
        self.tokens_per_s = tokens_per_s
        self.version = version
        self.gpu_share = gpu_share
        self.answer = answer
        self.limits = limits or Limits()
        self.runners = Runners(load_s, self.limits)
        for each in preload:
            self.runners.preload(self.model(each))
        self._routes = self._all_routes()

    def model(self, name: str) -> Model:
        """A model that lies here. Raises `KeyError`."""
        found = catalog.find(name, self.models)
        if found is None:
            raise KeyError(name)
        return found

    def usual_headers(self) -> tuple[Headers, Headers]:
        return (), (("Date", http_date(time.time())),)

    async def handle(self, exchange: Exchange) -> None:
        request = exchange.request
        if await self._refuse(exchange):
            return
        methods = self._routes.get(request.path)
        if methods is None:
            await self._no_such_path(exchange)
        elif request.method not in methods:
            allow = (("Allow", ", ".join(methods)),)
            await exchange.answer(405, b"405 method not allowed", allow + TEXT)
        else:
            try:
                await methods[request.method](exchange)
            except Refused as refused:
                error = go_json({"error": refused.text})
                await exchange.answer(refused.status, error, JSON)

    def _all_routes(self) -> Mapping[str, Mapping[str, Callable[[Exchange], Awaitable[None]]]]:
        look = ("HEAD", "GET")
        return {
            "/": dict.fromkeys(look, self._root),
            "/api/version": dict.fromkeys(look, self._version),
            "/api/tags": dict.fromkeys(look, self._tags),
            "/api/status": {"GET": self._status},
            "/api/ps": {"GET": self._ps},
            "/api/show": {"POST": self._show},
            "/api/chat": {"POST": self._chat},
            "/api/generate": {"POST": self._generate},
            "/v1/models": {"GET": self._models_v1},
        }

    async def _refuse(self, exchange: Exchange) -> bool:
        """What a proxy before the node, or the node itself, says instead of an answer."""
        status = self.faults.status
        if status is None or (status == 503 and exchange.request.path not in _ASKS):
            return False  # a full queue answers everything that needs no model
        if status == 503:
            await exchange.answer(status, go_json({"error": BUSY}), JSON)
        else:
            await proxy.refuse(exchange, status)
        return True

    async def _no_such_path(self, exchange: Exchange) -> None:
        path = exchange.request.path
        if path.endswith("/") and path.rstrip("/") in self._routes:
            await exchange.answer(301, b"", (("Location", path.rstrip("/")),))
        else:
            await exchange.answer(404, b"404 page not found", TEXT)

    # What it knows.

    async def _root(self, exchange: Exchange) -> None:
        headers = (("Content-Type", "text/plain; charset=utf-8"),)
        await exchange.answer(200, b"Ollama is running", headers)

    async def _version(self, exchange: Exchange) -> None:
        await exchange.answer(200, go_json({"version": self.version}), JSON)

    async def _status(self, exchange: Exchange) -> None:
        await exchange.answer(200, go_json({"cloud": {"disabled": True, "source": "env"}}), JSON)

    async def _tags(self, exchange: Exchange) -> None:
        await exchange.answer(200, go_json(ollama_shapes.tags(self._dated())), JSON)

    async def _ps(self, exchange: Exchange) -> None:
        listing = self.runners.listing()
        told = ollama_shapes.ps(listing, self.limits.parallel, self.gpu_share)
        await exchange.answer(200, go_json(told), JSON)

    async def _models_v1(self, exchange: Exchange) -> None:
        listed = go_json(ollama_shapes.models_v1(self._dated())) + b"\n"
        await exchange.answer(200, listed, (("Content-Type", "application/json"),))

    async def _show(self, exchange: Exchange) -> None:
        body = ollama_asks.body_of(exchange.request)
        model = ollama_asks.model_of(body, self.models, full=True)
        shown = ollama_shapes.show(model, self._dated()[model])
        await exchange.answer(200, go_json(shown), JSON)

    def _dated(self) -> dict[Model, int]:
        """The models and when they came here: each its own day, the same at every look."""
        first_ns = 1_790_000_000 * NS_PER_S + zlib.crc32(self.name.encode()) * 1_000_003
        return {model: first_ns - n * _DAY_NS for n, model in enumerate(self.models)}

    # What it says.

    async def _chat(self, exchange: Exchange) -> None:
        await self._ask(exchange, ollama_asks.chat(exchange.request, self.models), chat_shape)

    async def _generate(self, exchange: Exchange) -> None:
        ask = ollama_asks.generate(exchange.request, self.models)
        await self._ask(exchange, ask, generate_shape)

    async def _ask(self, exchange: Exchange, ask: Ask, shape: Shape) -> None:
        begun_ns = time.perf_counter_ns()
        if not ask.turns and ask.keep_alive_ns == 0:
            self.runners.unload(ask.model)
            await self._done(exchange, ask, shape, "unload")
            return
        with self.counted():
            try:
                using = self.runners.use(ask.model, ask.context, ask.keep_alive_ns)
                async with using as ready_ns:
                    load_ns = ready_ns - begun_ns
                    if not ask.turns:
                        await self._done(exchange, ask, shape, "load")
                        return
                    reply = (LineReply if ask.stream else WholeReply)(
                        exchange, ask.asked_model, shape
                    )
                    await self._answer(reply, exchange, ask, begun_ns, load_ns)
            except QueueFull:
                raise Refused(503, BUSY) from None

    async def _done(self, exchange: Exchange, ask: Ask, shape: Shape, reason: str) -> None:
        end = {"done": True, "done_reason": reason}
        await exchange.answer(200, go_json({**head(ask.asked_model), **shape("", ""), **end}), JSON)

    async def _answer(
        self, reply: Reply, exchange: Exchange, ask: Ask, begun_ns: int, load_ns: int
    ) -> None:
        prompt = prompt_tokens(ask.turns)
        pieces, reason = pieces_of(
            compose(ask.turns, ask.seed, think=ask.think, said=self.answer), ask.most_tokens
        )
        pace = Pace(self, self.tokens_per_s)
        reading_ns = time.perf_counter_ns()
        try:
            await pace.read(len(prompt))
            writing_ns = time.perf_counter_ns()
            for piece in pieces:
                await pace.token()
                await reply.piece(piece)
            await pace.end()
        except Broken as broken:
            if broken.how == "die":
                self.die()
                await exchange.cut()
            await reply.broken(broken.how)
            return
        now_ns = time.perf_counter_ns()
        await reply.finish(
            _final(
                reason,
                total=now_ns - begun_ns,
                load=load_ns,
                prompt=(len(prompt), writing_ns - reading_ns),
                answer=(len(pieces), now_ns - writing_ns),
            )
        )


def _final(
    reason: str, *, total: int, load: int, prompt: tuple[int, int], answer: tuple[int, int]
) -> dict[str, Any]:
    """The figures of the last object, in ns; what is 0 is left out."""
    figures = {
        "total_duration": total,
        "load_duration": load,
        "prompt_eval_count": prompt[0],
        "prompt_eval_duration": max(prompt[1] // 1000, 1) * 1000,  # whole µs, as measured below
        "eval_count": answer[0],
        "eval_duration": max(answer[1] // 1000, 1) * 1000,
    }
    return {"done_reason": reason, **{name: value for name, value in figures.items() if value}}

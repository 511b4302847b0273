"""A llama-server: how it is, what it serves, its streamed answers.

Answers are those of llama.cpp build 11434 (facts/llama-cpp.md §1); what an older or newer build
leaves out stays unknown.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import NamedTuple

from sollol_tui.core.asks import AskRequest, ChatMessage, StreamEvent
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.reports import CoordinatorReport
from sollol_tui.core.state import ServerCounters, Slot
from sollol_tui.core.streams import LlamaStream
from sollol_tui.core.wire import count, fields, items, number, positive, text
from sollol_tui.io.http import Http, Reply, Server, nothing_sent

_IMAGE_KINDS = {"/9j/": "jpeg", "iVBOR": "png", "R0lGOD": "gif", "UklGR": "webp"}
_OFF = 501  # the server was started without that endpoint
_COUNTERS = (
    "prompt_tokens_total",
    "prompt_seconds_total",
    "tokens_predicted_total",
    "tokens_predicted_seconds_total",
    "requests_processing",
    "requests_deferred",
)


async def look(
    http: Http, server: Server, within_s: float = 2.0, *, details: bool = True
) -> CoordinatorReport | Fault:
    """How the server is and what it serves, within one deadline for all of it.

    `/health` decides whether it lives. What does not answer after it stays unknown and is told in
    the report's `fault`. `details` are slots and counters: ask for them at most once a second, for
    each look defers the moment when the server notices that a client left (server-queue.cpp:462);
    a sleeping server is never asked, `/slots` would wake it.

    One request after the other: llama-server ties a thread to each open connection.
    """
    look = _Look(http, server, time.monotonic() + within_s)
    health = await look.at("/health")
    if isinstance(health, Fault):
        return health
    if health.status != 200 or not text(fields(health.json).get("status")):
        return _not_ready(health)
    props = await look.at("/props")
    if isinstance(props, Reply) and props.status == 200:
        return await _described(look, health, props, details)
    fault = props if isinstance(props, Fault) else props.fault
    if fault.kind is FaultKind.LOADING:
        return CoordinatorReport(loading=True, latency_ms=health.elapsed_ms)
    if fault.kind in (FaultKind.NOT_FOUND, FaultKind.PROTOCOL):
        return _stranger(fault.detail)
    return CoordinatorReport(loading=False, latency_ms=health.elapsed_ms, fault=fault)


def chat(
    http: Http, server: Server, request: AskRequest, so_far: str = ""
) -> AsyncGenerator[StreamEvent, None]:
    """Stream an answer; the last event is `End` or `Broken`, nothing expected is raised.

    `so_far` is the answer's beginning that came from elsewhere: the server goes on after it.
    Headers come at once, events when a slot is free and the prompt is read.
    """
    if not request.messages:  # the server would write something until it ends
        return nothing_sent("there is no message to answer")
    body = _chat_body(request, so_far)
    return http.stream(server, "/v1/chat/completions", body, LlamaStream(), so_far)


def parse_metrics(body: str) -> dict[str, float]:
    """The samples without labels of a Prometheus text page, by name."""
    samples: dict[str, float] = {}
    for line in body.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith("#") or "{" in words[0]:
            continue
        try:
            samples[words[0]] = float(words[1])
        except ValueError:
            continue
    return samples


class _Look(NamedTuple):
    """One look: where, and until when."""

    http: Http
    server: Server
    ends_at_s: float

    async def at(self, path: str) -> Reply | Fault:
        left_s = max(self.ends_at_s - time.monotonic(), 0.0)
        return await self.http.call(self.server, path, left_s)


class _Model(NamedTuple):
    name: str | None = None
    parameters: float | None = None
    bytes: int | None = None
    quantization: str | None = None


async def _described(
    look: _Look, health: Reply, answer: Reply, details: bool
) -> CoordinatorReport | Fault:
    props = fields(answer.json)
    settings = fields(props.get("default_generation_settings"))
    if not settings and "total_slots" not in props:
        return _stranger("its /props are not those of llama-server")
    sleeping = props.get("is_sleeping") is True
    models = await look.at("/v1/models")
    path, model = _path(props), _model(models, props)
    report = CoordinatorReport(
        loading=False,
        latency_ms=health.elapsed_ms,
        model=_short(model.name, path),
        model_path=path,
        model_bytes=model.bytes,
        parameters=model.parameters,
        quantization=model.quantization or text(props.get("model_ftype")) or None,
        context_tokens=positive(settings.get("n_ctx")),
        slots_total=positive(props.get("total_slots")),
        sleeping=sleeping,
        build=text(props.get("build_info")) or None,
        fault=_refused(models),
        sees=_sees(props),
    )
    return report if sleeping or not details or _is_router(props) else await _detailed(look, report)


async def _detailed(look: _Look, report: CoordinatorReport) -> CoordinatorReport:
    slots, metrics = await look.at("/slots"), await look.at("/metrics")
    return report._replace(
        slots=_slots(slots),
        counters=_counters(metrics),
        fault=report.fault or _refused(slots) or _refused(metrics),
    )


def _not_ready(health: Reply) -> CoordinatorReport | Fault:
    fault = health.fault
    if fault.kind is FaultKind.LOADING:
        return CoordinatorReport(loading=True, latency_ms=health.elapsed_ms)
    if fault.kind in (FaultKind.NOT_FOUND, FaultKind.PROTOCOL):
        return _stranger(fault.detail)
    return fault


def _stranger(why: str) -> Fault:
    return Fault(FaultKind.PROTOCOL, f"no llama-server answers there: {why}")


def _refused(reply: Reply | Fault) -> Fault | None:
    """Why a part was not told; an endpoint that is switched off is no fault."""
    if isinstance(reply, Fault):
        return reply
    return None if reply.status in (200, _OFF) else reply.fault


def _path(props: dict[str, object]) -> str | None:
    path = text(props.get("model_path"))
    return None if not path or _is_router(props) else path


def _is_router(props: dict[str, object]) -> bool:
    """A llama-server without a model of its own, which starts others (facts/llama-cpp.md §1.9)."""
    return props.get("role") == "router"


def _model(reply: Reply | Fault, props: dict[str, object]) -> _Model:
    """The model it serves; of a router the one that is loaded."""
    said = fields(reply.json) if isinstance(reply, Reply) and reply.status == 200 else {}
    entries = [fields(entry) for entry in items(said.get("data"))]
    if _is_router(props):
        entries = [e for e in entries if fields(e.get("status")).get("value") == "loaded"]
    if not entries:
        return _Model(None if _is_router(props) else text(props.get("model_alias")) or None)
    meta = fields(entries[0].get("meta"))
    return _Model(
        name=text(entries[0].get("id")) or None,
        parameters=number(meta.get("n_params")) or None,
        bytes=positive(meta.get("size")),
        quantization=text(meta.get("ftype")) or None,
    )


def _sees(props: dict[str, object]) -> bool | None:
    """Whether it was started with a projector for pictures; a router has no sight of its own."""
    told = fields(props.get("modalities")).get("vision")
    return told if isinstance(told, bool) and not _is_router(props) else None


def _short(name: str | None, path: str | None) -> str | None:
    """Without `--alias` the name is the whole path of the file: then the file's name."""
    if name is None or name != path:
        return name
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _slots(reply: Reply | Fault) -> tuple[Slot, ...] | None:
    said = reply.json if isinstance(reply, Reply) and reply.status == 200 else None
    if not isinstance(said, list):
        return None
    return tuple(slot for entry in said if (slot := _slot(fields(entry))) is not None)


def _slot(said: dict[str, object]) -> Slot | None:
    number_of, busy = count(said.get("id")), said.get("is_processing")
    if number_of is None or not isinstance(busy, bool):
        return None
    following = said.get("next_token")
    following = items(following)[0] if items(following) else following  # older: no list
    return Slot(
        id=number_of,
        busy=busy,
        context_tokens=positive(said.get("n_ctx")),
        used_tokens=count(said.get("n_prompt_tokens")),
        decoded_tokens=count(fields(following).get("n_decoded")),
    )


def _counters(reply: Reply | Fault) -> ServerCounters | None:
    """The running totals; the server's own rates are not read, each reader resets them."""
    if isinstance(reply, Fault) or reply.status != 200:
        return None
    samples = parse_metrics(reply.body.decode("utf-8", "replace"))
    found = [number(samples.get(f"llamacpp:{name}")) for name in _COUNTERS]
    known = [value for value in found if value is not None]
    if len(known) < len(_COUNTERS):
        return None
    prompt_tokens, prompt_s, decoded_tokens, decoded_s, processing, deferred = known
    return ServerCounters(
        prompt_tokens, prompt_s, decoded_tokens, decoded_s, int(processing), int(deferred)
    )


def _chat_body(request: AskRequest, so_far: str) -> dict[str, object]:
    messages = [_message(message) for message in request.messages]
    if so_far:
        messages.append({"role": "assistant", "content": so_far})
    body: dict[str, object] = {
        "model": request.model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }
    options = request.options
    every = {
        "temperature": options.temperature,
        "max_tokens": options.max_tokens,
        "seed": options.seed,
    }
    body |= {name: value for name, value in every.items() if value is not None}
    if options.think is not None:
        body["chat_template_kwargs"] = {"enable_thinking": options.think}
    return body


def _message(message: ChatMessage) -> dict[str, object]:
    said: dict[str, object] = {"role": message.role, "content": message.content}
    if message.images:
        said["content"] = [{"type": "text", "text": message.content}, *_pictures(message.images)]
    if message.thinking:
        said["reasoning_content"] = message.thinking
    return said


def _pictures(images: tuple[str, ...]) -> list[dict[str, object]]:
    kinds = [
        next((k for head, k in _IMAGE_KINDS.items() if i.startswith(head)), "png") for i in images
    ]
    return [
        {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{image}"}}
        for kind, image in zip(kinds, images, strict=True)
    ]

"""An Ollama node over its native API: what it has, what it has loaded, its streamed answers.

The OpenAI-like API of Ollama is not used: it loses errors in mid-stream (facts/ollama.md §0).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime

from sollol_tui.core.asks import (
    AskRequest,
    Broken,
    ChatMessage,
    ChatOptions,
    StreamEvent,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.reports import ModelDetails, NodeReport
from sollol_tui.core.state import LoadedModel, NodeModel
from sollol_tui.core.streams import AnswerReader, OllamaStream
from sollol_tui.core.wire import (
    count,
    fields,
    items,
    number,
    parameters_of,
    positive,
    text,
    texts,
)
from sollol_tui.io.http import Http, Reply, Server, nothing_sent

UNLOAD_S = 10.0  # the answer comes at once, even when the model is busy


async def look(http: Http, server: Server, within_s: float = 2.0) -> NodeReport | Fault:
    """What the node has and what it has loaded, within one deadline for all of it.

    `/api/tags` decides. `/api/ps` waits behind the runner's locks while a model is switched
    (server/sched.go), so its silence only leaves `loaded` unknown.
    """
    async with asyncio.TaskGroup() as asking:
        version = asking.create_task(http.call(server, "/api/version", within_s))
        tags = asking.create_task(http.call(server, "/api/tags", within_s))
        loaded = asking.create_task(http.call(server, "/api/ps", within_s))
    return _report(version.result(), tags.result(), loaded.result())


async def show(
    http: Http, server: Server, model: str, within_s: float = 5.0
) -> ModelDetails | Fault:
    """One model's metadata. The first call per model makes the node read its GGUF header."""
    reply = await http.call(server, "/api/show", within_s, {"model": model})
    if isinstance(reply, Fault):
        return reply
    said = reply.json
    if reply.status != 200 or not isinstance(said, dict):
        return reply.fault
    return _details(model, said)


def chat(
    http: Http, server: Server, request: AskRequest, so_far: str = ""
) -> AsyncGenerator[StreamEvent, None]:
    """Stream an answer; the last event is `End` or `Broken`, nothing expected is raised.

    `so_far` is the answer's beginning that came from elsewhere: the node goes on after it.
    Nothing comes while the node queues, loads and reads the prompt: not even headers.
    """
    if not request.messages:  # to Ollama that would mean: load the model
        return nothing_sent("there is no message to answer")
    return http.stream(server, "/api/chat", _chat_body(request, so_far), OllamaStream(), so_far)


async def load(
    http: Http, server: Server, model: str, keep_alive: str | None = None
) -> Fault | None:
    """Load a model and wait until it is there; None when it is. Giving up aborts the load."""
    return await _without_messages(http, server, model, keep_alive, None)


async def unload(http: Http, server: Server, model: str) -> Fault | None:
    """Unload a model, when its running requests have ended; None when the node said yes."""
    return await _without_messages(http, server, model, "0", UNLOAD_S)


def _report(
    version: Reply | Fault, tags: Reply | Fault, loaded: Reply | Fault
) -> NodeReport | Fault:
    if isinstance(tags, Fault):
        return tags
    entries = _model_list(tags)
    if isinstance(entries, Fault):
        return entries
    lightest = version if isinstance(version, Reply) and version.status == 200 else tags
    return NodeReport(
        version=text(fields(lightest.json).get("version")) or None,
        models=tuple(m for entry in entries if (m := _node_model(fields(entry))) is not None),
        loaded=_loaded_models(loaded),
        latency_ms=lightest.elapsed_ms,
    )


def _loaded_models(reply: Reply | Fault) -> tuple[LoadedModel, ...] | None:
    entries = reply if isinstance(reply, Fault) else _model_list(reply)
    if isinstance(entries, Fault):
        return None
    return tuple(m for entry in entries if (m := _loaded_model(fields(entry))) is not None)


def _model_list(reply: Reply) -> list[object] | Fault:
    said = reply.json
    if reply.status == 200 and isinstance(said, dict) and "models" in said:
        models = said["models"]
        if models is None or isinstance(models, list):
            return items(models)
    fault = reply.fault
    if fault.kind is FaultKind.NOT_FOUND:  # every Ollama has these paths
        return Fault(FaultKind.PROTOCOL, f"no Ollama answers there: {fault.detail}")
    return fault


def _node_model(said: dict[str, object]) -> NodeModel | None:
    name = text(said.get("name")) or text(said.get("model"))
    if not name:
        return None
    details, remote_host = fields(said.get("details")), text(said.get("remote_host"))
    return NodeModel(
        name=name,
        size_bytes=None if remote_host else positive(said.get("size")),
        parameters=parameters_of(text(details.get("parameter_size"))),
        quantization=text(details.get("quantization_level")),
        family=text(details.get("family")),
        trained_context_tokens=positive(details.get("context_length")),
        capabilities=texts(said.get("capabilities")),
        remote_host=remote_host,
        digest=text(said.get("digest")),
    )


def _loaded_model(said: dict[str, object]) -> LoadedModel | None:
    name = text(said.get("name")) or text(said.get("model"))
    if not name:
        return None
    # A size of 0 means that Ollama could not read it from its runner's log; then the GPU's part
    # is unknown too. With a size, 0 on the GPU is true: the model runs on the CPU.
    size = positive(said.get("size"))
    return LoadedModel(
        name=name,
        bytes=size,
        vram_bytes=None if size is None else count(said.get("size_vram")),
        context_tokens=positive(said.get("context_length")),
        expires_at_s=_seconds(text(said.get("expires_at"))),
    )


def _seconds(moment: str) -> float | None:
    """An RFC 3339 time in seconds since the epoch; Go's zero time (year 1) is None."""
    try:
        seconds = datetime.fromisoformat(moment).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if seconds > 0 else None


def _details(model: str, said: dict[str, object]) -> ModelDetails:
    info, details = fields(said.get("model_info")), fields(said.get("details"))
    architecture = text(info.get("general.architecture"))

    def of_architecture(key: str) -> object:
        return info.get(f"{architecture}.{key}")

    parameters = number(info.get("general.parameter_count"))
    return ModelDetails(
        name=model,
        parameters=parameters or parameters_of(text(details.get("parameter_size"))),
        layers=positive(of_architecture("block_count")),
        trained_context_tokens=positive(of_architecture("context_length")),
        embedding_length=positive(of_architecture("embedding_length")),
        heads=_heads(of_architecture("attention.head_count")),
        kv_heads=_heads(of_architecture("attention.head_count_kv")),
        experts=positive(of_architecture("expert_count")),
        capabilities=texts(said.get("capabilities")),
        architecture=architecture or text(details.get("family")),
        quantization=text(details.get("quantization_level")),
        blob_path=_blob_path(text(said.get("modelfile"))),
        remote_host=text(said.get("remote_host")),
    )


def _heads(value: object) -> int | None:
    """One figure, or the largest of one per layer: memory is not to be underestimated."""
    per_layer = [found for entry in items(value) if (found := positive(entry)) is not None]
    return max(per_layer) if per_layer else positive(value)


def _blob_path(modelfile: str) -> str:
    """The first FROM of a Modelfile when it is a blob (for MLX models it is a name)."""
    for line in modelfile.splitlines():
        word, _, value = line.strip().partition(" ")
        if word.upper() == "FROM":
            return value.strip() if "sha256" in value else ""
    return ""


def _chat_body(request: AskRequest, so_far: str) -> dict[str, object]:
    messages = [_message(message) for message in request.messages]
    if so_far:
        messages.append({"role": "assistant", "content": so_far})
    body: dict[str, object] = {"model": request.model, "messages": messages, "stream": True}
    if options := _options(request.options):
        body["options"] = options
    if request.options.think is not None:
        body["think"] = request.options.think
    if request.options.keep_alive:
        body["keep_alive"] = _keep_alive(request.options.keep_alive)
    return body


def _message(message: ChatMessage) -> dict[str, object]:
    said: dict[str, object] = {"role": message.role, "content": message.content}
    if message.images:
        said["images"] = list(message.images)
    if message.thinking:
        said["thinking"] = message.thinking
    return said


def _options(options: ChatOptions) -> dict[str, object]:
    """Only what is set: another `num_ctx` than the loaded one makes the node reload the model."""
    every: dict[str, object] = {
        "temperature": options.temperature,
        "num_predict": options.max_tokens,
        "seed": options.seed,
        "num_ctx": options.context_tokens,
    }
    return {name: value for name, value in every.items() if value is not None}


def _keep_alive(told: str) -> str | int:
    """Seconds go as a number: as text, Ollama wants a unit (`"30"` is a 400)."""
    try:
        return int(told)
    except ValueError:
        return told.strip()


async def _without_messages(
    http: Http, server: Server, model: str, keep_alive: str | None, within_s: float | None
) -> Fault | None:
    """A chat without messages loads, or with keep-alive 0 unloads (facts/ollama.md §2.5)."""
    body: dict[str, object] = {"model": model, "messages": [], "stream": False}
    if keep_alive:
        body["keep_alive"] = _keep_alive(keep_alive)
    reply = await http.call(server, "/api/chat", within_s, body)
    if isinstance(reply, Fault):
        return reply
    if reply.status != 200:
        return reply.fault
    reader = AnswerReader(OllamaStream())
    reader.feed(reply.body)
    reader.finish()
    return reader.last.fault if isinstance(reader.last, Broken) else None

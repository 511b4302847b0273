"""The JSON of a llama-server, field by field as the real one writes it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from sollol_tui.demo.catalog import Model
from sollol_tui.demo.ollama_shapes import TEMPLATE

BUILD = "b0-unknown"

PARAMS: Mapping[str, Any] = {
    "seed": 4294967295,
    "temperature": 0.800000011920929,
    "dynatemp_range": 0.0,
    "dynatemp_exponent": 1.0,
    "top_k": 40,
    "top_p": 0.949999988079071,
    "min_p": 0.05000000074505806,
    "top_n_sigma": -1.0,
    "xtc_probability": 0.0,
    "xtc_threshold": 0.10000000149011612,
    "typical_p": 1.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "dry_multiplier": 0.0,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "dry_penalty_last_n": 64,
    "mirostat": 0,
    "mirostat_tau": 5.0,
    "mirostat_eta": 0.10000000149011612,
    "adaptive_target": -1.0,
    "adaptive_decay": 0.8999999761581421,
    "max_tokens": -1,
    "n_predict": -1,
    "n_keep": 0,
    "n_discard": 0,
    "ignore_eos": False,
    "stream": False,
    "n_probs": 0,
    "min_keep": 0,
    "chat_format": "Content-only",
    "reasoning_format": "none",
    "reasoning_in_content": False,
    "generation_prompt": "",
    "samplers": [
        *("penalties", "dry", "top_n_sigma", "top_k"),
        *("typ_p", "top_p", "min_p", "xtc", "temperature"),
    ],
    "speculative.types": "none",
    "timings_per_token": False,
    "post_sampling_probs": False,
    "backend_sampling": False,
    "lora": [],
}
_TASK_PARAMS = {
    **PARAMS,
    "chat_format": "peg-native",
    "reasoning_format": "deepseek",
    "generation_prompt": "<|assistant|>\n",
}
_ABILITIES = (
    *("object_arguments", "parallel_tool_calls", "preserve_reasoning", "reasoning_effort"),
    *("string_content", "system_role", "tool_calls", "tools", "typed_content"),
)


class Served(NamedTuple):
    """What a coordinator serves. `context` is in tokens per slot."""

    model: Model
    alias: str
    path: str
    context: int
    slots: int
    media_marker: str


class Timing(NamedTuple):
    """How long the parts of one answer took."""

    cached: int
    read: int
    read_ms: float
    written: int
    written_ms: float


def props(served: Served, *, sleeping: bool) -> dict[str, Any]:
    """`/props`."""
    able = ("string_content", "system_role")
    return {
        "default_generation_settings": {"params": PARAMS, "n_ctx": served.context},
        "total_slots": served.slots,
        "model_alias": served.alias,
        "model_ftype": served.model.quantization,
        "model_path": served.path,
        "modalities": {"vision": False, "video": False, "audio": False},
        "media_marker": served.media_marker,
        "endpoint_slots": True,
        "endpoint_props": False,
        "endpoint_metrics": True,
        "ui": True,
        "ui_settings": {},
        "chat_template": TEMPLATE,
        "chat_template_caps": {f"supports_{name}": name in able for name in _ABILITIES},
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "build_info": BUILD,
        "is_sleeping": sleeping,
        "cors_proxy_enabled": False,
    }


def models(served: Served) -> dict[str, Any]:
    """`/v1/models`."""
    return {
        "models": [_ollama_like(served.alias)],
        "object": "list",
        "data": [_openai_like(served)],
    }


def _ollama_like(alias: str) -> dict[str, Any]:
    return {
        "name": alias,
        "model": alias,
        "modified_at": "",
        "size": "",
        "digest": "",
        "type": "model",
        "description": "",
        "tags": [""],
        "capabilities": ["completion"],
        "parameters": "",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "",
            "families": [""],
            "parameter_size": "",
            "quantization_level": "",
        },
    }


def _openai_like(served: Served) -> dict[str, Any]:
    model = served.model
    return {
        "id": served.alias,
        "aliases": [served.alias],
        "tags": [],
        "object": "model",
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "created": int(time.time()),
        "owned_by": "llamacpp",
        "meta": {
            "vocab_type": 2,
            "n_vocab": model.shape.vocabulary,
            "n_ctx": served.context,
            "n_ctx_train": model.shape.context,
            "n_embd": model.shape.embedding,
            "n_params": model.parameters,
            "size": model.size_bytes,
            "ftype": model.quantization,
        },
    }


def task_params(most_tokens: int | None, temperature: float, *, stream: bool) -> dict[str, Any]:
    """The `params` of a slot that was used."""
    most = -1 if most_tokens is None else most_tokens
    asked = {"max_tokens": most, "n_predict": most, "temperature": temperature, "stream": stream}
    return {**_TASK_PARAMS, **asked}


def timings(timing: Timing) -> dict[str, Any]:
    """The `timings` of an answer. The rate of writing counts the steps between tokens."""
    steps = max(timing.written - 1, 0)
    per_step_ms = timing.written_ms / steps if steps else 0.0
    return {
        "cache_n": timing.cached,
        "prompt_n": timing.read,
        "prompt_ms": timing.read_ms,
        "prompt_per_token_ms": timing.read_ms / max(timing.read, 1),
        "prompt_per_second": timing.read / timing.read_ms * 1000,
        "predicted_n": timing.written,
        "predicted_ms": timing.written_ms,
        "predicted_per_token_ms": per_step_ms,
        "predicted_per_second": steps / timing.written_ms * 1000,
    }


def usage(timing: Timing) -> dict[str, Any]:
    """The `usage` of an answer."""
    prompt = timing.cached + timing.read
    return {
        "completion_tokens": timing.written,
        "prompt_tokens": prompt,
        "total_tokens": prompt + timing.written,
        "prompt_tokens_details": {"cached_tokens": timing.cached},
    }


def error(status: int, message: str, kind: str, **more: int) -> dict[str, Any]:
    """An error as the handlers of llama-server tell it."""
    return {"error": {"code": status, "message": message, "type": kind, **more}}


def gate_error(status: int, message: str, kind: str) -> dict[str, Any]:
    """The same from before the handlers: another order of the fields."""
    return {"error": {"message": message, "type": kind, "code": status}}

"""What one token costs in a model's cache, layer by layer, from the fields of its GGUF header.

The rules are llama.cpp's (llama-hparams.cpp, llama-kv-cache.cpp, models/*.cpp of build 11434).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sollol_tui.core.gguf_bytes import Value

# Architectures whose sliding window is set in code when the file has no pattern: every how many
# layers one sees everything, and whether it is the first of the group.
_PATTERNS = {
    "gemma2": 2, "gpt-oss": 2, "gemma3": 6, "gemma3n": 5, "gemma-embedding": 6, "cohere2": 4,
    "cohere2moe": 4, "exaone4": 4, "exaone-moe": 4, "olmo2": 4, "plamo3": 8, "llama4": 4,
    "afmoe": 4, "laguna": 4, "mellum": 4, "muse-glimmer": 4, "smallthinker": 4,
}  # fmt: skip
_FULL_FIRST = {"cohere2moe", "laguna", "smallthinker"}
_WINDOWS = {"gemma2": 4096, "llama4": 8192}  # where the file need not say
_GEMMA3N_LAYERS_WITH_KV = 20
_RECURRENT_INTERVAL = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4}
_F32 = 4


class KvShape(NamedTuple):
    """The cache of a model: one entry per layer in each list."""

    kv_heads: tuple[int, ...]
    key_length: int
    value_length: int
    widths: tuple[int, ...]  # numbers that one cell holds: keys and values; 0 where there is none
    windowed: tuple[bool, ...]  # the layer remembers only the sliding window
    window: int  # tokens; 0: none
    state_bytes: tuple[int, ...]  # recurrent state of one sequence


class Fields:
    """The fields of one architecture, by their short names."""

    def __init__(self, fields: Mapping[str, Value], architecture: str) -> None:
        self._fields = fields
        self.architecture = architecture

    def number(self, name: str, default: int = 0) -> int:
        """A whole number; the largest of a list; `default` when it is not there."""
        value = self._fields.get(f"{self.architecture}.{name}", default)
        if isinstance(value, tuple):
            return max(value, default=default)
        return int(value) if isinstance(value, int | float) else default

    def per_layer(self, name: str, layers: int, default: int) -> tuple[int, ...]:
        """A number per layer, from a list or from one number for all."""
        value = self._fields.get(f"{self.architecture}.{name}", default)
        if isinstance(value, tuple):
            return (*value, *(default,) * layers)[:layers]
        return (int(value) if isinstance(value, int | float) else default,) * layers

    def flags(self, name: str, layers: int) -> tuple[bool, ...] | None:
        """A list of yes and no, None when the field is no list."""
        value = self._fields.get(f"{self.architecture}.{name}")
        if not isinstance(value, tuple):
            return None
        return tuple(map(bool, (*value, *(0,) * layers)[:layers]))

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return f"{self.architecture}.{name}" in self._fields


def kv_shape(fields: Fields, layers: int) -> KvShape:
    """The cache of an architecture with so many layers; zeros where the header does not say."""
    heads = fields.per_layer("attention.head_count", layers, 0)
    most = max(heads, default=0)
    head_length = fields.number("embedding_length") // most if most else 0
    kv_heads = fields.per_layer("attention.head_count_kv", layers, most)
    key_length = fields.number("attention.key_length", head_length)
    value_length = fields.number("attention.value_length", head_length)
    window, windowed = _windows(fields, layers)
    recurrent = _recurrent(fields, layers, kv_heads)
    attends = _attends(fields, layers, recurrent)
    full = key_length + (0 if _keeps_no_values(fields) else value_length)
    short = fields.number("attention.key_length_swa", key_length) + fields.number(
        "attention.value_length_swa", value_length
    )
    widths = tuple(
        heads * (short if is_windowed else full) if keeps else 0
        for heads, is_windowed, keeps in zip(kv_heads, windowed, attends, strict=True)
    )
    state = _state_bytes(fields)
    states = tuple(state if r else 0 for r in recurrent)
    return KvShape(kv_heads, key_length, value_length, widths, windowed, window, states)


def _windows(fields: Fields, layers: int) -> tuple[int, tuple[bool, ...]]:
    architecture = fields.architecture
    window = fields.number("attention.sliding_window", _WINDOWS.get(architecture, 0))
    period = _PATTERNS.get(architecture, 0)
    if architecture == "exaone4" and layers != 64:
        period = 0
    listed = fields.flags("attention.sliding_window_pattern", layers)
    if listed is None and period:
        period = fields.number("attention.sliding_window_pattern", period)
        listed = tuple(_in_window(i, period, architecture in _FULL_FIRST) for i in range(layers))
    if window <= 0 or listed is None:
        return 0, (False,) * layers
    return window, listed


def _in_window(layer: int, period: int, full_first: bool) -> bool:
    if period <= 0:
        return True
    return layer % period != 0 if full_first else layer % period < period - 1


def _recurrent(fields: Fields, layers: int, kv_heads: tuple[int, ...]) -> tuple[bool, ...]:
    """The layers that keep a state of fixed size instead of, or beside, keys and values."""
    if fields.number("ssm.state_size") == 0:
        return (False,) * layers
    if (listed := fields.flags("attention.recurrent_layers", layers)) is not None:
        return listed
    if interval := _RECURRENT_INTERVAL.get(fields.architecture, 0):
        interval = max(fields.number("full_attention_interval", interval), 1)
        return tuple((i + 1) % interval != 0 for i in range(layers))
    if fields.architecture in {"falcon-h1", "mamba", "mamba2"}:
        return (True,) * layers
    return tuple(h == 0 for h in kv_heads)


def _attends(fields: Fields, layers: int, recurrent: tuple[bool, ...]) -> tuple[bool, ...]:
    """The layers that keep keys and values of their own."""
    trunk = layers - fields.number("nextn_predict_layers")  # the rest drafts, and is not loaded
    if fields.architecture == "gemma3n":
        trunk = min(trunk, _GEMMA3N_LAYERS_WITH_KV)
    trunk = min(trunk, layers - fields.number("attention.shared_kv_layers"))
    both = fields.architecture == "falcon-h1"
    return tuple(i < trunk and (both or not recurrent[i]) for i in range(layers))


def _keeps_no_values(fields: Fields) -> bool:
    """Latent attention (DeepSeek): values are read out of the keys."""
    return fields.has("attention.key_length_mla") and fields.has("attention.value_length_mla")


def _state_bytes(fields: Fields) -> int:
    state, inner = fields.number("ssm.state_size"), fields.number("ssm.inner_size")
    groups, kernel = fields.number("ssm.group_count"), fields.number("ssm.conv_kernel")
    return (max(kernel - 1, 0) * (inner + 2 * groups * state) + state * inner) * _F32

"""Small GGUF files by hand: real headers, tensors of zeros."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from sollol_tui.core.gguf_bytes import TYPES

Item: TypeAlias = int | float | bool | str
Field: TypeAlias = Item | Sequence[Item]

F32, F16, Q4_0 = 0, 1, 2
U32, I32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


class Shape(NamedTuple):
    """One tensor of a file to be made."""

    name: str
    dims: tuple[int, ...]
    type: int = F32


class Model(NamedTuple):
    """The measures of a made-up model of the llama family."""

    layers: int = 4
    embedding: int = 64
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 128
    vocabulary: int = 96
    tied: bool = False
    type: int = F32


def gguf(
    fields: Mapping[str, Field],
    tensors: Sequence[Shape] = (),
    *,
    version: int = 3,
    alignment: int = 32,
    data: bool = True,
) -> bytes:
    """A whole file; without `data` it ends where the tensors would begin."""
    parts = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(fields))]
    for key, value in fields.items():
        parts += [text(key), field(value)]
    offset = 0
    for tensor in tensors:
        dims = struct.pack(f"<I{len(tensor.dims)}Q", len(tensor.dims), *tensor.dims)
        parts += [text(tensor.name), dims, struct.pack("<IQ", tensor.type, offset)]
        offset += padded(tensor_bytes(tensor), alignment)
    head = b"".join(parts)
    head = head.ljust(padded(len(head), alignment), b"\0")
    return head + bytes(offset if data else 0)


def text(value: str) -> bytes:
    """A length and the text."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def field(value: Field) -> bytes:
    """The type of a value and the value."""
    if isinstance(value, str | bool | int | float):
        kind = kind_of(value)
        return struct.pack("<I", kind) + item(value, kind)
    kind = kind_of(value[0]) if value else U32
    head = struct.pack("<IIQ", ARRAY, kind, len(value))
    return head + b"".join(item(v, kind) for v in value)


def kind_of(value: Item) -> int:
    """The type in which a value is written."""
    if isinstance(value, str):
        return STRING
    if isinstance(value, bool):
        return BOOL
    return FLOAT32 if isinstance(value, float) else U32


def item(value: Item, kind: int) -> bytes:
    """One value without its type."""
    if isinstance(value, str):
        return text(value)
    letter = {BOOL: "?", FLOAT32: "f", U32: "I", I32: "i"}[kind]
    return struct.pack(f"<{letter}", value)


def tensor_bytes(tensor: Shape) -> int:
    """How many bytes a tensor of a known type takes."""
    _, block, block_bytes = TYPES[tensor.type]
    return math.prod(tensor.dims) // block * block_bytes


def padded(size: int, alignment: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // alignment) * alignment


def llama_fields(model: Model = Model(), **more: Field) -> dict[str, Field]:  # noqa: B008
    """The fields of a model; `more` by its last names, dots as double underscores."""
    fields: dict[str, Field] = {
        "general.architecture": "llama",
        "general.name": "Made up",
        "general.file_type": {F32: 0, F16: 1, Q4_0: 2}[model.type],
        "llama.block_count": model.layers,
        "llama.context_length": 4096,
        "llama.embedding_length": model.embedding,
        "llama.feed_forward_length": model.feed_forward,
        "llama.attention.head_count": model.heads,
        "llama.attention.head_count_kv": model.kv_heads,
        "llama.vocab_size": model.vocabulary,
        "tokenizer.ggml.tokens": [f"t{i}" for i in range(model.vocabulary)],
    }
    return fields | {key.replace("__", "."): value for key, value in more.items()}


def llama_tensors(model: Model = Model()) -> list[Shape]:  # noqa: B008
    """The tensors of a model, in the order of a usual file."""
    width, kv = model.embedding, model.embedding // model.heads * model.kv_heads
    found = [Shape("token_embd.weight", (width, model.vocabulary), model.type)]
    for layer in range(model.layers):
        found += layer_tensors(layer, width, kv, model)
    found.append(Shape("output_norm.weight", (width,)))
    if not model.tied:
        found.append(Shape("output.weight", (width, model.vocabulary), model.type))
    return found


def layer_tensors(layer: int, width: int, kv: int, model: Model) -> Iterable[Shape]:
    """The nine tensors of one layer."""
    ff, kind = model.feed_forward, model.type
    yield Shape(f"blk.{layer}.attn_norm.weight", (width,))
    yield Shape(f"blk.{layer}.ffn_norm.weight", (width,))
    for name, dims in {
        "attn_q": (width, width),
        "attn_k": (width, kv),
        "attn_v": (width, kv),
        "attn_output": (width, width),
        "ffn_gate": (width, ff),
        "ffn_up": (width, ff),
        "ffn_down": (ff, width),
    }.items():
        yield Shape(f"blk.{layer}.{name}.weight", dims, kind)


def llama(model: Model = Model(), **more: Field) -> bytes:  # noqa: B008
    """A whole made-up model."""
    return gguf(llama_fields(model, **more), llama_tensors(model))

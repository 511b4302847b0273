"""What a GGUF file is, from its header alone: architecture, layers, where its bytes belong.

The header tells everything a plan needs (llama.cpp src/llama-model.cpp, llama-arch.cpp of build
11434): which bytes are read on the host, which belong to a layer, which come last.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sollol_tui.core.gguf_bytes import TYPES, Buffer, GgufError, RawHeader, Tensor, read_raw
from sollol_tui.core.kv_shape import Fields, kv_shape

# general.file_type (not ggml_type), llama.h `llama_ftype`.
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
    39: "NVFP4", 40: "Q1_0",
}  # fmt: skip

# Names that only Ollama's own llama-server knows, and what upstream calls the same thing.
OLLAMA_ARCHITECTURES = {
    "gptoss": "gpt-oss", "qwen25vl": "qwen2vl", "olmo3": "olmo2", "glm4moelite": "deepseek2",
    "deepseekocr": "deepseek2-ocr", "glmocr": "glm4", "nemotron_h_omni": "nemotron_h",
    "mllama": "",
}  # fmt: skip
_VISION = re.compile(r"(?:v|mm|a|s|mtp)\.")  # parts that upstream keeps in a file of their own
_LAYER = re.compile(r"(?:(?:enc|dec)\.)?blk\.(\d+)\.")
_INPUT = re.compile(
    r"(?:token_embd|token_types|position_embd|per_layer_token_embd|masked_embd_\w+)\."
)
# No layer's own, but placed with the first one.
_BESIDE_THE_FIRST = re.compile(r"(?:rope_\w+|token_embd_norm|per_layer_(?:model_)?proj\w*)\.")
MAX_LAYERS = 1024


class GgufHeader(NamedTuple):
    """A model as its file describes it; 0, "" and None where the file does not say."""

    version: int
    architecture: str
    name: str
    kind: str  # "model", "adapter", "mmproj", …
    parameters: int
    file_type: int | None
    quantization: str  # "Q4_K_M"
    layers: int
    trained_context_tokens: int | None
    embedding_length: int
    feed_forward_length: int  # of one layer, or of all the experts that a token uses
    heads: int
    kv_heads: tuple[int, ...]  # per layer
    key_length: int  # of one head
    value_length: int
    kv_widths: tuple[int, ...]  # numbers that one cell of a layer's cache holds
    state_bytes: tuple[int, ...]  # recurrent state of one sequence, per layer
    sliding_window: int  # tokens; 0: none
    windowed: tuple[bool, ...]  # per layer: remembers only the window
    experts: int
    experts_used: int  # for each token
    pooling: int | None  # set: a model for embeddings
    vocab_size: int
    split_no: int  # of a file that is one part of several, from 0
    split_count: int  # 1: the file is whole
    alignment: int
    data_offset: int
    file_bytes: int
    tensor_bytes: int
    layer_bytes: tuple[int, ...]  # per repeating layer
    input_bytes: int  # the embedding of tokens: always on the coordinator's host
    output_bytes: int  # what comes after the last layer; the embedding again when it is tied
    tied_bytes: int  # of them, the embedding when it serves as the output too
    needs_ollama: str | None  # why only Ollama's own llama-server can run it
    data_ends_within: bool  # false: the file is cut

    @property
    def embeds(self) -> bool:
        """Whether the model makes embeddings, not answers."""
        return bool(self.pooling)


def read_header(data: Buffer, file_bytes: int) -> GgufHeader | str:
    """The header of a GGUF file, or why there is none ("is empty"): a phrase that follows "it".

    `data` begins with the file's first byte and holds at least the header; a map of the whole file
    is fine, no tensor data is touched. `file_bytes` is the length of the file. One part of a split
    model gives what that part holds; `read_split` reads them all.
    """
    return read_split([(data, file_bytes)])


def read_split(parts: Sequence[tuple[Buffer, int]]) -> GgufHeader | str:
    """One header for a model in several files (`-00001-of-0000N`), in their order, or the reason.

    The first part describes the model; the others bring tensors.
    """
    try:
        files = [_File(read_raw(data), file_bytes) for data, file_bytes in parts]
        return _header(files)
    except GgufError as refusal:
        return str(refusal)


class _File(NamedTuple):
    raw: RawHeader
    file_bytes: int

    def sizes(self) -> list[tuple[Tensor, int]]:
        """The tensors with their bytes; an unknown type reaches to where the next one begins."""
        if all(t.bytes is not None for t in self.raw.tensors):
            return [(t, t.bytes or 0) for t in self.raw.tensors]
        starts = sorted({t.offset for t in self.raw.tensors})
        ends = dict(zip(starts, [*starts[1:], self._data_bytes()], strict=True))
        return [
            (t, ends[t.offset] - t.offset if t.bytes is None else t.bytes) for t in self.raw.tensors
        ]

    def ends_within(self) -> bool:
        """Whether every tensor lies inside the file."""
        return all(t.offset + (t.bytes or 0) <= self._data_bytes() for t in self.raw.tensors)

    def _data_bytes(self) -> int:
        return max(self.file_bytes - self.raw.data_offset, 0)


def _header(files: Sequence[_File]) -> GgufHeader:
    first = files[0].raw
    architecture = _text(first, "general.architecture")
    fields = Fields(first.fields, architecture)
    layers = fields.number("block_count")
    split_no, split_count = _split(first)
    if not architecture and split_no == 0:
        raise GgufError("names no architecture")
    if not 0 <= layers <= MAX_LAYERS:
        raise GgufError(f"claims {layers} layers")
    tensors = [pair for file in files for pair in file.sizes()]
    places = _places(tensors, layers, fields.number("nextn_predict_layers"))
    shape = kv_shape(fields, layers)
    file_type = first.fields.get("general.file_type")
    return GgufHeader(
        version=first.version,
        architecture=architecture,
        name=_text(first, "general.name"),
        kind=_text(first, "general.type") or ("mmproj" if architecture == "clip" else "model"),
        parameters=sum(t.elements for t, _ in tensors),
        file_type=file_type if isinstance(file_type, int) else None,
        quantization=_quantization(file_type, tensors),
        layers=layers,
        trained_context_tokens=fields.number("context_length") or None,
        embedding_length=fields.number("embedding_length"),
        feed_forward_length=_feed_forward(fields),
        heads=fields.number("attention.head_count"),
        kv_heads=shape.kv_heads,
        key_length=shape.key_length,
        value_length=shape.value_length,
        kv_widths=shape.widths,
        state_bytes=shape.state_bytes,
        sliding_window=shape.window,
        windowed=shape.windowed,
        experts=fields.number("expert_count"),
        experts_used=fields.number("expert_used_count"),
        pooling=fields.number("pooling_type") if fields.has("pooling_type") else None,
        vocab_size=fields.number("vocab_size") or first.counts.get("tokenizer.ggml.tokens", 0),
        split_no=split_no,
        split_count=split_count,
        alignment=first.alignment,
        data_offset=first.data_offset,
        file_bytes=sum(f.file_bytes for f in files),
        tensor_bytes=sum(size for _, size in tensors),
        layer_bytes=places.layers,
        input_bytes=places.input,
        output_bytes=places.output + (places.embedding if places.tied else 0),
        tied_bytes=places.embedding if places.tied else 0,
        needs_ollama=_needs_ollama(fields, (t.name for t, _ in tensors)),
        data_ends_within=all(f.ends_within() for f in files),
    )


class _Places(NamedTuple):
    layers: tuple[int, ...]
    input: int
    output: int
    embedding: int
    tied: bool


def _places(tensors: Iterable[tuple[Tensor, int]], layers: int, drafting: int) -> _Places:
    """Where the bytes belong (llama-arch.cpp, LLM_TENSOR_INFOS)."""
    per_layer, first, last, embedding, has_output = [0] * layers, 0, 0, 0, False
    for tensor, size in tensors:
        if match := _LAYER.match(tensor.name):
            layer = int(match[1])
            if layer < layers - drafting:  # the layers that draft are not loaded
                per_layer[layer] += size
        elif _INPUT.match(tensor.name):
            first += size
            embedding += size if tensor.name == "token_embd.weight" else 0
        elif layers and _BESIDE_THE_FIRST.match(tensor.name):
            per_layer[0] += size
        else:
            last += size
            has_output = has_output or tensor.name == "output.weight"
    return _Places(tuple(per_layer), first, last, embedding, embedding > 0 and not has_output)


def _text(raw: RawHeader, key: str) -> str:
    value = raw.fields.get(key)
    return value if isinstance(value, str) else ""


def _split(raw: RawHeader) -> tuple[int, int]:
    number, count = raw.fields.get("split.no", 0), raw.fields.get("split.count", 1)
    if not isinstance(number, int) or not isinstance(count, int):
        return 0, 1
    return number, max(count, 1)


def _feed_forward(fields: Fields) -> int:
    of_experts = fields.number("expert_feed_forward_length") * fields.number("expert_used_count")
    return max(fields.number("feed_forward_length"), of_experts)


def _quantization(file_type: object, tensors: Iterable[tuple[Tensor, int]]) -> str:
    """The word people use; the commonest type where the file says nothing (0 means that too)."""
    if isinstance(file_type, int) and file_type and file_type in FILE_TYPES:
        return FILE_TYPES[file_type]
    counted: Counter[int] = Counter()
    for tensor, _ in tensors:
        counted[tensor.type] += tensor.elements
    commonest = counted.most_common(1)
    return TYPES.get(commonest[0][0], ("", 1, 1))[0] if commonest else ""


def _needs_ollama(fields: Fields, names: Iterable[str]) -> str | None:
    """Why upstream llama.cpp cannot run what Ollama can (Ollama's llama/compat/README.md)."""
    architecture = fields.architecture
    if architecture in OLLAMA_ARCHITECTURES:
        upstream = OLLAMA_ARCHITECTURES[architecture]
        known = f" (llama.cpp calls it {upstream})" if upstream else ""
        return f"the architecture {architecture} is Ollama's own{known}"
    if architecture == "gemma3" and fields.has("pooling_type"):
        return "an embedding model in Ollama's own layout of gemma3"
    if not fields.has("block_count"):
        return None
    strange = next((name for name in names if _VISION.match(name)), None)
    return f"vision or other parts lie in the same file ({strange})" if strange else None

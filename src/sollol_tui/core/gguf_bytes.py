"""The bytes of a GGUF header: fields and tensor table, read without building a token list.

The layout is facts of the format: magic, version, counts, `n_kv` fields, `n_tensors` descriptions,
padding, data. Everything is little-endian; what a field claims is bounded before it is believed.
"""

from __future__ import annotations

from itertools import repeat
from struct import Struct, error
from typing import NamedTuple, TypeAlias

Buffer: TypeAlias = bytes | memoryview
Value: TypeAlias = int | float | bool | str | tuple[int, ...]

MAX_STRING_BYTES = 16 << 20  # Ollama's limits, fs/gguf/gguf.go
MAX_ARRAY_ELEMENTS = 64 << 20
MAX_FIELDS = 1 << 16
MAX_TENSORS = 1 << 20
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 1 << 20
KEPT_ELEMENTS = 1024  # per-layer lists are kept; llama.cpp knows at most 512 layers

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {
    kind: Struct(f"<{letter}")
    for kind, letter in {
        0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
    }.items()
}  # fmt: skip
_WHOLE = {0, 1, 2, 3, 4, 5, _BOOL, 10, 11}
_U32, _U64 = Struct("<I"), Struct("<Q")

# ggml_type: name, elements in a block, bytes of a block (ggml.c, type_traits).
TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}  # fmt: skip


class GgufError(Exception):
    """The bytes are no GGUF header that can be used; the text is the reason, after "it "."""


class Tensor(NamedTuple):
    """One row of the tensor table. `bytes` is None for a type this program does not know."""

    name: str
    elements: int
    type: int
    offset: int  # in the data section
    bytes: int | None


class RawHeader(NamedTuple):
    """Fields and tensors as they stand there; long lists are only counted."""

    version: int
    fields: dict[str, Value]
    counts: dict[str, int]  # elements of every list
    tensors: tuple[Tensor, ...]
    alignment: int
    data_offset: int


def read_raw(data: Buffer) -> RawHeader:
    """The header at the start of the buffer. Raises `GgufError` with the reason."""
    version = _check_magic(data)
    try:
        return _Reader(data).header(version)
    except (error, OverflowError):  # a length that leads past the end of the buffer
        raise GgufError("ends in the middle of its header") from None


def _check_magic(data: Buffer) -> int:
    if not len(data):
        raise GgufError("is empty")
    magic = bytes(data[:4])
    if magic == b"FUGG":
        raise GgufError("is a big-endian GGUF file")
    if magic != b"GGUF":
        raise GgufError(f"is no GGUF file: it begins with {_shown(magic)}")
    if len(data) < 24:
        raise GgufError("ends in the middle of its header")
    (version,) = _U32.unpack_from(data, 4)
    if version in {2, 3}:
        return int(version)
    if version & 0xFFFF == 0:  # how a small big-endian number looks from here
        raise GgufError("is a big-endian GGUF file")
    raise GgufError(f"is of GGUF version {version}; versions 2 and 3 are read")


class _Reader:
    """Walks over the header; `at` is the next byte."""

    def __init__(self, data: Buffer) -> None:
        self.data = data
        self.at = 8
        self.fields: dict[str, Value] = {}
        self.counts: dict[str, int] = {}

    def header(self, version: int) -> RawHeader:
        n_tensors, n_fields = self._u64(), self._u64()
        if n_fields > MAX_FIELDS or n_tensors > MAX_TENSORS:
            raise GgufError(f"claims {n_fields} fields and {n_tensors} tensors")
        for _ in range(n_fields):
            self._field()
        tensors = tuple(self._tensor() for _ in range(n_tensors))
        alignment = self._alignment()
        if self.at > len(self.data):
            raise GgufError("ends in the middle of its header")
        data_offset = -(-self.at // alignment) * alignment
        return RawHeader(version, self.fields, self.counts, tensors, alignment, data_offset)

    def _alignment(self) -> int:
        alignment = self.fields.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= MAX_ALIGNMENT:
            raise GgufError(f"claims an alignment of {alignment}")
        return alignment

    def _u32(self) -> int:
        (value,) = _U32.unpack_from(self.data, self.at)
        self.at += 4
        return int(value)

    def _u64(self) -> int:
        (value,) = _U64.unpack_from(self.data, self.at)
        self.at += 8
        return int(value)

    def _string(self) -> str:
        length = self._u64()
        if length > MAX_STRING_BYTES:
            raise GgufError(f"claims a text of {length} bytes")
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise GgufError("ends in the middle of its header")
        return bytes(self.data[start : self.at]).decode("utf-8", "replace")

    def _field(self) -> None:
        key, kind = self._string(), self._u32()
        if kind == _STRING:
            self.fields[key] = self._string()
        elif kind == _ARRAY:
            self._array(key)
        else:
            self.fields[key] = self._scalar(kind)

    def _scalar(self, kind: int) -> Value:
        layout = _SCALARS.get(kind)
        if layout is None:
            raise GgufError(f"has a field of unknown type {kind}")
        (value,) = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return value  # type: ignore[no-any-return]

    def _array(self, key: str) -> None:
        kind, count = self._u32(), self._u64()
        if count > MAX_ARRAY_ELEMENTS:
            raise GgufError(f"claims a list of {count} elements")
        self.counts[key] = count
        if kind == _STRING:
            self._skip_strings(count)
            return
        layout = _SCALARS.get(kind)
        if layout is None:  # lists of lists are not part of the format
            raise GgufError(f"has a list of unknown type {kind}")
        start, self.at = self.at, self.at + count * layout.size
        if self.at > len(self.data):
            raise GgufError("ends in the middle of its header")
        if kind in _WHOLE and count <= KEPT_ELEMENTS:
            letter = layout.format[-1]
            self.fields[key] = tuple(
                int(v) for v in Struct(f"<{count}{letter}").unpack_from(self.data, start)
            )

    def _skip_strings(self, count: int) -> None:
        # The one hot loop: a vocabulary and its merges are up to half a million strings.
        unpack, data, at = _U64.unpack_from, self.data, self.at
        for _ in repeat(None, count):
            at += 8 + unpack(data, at)[0]
        self.at = at

    def _tensor(self) -> Tensor:
        name, n_dimensions = self._string(), self._u32()
        if n_dimensions > MAX_DIMENSIONS:
            raise GgufError(f"has a tensor of {n_dimensions} dimensions")
        elements, first = 1, 1
        for index in range(n_dimensions):
            dimension = self._u64()
            first = dimension if index == 0 else first
            elements *= dimension
        kind, offset = self._u32(), self._u64()
        if elements >= 1 << 63:
            raise GgufError(f"has a tensor of {elements} elements")
        return Tensor(name, elements, kind, offset, _tensor_bytes(kind, first, elements))


def _tensor_bytes(kind: int, row: int, elements: int) -> int | None:
    known = TYPES.get(kind)
    if known is None:
        return None
    name, block, block_bytes = known
    if row % block:
        raise GgufError(f"has a {name} tensor with rows of {row}")
    return elements // block * block_bytes


def _shown(data: bytes) -> str:
    """Some bytes for people: as letters where they are some, else as numbers."""
    text = data.decode("latin-1")
    return f'"{text}"' if text.isascii() and text.isprintable() else data.hex(" ")

#!/usr/bin/env python3
"""Make a larger model out of a small one: a GGUF file with every layer several times.

    python3 tests/engines/stack.py IN.gguf OUT.gguf COPIES

The copies of a layer add nothing to the stream they read (the two matrices that would write to it
are zero), so the large model says what the small one says, with the work, the memory and the
metadata of its own size. For plain transformers whose metadata has no list with a value per layer.
"""

from __future__ import annotations

import math
import mmap
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
INTEGER_FORMATS = {4: "<I", 5: "<i", 10: "<Q", 11: "<q"}
STRING, ARRAY = 8, 9
WRITES_TO_THE_STREAM = ("attn_output.weight", "ffn_down.weight")


@dataclass(frozen=True)
class Field:
    """One metadata entry: its value as the bytes in the file."""

    key: str
    kind: int
    raw: bytes


@dataclass(frozen=True)
class Tensor:
    """One tensor and the bytes it has in the data section, padding included."""

    name: str
    shape: tuple[int, ...]
    kind: int
    data: memoryview

    @property
    def count(self) -> int:
        """How many parameters it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Model:
    """A whole GGUF file."""

    version: int
    alignment: int
    fields: tuple[Field, ...]
    tensors: tuple[Tensor, ...]

    def text(self, key: str) -> str:
        """The value of a string field."""
        return self.field(key).raw[8:].decode()

    def number(self, key: str) -> int:
        """The value of an integer field."""
        return integer(self.field(key))

    def field(self, key: str) -> Field:
        """The field of this name; ValueError when there is none."""
        for field in self.fields:
            if field.key == key:
                return field
        raise ValueError(f"the model has no {key}")


class Cursor:
    """Reads little-endian values one after the other."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        self.at += size
        return bytes(self.view[self.at - size : self.at])

    def u32(self) -> int:
        """The next 4-byte integer."""
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        """The next 8-byte integer."""
        return int.from_bytes(self.take(8), "little")

    def string(self) -> str:
        """The next length-prefixed string."""
        return self.take(self.u64()).decode()

    def skip_value(self, kind: int) -> None:
        """Move behind a value of this kind."""
        if kind == STRING:
            size = self.u64()
            self.at += size
        elif kind == ARRAY:
            of, count = self.u32(), self.u64()
            for _ in range(count):
                self.skip_value(of)
        else:
            self.at += SCALAR_BYTES[kind]

    def field(self) -> Field:
        """The next metadata entry."""
        key, kind = self.string(), self.u32()
        start = self.at
        self.skip_value(kind)
        return Field(key, kind, bytes(self.view[start : self.at]))


def read(path: Path) -> Model:
    """Read a GGUF file; the tensors' bytes stay in the file until they are copied."""
    with path.open("rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    cursor = Cursor(view)
    if cursor.take(4) != b"GGUF":
        raise ValueError(f"{path} is not a GGUF file")
    version, n_tensors, n_fields = cursor.u32(), cursor.u64(), cursor.u64()
    fields = tuple(cursor.field() for _ in range(n_fields))
    alignment = next((integer(f) for f in fields if f.key == "general.alignment"), 32)
    return Model(version, alignment, fields, read_tensors(cursor, n_tensors, alignment))


def read_tensors(cursor: Cursor, count: int, alignment: int) -> tuple[Tensor, ...]:
    """Read the table of tensors; each one's data ends where the next one's begins."""
    table = []
    for _ in range(count):
        name, n_dims = cursor.string(), cursor.u32()
        shape = tuple(cursor.u64() for _ in range(n_dims))
        table.append(((name, shape, cursor.u32()), cursor.u64()))
    data = cursor.view[padded(cursor.at, alignment) :]
    starts = sorted(at for _, at in table)
    end_of = dict(zip(starts, [*starts[1:], len(data)], strict=True))
    return tuple(Tensor(*about, data[at : end_of[at]]) for about, at in table)


def integer(field: Field) -> int:
    """The value of an integer field."""
    (value,) = struct.unpack(INTEGER_FORMATS[field.kind], field.raw)
    return int(value)


def padded(size: int, alignment: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // alignment) * alignment


# The new model


def stack(model: Model, copies: int) -> Model:
    """The model with every layer `copies` times, its metadata put right."""
    tensors = tuple(copy for tensor in model.tensors for copy in copies_of(tensor, copies))
    parameters = sum(tensor.count for tensor in tensors)
    arch = model.text("general.architecture")
    fields = tuple(corrected(field, arch, copies, parameters) for field in model.fields)
    return replace(model, fields=fields, tensors=tensors)


def copies_of(tensor: Tensor, copies: int) -> Iterator[Tensor]:
    """A layer's tensor once per copy, under the new layers' numbers; another tensor as it is."""
    if not tensor.name.startswith("blk."):
        yield tensor
        return
    _, layer, part = tensor.name.split(".", 2)
    silent = memoryview(bytes(len(tensor.data))) if part in WRITES_TO_THE_STREAM else tensor.data
    for copy in range(copies):
        name = f"blk.{int(layer) * copies + copy}.{part}"
        yield replace(tensor, name=name, data=silent if copy else tensor.data)


def corrected(field: Field, arch: str, copies: int, parameters: int) -> Field:
    """The field, changed if it tells the number of layers, the size or the name."""
    if field.key == f"{arch}.block_count":
        return with_integer(field, integer(field) * copies)
    if field.key == "general.parameter_count":
        return with_integer(field, parameters)
    if field.key == "general.size_label":
        return replace(field, raw=string(f"{parameters / 1e6:.0f}M"))
    if field.key == "general.name":
        return replace(field, raw=string(f"{field.raw[8:].decode()} x{copies}"))
    return field


def with_integer(field: Field, value: int) -> Field:
    """The field with another integer of the same width."""
    return replace(field, raw=struct.pack(INTEGER_FORMATS[field.kind], value))


# Writing


def string(text: str) -> bytes:
    """A length-prefixed string."""
    return struct.pack("<Q", len(text.encode())) + text.encode()


def header(model: Model) -> bytes:
    """Everything before the data section, padding included."""
    parts = [b"GGUF", struct.pack("<IQQ", model.version, len(model.tensors), len(model.fields))]
    for field in model.fields:
        parts += [string(field.key), struct.pack("<I", field.kind), field.raw]
    at = 0
    for tensor in model.tensors:
        dims = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        parts += [string(tensor.name), dims, struct.pack("<IQ", tensor.kind, at)]
        at += padded(len(tensor.data), model.alignment)
    whole = b"".join(parts)
    return whole.ljust(padded(len(whole), model.alignment), b"\0")


def write(model: Model, path: Path) -> None:
    """Write a GGUF file."""
    with path.open("wb") as file:
        file.write(header(model))
        for tensor in model.tensors:
            file.write(tensor.data)
            file.write(bytes(padded(len(tensor.data), model.alignment) - len(tensor.data)))


def main(arguments: Sequence[str]) -> int:
    """Stack a file and return the exit status."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    source, target, copies = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    write(stack(read(source), copies), target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

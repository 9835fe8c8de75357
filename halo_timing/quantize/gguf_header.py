"""The header of a GGUF file: what the file says of itself, and where its tensors are.

The format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): magic, version, two counts, key-value
pairs, the list of tensors, and after padding their data; all in the byte order of the machine that the file
was made for. The reader of the `gguf` package believes the lengths it finds (one that lies keeps it busy
until memory ends) and makes an object of every word of a vocabulary; here lengths are held against the file,
and arrays are stepped over.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
#: struct code of each type of a value.
_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_DEFAULT_ALIGNMENT = 32
_MOST_DIMENSIONS = 4
_DEEPEST_ARRAY = 4

Value = int | float | bool | str


@dataclass(frozen=True)
class GgufTensor:
    """What the header says of a tensor.

    Parameters
    ----------
    name
        Name.
    shape
        Sizes, slowest first.
    type_number
        Number of its type among those of ggml.
    offset
        Position in the file.
    """

    name: str
    shape: tuple[int, ...]
    type_number: int
    offset: int


@dataclass(frozen=True)
class GgufHeader:
    """Single values (no arrays) by key, and tensors in the order of the file."""

    values: Mapping[str, Value]
    tensors: tuple[GgufTensor, ...]


def read_gguf_header(path: Path) -> GgufHeader:
    """Read a header.

    Raises
    ------
    ValueError
        If the file is not GGUF, of a version or byte order that cannot be read, cut off, or lies.
    OSError
        If it cannot be opened.
    """
    with path.open("rb") as stream:
        reader = _Reader(stream, path.stat().st_size)
        if reader.take(4) != _MAGIC:
            raise ValueError("it does not begin with GGUF")
        version = reader.number("I")
        if version & 0xFFFF == 0:
            raise ValueError("it was made for big-endian machines")
        if version not in _VERSIONS:
            raise ValueError(f"it is of version {version}, not one of {_VERSIONS}")
        tensor_count, value_count = reader.number("Q"), reader.number("Q")
        values: dict[str, Value] = {}
        for _ in range(value_count):
            key = reader.text()
            value = reader.value(reader.number("I"))
            if key in values:
                raise ValueError(f"the key {key!r} occurs twice")
            if value is not None:
                values[key] = value
        found = [_read_tensor(reader) for _ in range(tensor_count)]
        if len({tensor.name for tensor in found}) != len(found):
            raise ValueError("a tensor occurs twice")
        alignment = values.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise ValueError(f"general.alignment is {alignment!r}")
        start = -(-reader.position // alignment) * alignment
    tensors = (
        GgufTensor(tensor.name, tensor.shape, tensor.type_number, start + tensor.offset) for tensor in found
    )
    return GgufHeader(values, tuple(tensors))


def _read_tensor(reader: _Reader) -> GgufTensor:
    name = reader.text()
    dimensions = reader.number("I")
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError(f"tensor {name!r} has {dimensions} dimensions")
    shape = tuple(reader.number("Q") for _ in range(dimensions))[::-1]
    if math.prod(shape) >= 1 << 63:
        raise ValueError(f"tensor {name!r} has the shape {list(shape)}")
    return GgufTensor(name, shape, reader.number("I"), reader.number("Q"))


class _Reader:
    """A position in the header that never passes the end of the file."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self.position = 0

    def take(self, count: int) -> bytes:
        self._check(count)
        data = self._stream.read(count)
        if len(data) != count:
            raise ValueError("it ends within its header")
        self.position += count
        return data

    def skip(self, count: int) -> None:
        self._check(count)
        self._stream.seek(count, 1)
        self.position += count

    def number(self, code: str) -> int:
        (value,) = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))
        return int(value)

    def text(self) -> str:
        return self.take(self.number("Q")).decode()

    def value(self, kind: int, depth: int = 0) -> Value | None:
        """Read a value of some type; None stands for an array, which is stepped over."""
        if kind == _STRING:
            return self.text()
        if kind in _SCALARS:
            code = f"<{_SCALARS[kind]}"
            single: Value = struct.unpack(code, self.take(struct.calcsize(code)))[0]
            return single
        if kind != _ARRAY or depth == _DEEPEST_ARRAY:
            raise ValueError(f"a value has the unknown type {kind}")
        element, length = self.number("I"), self.number("Q")
        if element in _SCALARS:
            self.skip(length * struct.calcsize(f"<{_SCALARS[element]}"))
        elif element == _STRING:
            for _ in range(length):
                self.skip(self.number("Q"))
        else:
            for _ in range(length):
                self.value(element, depth + 1)
        return None

    def _check(self, count: int) -> None:
        if self.position + count > self._size:
            raise ValueError("it ends within its header")

"""Safetensors files, read and written one tensor at a time.

The format: 8 bytes with the length of a JSON header, the header, and the tensors' bytes without gaps. The
`safetensors` library needs torch for BF16 and holds a whole file in memory to write it; checkpoints that are
larger than memory need neither. Everything a header says is checked against the file before it is believed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError
from halo_timing.files import atomic_path

#: Bits of one element of each dtype of the format.
DTYPE_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
}
#: Dtypes that :meth:`TensorFile.read_float32` understands.
FLOAT_DTYPES = ("F32", "F16", "BF16")

_NUMPY_DTYPES = {
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "U8": "|u1",
    "I8": "|i1",
}
_MAX_HEADER = 100_000_000  # the limit of the safetensors library
_CHUNK = 1 << 24


@dataclass(frozen=True)
class TensorEntry:
    """What the header says of a tensor; `start` and `end` are positions in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class TensorFile:
    """A safetensors file whose header has been checked.

    Parameters
    ----------
    path
        The file.
    header
        Its first bytes, up to the first tensor.
    entries
        Its tensors by name, in the order of their bytes.
    metadata
        The header's free text.
    """

    path: Path
    header: bytes
    entries: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of the file, and of the one that is written for it."""
        return self.path.name

    @classmethod
    def open(cls, path: Path) -> TensorFile:
        """Read and check a header.

        Raises
        ------
        CheckpointError
            If the file is missing, cut off, is not safetensors, or its header contradicts it.
        """
        try:
            size = path.stat().st_size
            with path.open("rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                if size < 8 or length > min(size - 8, _MAX_HEADER):
                    stream.seek(0)
                    raise CheckpointError(_not_safetensors(path, stream.read(8), size, length))
                text = stream.read(length)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
        if not text.startswith(b"{"):
            raise CheckpointError(_not_safetensors(path, length.to_bytes(8, "little"), size, length))
        entries, metadata = _parse_header(path, text, 8 + length, size)
        return cls(path, length.to_bytes(8, "little") + text, entries, metadata)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Raw bytes of a tensor, a few megabytes at a time.

        Raises
        ------
        CheckpointError
            If the file has become shorter since it was opened, or cannot be read.
        """
        entry = self.entries[name]
        left = entry.end - entry.start
        try:
            with self.path.open("rb") as stream:
                stream.seek(entry.start)
                while left and (block := stream.read(min(left, _CHUNK))):
                    left -= len(block)
                    yield block
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: tensor {name!r} cannot be read ({error.strerror})"
            ) from error
        if left:
            raise CheckpointError(
                f"{self.path}: tensor {name!r} lacks {left} bytes; the file was changed while it was read"
            )

    def read(self, name: str) -> NDArray[Any]:
        """Tensor as it is stored (BF16 as uint16); for dtypes that numpy has."""
        entry = self.entries[name]
        data = b"".join(self.chunks(name))
        return np.frombuffer(data, _NUMPY_DTYPES[entry.dtype]).reshape(entry.shape)

    def read_float32(self, name: str) -> NDArray[np.float32]:
        """Tensor of dtype F32, F16 or BF16, as float32."""
        return decode_float32(self.read(name), self.entries[name].dtype)


def decode_float32(stored: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """Values of an array as it is stored in F32, F16 or BF16 (as uint16)."""
    if dtype == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)


def encode_float32(values: NDArray[np.float32], dtype: str) -> bytes:
    """Bytes of finite values in F32, F16 or BF16, rounded to nearest even and kept finite."""
    if dtype == "F32":
        return values.astype("<f4", copy=False).tobytes()
    if dtype == "F16":
        largest = np.finfo(np.float16).max
        return np.clip(values, -largest, largest).astype("<f2").tobytes()
    if dtype == "BF16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        # Rounding carries the largest magnitudes into the pattern of infinity, one above the largest number.
        rounded -= (rounded & 0x7FFF) == 0x7F80
        return rounded.astype("<u2").tobytes()
    raise ValueError(f"{dtype} is none of {', '.join(FLOAT_DTYPES)}")


def make_header(tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """First bytes of a file that holds `tensors` (name, dtype, shape) in this order, padded to 8 bytes."""
    table: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, dtype, shape in tensors:
        start, end = end, end + math.prod(shape) * DTYPE_BITS[dtype] // 8
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write_tensor_file(path: Path, header: bytes, data: Iterable[bytes]) -> None:
    """Write a safetensors file atomically: the header, then the tensors' bytes as they come.

    Raises
    ------
    ValueError
        If the data are not as long as the header says; nothing is written then.
    """
    with atomic_path(path) as part:
        with part.open("wb") as stream:
            stream.write(header)
            for block in data:
                stream.write(block)
            size = stream.tell()
        _parse_header(path, header[8:], len(header), size)
        # Checked here so that a mistake of ours can never put a broken file in place.


def _not_safetensors(path: Path, first: bytes, size: int, length: int) -> str:
    if first[:4] == b"PK\x03\x04" or (first[:1] == b"\x80" and first[1:2] in b"\x02\x03\x04\x05"):
        return f"{path}: {PICKLE_SENTENCE}"
    if size < 8:
        return f"{path}: not a safetensors file, or cut off: it has {size} bytes; fetch it again"
    return (
        f"{path}: not a safetensors file, or cut off: its header should be {length} bytes long, "
        f"but the file has {size} bytes and no such header; fetch it again"
    )


#: What is said of files in Python's pickle format.
PICKLE_SENTENCE = (
    "is a pickle, which can run any code when it is opened, so it is not read; "
    "save the model as safetensors (`save_pretrained(folder, safe_serialization=True)`)"
)


def _parse_header(
    path: Path, text: bytes, data_start: int, size: int
) -> tuple[dict[str, TensorEntry], dict[str, str]]:
    try:
        table = json.loads(text.decode(), object_pairs_hook=_distinct_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: the header is not valid JSON ({error}); fetch the file again"
        ) from error
    metadata = table.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{path}: the header's __metadata__ must map text to text")
    entries = [_parse_entry(path, name, value, data_start) for name, value in table.items()]
    entries.sort(key=lambda entry: (entry.start, entry.end))
    position = data_start
    for entry in entries:
        if entry.start != position:
            raise CheckpointError(
                f"{path}: tensor {entry.name!r} starts at byte {entry.start}, expected {position}; "
                "the header lies about the data, fetch the file again"
            )
        position = entry.end
    if position != size:
        raise CheckpointError(
            f"{path}: the header describes {position} bytes, but the file has {size}; "
            f"it is {'cut off' if size < position else 'followed by unknown data'}, fetch it again"
        )
    return {entry.name: entry for entry in entries}, metadata


def _parse_entry(path: Path, name: str, value: Any, data_start: int) -> TensorEntry:
    where = f"{path}: tensor {name!r}"
    if not isinstance(value, dict) or not {"dtype", "shape", "data_offsets"} <= value.keys():
        raise CheckpointError(f"{where}: the header lacks its dtype, shape or data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise CheckpointError(f"{where}: unknown dtype {dtype!r}")
    if not _are_sizes(shape):
        raise CheckpointError(f"{where}: the shape {shape!r} is not a list of sizes")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise CheckpointError(f"{where}: the data_offsets {offsets!r} are not a start and an end")
    bits = math.prod(shape) * DTYPE_BITS[dtype]
    if bits != (offsets[1] - offsets[0]) * 8:
        raise CheckpointError(
            f"{where}: {dtype} of shape {shape} needs {-(-bits // 8)} bytes, "
            f"but the header gives it {offsets[1] - offsets[0]}; fetch the file again"
        )
    return TensorEntry(name, dtype, tuple(shape), data_start + offsets[0], data_start + offsets[1])


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 63 for item in value
    )


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    for name in result:
        name.encode()  # half of a surrogate pair is not text, and could not be printed
    return result


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")

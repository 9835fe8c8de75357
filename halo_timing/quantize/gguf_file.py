"""GGUF files, read one tensor at a time as if they were safetensors files.

The `gguf` package unpacks llama.cpp's block formats; it is imported only here. Models of the architecture
``llama`` (Llama, Mistral, SmolLM and others) get the names and the order of rows that `transformers` uses, so
that a model folder can be written; others keep the names of the GGUF file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError
from halo_timing.quantize.gguf_header import GgufHeader, GgufTensor, read_gguf_header
from halo_timing.quantize.tensor_file import DTYPE_BITS, TensorEntry, decode_float32, make_header

# Types that are kept; all others are unpacked to F32, which holds their values exactly.
_KEPT = ("F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64")
_RAW_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_CHUNK_ELEMENTS = 1 << 22

_LLAMA_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LLAMA_TENSOR = re.compile(r"(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)")
# Factors of rotary embedding that configurations of `transformers` carry in another form.
_LLAMA_IGNORED = "rope_freqs.weight"


@dataclass(frozen=True)
class _Stored:
    """Where a tensor lies in the file, and how its rows come out."""

    kind: str
    offset: int
    rows: int
    row_bytes: int
    heads: int

    def row_order(self) -> NDArray[np.int64] | None:
        """Row of the file for each row of the tensor; None where they agree.

        llama.cpp interleaves the two halves of each attention head's rows, `transformers` keeps them apart.
        """
        if not self.heads:
            return None
        order: NDArray[np.int64] = np.arange(self.rows).reshape(self.heads, -1, 2).swapaxes(1, 2).ravel()
        return order


@dataclass(frozen=True)
class GgufFile:
    """A GGUF file whose header has been read.

    Parameters
    ----------
    path
        The file.
    header
        First bytes of the safetensors file that holds the same tensors.
    entries
        Its tensors by name; types that safetensors does not know count as F32.
    stored
        How the file holds each of them.
    architecture
        What the file says that the model is.
    transformers_names
        Whether the names are those of `transformers`.
    """

    path: Path
    header: bytes
    entries: Mapping[str, TensorEntry]
    stored: Mapping[str, _Stored]
    architecture: str
    transformers_names: bool

    @property
    def name(self) -> str:
        """Name of the safetensors file that is written for it."""
        return "model.safetensors"

    @classmethod
    def open(cls, path: Path) -> GgufFile:
        """Read and check a header.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged, one of several parts, or of a byte order that cannot be read, or
            if the package `gguf` is not installed.
        """
        header, size = _read_header(path)
        architecture = str(header.values["general.architecture"])
        names = {tensor.name: _llama_name(tensor.name) for tensor in header.tensors}
        known = architecture == "llama" and all(names.values())
        heads = _heads(path, header) if known else {}
        specs, stored = [], {}
        for tensor in header.tensors:
            name = (names[tensor.name] if known else None) or tensor.name
            kind, row_bytes = _type_and_row_bytes(path, tensor)
            rows = math.prod(tensor.shape[:-1])
            if tensor.offset + rows * row_bytes > size:
                raise CheckpointError(
                    f"{path}: tensor {tensor.name!r} ends beyond the file; it is cut off, fetch it again"
                )
            split = next((count for part, count in heads.items() if f".{part}." in tensor.name), 0)
            if split and rows % (2 * split):
                raise CheckpointError(f"{path}: tensor {tensor.name!r}: {rows} rows are not {split} heads")
            stored[name] = _Stored(kind, tensor.offset, rows, row_bytes, split)
            specs.append((name, kind if kind in _KEPT else "F32", tensor.shape))
        entries, position = {}, 0
        for name, dtype, shape in specs:
            end = position + math.prod(shape) * DTYPE_BITS[dtype] // 8
            entries[name] = TensorEntry(name, dtype, shape, position, end)
            position = end
        first_bytes = make_header(specs, {"format": "pt"})
        return cls(path, first_bytes, entries, stored, architecture, known)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Bytes of a tensor as safetensors would hold them, a few megabytes at a time.

        Raises
        ------
        CheckpointError
            If the file has become shorter since it was opened, or cannot be read.
        """
        stored = self.stored[name]
        raw = stored.kind in _KEPT
        for block in self._row_blocks(name):
            yield block.tobytes() if raw else _unpack(self.path, name, stored.kind, block).tobytes()

    def read_float32(self, name: str) -> NDArray[np.float32]:
        """Tensor of dtype F32, F16 or BF16, as float32."""
        stored, entry = self.stored[name], self.entries[name]
        result = np.empty((stored.rows, math.prod(entry.shape[-1:])), np.float32)
        start = 0
        for block in self._row_blocks(name):
            if stored.kind in _KEPT:
                values = decode_float32(block.view(_RAW_DTYPES[stored.kind]), stored.kind)
            else:
                values = _unpack(self.path, name, stored.kind, block)
            result[start : start + len(block)] = values
            start += len(block)
        return result.reshape(entry.shape)

    def _row_blocks(self, name: str) -> Iterator[NDArray[np.uint8]]:
        """Bytes of the tensor's rows, shape ``(some, bytes of a row)``, in the order of the tensor."""
        stored = self.stored[name]
        order = stored.row_order()
        width = max(1, math.prod(self.entries[name].shape[-1:]))
        step = stored.rows if order is not None else max(1, _CHUNK_ELEMENTS // width)
        try:
            with self.path.open("rb") as stream:
                for start in range(0, stored.rows, step):
                    count = min(step, stored.rows - start)
                    stream.seek(stored.offset + start * stored.row_bytes)
                    data = stream.read(count * stored.row_bytes)
                    if len(data) != count * stored.row_bytes:
                        raise CheckpointError(
                            f"{self.path}: tensor {name!r} is cut off; the file was changed while it was read"
                        )
                    block = np.frombuffer(data, np.uint8).reshape(count, stored.row_bytes)
                    yield block if order is None else block[order]
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: tensor {name!r} cannot be read ({error.strerror})"
            ) from error


def _read_header(path: Path) -> tuple[GgufHeader, int]:
    """Header and size of a file that is there, whole, and one of one part."""
    try:
        header, size = read_gguf_header(path), path.stat().st_size
        if not isinstance(header.values.get("general.architecture"), str):
            raise ValueError("it has no general.architecture")
    except (ValueError, OSError) as error:
        raise CheckpointError(
            f"{path}: is not a GGUF file that can be read, or cut off ({error}); fetch it again"
        ) from error
    parts = header.values.get("split.count", 1)
    if parts not in (0, 1):
        raise CheckpointError(f"{path}: is one of {parts} parts; join them with `llama-gguf-split --merge`")
    return header, size


def _type_and_row_bytes(path: Path, tensor: GgufTensor) -> tuple[str, int]:
    try:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    except ImportError as error:
        raise CheckpointError(
            f"{path}: reading GGUF takes the package gguf; install it with `pip install gguf`"
        ) from error
    try:
        kind = GGMLQuantizationType(tensor.type_number)
    except ValueError as error:
        raise CheckpointError(
            f"{path}: tensor {tensor.name!r} is of the unknown type {tensor.type_number}"
        ) from error
    block, block_bytes = GGML_QUANT_SIZES[kind]
    columns = math.prod(tensor.shape[-1:])
    if columns % block:
        raise CheckpointError(
            f"{path}: tensor {tensor.name!r} has rows of {columns}, but {kind.name} has blocks of {block}"
        )
    return kind.name, columns // block * block_bytes


def _heads(path: Path, header: GgufHeader) -> dict[str, int]:
    """Attention heads by the GGUF name of the layer whose rows are interleaved."""
    counts = {}
    for part, key in (("attn_q", "head_count"), ("attn_k", "head_count_kv")):
        value = header.values.get(f"llama.attention.{key}", header.values.get("llama.attention.head_count"))
        if not isinstance(value, int) or value < 1:
            raise CheckpointError(f"{path}: llama.attention.{key} is {value!r}, not a number of heads")
        counts[part] = value
    return counts


def _llama_name(name: str) -> str | None:
    """Name in `transformers` of a tensor of a Llama; None where there is none."""
    if name == _LLAMA_IGNORED:
        return name
    match = _LLAMA_TENSOR.fullmatch(name)
    if not match or match[2] not in _LLAMA_NAMES:
        return None
    layer = f"model.layers.{match[1]}." if match[1] else ""
    return f"{layer}{_LLAMA_NAMES[match[2]]}.{match[3]}"


def _unpack(path: Path, name: str, kind: str, block: NDArray[np.uint8]) -> NDArray[np.float32]:
    from gguf import GGMLQuantizationType, dequantize

    try:
        with np.errstate(all="ignore"):  # scales may be NaN; who takes the values looks for that
            values: NDArray[np.float32] = dequantize(np.ascontiguousarray(block), GGMLQuantizationType[kind])
    except NotImplementedError as error:
        raise CheckpointError(
            f"{path}: tensor {name!r} is of type {kind}, which the package gguf cannot unpack; "
            "convert the model to another type"
        ) from error
    return values

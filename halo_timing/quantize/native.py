"""The native form of a quantized model: codes, levels, scales and the sparse part as they are.

A safetensors file with six arrays for each quantized tensor, named ``<tensor>.codes``, ``.tile_levels``,
``.scales``, ``.sparse_indices``, ``.sparse_values`` and ``.sparse_scales`` (see :class:`QuantizedTensor`),
and a seventh, ``.tile_order``: the tiles in the order in which the array runs them, all of one level
together. Its metadata ``halo_timing`` is a JSON text: schema version, tile, for each level its codebook,
clock and supply, and the schedule.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from halo_timing.errors import CheckpointError
from halo_timing.files import canonical_json, write_bytes
from halo_timing.quantize.quality import Quality
from halo_timing.quantize.tensor import QuantizedTensor
from halo_timing.quantize.tensor_file import DTYPE_BITS, TensorFile, make_header, write_tensor_file

SCHEMA_VERSION = 1
_ARRAYS = ("codes", "tile_levels", "scales", "sparse_indices", "sparse_values", "sparse_scales")


@dataclass(frozen=True)
class NativeFile:
    """An opened native file; tensors are read when asked for."""

    file: TensorFile
    description: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> NativeFile:
        """Open a native file.

        Raises
        ------
        CheckpointError
            If it is damaged, or not of this form and version.
        """
        file = TensorFile.open(path)
        try:
            description = json.loads(file.metadata["halo_timing"])
            version = description["schema_version"]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: is not the native form of a quantized model") from error
        if version != SCHEMA_VERSION:
            raise CheckpointError(f"{path}: schema version {version}, this program reads {SCHEMA_VERSION}")
        return cls(file, description)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantized tensors, sorted."""
        return tuple(sorted(name[: -len(".codes")] for name in self.file.entries if name.endswith(".codes")))

    def tensor(self, name: str) -> QuantizedTensor:
        """Read a quantized tensor by the name of the weight it stands for."""
        arrays = {key: self.file.read(f"{name}.{key}") for key in _ARRAYS}
        books = tuple(np.array(level["codebook"], np.int8) for level in self.description["levels"])
        height, width = self.description["tile"]
        return QuantizedTensor(**arrays, tile=(height, width), codebooks=books)


def write_part(
    path: Path,
    name: str,
    quantized: QuantizedTensor,
    description: Mapping[str, Any],
    facts: Mapping[str, str],
) -> None:
    """Write one tensor as a native file of its own; `facts` go into its metadata."""
    arrays: dict[str, NDArray[Any]] = {f"{name}.{key}": getattr(quantized, key) for key in _ARRAYS}
    arrays[f"{name}.tile_order"] = tile_order(quantized.tile_levels)
    metadata = {"halo_timing": canonical_json(description), **facts}
    write_bytes(path, save(arrays, metadata=metadata))


def tile_order(tile_levels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Tiles as positions in the flattened grid, the fastest level first, row by row within a level."""
    return np.argsort(tile_levels, axis=None, kind="stable").astype(np.uint32)


def schedule(name: str, part: TensorFile, levels: int) -> dict[str, Any]:
    """Say how many tiles of a layer run at each level, and how often the clock changes on the way.

    Sparse weights come last, at the slowest level, whose codebook theirs is.
    """
    tiles = np.bincount(part.read(f"{name}.tile_levels").ravel(), minlength=levels).tolist()
    sparse = math.prod(part.entries[f"{name}.sparse_values"].shape)
    used = {level for level, count in enumerate(tiles) if count} | ({levels - 1} if sparse else set())
    return {"tensor": name, "tiles": tiles, "sparse_weights": sparse, "switches": len(used) - 1}


def part_quality(part: TensorFile) -> dict[str, Quality]:
    """Quality of each method, from the metadata of a part."""
    return {name: Quality.from_json(sums) for name, sums in json.loads(part.metadata["quality"]).items()}


def join_parts(path: Path, parts: Mapping[str, TensorFile], description: Mapping[str, Any]) -> None:
    """Write the native file from the files of single tensors, by their names, in constant memory.

    Arrays of wide elements come first, so that each array is aligned to its element.
    """
    levels = len(description["levels"])
    plan = [schedule(name, part, levels) for name, part in parts.items()]
    arrays = [(entry, part) for part in parts.values() for entry in part.entries.values()]
    arrays.sort(key=lambda item: (-DTYPE_BITS[item[0].dtype], item[0].name))
    header = make_header(
        ((entry.name, entry.dtype, entry.shape) for entry, _ in arrays),
        {"halo_timing": canonical_json({**description, "schedule": plan})},
    )

    def data() -> Iterator[bytes]:
        for entry, part in arrays:
            yield from part.chunks(entry.name)

    write_tensor_file(path, header, data())

"""Which tiles of a layer run at which level: by shares, or as a quantized model has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from halo_timing.accelerator.shapes import LinearLayer, ModelShape
from halo_timing.accelerator.systolic import Array
from halo_timing.errors import UsageError
from halo_timing.quantize.native import NativeFile
from halo_timing.quantize.result_folder import NATIVE_NAME
from halo_timing.quantize.tensor import QuantizedTensor


class TileLevels(Protocol):
    """Says how many tiles of a layer run at each level."""

    def counts(self, layer: LinearLayer, array: Array) -> tuple[int, ...]:
        """Tiles of one matrix of `layer` at each level, fastest first."""

    def sparse_weights(self, layer: LinearLayer) -> int:
        """Weights of one matrix of `layer` that are kept apart."""


@dataclass(frozen=True)
class SharedLevels:
    """Tiles by share of each level, and weights by share of the sparse part.

    Parameters
    ----------
    shares
        Share of the tiles at each level, fastest first; must add to 1.
    sparse_share
        Share of the weights that are kept apart.

    Raises
    ------
    UsageError
        If they are no shares.
    """

    shares: tuple[float, ...]
    sparse_share: float = 0.0

    def __post_init__(self) -> None:
        if min(self.shares) < 0 or not math.isclose(sum(self.shares), 1, abs_tol=1e-6):
            raise UsageError(f"shares {', '.join(f'{share:g}' for share in self.shares)}: must add to 1")
        if not 0 <= self.sparse_share <= 1:
            raise UsageError(f"sparse share {self.sparse_share:g}: must be between 0 and 1")

    def counts(self, layer: LinearLayer, array: Array) -> tuple[int, ...]:
        """Whole tiles, by the largest remainder."""
        total = math.prod(array.tiles(layer.inputs, layer.outputs))
        exact = [share * total for share in self.shares]
        whole = [math.floor(value + 1e-9) for value in exact]
        order = sorted(range(len(exact)), key=lambda level: whole[level] - exact[level])
        for level in order[: total - sum(whole)]:
            whole[level] += 1
        return tuple(whole)

    def sparse_weights(self, layer: LinearLayer) -> int:
        """Round the share to whole weights."""
        return round(self.sparse_share * layer.inputs * layer.outputs)


@dataclass(frozen=True)
class QuantizedLevels:
    """Tiles as a quantized model has them.

    Parameters
    ----------
    shape
        Layers, each under its tensor's name.
    tile_levels, sparse, tile
        By tensor: level of each of the quantizer's tiles, and number of weights kept apart; and its tile.
    code_counts
        How often each code occurs in tiles of each level, shape ``(levels, 256)`` from code -128 on.
    effective_bits
        Bits a weight, all included.
    """

    shape: ModelShape
    tile_levels: Mapping[str, NDArray[np.uint8]]
    sparse: Mapping[str, int]
    tile: tuple[int, int]
    code_counts: NDArray[np.int64]
    effective_bits: float

    @classmethod
    def open(cls, folder: Path) -> QuantizedLevels:
        """Read a folder that ``halo-timing quantize`` has written.

        Raises
        ------
        CheckpointError
            If it is not one, or damaged.
        """
        native = NativeFile.open(folder / NATIVE_NAME)
        layers, levels, sparse = [], {}, {}
        counts = np.zeros((len(native.description["levels"]), 256), np.int64)
        bits = 0.0
        for name in native.names:
            tensor = native.tensor(name)
            outputs, inputs = tensor.shape
            layers.append(LinearLayer(name, inputs, outputs))
            levels[name], sparse[name] = tensor.tile_levels, len(tensor.sparse_values)
            counts += _code_counts(tensor)
            bits += tensor.effective_bits * tensor.codes.size
        shape = ModelShape(folder.resolve().name, tuple(layers))
        height, width = native.description["tile"]
        return cls(shape, levels, sparse, (height, width), counts, bits / shape.weights)

    def counts(self, layer: LinearLayer, array: Array) -> tuple[int, ...]:
        """Count array tiles; each runs at the slowest level of the quantizer's tiles that it meets."""
        levels = self.tile_levels[layer.name]
        rows = _spans(layer.outputs, array.columns, self.tile[0])
        columns = _spans(layer.inputs, array.rows, self.tile[1])
        slowest = [int(levels[row, column].max()) for row in rows for column in columns]
        return tuple(np.bincount(slowest, minlength=len(self.code_counts)).tolist())

    def sparse_weights(self, layer: LinearLayer) -> int:
        """Return how many the file holds."""
        return self.sparse[layer.name]


def _spans(length: int, step: int, tile: int) -> Sequence[slice]:
    """Quantizer's tiles that each block of `step` meets."""
    return [
        slice(start // tile, (min(start + step, length) - 1) // tile + 1) for start in range(0, length, step)
    ]


def _code_counts(tensor: QuantizedTensor) -> NDArray[np.int64]:
    counts = np.zeros((len(tensor.codebooks), 256), np.int64)
    height, width = tensor.tile
    for (row, column), level in np.ndenumerate(tensor.tile_levels):
        block = tensor.codes[row * height : (row + 1) * height, column * width : (column + 1) * width]
        counts[level] += np.bincount((block.astype(np.int16) + 128).ravel(), minlength=256)
    return counts

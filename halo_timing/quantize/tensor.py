"""A quantized weight: what the array holds, and what it stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class QuantizedTensor:
    """Codes of a linear layer in tiles, each tile on one level, and the few weights kept apart.

    Parameters
    ----------
    codes
        What the weight registers hold, int8, shape ``(out, in)``; 0 where the weight is in the sparse part.
    tile_levels
        Level of each tile, uint8, shape ``(tile rows, tile columns)``; tile ``(i, j)`` covers the outputs
        from ``i * tile[0]`` and the inputs from ``j * tile[1]``, and edge tiles are smaller.
    scales
        Weight per code for each output and tile column, shape ``(out, tile columns)``; float16, or float32
        where float16 would add to the error. May be negative; 0 where all weights are 0.
    sparse_indices
        Flat positions (``row * in + column``) of the sparse weights, uint32 or uint64, sorted.
    sparse_values
        Their codes, int8, values of the slowest codebook.
    sparse_scales
        Weight per sparse code for each output, shape ``(out,)``, float16 or float32.
    tile
        Outputs and inputs of a full tile.
    codebooks
        Values allowed at each level, int8 and sorted, fastest level first.
    """

    codes: NDArray[np.int8]
    tile_levels: NDArray[np.uint8]
    scales: NDArray[np.floating]
    sparse_indices: NDArray[np.unsignedinteger]
    sparse_values: NDArray[np.int8]
    sparse_scales: NDArray[np.floating]
    tile: tuple[int, int]
    codebooks: tuple[NDArray[np.int8], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs of the layer."""
        rows, columns = self.codes.shape
        return rows, columns

    @property
    def tile_sizes(self) -> NDArray[np.int64]:
        """Weights in each tile, shape of :attr:`tile_levels`."""
        return tile_sizes(self.shape, self.tile)

    @property
    def level_shares(self) -> NDArray[np.float64]:
        """Share of the weights whose tile runs at each level, shape ``(levels,)``; sums to 1."""
        counts = np.bincount(self.tile_levels.ravel(), self.tile_sizes.ravel(), len(self.codebooks))
        return counts / self.codes.size

    @property
    def sparse_share(self) -> float:
        """Share of the weights that are kept apart."""
        return len(self.sparse_values) / self.codes.size

    @property
    def effective_bits(self) -> float:
        """Bits per weight of a packed form that holds everything.

        log2 of the codebook's size for every weight of the tile (the place of a sparse weight stays in the
        dense part), the level of each tile, all scales, and for each sparse weight its 8-bit code and its
        position. Positions are those within the tile, and each tile has a count of its sparse weights; or,
        where that is shorter, those within an output's part of the tile, with a count in unary for each.
        """
        sizes = np.array([len(book) for book in self.codebooks])
        bits = float(np.sum(np.log2(sizes)[self.tile_levels] * self.tile_sizes))
        bits += self.scales.size * self.scales.itemsize * 8
        if len(self.codebooks) > 1:
            bits += self.tile_levels.size * np.ceil(np.log2(len(self.codebooks)))
        if len(self.sparse_values):
            within_tile = int(np.ceil(np.log2(self.tile[0] * self.tile[1])))
            within_row = int(np.ceil(np.log2(self.tile[1])))
            count = len(self.sparse_values)
            bits += 8 * count + min(
                count * within_tile + self.tile_levels.size * (within_tile + 1),
                count * (within_row + 1) + self.scales.size,
            )
            bits += self.sparse_scales.size * self.sparse_scales.itemsize * 8
        return float(bits / self.codes.size)

    @property
    def index_bits(self) -> float:
        """Bits per weight as HALO (Juneja et al., AAAI 2026) counts them: whole index bits and nothing else.

        9 values count as 3 bits and 16 as 4; scales, positions and the sparse part are left out.
        """
        bits = np.floor(np.log2([len(book) for book in self.codebooks]))
        return float(self.level_shares @ bits)

    def dequantize(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Weights that the codes stand for: ``code * scale`` of the dense part, plus that of the sparse part.

        Parameters
        ----------
        start, stop
            Outputs wanted, by default all.

        Returns
        -------
        ndarray of float32, shape (stop - start, in)
        """
        rows = slice(start, self.shape[0] if stop is None else stop)
        result = self.codes[rows].astype(np.float32)
        for index in range(self.scales.shape[1]):
            block = slice(index * self.tile[1], (index + 1) * self.tile[1])
            result[:, block] *= self.scales[rows, index, None].astype(np.float32)
        columns = self.shape[1]
        first, last = np.searchsorted(self.sparse_indices, np.array([rows.start, rows.stop]) * columns)
        positions = self.sparse_indices[first:last].astype(np.int64)
        scales: NDArray[np.float32] = self.sparse_scales.astype(np.float32)[positions // columns]
        result.ravel()[positions - rows.start * columns] = self.sparse_values[first:last] * scales
        return result


def tile_grid(shape: tuple[int, int], tile: tuple[int, int]) -> tuple[int, int]:
    """Tile rows and tile columns that cover a layer."""
    return -(-shape[0] // tile[0]), -(-shape[1] // tile[1])


def tile_sizes(shape: tuple[int, int], tile: tuple[int, int]) -> NDArray[np.int64]:
    """Weights in each tile of a layer; edge tiles are smaller."""
    heights, widths = (
        np.minimum(step, length - step * np.arange(count))
        for length, step, count in zip(shape, tile, tile_grid(shape, tile), strict=True)
    )
    return np.outer(heights, widths).astype(np.int64)

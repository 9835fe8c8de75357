"""Quantization to the codebooks of a cost map's levels, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.model import CostMap
from halo_timing.errors import CostMapError, UsageError
from halo_timing.quantize.allocation import allocate_tiles
from halo_timing.quantize.codebook import Codebook
from halo_timing.quantize.estimator import Quantizer, check_importance, check_tile, check_weight
from halo_timing.quantize.outliers import SparsePart, find_outliers, quantize_sparse
from halo_timing.quantize.precision import store_scales, sum_of_squares
from halo_timing.quantize.scales import fit_scales, group_errors, group_weights, round_groups
from halo_timing.quantize.tensor import QuantizedTensor, tile_grid, tile_sizes

# Below 8 values (3 bits) plain rounding destroys a layer; such levels are used only when asked for.
_USEFUL_SIZE = 8


class HaloQuantizer(Quantizer):
    """Tiles of a weight matrix on the levels of a cost map, outliers kept apart.

    Each tile of the array holds values of one level's codebook. For every tile and level the best scale of
    each output is searched; tiles that lose least by the faster level get it (data-free, or weighted by an
    importance). The method follows HALO (Juneja et al., AAAI 2026) in tiles, levels and sparse outliers; the
    scale search and the choice by rounding error are ours.

    Parameters
    ----------
    cost_map
        Levels and their codebooks, for signed operands of at most 8 bits.
    tile
        Outputs and inputs of a tile, that is of the array that holds it; one number for a square one. The
        inputs of a tile share one scale for each output.
    levels
        Levels that tiles may run at, as indices into the cost map. None: the two fastest that have at least
        8 values.
    fast_share
        Share of the weights whose tiles run at the fastest of `levels`; reached or passed by one tile.
    noise_budget
        Instead of a share: make tiles fast as long as squared error over squared weights stays below this
        (0.01 is an SQNR of 20 dB).
    outlier_sigma
        Weights further than so many standard deviations from the tensor's mean are kept apart at full width.
        None: no sparse part.
    scale_search
        Search scales; otherwise absmax.

    Attributes
    ----------
    levels_ : tuple of int
        The levels in use, fastest first.
    errors_ : ndarray of float64, shape (levels in use, tile rows, tile columns)
        Squared error, times the importance, of each tile at each level in use.
    tile_levels_ : ndarray of uint8, shape (tile rows, tile columns)
        The choice, as indices into the cost map's levels.
    scales_ : ndarray, shape (out, tile columns)
    sparse_ : SparsePart

    Raises
    ------
    CostMapError
        From :meth:`fit`, if the cost map is for unsigned or wider operands.
    """

    def __init__(
        self,
        cost_map: CostMap,
        tile: int | tuple[int, int] = 128,
        levels: Sequence[int] | None = None,
        fast_share: float = 0.5,
        noise_budget: float | None = None,
        outlier_sigma: float | None = 3.0,
        scale_search: bool = True,
    ) -> None:
        self.cost_map = cost_map
        self.tile = tile
        self.levels = levels
        self.fast_share = fast_share
        self.noise_budget = noise_budget
        self.outlier_sigma = outlier_sigma
        self.scale_search = scale_search

    def check_params(self) -> None:
        """Check all parameters, which :meth:`fit` does too.

        Raises
        ------
        UsageError, CostMapError
            If a parameter or the cost map is not usable.
        """
        check_tile(self.tile)
        _usable_levels(level_codebooks(self.cost_map), self.levels)
        if self.outlier_sigma is not None and not self.outlier_sigma > 0:
            raise UsageError(
                f"outlier sigma {self.outlier_sigma}: must be positive; leave it out for no sparse part"
            )
        if not 0 <= self.fast_share <= 1:
            raise UsageError(f"fast share {self.fast_share}: must lie between 0 and 1")
        if self.noise_budget is not None and not 0 <= self.noise_budget < math.inf:
            raise UsageError(f"noise budget {self.noise_budget}: must be a number of at least 0")

    def fit(
        self, weight: NDArray[np.floating], importance: NDArray[np.floating] | None = None
    ) -> HaloQuantizer:
        """See :meth:`Quantizer.fit`."""
        self.check_params()
        self._tile = check_tile(self.tile)
        self._books = level_codebooks(self.cost_map)
        self.levels_ = _usable_levels(self._books, self.levels)
        checked = check_weight(weight)
        self._shape = (checked.shape[0], checked.shape[1])
        weights = check_importance(importance, self._shape)

        positions = find_outliers(checked, self.outlier_sigma)
        self.sparse_: SparsePart = quantize_sparse(checked, positions, self._books[-1])
        dense = checked
        if len(positions):
            dense = checked.copy()
            dense.ravel()[positions] = 0
        self._groups = group_weights(dense, self._tile[1])
        grouped = None if weights is None else group_weights(weights, self._tile[1])

        scales = [
            fit_scales(self._groups, self._books[level], grouped, self.scale_search) for level in self.levels_
        ]
        row_errors = [
            group_errors(self._groups, scale, self._books[level], grouped)
            for scale, level in zip(scales, self.levels_, strict=True)
        ]
        starts = np.arange(0, self._shape[0], self._tile[0])
        self.errors_ = np.stack([np.add.reduceat(error, starts, axis=0) for error in row_errors])
        choice = self._allocate(sum_of_squares(checked if weights is None else checked * np.sqrt(weights)))
        self.tile_levels_ = np.array(self.levels_, np.uint8)[choice]

        choice_of_row = np.repeat(choice, self._tile[0], axis=0)[: self._shape[0]]
        exact = np.choose(choice_of_row, scales)
        error = float(np.take_along_axis(self.errors_, choice[None], 0).sum())
        self.scales_ = store_scales(
            exact, np.einsum("rgk,rgk->rg", self._groups, self._groups, dtype=np.float64), error
        )
        return self

    def quantize(self) -> QuantizedTensor:
        """See :meth:`Quantizer.quantize`."""
        self._check_fitted("scales_")
        rows, columns = self._shape
        scales = self.scales_.astype(np.float32)
        codes = np.empty(self._groups.shape, np.int8)
        for index, levels in enumerate(self.tile_levels_):
            band = slice(index * self._tile[0], (index + 1) * self._tile[0])
            for level in np.unique(levels):
                tiles = np.flatnonzero(levels == level)
                codes[band, tiles] = round_groups(
                    self._groups[band, tiles], scales[band, tiles], self._books[level]
                )
        return QuantizedTensor(
            codes=np.ascontiguousarray(codes.reshape(rows, -1)[:, :columns]),
            tile_levels=self.tile_levels_,
            scales=self.scales_,
            sparse_indices=self.sparse_.indices,
            sparse_values=self.sparse_.values,
            sparse_scales=self.sparse_.scales,
            tile=self._tile,
            codebooks=tuple(book.values for book in self._books),
        )

    def _allocate(self, energy: float) -> NDArray[np.uint8]:
        budget = None if self.noise_budget is None else self.noise_budget * energy
        levels = allocate_tiles(
            self.errors_.reshape(len(self.levels_), -1),
            tile_sizes(self._shape, self._tile).ravel(),
            np.array([self.cost_map.levels[level].period_ps for level in self.levels_]),
            fast_share=self.fast_share if budget is None else None,
            error_budget=budget,
        )
        return levels.reshape(tile_grid(self._shape, self._tile))


def level_codebooks(cost_map: CostMap) -> tuple[Codebook, ...]:
    """Codebook of each level of a cost map.

    Raises
    ------
    CostMapError
        If the cost map is for unsigned operands, or for more than 8 bits.
    """
    width = cost_map.width
    if width > 8 or not cost_map.metadata.get("weight_signed", True):
        kind = "signed" if cost_map.metadata.get("weight_signed", True) else "unsigned"
        raise CostMapError(
            f"cost map: made for {width}-bit {kind} weights, but codes are signed and have at most 8 bits; "
            "characterize a MAC with such an operand"
        )
    return tuple(Codebook(int(value) for value in level.codebook) for level in cost_map.levels)


def _usable_levels(books: Sequence[Codebook], asked: Sequence[int] | None) -> tuple[int, ...]:
    if asked is None:
        useful = [index for index, book in enumerate(books) if len(book) >= _USEFUL_SIZE]
        return tuple(useful[:2]) or (len(books) - 1,)
    if not asked or not all(0 <= level < len(books) for level in asked):
        raise UsageError(f"levels {list(asked)}: give some of 0 … {len(books) - 1}, which the cost map has")
    return tuple(sorted(set(asked)))

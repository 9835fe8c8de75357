"""Quantization to the codebooks of a cost map's levels, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.model import CostMap
from halo_timing.errors import CostMapError, UsageError
from halo_timing.quantize.allocation import allocate_tiles, cumulated_costs
from halo_timing.quantize.calibration import LayerStatistics
from halo_timing.quantize.codebook import Codebook
from halo_timing.quantize.estimator import Quantizer, Statistics, Weighing, check_tile, check_weight
from halo_timing.quantize.feedback import DAMPING, CodeSpace, factor_hessian
from halo_timing.quantize.outliers import (
    SparsePart,
    errors_without_largest,
    find_outliers,
    find_published,
    largest_positions,
    quantize_sparse,
)
from halo_timing.quantize.precision import compact_scales, store_scales, sum_of_squares
from halo_timing.quantize.scales import fit_scales, group_errors, group_weights, round_groups
from halo_timing.quantize.solve import solve
from halo_timing.quantize.tensor import QuantizedTensor, tile_grid, tile_sizes

# Below 8 values (3 bits) plain rounding destroys a layer; such levels are used only when asked for.
_USEFUL_SIZE = 8
#: Share of the weights to keep apart where they are chosen by their error.
SPARSE_SHARE = 0.005
#: Ways to choose tiles: by the error they make, or by cumulated Fisher information, as HALO was published.
ALLOCATIONS = ("error", "fisher")


class HaloQuantizer(Quantizer):
    """Tiles of a weight matrix on the levels of a cost map, outliers kept apart.

    Each tile of the array holds values of one level's codebook. For every tile and level the best scale of
    each output is searched; tiles that lose least by the faster level get it (data-free, or by the loss that
    statistics predict). With the Hessian of the layer's inputs, codes are rounded with error feedback and
    then refined together with the scales (:mod:`halo_timing.quantize.solve`). The method follows HALO (Juneja
    et al., AAAI 2026) in tiles, levels and a sparse part; how each of them is chosen is ours.

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
    sparse_share
        Instead of outliers, keep apart this share of the weights: those that would make the largest errors
        at the fastest level.
    sparse_threshold
        Instead of a share, keep apart weights whose error is predicted to add more than this to the loss.
    salient_share
        Besides outliers, keep apart this share of the weights by their Fisher information, and no more than
        0.5 % of all: HALO as it was published.
    allocation
        One of :data:`ALLOCATIONS`.
    plain
        Round each weight to its nearest code even where a Hessian is known: for comparison.
    sweeps
        With a Hessian, rounds of new scales and coordinate descent after the rounding with feedback.
    damping
        Share of the mean of the Hessian's diagonal that is added to it.
    tile_levels
        Level of each tile, shape ``(tile rows, tile columns)``, where it has been chosen for the whole model
        (:mod:`halo_timing.quantize.plan`).

    Attributes
    ----------
    levels_ : tuple of int
        The levels in use, fastest first.
    errors_ : ndarray of float64, shape (levels in use, tile rows, tile columns)
        Squared error, times the importance, of each tile at each level in use under plain rounding. With
        statistics of inputs and gradients: the loss that it is predicted to add.
    costs_ : ndarray of float64
        What the allocation goes by; shape of `errors_`.
    energy_ : float
        What `errors_` would sum to if all weights became 0.
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
        sparse_share: float | None = None,
        sparse_threshold: float | None = None,
        salient_share: float = 0.0,
        allocation: str = "error",
        plain: bool = False,
        sweeps: int = 2,
        damping: float = DAMPING,
        tile_levels: NDArray[np.uint8] | None = None,
    ) -> None:
        self.cost_map = cost_map
        self.tile = tile
        self.levels = levels
        self.fast_share = fast_share
        self.noise_budget = noise_budget
        self.outlier_sigma = outlier_sigma
        self.scale_search = scale_search
        self.sparse_share = sparse_share
        self.sparse_threshold = sparse_threshold
        self.salient_share = salient_share
        self.allocation = allocation
        self.plain = plain
        self.sweeps = sweeps
        self.damping = damping
        self.tile_levels = tile_levels

    def check_params(self) -> None:
        """Check all parameters, which :meth:`fit` does too.

        Raises
        ------
        UsageError, CostMapError
            If a parameter or the cost map is not usable.
        """
        check_tile(self.tile)
        usable_levels(level_codebooks(self.cost_map), self.levels)
        if self.outlier_sigma is not None and not self.outlier_sigma > 0:
            raise UsageError(
                f"outlier sigma {self.outlier_sigma}: must be positive; leave it out for no sparse part"
            )
        for name in ("fast_share", "sparse_share", "salient_share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{name.replace('_', ' ')} {value}: must lie between 0 and 1")
        if self.noise_budget is not None and not 0 <= self.noise_budget < math.inf:
            raise UsageError(f"noise budget {self.noise_budget}: must be a number of at least 0")
        if self.allocation not in ALLOCATIONS:
            raise UsageError(f"allocation {self.allocation!r}: must be one of {', '.join(ALLOCATIONS)}")
        if not isinstance(self.sweeps, int) or self.sweeps < 0:
            raise UsageError(f"sweeps {self.sweeps}: must be a whole number of at least 0")
        if not 0 <= self.damping < math.inf:
            raise UsageError(f"damping {self.damping}: must be a number of at least 0")

    def fit(self, weight: NDArray[np.floating], statistics: Statistics = None) -> HaloQuantizer:
        """See :meth:`Quantizer.fit`."""
        self.check_params()
        self._tile = check_tile(self.tile)
        self._books = level_codebooks(self.cost_map)
        self.levels_ = usable_levels(self._books, self.levels)
        checked = check_weight(weight)
        self._shape = (checked.shape[0], checked.shape[1])
        weighing = Weighing.of(statistics, self._shape)

        positions = self._find_sparse(checked, weighing)
        self.sparse_: SparsePart = quantize_sparse(checked, positions, self._books[-1])
        dense = checked
        if len(positions):
            dense = checked.copy()
            dense.ravel()[positions] = 0
        groups = group_weights(dense, self._tile[1])
        scales = self._measure_levels(groups, weighing)
        energy = sum_of_squares(checked if weighing.inputs is None else checked * np.sqrt(weighing.inputs))
        self.energy_ = energy * weighing.unit
        self.costs_ = self._costs(weighing.statistics)
        choice = self._allocate(self.energy_)
        self.tile_levels_ = np.array(self.levels_, np.uint8)[choice]
        start = np.choose(self._spread(choice), scales)

        if self.plain or weighing.statistics.hessian is None:
            error = float(np.take_along_axis(self.errors_, choice[None], 0).sum()) / weighing.unit
            self.scales_ = store_scales(
                start, np.einsum("rgk,rgk->rg", groups, groups, dtype=np.float64), error
            )
            self._codes = self._round(groups)
        else:
            self._solve(checked, positions, weighing.statistics.hessian, start)
        return self

    def quantize(self) -> QuantizedTensor:
        """See :meth:`Quantizer.quantize`."""
        self._check_fitted("scales_")
        return QuantizedTensor(
            codes=self._codes,
            tile_levels=self.tile_levels_,
            scales=self.scales_,
            sparse_indices=self.sparse_.indices,
            sparse_values=self.sparse_.values,
            sparse_scales=self.sparse_.scales,
            tile=self._tile,
            codebooks=tuple(book.values for book in self._books),
        )

    def _find_sparse(self, weight: NDArray[np.float32], weighing: Weighing) -> NDArray[np.int64]:
        """Flat positions of the weights to keep apart."""
        if self.sparse_share is None and self.sparse_threshold is None:
            fisher = weighing.statistics.fisher
            if self.salient_share:
                if fisher is None or self.outlier_sigma is None:
                    raise UsageError(
                        "a salient share needs a calibration with Fisher diagonals, and an outlier sigma"
                    )
                return find_published(weight, self.outlier_sigma, fisher, self.salient_share)
            return find_outliers(weight, self.outlier_sigma)
        share = self.sparse_share or 0.0
        book = self._books[self.levels_[0]]
        errors = errors_without_largest(weight, book, self._tile[1], weighing, share)
        if self.sparse_threshold is not None:
            return np.flatnonzero(errors > np.float32(self.sparse_threshold / weighing.unit))
        return largest_positions(errors, share)

    def _measure_levels(self, groups: NDArray[np.float32], weighing: Weighing) -> list[NDArray[np.float32]]:
        """Best scales at each level in use; the errors of all tiles go into `errors_`."""
        inputs = None if weighing.inputs is None else group_weights(weighing.inputs, self._tile[1])
        scales, errors = [], []
        starts = np.arange(0, self._shape[0], self._tile[0])
        for level in self.levels_:
            book = self._books[level]
            scales.append(fit_scales(groups, book, inputs, self.scale_search))
            rows = group_errors(groups, scales[-1], book, inputs) * weighing.unit
            if weighing.outputs is not None:
                rows *= weighing.outputs[:, None]
            errors.append(np.add.reduceat(rows, starts, axis=0))
        self.errors_ = np.stack(errors)
        return scales

    def _spread(self, of_tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Repeat the entries of tiles for each of their outputs."""
        return np.repeat(of_tile, self._tile[0], axis=0)[: self._shape[0]]

    def _round(self, groups: NDArray[np.float32]) -> NDArray[np.int8]:
        """Nearest codes under the stored scales."""
        scales = self.scales_.astype(np.float32)
        codes = np.empty(groups.shape, np.int8)
        for index, levels in enumerate(self.tile_levels_):
            band = slice(index * self._tile[0], (index + 1) * self._tile[0])
            for level in np.unique(levels):
                tiles = np.flatnonzero(levels == level)
                codes[band, tiles] = round_groups(
                    groups[band, tiles], scales[band, tiles], self._books[level]
                )
        return np.ascontiguousarray(codes.reshape(self._shape[0], -1)[:, : self._shape[1]])

    def _solve(
        self,
        weight: NDArray[np.float32],
        positions: NDArray[np.int64],
        hessian: NDArray[np.float32],
        scales: NDArray[np.float32],
    ) -> None:
        """Codes and scales under the Hessian; the weights kept apart take part with their own scale."""
        apart = None
        if len(positions):
            apart = np.zeros(self._shape, np.bool_)
            apart.ravel()[positions] = True
        space = CodeSpace(self._books, self._spread(self.tile_levels_), self._tile[1], apart)
        solution = solve(
            weight,
            factor_hessian(hessian, self.damping),
            space,
            scales,
            self.sparse_.scales.astype(np.float32),
            self.sweeps,
        )
        self.scales_ = compact_scales(solution.scales)
        self._codes = solution.codes
        self.sparse_ = replace(self.sparse_, values=solution.codes.ravel()[positions])
        self._codes.ravel()[positions] = 0

    def _costs(self, statistics: LayerStatistics) -> NDArray[np.float64]:
        """Return what each tile costs at each level in use, for the allocation; shape of `errors_`."""
        if self.allocation == "error":
            return self.errors_
        if statistics.fisher is None:
            raise UsageError("allocation by fisher needs a calibration with Fisher diagonals")
        if len(self.levels_) > 2:
            raise UsageError("allocation by fisher chooses between two levels; name two with `levels`")
        rows = np.add.reduceat(statistics.fisher, np.arange(0, self._shape[0], self._tile[0]), axis=0)
        scores = np.add.reduceat(rows, np.arange(0, self._shape[1], self._tile[1]), axis=1)
        costs = np.zeros_like(self.errors_)
        if len(self.levels_) == 2:
            sizes = tile_sizes(self._shape, self._tile)
            costs[0] = cumulated_costs(scores.ravel(), sizes.ravel()).reshape(sizes.shape)
        return costs

    def _allocate(self, energy: float) -> NDArray[np.uint8]:
        """Level of each tile, as an index into the levels in use."""
        grid = tile_grid(self._shape, self._tile)
        if self.tile_levels is not None:
            given = np.asarray(self.tile_levels)
            if given.shape != grid or not np.isin(given, self.levels_).all():
                raise UsageError(
                    f"tile levels of shape {given.shape}: a weight of shape {self._shape} needs {grid}, "
                    f"each of {list(self.levels_)}"
                )
            return np.searchsorted(self.levels_, given).astype(np.uint8)
        budget = None if self.noise_budget is None else self.noise_budget * energy
        levels = allocate_tiles(
            self.costs_.reshape(len(self.levels_), -1),
            tile_sizes(self._shape, self._tile).ravel(),
            np.array([self.cost_map.levels[level].period_ps for level in self.levels_]),
            fast_share=self.fast_share if budget is None else None,
            error_budget=budget,
        )
        return levels.reshape(grid)


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


def usable_levels(books: Sequence[Codebook], asked: Sequence[int] | None) -> tuple[int, ...]:
    """Levels to use, fastest first: those asked for, or the two fastest that have at least 8 values.

    Raises
    ------
    UsageError
        If a level is asked for that there is not, or none.
    """
    if asked is None:
        useful = [index for index, book in enumerate(books) if len(book) >= _USEFUL_SIZE]
        return tuple(useful[:2]) or (len(books) - 1,)
    if not asked or not all(0 <= level < len(books) for level in asked):
        raise UsageError(f"levels {list(asked)}: give some of 0 … {len(books) - 1}, which the cost map has")
    return tuple(sorted(set(asked)))

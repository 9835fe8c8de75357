"""Choosing levels over a whole model at once: the same loss counts the same in every layer.

Statistics of inputs and gradients give the rounding errors of all layers one unit, the loss they are
predicted to add. A plan first finds the threshold of error above which a weight is kept apart, then the error
of every tile at every level, and gives the slower levels to the tiles that gain most by them. It reads one
tensor at a time and keeps nothing of it but the errors of its tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.files import sha256_json
from halo_timing.quantize.allocation import allocate_tiles
from halo_timing.quantize.calibration import LayerStatistics
from halo_timing.quantize.estimator import Weighing, check_tile, check_weight
from halo_timing.quantize.halo import HaloQuantizer, level_codebooks, usable_levels
from halo_timing.quantize.outliers import errors_without_largest
from halo_timing.quantize.tensor import tile_grid, tile_sizes

#: Called with what is being done, tensors done, and all tensors of all passes.
Progress = Callable[[str, int, int], None]

# Errors are counted in bins of 1/16 octave between these powers of two.
_LOW, _HIGH, _PER_OCTAVE = -160, 64, 16


@dataclass(frozen=True)
class Plan:
    """Levels of the tiles of a model.

    Parameters
    ----------
    quantizer
        What all tensors have in common.
    tile_levels
        Tensor name → level of each tile.
    sparse_threshold
        Predicted loss above which a weight is kept apart; None where the quantizer's own rule says so.
    predicted_loss
        Loss of a token that plain rounding is predicted to add; ranks plans, and promises nothing.
    """

    base: HaloQuantizer
    tile_levels: Mapping[str, NDArray[np.uint8]]
    sparse_threshold: float | None
    predicted_loss: float

    def quantizer(self, name: str) -> HaloQuantizer:
        """Quantizer for one tensor."""
        parameters = {**self.base.get_params(), "tile_levels": self.tile_levels[name]}
        if self.sparse_threshold is not None:
            parameters |= {"sparse_threshold": self.sparse_threshold}
        return HaloQuantizer(**parameters)

    def key(self, name: str) -> str:
        """Digest of all that the plan says of a tensor."""
        return sha256_json([self.tile_levels[name].tolist(), self.sparse_threshold])


def plan_model(
    names: Sequence[str],
    read: Callable[[str], NDArray[np.float32]],
    quantizer: HaloQuantizer,
    statistics: Callable[[str], LayerStatistics],
    progress: Progress | None = None,
) -> Plan:
    """Choose levels for all tiles of a model.

    Parameters
    ----------
    names
        Tensors, in the order in which they are read.
    read
        Gives a tensor's weight; called twice for each.
    quantizer
        Its levels, shares and budgets hold for the model as a whole.
    statistics
        Gives what calibration tells of a tensor.
    progress
        Told before each tensor.

    Raises
    ------
    UsageError
        If a parameter is not usable, or statistics do not belong to their weight.
    """
    quantizer.check_params()
    books = level_codebooks(quantizer.cost_map)
    levels = usable_levels(books, quantizer.levels)
    tile = check_tile(quantizer.tile)

    def tell(step: int, index: int) -> None:
        if progress:
            progress(names[index], step * len(names) + index, 2 * len(names))

    threshold = quantizer.sparse_threshold
    if quantizer.sparse_share is not None and threshold is None:
        counts = np.zeros((_HIGH - _LOW) * _PER_OCTAVE, np.int64)
        for index, name in enumerate(names):
            tell(0, index)
            weight = check_weight(read(name))
            weighing = Weighing.of(statistics(name), (weight.shape[0], weight.shape[1]))
            errors_of_weights = errors_without_largest(
                weight, books[levels[0]], tile[1], weighing, quantizer.sparse_share
            )
            counts += _count(errors_of_weights, weighing.unit)
        threshold = _threshold(counts, quantizer.sparse_share)
    parameters = {**quantizer.get_params(), "plain": True, "fast_share": 0.0, "noise_budget": None}
    parameters |= {"sparse_threshold": threshold, "tile_levels": None}
    costs, errors, sizes, grids = [], [], [], []
    signal = 0.0
    for index, name in enumerate(names):
        tell(1, index)
        weight = read(name)
        fitted = HaloQuantizer(**parameters).fit(weight, statistics(name))
        costs.append(fitted.costs_.reshape(len(levels), -1))
        errors.append(fitted.errors_.reshape(len(levels), -1))
        shape = (weight.shape[0], weight.shape[1])
        sizes.append(tile_sizes(shape, tile).ravel())
        grids.append(tile_grid(shape, tile))
        signal += fitted.energy_
    budget = None if quantizer.noise_budget is None else quantizer.noise_budget * signal
    chosen = allocate_tiles(
        np.concatenate(costs, axis=1),
        np.concatenate(sizes),
        np.array([quantizer.cost_map.levels[level].period_ps for level in levels]),
        fast_share=quantizer.fast_share if budget is None else None,
        error_budget=budget,
    )
    loss = float(np.take_along_axis(np.concatenate(errors, axis=1), chosen[None].astype(np.intp), 0).sum())
    of_level = np.array(levels, np.uint8)[chosen]
    ends = np.cumsum([len(part) for part in sizes])[:-1]
    tile_levels = {
        name: part.reshape(grid)
        for name, part, grid in zip(names, np.split(of_level, ends), grids, strict=True)
    }
    return Plan(quantizer, tile_levels, threshold, loss)


def _count(errors: NDArray[np.float32], unit: float) -> NDArray[np.int64]:
    """How many errors lie in each bin."""
    with np.errstate(divide="ignore"):
        bins = (np.log2(errors.ravel()) + np.float32(np.log2(unit) - _LOW)) * _PER_OCTAVE
    size = (_HIGH - _LOW) * _PER_OCTAVE
    return np.bincount(np.clip(bins, 0, size - 1).astype(np.intp), minlength=size)


def _threshold(counts: NDArray[np.int64], share: float) -> float:
    """Error that at most `share` of all errors lie above."""
    above = np.cumsum(counts[::-1])[::-1]
    allowed = np.flatnonzero(above <= share * counts.sum())
    first = allowed[0] if len(allowed) else len(counts)
    return float(2.0 ** (_LOW + first / _PER_OCTAVE))

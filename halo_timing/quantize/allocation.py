"""Which tile runs at which level."""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import NDArray

# A price of time at which no error counts any more, yet whose product with a tile's time is finite.
_ANY_PRICE = 1e200


def allocate_tiles(
    errors: NDArray[np.float64],
    sizes: NDArray[np.int64],
    periods_ps: NDArray[np.float64],
    fast_share: float | None = None,
    error_budget: float | None = None,
) -> NDArray[np.uint8]:
    """Level of each tile, by the error that a faster level costs.

    Choosing levels to minimise error plus λ times time gives each tile a threshold λ from which the fastest
    level is best for it: the largest error per saved time. Tiles are made fast in the order of their
    thresholds, ties in the order of the tiles. The others choose among the slower levels at the same λ. With
    two levels this is the optimal choice for its share, up to the size of one tile.

    Parameters
    ----------
    errors
        Error of each tile at each level, shape ``(levels, tiles)``, fastest level first.
    sizes
        Weights in each tile, shape ``(tiles,)``; time is taken as proportional to size times period.
    periods_ps
        Clock period of each level, shape ``(levels,)``, not falling.
    fast_share
        Make tiles fast until at least this share of the weights is.
    error_budget
        Where no share is given, make as many fast as this sum of errors allows.

    Returns
    -------
    ndarray of uint8, shape (tiles,)
        Index into the levels given.

    Raises
    ------
    ValueError
        If neither `fast_share` nor `error_budget` is given.
    """
    thresholds = _fast_thresholds(errors, sizes, periods_ps)
    order = np.argsort(thresholds, kind="stable")

    def with_fast(count: int) -> NDArray[np.uint8]:
        price = thresholds[order[count - 1]] if count else 0.0
        levels = _slower_levels(errors, sizes, periods_ps, price)
        levels[order[:count]] = 0
        return levels

    if fast_share is not None:
        cumulated = np.concatenate([[0], np.cumsum(sizes[order])])
        return with_fast(int(np.searchsorted(cumulated, fast_share * sizes.sum() - 1e-6)))
    if error_budget is None:
        raise ValueError("give either a fast share or an error budget")
    tiles = np.arange(errors.shape[1])
    allowed = bisect.bisect_right(
        range(1, errors.shape[1] + 1),
        error_budget,
        key=lambda count: float(errors[with_fast(count), tiles].sum()),
    )
    return with_fast(allowed)


def cumulated_costs(scores: NDArray[np.floating], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Costs that make :func:`allocate_tiles` follow HALO's rule (Juneja et al., AAAI 2026).

    HALO gives the finer codebook to those tiles of a layer that together hold a share of its summed
    sensitivity. In the order of falling scores, a tile is among them if those before it hold less than that
    share; so what they hold, from 1 down, is the order in which tiles become fast, in all layers alike.

    Parameters
    ----------
    scores
        Sensitivity of each tile of one layer, summed over its weights, shape ``(tiles,)``.
    sizes
        Weights in each tile, shape ``(tiles,)``.

    Returns
    -------
    ndarray of float64, shape (tiles,)
        Cost of running each tile at the faster of two levels, the slower one costing nothing.
    """
    order = np.argsort(-scores, kind="stable")
    before = np.empty(len(scores))
    cumulated = np.cumsum(scores[order], dtype=np.float64)
    before[order] = np.concatenate([[0.0], cumulated[:-1]]) / max(cumulated[-1], 1e-300)
    return (1 - before) * sizes


def _fast_thresholds(
    errors: NDArray[np.float64], sizes: NDArray[np.int64], periods_ps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """λ from which the fastest level is best for a tile, shape ``(tiles,)``."""
    if len(errors) == 1:
        return np.zeros(errors.shape[1])
    saved = sizes * (periods_ps[1:] - periods_ps[0])[:, None]
    hurt = np.maximum(errors[0] - errors[1:], 0)
    # A slower level that saves no time is chosen for its smaller error at any price.
    per_time: NDArray[np.float64] = np.divide(
        hurt, saved, out=np.where(hurt > 0, np.inf, 0.0), where=saved > 0
    )
    highest: NDArray[np.float64] = per_time.max(axis=0)
    return highest


def _slower_levels(
    errors: NDArray[np.float64], sizes: NDArray[np.int64], periods_ps: NDArray[np.float64], price: float
) -> NDArray[np.uint8]:
    """Best level of each tile at a price of time, the fastest one apart."""
    if len(errors) == 1:
        return np.zeros(errors.shape[1], np.uint8)
    cost: NDArray[np.float64] = errors[1:] + min(price, _ANY_PRICE) * sizes * periods_ps[1:, None]
    best: NDArray[np.uint8] = (1 + cost.argmin(axis=0)).astype(np.uint8)
    return best

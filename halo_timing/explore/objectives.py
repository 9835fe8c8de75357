"""What a MAC is good for: its fastest sets of values, and its mean period where some quality must be kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.codebooks import choose_codebook
from halo_timing.costmap.distributions import Distribution, fit_codebook
from halo_timing.study import fast_class_ps

#: A level takes a codebook of at least so many values: what tiles of fewer lose shows in no mean.
MIN_CODEBOOK = 8
# Sets of one size are looked for at periods in steps of this share.
_PERIOD_STEP = 1.03
# A set within this many decibels of the best of all is as good as that.
_ENOUGH_DB = 0.02

Values = NDArray[np.int16]
Periods = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """One level of a mix: values that may be used, its period, and the share of tiles at it."""

    codebook: tuple[int, ...]
    period_ps: float
    sqnr_db: float
    share: float


@dataclass(frozen=True)
class Mix:
    """Levels at which tiles run so that together they keep enough; fastest first, one or two.

    `period_ps` is the mean over tiles: time per multiplication.
    """

    parts: tuple[Part, ...]
    period_ps: float


class Quality:
    """Noise of codebooks under one distribution of weights, each computed once."""

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = distribution
        self._noise: dict[bytes, float] = {}

    def noise(self, codebook: Values) -> float:
        """Return the expected squared error over the mean square at the best scale."""
        key = codebook.astype(np.int32).tobytes()
        if key not in self._noise:
            self._noise[key] = fit_codebook(codebook, self.distribution).error
        return self._noise[key]


def best_mix(values: Values, period_ps: Periods, quality: Quality, min_sqnr_db: float) -> Mix | None:
    """Find the levels of least mean period that keep a signal to noise ratio; None where nothing does.

    Parameters
    ----------
    values, period_ps
        Operand values, ascending, and the period of each, shape ``(n,)``.
    min_sqnr_db
        Of all weights together: noise of tiles at different levels adds up by their shares.

    Notes
    -----
    At each limit on the period a level may take every value that is no slower. Mean noise and mean period are
    both linear in the shares, so the best mix lies on the lower hull of (noise, period) and has at most two
    levels. Smaller periods never make it slower, which pruning relies on.
    """
    order = np.argsort(period_ps, kind="stable")
    limits = np.unique(period_ps)
    last = np.searchsorted(period_ps[order], limits, side="right")
    zero = float(period_ps[values == 0].max(initial=0.0))
    allowed_noise = 10 ** (-min_sqnr_db / 10)
    candidates: list[tuple[float, float, Values]] = []
    for limit, count in zip(limits.tolist(), last.tolist(), strict=True):
        if count < min(MIN_CODEBOOK, len(values)) or limit < zero:
            continue
        book = np.sort(values[order[:count]])
        candidates.append((quality.noise(book), limit, book))
    # A larger set is never worse; the search for its scale may be, in the last digits.
    noises = np.minimum.accumulate([noise for noise, _, _ in candidates]) if candidates else np.zeros(0)
    points = [(float(noise), limit, book) for noise, (_, limit, book) in zip(noises, candidates, strict=True)]
    enough = next((place for place, (noise, _, _) in enumerate(points) if noise <= allowed_noise), None)
    if enough is None:
        return None
    best = _mix([(points[enough], 1.0)])
    for slow in points[enough:]:
        for fast in points[:enough]:
            share = (allowed_noise - slow[0]) / (fast[0] - slow[0])
            mean = share * fast[1] + (1 - share) * slow[1]
            if mean < best.period_ps * (1 - 1e-9) and share > 0:
                best = _mix([(fast, share), (slow, 1 - share)])
    return best


def _mix(levels: Sequence[tuple[tuple[float, float, Values], float]]) -> Mix:
    parts = tuple(
        Part(tuple(book.tolist()), limit, _decibels(noise), share) for (noise, limit, book), share in levels
    )
    return Mix(parts, sum(part.share * part.period_ps for part in parts))


def _decibels(noise: float) -> float:
    return min(-10 * float(np.log10(noise)), 1e3) if noise > 0 else 1e3


def fastest(values: Values, period_ps: Periods, sizes: Sequence[int]) -> Mapping[int, float]:
    """Period at which the fastest so many values are right, 0 among them; by size."""
    return {size: fast_class_ps(values, period_ps, size) for size in sizes}


@dataclass(frozen=True)
class ValueSet:
    """The set of its size that represents weights best among the values no slower than its period."""

    size: int
    period_ps: float
    values: tuple[int, ...]
    sqnr_db: float


def value_sets(
    values: Values, period_ps: Periods, sizes: Sequence[int], distribution: Distribution
) -> list[ValueSet]:
    """Find the best set of each size at each period where a slower clock brings a better one.

    Returns
    -------
    list of ValueSet
        By size, then period; each better than the one before, in steps of 3 % of the period, up to the best
        of all.
    """
    found: list[ValueSet] = []
    for size in sizes:
        if size > len(values):
            continue
        best = _fit(choose_codebook(values, period_ps, np.inf, size, distribution), distribution)
        limit, reached = fast_class_ps(values, period_ps, size), -np.inf
        steps = np.unique(period_ps)
        while True:
            book = choose_codebook(values, period_ps, limit, size, distribution)
            sqnr_db = _fit(book, distribution)
            if sqnr_db > reached + _ENOUGH_DB:
                slowest = float(period_ps[np.isin(values, book)].max())
                found.append(ValueSet(size, slowest, tuple(book.tolist()), sqnr_db))
                reached = sqnr_db
            later = steps[steps > limit]
            if reached >= best - _ENOUGH_DB or not len(later):
                break
            within = later[later <= limit * _PERIOD_STEP]
            limit = float(within[-1] if len(within) else later[0])
    return found


def _fit(codebook: Values, distribution: Distribution) -> float:
    return min(fit_codebook(codebook, distribution).sqnr_db, 1e3)

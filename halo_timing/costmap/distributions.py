"""Distributions of weights, and what rounding them to a codebook is expected to cost.

A distribution is known by its partial moments ``∫(1, w, w²) f(w) dw`` from -∞ to x. Everything that follows,
the expected error of a codebook among it, is then exact: no sampling, no integration grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halo_timing.errors import UsageError

Floats = NDArray[np.float64]

# A codebook's largest magnitude is tried on these multiples of the standard deviation: from hard clipping to
# far out in a heavy tail. Steps of 11 % find the basin of the minimum; within it each round of the refinement
# divides the step by four, to less than 0.1 % of the scale.
_REACHES = np.geomspace(0.25, 64, 56)
_ROUNDS = 4


@dataclass(frozen=True)
class Distribution:
    """A distribution of weights with mean square 1.

    Parameters
    ----------
    name
        What it is called in metadata and messages.
    partial_moments
        Takes points of any shape ``(...)``, and returns the integrals of 1, w and w² times the density from
        -∞ to each, shape ``(3, ...)``.
    symmetric
        Whether w and -w are equally likely.
    """

    name: str
    partial_moments: Callable[[Floats], Floats]
    symmetric: bool = True

    @property
    def totals(self) -> Floats:
        """Integrals of 1, w and w² over everything: 1, the mean, and 1."""
        return self.partial_moments(np.array(np.inf))


def _gaussian(x: Floats) -> Floats:
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    share = 0.5 * (1 + np.asarray(_erf(x / math.sqrt(2)), np.float64))
    # x times the density is 0 at infinity, which numpy cannot know.
    return np.stack([share, -density, share - np.where(np.isinf(x), 0.0, x) * density])


def _student_t5(x: Floats) -> Floats:
    # Five degrees of freedom have variance 5/3. Integrals of the density (1 + t²/5)^-3 are elementary; t²
    # times it is 5 ((1 + t²/5)^-2 - (1 + t²/5)^-3), whose first part is a density of three degrees.
    with np.errstate(invalid="ignore", over="ignore"):
        t = x / math.sqrt(3 / 5)
        ratio, fall = t / math.sqrt(5), 1 / (1 + t * t / 5)
        product = np.where(np.isinf(t), 0.0, ratio * fall)
        angle = np.arctan(ratio)
        share5 = 0.5 + (product * (1 + 2 * fall / 3) + angle) / math.pi
        share3 = 0.5 + (product + angle) / math.pi
        first = -math.sqrt(3 / 5) * (5 / 4) * 8 / (3 * math.pi * math.sqrt(5)) * fall**2
    return np.stack([share5, first, 3 * (4 / 3 * share3 - share5)])


def _laplace(x: Floats) -> Floats:
    # Scale 1/√2 has variance 1.
    scale = 1 / math.sqrt(2)
    far = np.exp(-np.abs(x) / scale)
    size = np.where(np.isinf(x), 0.0, np.abs(x))
    square = size**2 / 2 + scale * size + scale**2
    tail = np.stack([far / 2, -(size + scale) * far / 2, square * far])
    return np.where(x < 0, tail, np.stack([1 - tail[0], tail[1], 1 - tail[2]]))


def _uniform(x: Floats) -> Floats:
    # On -√3 … √3 the mean square is 1.
    end = math.sqrt(3)
    y = np.clip(x, -end, end)
    return np.stack([y + end, (y**2 - 3) / 2, (y**3 + end**3) / 3]) / (2 * end)


_erf = np.frompyfunc(math.erf, 1, 1)

GAUSSIAN = Distribution("gaussian", _gaussian)
STUDENT_T5 = Distribution("student-t5", _student_t5)
LAPLACE = Distribution("laplace", _laplace)
UNIFORM = Distribution("uniform", _uniform)

#: Those that an option can name.
DISTRIBUTIONS = {each.name: each for each in (GAUSSIAN, STUDENT_T5, LAPLACE, UNIFORM)}


def named_distribution(name: str) -> Distribution:
    """Return the distribution of a name.

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    if name not in DISTRIBUTIONS:
        raise UsageError(f"distribution {name!r}: one of {', '.join(DISTRIBUTIONS)} is wanted")
    return DISTRIBUTIONS[name]


def magnitudes(distribution: Distribution) -> Distribution:
    """Distribution of the magnitudes: what operands without a sign can stand for."""

    def partial_moments(x: Floats) -> Floats:
        y = np.maximum(x, 0.0)
        above, below, middle = (distribution.partial_moments(point) for point in (y, -y, np.zeros_like(y)))
        return np.stack([above[0] - below[0], above[1] + below[1] - 2 * middle[1], above[2] - below[2]])

    return Distribution(f"|{distribution.name}|", partial_moments, symmetric=False)


def empirical(weights: ArrayLike, name: str = "empirical") -> Distribution:
    """Distribution of given weights, divided by their root mean square.

    Parameters
    ----------
    weights
        Any shape; finite, and not all 0.

    Raises
    ------
    UsageError
        If there are none, or they are not finite or all 0.
    """
    ordered = np.sort(np.asarray(weights, np.float64).ravel())
    mean_square = float(np.mean(ordered**2)) if len(ordered) else 0.0
    if not math.isfinite(mean_square) or mean_square == 0:
        raise UsageError("weights of a distribution must be finite, and some of them other than 0")
    ordered /= math.sqrt(mean_square)
    sums = np.cumsum(np.stack([np.ones_like(ordered), ordered, ordered**2]), axis=1) / len(ordered)
    sums = np.concatenate([np.zeros((3, 1)), sums], axis=1)

    def partial_moments(x: Floats) -> Floats:
        return np.asarray(sums[:, np.searchsorted(ordered, x, side="right")])

    return Distribution(name, partial_moments, symmetric=False)


@dataclass(frozen=True)
class Fit:
    """How well a codebook represents a distribution at its best scale.

    Parameters
    ----------
    error
        Expected squared error over the mean square of the weights.
    scale
        Weight per code, in root mean squares of the weights; negative where mirrored codes fit better.
    """

    error: float
    scale: float

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise, decibels; infinite where nothing is lost."""
        return 10 * math.log10(1 / self.error) if self.error > 0 else math.inf


def fit_codebook(codebook: ArrayLike, distribution: Distribution = GAUSSIAN) -> Fit:
    """Find the expected error of rounding weights to the nearest of a codebook's values at its best scale.

    Parameters
    ----------
    codebook
        Values, any order, at least one.

    Notes
    -----
    Scales are searched from coarse to fine. For the cells of the last one, ``s = Σ q m1 / Σ q² m0``, with the
    partial moments of each cell, is better still, and leaves ``1 - (Σ q m1)² / Σ q² m0``.
    """
    points = np.unique(np.asarray(codebook, np.float64))
    best = Fit(1.0, 0.0)
    reach = np.abs(points).max()
    if reach == 0:
        return best
    middles = (points[1:] + points[:-1]) / 2
    for sign in (1.0,) if distribution.symmetric else (1.0, -1.0):
        # A negative scale mirrors the codebook.
        ordered, between = (points, middles) if sign > 0 else (-points[::-1], -middles[::-1])
        scales, step = _REACHES / reach, float(_REACHES[1] / _REACHES[0])
        for _ in range(1 + _ROUNDS):
            scale = float(scales[int(np.argmin(_errors(ordered, between, scales, distribution)))])
            scales, step = scale * np.geomspace(1 / step, step, 9), step**0.25
        error, better = _refit(ordered, between, scale, distribution)
        if error < best.error:
            best = Fit(error, sign * better)
    return best


def _errors(points: Floats, middles: Floats, scales: Floats, distribution: Distribution) -> Floats:
    """Return the expected error at each of the scales as they are, shape ``(scales,)``."""
    cells = _cell_moments(middles, scales, distribution)
    codes = points * scales[:, None]
    return np.asarray((cells[2] - 2 * codes * cells[1] + codes**2 * cells[0]).sum(axis=1))


def _refit(points: Floats, middles: Floats, scale: float, distribution: Distribution) -> tuple[float, float]:
    """Error and scale that are best for the cells of `scale`."""
    count, mean, square = _cell_moments(middles, np.array([scale]), distribution)[:, 0]
    along, norm = float(points @ mean), float(points**2 @ count)
    if norm <= 0:
        return float(square.sum()), 0.0
    return max(float(square.sum()) - along**2 / norm, 0.0), along / norm


def _cell_moments(middles: Floats, scales: Floats, distribution: Distribution) -> Floats:
    """Moments of each cell at each scale, shape ``(3, scales, cells)``."""
    edges = distribution.partial_moments(middles * scales[:, None])
    low = np.zeros((3, len(scales), 1))
    high = np.broadcast_to(distribution.totals[:, None, None], low.shape)
    return np.diff(np.concatenate([low, edges, high], axis=2), axis=2)

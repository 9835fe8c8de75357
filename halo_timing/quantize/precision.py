"""Sums in full precision, and storing scales in 16 bits wherever that costs nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rounding the scales may add this share of the error, or this share of the weights' energy (-60 dB).
_TOLERATED_ERROR, _TOLERATED_ENERGY = 1e-2, 1e-6
# What rounding to a normal number of float16 changes at most.
_HALF_STEP = 2.0**-11


def sum_of_squares(values: NDArray[np.floating]) -> float:
    """Sum of the squares of a matrix in float64, without a float64 copy of it."""
    return float(np.einsum("ij,ij->", values, values, dtype=np.float64))


def store_scales(
    scales: NDArray[np.float32], energy: NDArray[np.floating], error: float
) -> NDArray[np.floating]:
    """Scales as float16, or unchanged where float16 would visibly add to the error.

    A relative error ε of a scale changes its weights by the factor 1 + ε and adds ε² times their energy.

    Parameters
    ----------
    scales
        Any shape, float32.
    energy
        Sum of the squared weights under each scale, in the measure of `error`; shape of `scales`.
    error
        Squared error of the whole tensor with exact scales.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        stored = scales.astype(np.float16)
        relative = np.divide(stored, scales, out=np.ones(scales.shape), where=scales != 0) - 1
        added = float(np.sum(relative**2 * energy))
    tolerated = _TOLERATED_ERROR * error + _TOLERATED_ENERGY * float(np.sum(energy, dtype=np.float64))
    return stored if added <= tolerated else scales


def as_stored(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales with the values of float16, or as they are where one of them is out of its range."""
    with np.errstate(over="ignore"):
        rounded = scales.astype(np.float16).astype(np.float32)
    fits = np.abs(rounded - scales) <= _HALF_STEP * np.abs(scales)
    return rounded if fits.all() else scales.astype(np.float32)


def compact_scales(scales: NDArray[np.float32]) -> NDArray[np.floating]:
    """Scales in float16 where that changes none of them."""
    with np.errstate(over="ignore"):
        stored = scales.astype(np.float16)
    return stored if np.array_equal(stored.astype(np.float32), scales) else scales

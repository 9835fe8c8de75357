"""The few weights that are kept apart at full width, so that they do not stretch the scales of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.quantize.codebook import Codebook
from halo_timing.quantize.precision import store_scales
from halo_timing.quantize.scales import reciprocal


@dataclass(frozen=True)
class SparsePart:
    """Sparse weights of one layer.

    Parameters
    ----------
    indices
        Flat positions, sorted, uint32, or uint64 for layers of more than 2^32 weights.
    values
        Codes, int8.
    scales
        Weight per code of each output, shape ``(out,)``; 0 for outputs without sparse weights.
    """

    indices: NDArray[np.unsignedinteger]
    values: NDArray[np.int8]
    scales: NDArray[np.floating]


def find_outliers(weight: NDArray[np.float32], sigma: float | None) -> NDArray[np.int64]:
    """Flat positions of weights further than `sigma` standard deviations from the mean; None: nowhere."""
    if sigma is None:
        return np.zeros(0, np.int64)
    mean = float(weight.mean(dtype=np.float64))
    # Row by row, because numpy would spread the whole matrix out in float64.
    squares = sum(float(np.square(row.astype(np.float64) - mean).sum()) for row in weight)
    deviation = math.sqrt(squares / weight.size)
    low, high = np.float32(mean - sigma * deviation), np.float32(mean + sigma * deviation)
    return np.flatnonzero((weight < low) | (weight > high))


def quantize_sparse(weight: NDArray[np.float32], positions: NDArray[np.int64], book: Codebook) -> SparsePart:
    """Round the weights at some positions, with one absmax scale for each output.

    Parameters
    ----------
    weight
        Shape ``(out, in)``.
    positions
        Flat and sorted.
    book
        Values allowed, of the slowest level: the sparse part runs apart, at its clock.
    """
    rows = positions // weight.shape[1]
    outliers = weight.ravel()[positions]
    largest = np.zeros(weight.shape[0], np.float32)
    np.maximum.at(largest, rows, np.abs(outliers))
    exact = largest / np.float32(book.reach * book.unit)
    error = np.square(_round(outliers, rows, exact, book) * exact[rows] - outliers).sum(dtype=np.float64)
    energy = np.zeros(weight.shape[0])
    np.add.at(energy, rows, np.square(outliers, dtype=np.float64))
    scales = store_scales(exact, energy, float(error))
    dtype = np.uint32 if weight.size <= 1 << 32 else np.uint64
    return SparsePart(
        positions.astype(dtype), _round(outliers, rows, scales.astype(np.float32), book), scales
    )


def _round(
    outliers: NDArray[np.float32], rows: NDArray[np.int64], scales: NDArray[np.float32], book: Codebook
) -> NDArray[np.int8]:
    return book.round_codes(outliers * reciprocal(scales * book.unit)[rows])

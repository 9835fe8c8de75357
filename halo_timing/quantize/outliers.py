"""The few weights that are kept apart at full width, so that they do not stretch the scales of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.quantize.codebook import Codebook
from halo_timing.quantize.estimator import Weighing
from halo_timing.quantize.precision import store_scales
from halo_timing.quantize.row_chunks import for_row_chunks
from halo_timing.quantize.scales import fit_scales, group_weights, reciprocal


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


def find_published(
    weight: NDArray[np.float32],
    sigma: float,
    salience: NDArray[np.floating],
    salient_share: float,
    limit: float = 0.005,
) -> NDArray[np.int64]:
    """Flat positions of what HALO (Juneja et al., AAAI 2026) keeps apart.

    Parameters
    ----------
    weight
        Shape ``(out, in)``.
    sigma
        Outliers are further than so many standard deviations from the mean.
    salience
        Shape of `weight`; a Fisher diagonal.
    salient_share
        Share of the weights, those of the highest salience, that is kept apart as well.
    limit
        Share of the weights kept apart in all; of the outliers the largest.
    """
    salient = largest_positions(salience, salient_share)
    outliers = find_outliers(weight, sigma)
    distance = np.zeros(weight.size, np.float32)
    distance[outliers] = np.abs(weight.ravel()[outliers] - np.float32(weight.mean(dtype=np.float64)))
    distance[salient] = 0
    room = max(0, int(limit * weight.size) - len(salient))
    kept = largest_positions(distance, min(room, int(np.count_nonzero(distance))) / weight.size)
    return np.union1d(salient, kept)


def rounding_errors(
    weight: NDArray[np.float32],
    book: Codebook,
    width: int,
    weighing: Weighing,
    apart: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Squared error of each weight, times its importance, when rounded plainly under the best scales.

    Parameters
    ----------
    weight
        Shape ``(out, in)``.
    book
        Values allowed.
    width
        Inputs that share a scale.
    weighing
        Importance of errors.
    apart
        Flat positions of weights that the scales need not fit; what they would lose is told all the same.

    Returns
    -------
    ndarray of float32, shape (out, in)
        In units of :attr:`Weighing.unit`.
    """
    groups = group_weights(weight, width)
    inputs = None if weighing.inputs is None else group_weights(weighing.inputs, width)
    fitted = groups
    if apart is not None and len(apart):
        dense = weight.copy()
        dense.ravel()[apart] = 0
        fitted = group_weights(dense, width)
    scales = fit_scales(fitted, book, inputs)
    result = np.empty(weight.shape, np.float32)

    def measure(rows: slice) -> None:
        steps = scales[rows] * book.unit
        difference = book.round_units(groups[rows] * reciprocal(steps)[..., None])
        difference *= steps[..., None]
        difference -= groups[rows]
        difference *= difference
        if inputs is not None:
            difference *= inputs if inputs.ndim == 2 else inputs[rows]
        if weighing.outputs is not None:
            difference *= weighing.outputs[rows, None, None]
        result[rows] = difference.reshape(len(difference), -1)[:, : weight.shape[1]]

    for_row_chunks(len(weight), weight.shape[1], measure)
    return result


def errors_without_largest(
    weight: NDArray[np.float32], book: Codebook, width: int, weighing: Weighing, share: float
) -> NDArray[np.float32]:
    """:func:`rounding_errors` under scales that need not fit the largest weights.

    Which weights to keep apart and which scales to use for the others depend on each other: under scales that
    are stretched to fit the outliers, it is not the outliers that make the errors. So the scales are fitted
    without the largest weights, and the errors then say which weights are best kept apart.

    Parameters
    ----------
    weight, book, width, weighing
        As for :func:`rounding_errors`.
    share
        Share of the weights, by magnitude, that the scales need not fit.
    """
    return rounding_errors(weight, book, width, weighing, largest_positions(np.abs(weight), share))


def largest_positions(values: NDArray[np.floating], share: float) -> NDArray[np.int64]:
    """Flat, sorted positions of the largest values; as many as the share of them comes to, rounded down."""
    flat = values.ravel()
    count = int(share * flat.size + 1e-9)
    if count == 0:
        return np.zeros(0, np.int64)
    return np.sort(np.argpartition(flat, flat.size - count)[flat.size - count :])


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

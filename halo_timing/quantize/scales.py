"""The scale of each group of weights: code times scale stands for the weight.

For given codes q and importances h, the best scale is ``s = Σhwq / Σhq²``, and it leaves the error
``Σhw² - (Σhwq)² / Σhq²``. A search over trial scales therefore needs the gain ``(Σhwq)² / Σhq²`` alone, and
taking the best scale for the codes and rounding anew (Lloyd's alternation) can only raise it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halo_timing.quantize.codebook import Codebook
from halo_timing.quantize.row_chunks import for_row_chunks

#: The search tries scales that put the largest weight of a group on these multiples of the codebook's reach:
#: from no clipping to groups whose largest weight is several times what is worth representing.
COARSE = np.array([1, 1.2, 1.5, 1.9, 2.5, 3.8], np.float32)
#: Then these multiples of the best of them.
FINE = np.array([0.9, 0.95, 1.05, 1.11], np.float32)
#: Then so many rounds of Lloyd's alternation. All together, errors come within 1 % of the exact optimum on
#: Gaussian and heavy-tailed groups of 128 (about 10 % for 256 values, where the error is tiny anyway).
REFITS = 1
# Below this a float32 reciprocal overflows; such groups are rounded to 0.
_SMALLEST = np.float32(1e-37)


def group_weights(weight: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Split the inputs of a layer into groups.

    Parameters
    ----------
    weight
        Shape ``(out, in)``, or ``(in,)``.
    width
        Inputs per group; the last group is padded with zeros, which cost nothing in any codebook.

    Returns
    -------
    ndarray
        Shape ``(out, groups, width)``, or ``(groups, width)``; a view where nothing had to be padded.
    """
    short = -weight.shape[-1] % width
    if short:
        weight = np.pad(weight, [(0, 0)] * (weight.ndim - 1) + [(0, short)])
    return weight.reshape(*weight.shape[:-1], -1, width)


def fit_scales(
    groups: NDArray[np.float32],
    book: Codebook,
    importance: NDArray[np.float32] | None = None,
    search: bool = True,
) -> NDArray[np.float32]:
    """Scale of each group.

    Parameters
    ----------
    groups
        Weights, shape ``(out, groups, width)``.
    book
        Values that the codes may take.
    importance
        Importance of each weight's squared error, shape ``(groups, width)`` when shared by all outputs, else
        that of `groups`; None where all count alike.
    search
        Look for the scale of least error, of either sign where the codebook is not symmetric. Otherwise take
        the largest magnitude over the codebook's reach ("absmax").

    Returns
    -------
    ndarray of float32, shape (out, groups)
        In weight per code; 0 for groups that hold nothing but zeros.
    """
    scales = np.empty(groups.shape[:2], np.float32)

    def fit(rows: slice) -> None:
        block = groups[rows]
        largest = np.abs(block).max(axis=-1)
        importances = importance if importance is None or importance.ndim == 2 else importance[rows]
        if search and importances is not None:
            # A weight that does not count must not stretch the range of trial scales.
            counting = np.abs(block * (importances > 0)).max(axis=-1)
            largest = np.where(counting > 0, counting, largest)
        empty = largest < _SMALLEST
        largest[empty] = 1
        if search:
            unit_scale = _search(block / largest[..., None], book, importances)
        else:
            unit_scale = np.full(largest.shape, 1 / book.reach, np.float32)
        scales[rows] = np.where(empty, 0, unit_scale * largest / book.unit)

    for_row_chunks(len(groups), groups[0].size, fit)
    return scales


def round_groups(
    groups: NDArray[np.float32], scales: NDArray[np.float32], book: Codebook
) -> NDArray[np.int8]:
    """Nearest codes of each group under its scale; shape of `groups`, scales of shape ``(out, groups)``."""
    codes = np.empty(groups.shape, np.int8)

    def assign(rows: slice) -> None:
        codes[rows] = book.round_codes(groups[rows] * reciprocal(scales[rows] * book.unit)[..., None])

    for_row_chunks(len(groups), groups[0].size, assign)
    return codes


def group_errors(
    groups: NDArray[np.float32],
    scales: NDArray[np.float32],
    book: Codebook,
    importance: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """Sum of squared errors, times their importance, of each group when rounded; shape ``(out, groups)``."""
    errors = np.empty(groups.shape[:2], np.float64)

    def measure(rows: slice) -> None:
        unit_scales = scales[rows] * book.unit
        difference = book.round_units(groups[rows] * reciprocal(unit_scales)[..., None])
        difference *= unit_scales[..., None]
        difference -= groups[rows]
        difference *= difference
        if importance is not None:
            difference *= importance if importance.ndim == 2 else importance[rows]
        errors[rows] = difference.sum(axis=-1)

    for_row_chunks(len(groups), groups[0].size, measure)
    return errors


def reciprocal(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / scale, and 0 where the scale is 0 or too small for its reciprocal to be finite."""
    return np.divide(1, scales, out=np.zeros_like(scales), where=np.abs(scales) >= _SMALLEST)


def _search(
    unit_weights: NDArray[np.float32], book: Codebook, importance: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Best scale in weight per unit, for groups whose largest magnitude is 1."""
    weighted = unit_weights if importance is None else unit_weights * importance
    codes = np.empty_like(unit_weights)
    best_gain = np.full(unit_weights.shape[:2], -1, np.float32)
    best = np.full(unit_weights.shape[:2], 1 / book.reach, np.float32)
    best_inverse = np.full((*unit_weights.shape[:2], 1), book.reach, np.float32)

    def consider(inverse: NDArray[np.float32]) -> None:
        book.round_units(np.multiply(unit_weights, inverse, out=codes), out=codes)
        along = np.einsum("rgk,rgk->rg", weighted, codes)
        if importance is None:
            square = np.einsum("rgk,rgk->rg", codes, codes)
        else:
            np.multiply(codes, codes, out=codes)
            square = np.einsum("rgk,gk->rg" if importance.ndim == 2 else "rgk,rgk->rg", codes, importance)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = along / square
        gain = along * scale
        better = gain > best_gain  # False for NaN, where all codes or importances are 0
        np.copyto(best_gain, gain, where=better)
        np.copyto(best, scale, where=better)
        np.copyto(best_inverse, inverse, where=better[..., None])

    for sign in (1,) if book.symmetric else (1, -1):
        for multiple in COARSE:
            consider(np.asarray(multiple * np.float32(sign * book.reach)))
    centre = best_inverse.copy()
    for multiple in FINE:
        consider(centre * multiple)
    for _ in range(REFITS):
        consider(reciprocal(best)[..., None])
    return best

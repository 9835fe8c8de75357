"""Rounding that makes up for its own errors: error feedback, descent and scales under a layer's Hessian.

The output error of a layer is ``tr(E H Eᵀ)`` with the weight error ``E = W - Ŵ`` and the Hessian
``H = E[x xᵀ]`` of its inputs. Factored as ``H = (I + U) D (I + U)ᵀ`` with U strictly upper triangular and D
diagonal, it becomes ``Σ_j D_j (E_j + Σ_{i<j} E_i U_ij)²``: each input's weight can be rounded so as to make
up for the errors of those before it. That is GPTQ (Frantar et al., ICLR 2023) in the form in which QuIP
(Chee et al., NeurIPS 2023) shows it to be the best rounding with linear feedback; it needs one Cholesky
factor and no inverse. Coordinate descent then changes codes, one at a time, as long as the error falls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic._jit import compiled
from halo_timing.errors import UsageError
from halo_timing.quantize.codebook import Codebook
from halo_timing.quantize.precision import as_stored
from halo_timing.quantize.row_chunks import for_row_chunks

#: Share of the mean of a Hessian's diagonal that is added to it: text of another kind has other inputs.
DAMPING = 0.01
#: Called with a group's index and its weights as they are to be rounded, shape ``(out, width)``, for scales.
FitGroup = Callable[[int, NDArray[np.float32]], NDArray[np.float32]]
# Inputs that are rounded one by one before their errors are handed on to all others at once.
_BLOCK = 128


@dataclass(frozen=True)
class Factors:
    """A Hessian and its triangular factors.

    Parameters
    ----------
    hessian
        Damped, float32, shape ``(in, in)``.
    feedback
        U, float32, strictly upper triangular.
    conditional
        D, float32, shape ``(in,)``: what is left of each input's mean square once the inputs after it make
        up for it as well as they can.
    """

    hessian: NDArray[np.float32]
    feedback: NDArray[np.float32]
    conditional: NDArray[np.float32]


def factor_hessian(hessian: NDArray[np.floating], damping: float = DAMPING) -> Factors:
    """Damp and factor a Hessian.

    Raises
    ------
    UsageError
        If it is not a finite, symmetric and (when damped) positive definite matrix.
    """
    damped = np.array(hessian, np.float32)
    if damped.ndim != 2 or damped.shape[0] != damped.shape[1] or not np.isfinite(damped).all():
        raise UsageError(f"Hessian of shape {damped.shape}: must be a square matrix of finite numbers")
    diagonal = damped.diagonal().copy()
    # An input that is always 0 does not count, but must not make the matrix singular.
    floor = damping * float(diagonal.mean(dtype=np.float64)) or 1.0
    damped[np.diag_indices_from(damped)] += np.float32(floor)
    try:
        lower = np.linalg.cholesky(damped[::-1, ::-1])
    except np.linalg.LinAlgError as error:
        raise UsageError(
            "Hessian: not positive definite; accumulate it in float32 over more text, or damp it more"
        ) from error
    upper = np.ascontiguousarray(lower[::-1, ::-1])
    roots = upper.diagonal().copy()
    upper /= roots
    np.fill_diagonal(upper, 0)
    return Factors(damped, upper, roots * roots)


class CodeSpace:
    """What the codes of a matrix may be: codebooks by level, and the weights that are kept apart.

    Parameters
    ----------
    books
        Codebooks by level; the last also serves the weights that are kept apart.
    levels
        Level of each output and group of inputs, uint8, shape ``(out, groups)``.
    width
        Inputs in a group.
    apart
        Weights with a scale of their own, bool, shape ``(out, in)``; None for none.
    """

    def __init__(
        self,
        books: Sequence[Codebook],
        levels: NDArray[np.uint8],
        width: int,
        apart: NDArray[np.bool_] | None,
    ) -> None:
        self.levels, self.width = levels, width
        self.apart = np.zeros((len(levels), 0), np.bool_) if apart is None else apart
        self.limits = np.array([[book.low, book.high, book.unit] for book in books], np.float32)
        tables = [book.half_step_table for book in books]
        self.offsets = np.array(
            [-1 if table is None else sum(map(_length, tables[:index])) for index, table in enumerate(tables)]
        )
        given = [table for table in tables if table is not None]
        self.tables = np.concatenate(given or [np.zeros(1, np.float32)]).astype(np.float32)


def _length(table: NDArray[np.float32] | None) -> int:
    return 0 if table is None else len(table)


def round_with_feedback(
    weight: NDArray[np.float32],
    factors: Factors,
    space: CodeSpace,
    scales: NDArray[np.float32],
    apart_scales: NDArray[np.float32],
    fit_group: FitGroup | None = None,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round all weights, each making up for the errors of those before it in its row.

    Parameters
    ----------
    weight
        Shape ``(out, in)``.
    factors
        Of the layer's Hessian.
    space
        What codes are allowed.
    scales
        Weight per code, shape ``(out, groups)``; written to where `fit_group` is given.
    apart_scales
        Weight per code of the weights kept apart, shape ``(out,)``.
    fit_group
        Called with a group's index and its weights as they are to be rounded, shape ``(out, width)``, for
        their scales; None where the scales are given.

    Returns
    -------
    codes : ndarray of int8, shape (out, in)
    errors : ndarray of float32, shape (out, in)
        Weight minus what its code stands for.
    """
    rows, columns = weight.shape
    codes = np.empty((rows, columns), np.int8)
    errors = np.empty((rows, columns), np.float32)
    for start in range(0, columns, space.width):
        group = start // space.width
        stop = min(start + space.width, columns)
        for first in range(start, stop, _BLOCK):
            last = min(first + _BLOCK, stop)
            block = slice(first, last)
            targets = weight[:, block] + errors[:, :first] @ factors.feedback[:first, block]
            if fit_group is not None and first == start:
                scales[:, group] = as_stored(fit_group(group, targets))
            within = np.ascontiguousarray(factors.feedback[block, block])

            work = partial(
                _assign_block,
                weight[:, block],
                targets,
                within,
                space,
                scales[:, group],
                group,
                apart_scales,
                codes[:, block],
                errors[:, block],
                block,
            )
            for_row_chunks(rows, last - first, work)
    return codes, errors


def _assign_block(
    weight: NDArray[np.float32],
    targets: NDArray[np.float32],
    within: NDArray[np.float32],
    space: CodeSpace,
    scales: NDArray[np.float32],
    group: int,
    apart_scales: NDArray[np.float32],
    codes: NDArray[np.int8],
    errors: NDArray[np.float32],
    block: slice,
    rows: slice,
) -> None:
    """Round some outputs of a block of inputs; all of one group, and so of one scale and level an output."""
    _round_block(
        targets[rows],
        weight[rows],
        within,
        scales[rows],
        space.levels[rows, group],
        space.apart[rows, block],
        apart_scales[rows],
        space.limits,
        space.offsets,
        space.tables,
        codes[rows],
        errors[rows],
    )


@compiled
def _nearest(
    value: np.float32,
    level: int,
    limits: NDArray[np.float32],
    offsets: NDArray[np.int64],
    tables: NDArray[np.float32],
) -> np.float32:
    """Codebook value, in units, nearest to `value`, in units."""
    low, high = limits[level, 0], limits[level, 1]
    value = min(max(value, low), high)
    nearest: np.float32 = np.rint(value)
    if offsets[level] >= 0:
        nearest = tables[offsets[level] + int(np.floor(value * np.float32(2))) - int(2 * low)]
    return nearest


@compiled
def _round_block(
    targets: NDArray[np.float32],
    weight: NDArray[np.float32],
    feedback: NDArray[np.float32],
    scales: NDArray[np.float32],
    levels: NDArray[np.uint8],
    apart: NDArray[np.bool_],
    apart_scales: NDArray[np.float32],
    limits: NDArray[np.float32],
    offsets: NDArray[np.int64],
    tables: NDArray[np.float32],
    codes: NDArray[np.int8],
    errors: NDArray[np.float32],
) -> None:
    rows, columns = targets.shape
    last_level = len(limits) - 1
    for row in range(rows):
        own_step = scales[row] * limits[levels[row], 2]
        own_inverse = np.float32(1) / own_step if own_step != 0 else np.float32(0)
        apart_step = apart_scales[row] * limits[last_level, 2]
        apart_inverse = np.float32(1) / apart_step if apart_step != 0 else np.float32(0)
        for column in range(columns):
            if apart.shape[1] > 0 and apart[row, column]:
                units = _nearest(targets[row, column] * apart_inverse, last_level, limits, offsets, tables)
                value = units * apart_step
                codes[row, column] = np.int8(units * limits[last_level, 2])
            else:
                units = _nearest(targets[row, column] * own_inverse, levels[row], limits, offsets, tables)
                value = units * own_step
                codes[row, column] = np.int8(units * limits[levels[row], 2])
            error = weight[row, column] - value
            errors[row, column] = error
            for later in range(column + 1, columns):
                targets[row, later] += error * feedback[column, later]


def descend(
    codes: NDArray[np.int8],
    errors: NDArray[np.float32],
    gradient: NDArray[np.float32],
    hessian: NDArray[np.float32],
    space: CodeSpace,
    scales: NDArray[np.float32],
    apart_scales: NDArray[np.float32],
) -> int:
    """Visit every code once and set it to its best value, all others held; return how many changed.

    Parameters
    ----------
    codes, errors
        As :func:`round_with_feedback` returns them; changed in place.
    gradient
        ``errors @ hessian``; kept up to date in place.
    hessian
        Shape ``(in, in)``.
    space, scales, apart_scales
        As for :func:`round_with_feedback`.
    """
    diagonal = hessian.diagonal().copy()
    changed = []

    def visit(chunk: slice) -> None:
        changed.append(
            _descend(
                codes[chunk],
                errors[chunk],
                gradient[chunk],
                hessian,
                diagonal,
                scales[chunk],
                space.levels[chunk],
                space.width,
                space.apart[chunk],
                apart_scales[chunk],
                space.limits,
                space.offsets,
                space.tables,
            )
        )

    for_row_chunks(len(codes), codes.shape[1], visit)
    return sum(changed)


@compiled
def _descend(
    codes: NDArray[np.int8],
    errors: NDArray[np.float32],
    gradient: NDArray[np.float32],
    hessian: NDArray[np.float32],
    diagonal: NDArray[np.float32],
    scales: NDArray[np.float32],
    levels: NDArray[np.uint8],
    width: int,
    apart: NDArray[np.bool_],
    apart_scales: NDArray[np.float32],
    limits: NDArray[np.float32],
    offsets: NDArray[np.int64],
    tables: NDArray[np.float32],
) -> int:
    rows, columns = codes.shape
    last_level = len(limits) - 1
    changed = 0
    for row in range(rows):
        for column in range(columns):
            if apart.shape[1] > 0 and apart[row, column]:
                level, scale = last_level, apart_scales[row]
            else:
                level, scale = np.int64(levels[row, column // width]), scales[row, column // width]
            unit = limits[level, 2]
            step = scale * unit
            if step == 0:
                continue
            old = codes[row, column] / unit
            wanted = old + gradient[row, column] / (diagonal[column] * step)
            units = _nearest(np.float32(wanted), level, limits, offsets, tables)
            if units != old:
                delta = np.float32((units - old) * step)
                codes[row, column] = np.int8(units * unit)
                errors[row, column] -= delta
                changed += 1
                for other in range(columns):
                    gradient[row, other] -= delta * hessian[column, other]
    return changed


def refit_scales(
    codes: NDArray[np.int8],
    errors: NDArray[np.float32],
    gradient: NDArray[np.float32],
    hessian: NDArray[np.float32],
    space: CodeSpace,
    scales: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Best scales for the codes: all groups of a row at once, by its normal equations.

    The error of a row is quadratic in its scales, ``(e - Σ δ_g q_g)ᵀ H (e - Σ δ_g q_g)``, so the changes δ
    solve a system of as many equations as there are groups.

    Parameters
    ----------
    codes, errors, gradient, hessian, space
        As for :func:`descend`; nothing is changed.
    scales
        Shape ``(out, groups)``.

    Returns
    -------
    ndarray of float32
        Shape of `scales`.
    """
    rows, columns = codes.shape
    groups = scales.shape[1]
    dense = codes.astype(np.float32)
    if space.apart.shape[1]:
        dense[space.apart] = 0
    matrix = np.zeros((rows, groups, groups), np.float64)
    right = np.empty((rows, groups), np.float64)
    blocks = [slice(start, min(start + space.width, columns)) for start in range(0, columns, space.width)]
    for index, block in enumerate(blocks):
        right[:, index] = np.einsum("rk,rk->r", dense[:, block], gradient[:, block])
        seen = dense[:, block] @ hessian[block, block.start :]
        for other in range(index, groups):
            own = slice(blocks[other].start - block.start, blocks[other].stop - block.start)
            matrix[:, index, other] = np.einsum("rk,rk->r", seen[:, own], dense[:, blocks[other]])
            matrix[:, other, index] = matrix[:, index, other]
    diagonal = np.einsum("rgg->rg", matrix)
    # Groups whose codes are all 0 keep their scale; a trace of damping keeps the system solvable.
    diagonal += 1e-6 * diagonal + (diagonal == 0)
    result: NDArray[np.float32] = (scales + np.linalg.solve(matrix, right[..., None])[..., 0]).astype(
        np.float32
    )
    return result

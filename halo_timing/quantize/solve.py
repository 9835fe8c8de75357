"""Codes and scales of one matrix under its Hessian: feedback, then scales and descent in turns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.quantize.feedback import (
    CodeSpace,
    Factors,
    FitGroup,
    descend,
    refit_scales,
    round_with_feedback,
)
from halo_timing.quantize.precision import as_stored


@dataclass(frozen=True)
class Solution:
    """What :func:`solve` found.

    Parameters
    ----------
    codes
        int8, shape ``(out, in)``, those of the weights kept apart among them.
    scales
        Weight per code, float32 with the values of float16 where that can hold them, shape ``(out, groups)``.
    errors
        Weight minus what its code stands for, float32, shape ``(out, in)``.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    errors: NDArray[np.float32]


def solve(
    weight: NDArray[np.float32],
    factors: Factors,
    space: CodeSpace,
    scales: NDArray[np.float32],
    apart_scales: NDArray[np.float32],
    sweeps: int,
    fit_group: FitGroup | None = None,
) -> Solution:
    """Minimise the output error of a layer over codes and scales.

    Parameters
    ----------
    weight
        Shape ``(out, in)``.
    factors
        Of the layer's Hessian.
    space
        What codes are allowed.
    scales
        Scales to begin with, shape ``(out, groups)``.
    apart_scales
        Scales of the weights kept apart, shape ``(out,)``.
    sweeps
        Rounds of new scales and descent over all codes after the rounding with feedback.
    fit_group
        Gives each group's scales once the errors before it are made up for; None to keep `scales`.
    """
    scales = as_stored(scales)
    codes, errors = round_with_feedback(weight, factors, space, scales, apart_scales, fit_group)
    if sweeps:
        gradient = errors @ factors.hessian
    for _ in range(sweeps):
        better = as_stored(refit_scales(codes, errors, gradient, factors.hessian, space, scales))
        # A group whose codes are all 0 has no best scale; one that float16 would lose is kept as well.
        better = np.where(np.isfinite(better) & (better != 0), better, scales)
        change = codes * np.repeat(better - scales, space.width, axis=1)[:, : weight.shape[1]]
        if space.apart.shape[1]:
            change[space.apart] = 0
        errors -= change
        gradient -= change @ factors.hessian
        scales = better
        descend(codes, errors, gradient, factors.hessian, space, scales, apart_scales)
    return Solution(codes, scales, errors)

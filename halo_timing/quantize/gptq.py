"""GPTQ on a uniform integer grid: the method that others are held against where there is calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import UsageError
from halo_timing.quantize.codebook import Codebook
from halo_timing.quantize.estimator import Quantizer, Statistics, Weighing, check_weight
from halo_timing.quantize.feedback import DAMPING, CodeSpace, factor_hessian
from halo_timing.quantize.precision import compact_scales
from halo_timing.quantize.scales import fit_scales
from halo_timing.quantize.solve import solve
from halo_timing.quantize.tensor import QuantizedTensor


class GptqQuantizer(Quantizer):
    """Rounding with error feedback (Frantar et al., ICLR 2023) to a two's-complement grid.

    Each group's scale is chosen when its turn comes, for the weights as the errors before have left them.

    Parameters
    ----------
    bits
        Width of the grid, 2 … 8.
    group
        Inputs that share a scale; None for one scale per output.
    scale_search
        Search the scale of least squared error, inputs weighted by their mean square (its sign is free), or
        take absmax.
    sweeps
        Rounds of coordinate descent, each with new scales, after the rounding; 0 for GPTQ as published.
    damping
        Share of the mean of the Hessian's diagonal that is added to it.

    Attributes
    ----------
    scales_ : ndarray, shape (out, groups)
    codes_ : ndarray of int8, shape (out, in)
    """

    def __init__(
        self,
        bits: int = 4,
        group: int | None = 128,
        scale_search: bool = True,
        sweeps: int = 0,
        damping: float = DAMPING,
    ) -> None:
        self.bits = bits
        self.group = group
        self.scale_search = scale_search
        self.sweeps = sweeps
        self.damping = damping

    def fit(self, weight: NDArray[np.floating], statistics: Statistics = None) -> GptqQuantizer:
        """See :meth:`Quantizer.fit`; the statistics must hold the layer's Hessian."""
        if not 2 <= self.bits <= 8:
            raise UsageError(f"bits {self.bits}: must lie between 2 and 8")
        if self.group is not None and self.group < 1:
            raise UsageError(f"group {self.group}: must be at least 1")
        checked = check_weight(weight)
        rows, columns = checked.shape
        known = Weighing.of(statistics, (rows, columns)).statistics
        if known.hessian is None:
            raise UsageError(
                "gptq needs the layer's Hessian; make a calibration with `halo-timing calibrate`"
            )
        factors = factor_hessian(known.hessian, self.damping)
        half = 1 << (self.bits - 1)
        self._book = book = Codebook(range(-half, half))
        self._width = width = min(self.group or columns, columns)
        space = CodeSpace((book,), np.zeros((rows, -(-columns // width)), np.uint8), width, None)
        importance = factors.hessian.diagonal()

        def fit_group(group: int, targets: NDArray[np.float32]) -> NDArray[np.float32]:
            start = group * width
            # The first block of a wide group stands for itself; the rest of the group is not yet corrected.
            whole = checked[:, start : start + width].copy()
            whole[:, : targets.shape[1]] = targets
            own = importance[start : start + width]
            return fit_scales(whole[:, None], book, (own / own.max())[None], self.scale_search)[:, 0]

        solution = solve(
            checked,
            factors,
            space,
            np.zeros(space.levels.shape, np.float32),
            np.zeros(rows, np.float32),
            self.sweeps,
            fit_group,
        )
        self.codes_ = solution.codes
        self.scales_ = compact_scales(solution.scales)
        return self

    def quantize(self) -> QuantizedTensor:
        """See :meth:`Quantizer.quantize`."""
        self._check_fitted("codes_")
        rows = len(self.codes_)
        return QuantizedTensor(
            codes=self.codes_,
            tile_levels=np.zeros((1, self.scales_.shape[1]), np.uint8),
            scales=self.scales_,
            sparse_indices=np.zeros(0, np.uint32),
            sparse_values=np.zeros(0, np.int8),
            sparse_scales=np.zeros(rows, np.float16),
            tile=(rows, self._width),
            codebooks=(self._book.values,),
        )

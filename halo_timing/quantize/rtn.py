"""Round-to-nearest on a uniform integer grid: what every other method is held against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import UsageError
from halo_timing.quantize.codebook import Codebook
from halo_timing.quantize.estimator import Quantizer, Statistics, Weighing, check_weight
from halo_timing.quantize.precision import store_scales
from halo_timing.quantize.scales import fit_scales, group_errors, group_weights, round_groups
from halo_timing.quantize.tensor import QuantizedTensor


class RtnQuantizer(Quantizer):
    """Plain rounding to a two's-complement grid, one scale for each output and group of inputs.

    Parameters
    ----------
    bits
        Width of the grid, 2 … 8: the integers from ``-2**(bits-1)`` to ``2**(bits-1) - 1``.
    group
        Inputs that share a scale; None for one scale per output.
    scale_search
        Search the scale of least squared error (its sign is free), or take absmax over ``2**(bits-1) - 1``.

    Attributes
    ----------
    scales_ : ndarray, shape (out, groups)
    errors_ : ndarray of float64, shape (out, groups)
        Squared error of each group, times the importance.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.array([[3.0, -3.0, 1.0, 0.4]])
    >>> RtnQuantizer(bits=3, group=4, scale_search=False).fit_quantize(weight).codes
    array([[ 3, -3,  1,  0]], dtype=int8)
    """

    def __init__(self, bits: int = 4, group: int | None = 128, scale_search: bool = True) -> None:
        self.bits = bits
        self.group = group
        self.scale_search = scale_search

    def fit(self, weight: NDArray[np.floating], statistics: Statistics = None) -> RtnQuantizer:
        """See :meth:`Quantizer.fit`."""
        if not 2 <= self.bits <= 8:
            raise UsageError(f"bits {self.bits}: must lie between 2 and 8")
        if self.group is not None and self.group < 1:
            raise UsageError(f"group {self.group}: must be at least 1")
        checked = check_weight(weight)
        weights = Weighing.of(statistics, (checked.shape[0], checked.shape[1])).inputs
        half = 1 << (self.bits - 1)
        self._book = Codebook(range(-half, half))
        self._shape = (checked.shape[0], checked.shape[1])
        self._width = min(self.group or self._shape[1], self._shape[1])
        self._groups = group_weights(checked, self._width)
        grouped = None if weights is None else group_weights(weights, self._width)
        exact = fit_scales(self._groups, self._book, grouped, self.scale_search)
        errors = group_errors(self._groups, exact, self._book, grouped)
        energy = np.einsum("rgk,rgk->rg", self._groups, self._groups, dtype=np.float64)
        self.scales_ = store_scales(exact, energy, float(errors.sum()))
        self.errors_ = group_errors(self._groups, self.scales_.astype(np.float32), self._book, grouped)
        return self

    def quantize(self) -> QuantizedTensor:
        """See :meth:`Quantizer.quantize`."""
        self._check_fitted("scales_")
        codes = round_groups(self._groups, self.scales_.astype(np.float32), self._book)
        rows, columns = self._shape
        return QuantizedTensor(
            codes=np.ascontiguousarray(codes.reshape(rows, -1)[:, :columns]),
            tile_levels=np.zeros((1, self.scales_.shape[1]), np.uint8),
            scales=self.scales_,
            sparse_indices=np.zeros(0, np.uint32),
            sparse_values=np.zeros(0, np.int8),
            sparse_scales=np.zeros(rows, np.float16),
            tile=(rows, self._width),
            codebooks=(self._book.values,),
        )

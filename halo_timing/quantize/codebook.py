"""Rounding to the values that a level allows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CostMapError


class Codebook:
    """A sorted set of int8 values, 0 among them, and rounding to the nearest of them.

    Values are handled in *units*: the greatest common divisor of the codebook. Multiples of 32 thus become
    the integers -4 … 3, and rounding to a codebook without gaps is rounding to an integer.

    Parameters
    ----------
    values
        Allowed values, each in -128 … 127.

    Attributes
    ----------
    values : ndarray of int8, shape (size,)
        Sorted and distinct.
    unit : int
        Greatest common divisor of the values; 1 where 0 is the only one.
    low, high : int
        Smallest and largest value, in units.
    reach : int
        Largest magnitude, in units, that weights of either sign can be rounded to without clipping.

    Raises
    ------
    CostMapError
        If a value lies outside int8, or 0 is missing.

    Examples
    --------
    >>> import numpy as np
    >>> book = Codebook([-128, -96, -64, -32, 0, 32, 64, 96])
    >>> book.unit, book.low, book.high, book.reach
    (32, -4, 3, 3)
    >>> book.round_units(np.float32([-9, -1.4, 0.6])).tolist()
    [-4.0, -1.0, 1.0]
    """

    def __init__(self, values: Iterable[int]) -> None:
        wide = np.unique(np.asarray(list(values), np.int64))
        if len(wide) == 0 or wide[0] < -128 or wide[-1] > 127:
            raise CostMapError(
                "codebook: values must lie in -128 … 127; use a cost map of at most 8 signed bits"
            )
        if 0 not in wide:
            raise CostMapError(f"codebook {wide.tolist()}: must hold 0")
        self.values: NDArray[np.int8] = wide.astype(np.int8)
        self.unit = int(np.gcd.reduce(wide)) or 1
        self.low, self.high = int(wide[0]) // self.unit, int(wide[-1]) // self.unit
        self.reach = min(-self.low, self.high) or max(-self.low, self.high, 1)
        self.half_step_table = None if len(wide) == self.high - self.low + 1 else self._make_half_step_table()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def symmetric(self) -> bool:
        """Whether the negated codebook is the codebook itself."""
        return bool(np.array_equal(self.values, -self.values.astype(np.int16)[::-1]))

    def round_units(
        self, scaled: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Nearest codebook value of each element, both in units; `out` may be `scaled` itself."""
        if self.half_step_table is None:
            rounded: NDArray[np.float32] = np.rint(scaled, out=out)
            return np.clip(rounded, self.low, self.high, out=rounded)
        # Midpoints between integers are multiples of 1/2, so the half step that an element lies in decides.
        steps = np.floor(np.clip(scaled, self.low, self.high) * 2).astype(np.intp)
        return np.take(self.half_step_table, steps - 2 * self.low, out=out, mode="clip")

    def round_codes(self, scaled: NDArray[np.float32]) -> NDArray[np.int8]:
        """Nearest codebook value (not in units) of each element, which is given in units."""
        return (self.round_units(scaled) * self.unit).astype(np.int8)

    def _make_half_step_table(self) -> NDArray[np.float32]:
        units = (self.values / self.unit).astype(np.float32)
        steps = np.arange(2 * self.low, 2 * self.high + 1, dtype=np.float32) / 2
        midpoints = (units[1:] + units[:-1]) / 2
        return units[np.searchsorted(midpoints, steps, side="right")]

"""Look-up tables of Liberty in one orientation and one system of units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

INPUT_SLEW = "input_slew_ps"
LOAD = "load_ff"
RELATED_SLEW = "related_slew_ps"
CONSTRAINED_SLEW = "constrained_slew_ps"


@dataclass(frozen=True, eq=False)
class Table:
    """A table over two axes, whichever way round, and of however many axes, the file writes it.

    Delays, transitions and energies are over (input slew, load); constraints over (slew of the related pin,
    slew of the constrained pin). An axis that the file does not have has one point, and the value does not
    depend on it.

    Attributes
    ----------
    row_axis, column_axis : str
        ``input_slew_ps`` and ``load_ff``, or ``related_slew_ps`` and ``constrained_slew_ps``.
    rows : ndarray of float64, shape (n,)
        Points of the first axis in ps, ascending.
    columns : ndarray of float64, shape (m,)
        Points of the second axis in fF or ps, ascending.
    values : ndarray of float64, shape (n, m)
        ps for times, fJ for energies; not writeable.
    """

    row_axis: str
    column_axis: str
    rows: Floats
    columns: Floats
    values: Floats

    def at(self, row: ArrayLike, column: ArrayLike) -> Floats:
        """Value at points, bilinear between the four nearest entries and straight on outside the table.

        The rule of Liberty, as OpenSTA carries it out (but OpenSTA then sets negative slews to zero).

        Parameters
        ----------
        row, column : array_like of float
            Coordinates on the two axes, in their units; broadcast against each other.

        Returns
        -------
        ndarray of float64
            Of the broadcast shape.
        """
        row_low, row_high, row_part = _place(self.rows, row)
        column_low, column_high, column_part = _place(self.columns, column)
        low = (
            self.values[row_low, column_low] * (1 - column_part)
            + self.values[row_low, column_high] * column_part
        )
        high = (
            self.values[row_high, column_low] * (1 - column_part)
            + self.values[row_high, column_high] * column_part
        )
        result: Floats = low * (1 - row_part) + high * row_part
        return result

    def along_rows(self, column: float) -> Floats:
        """Values at every point of the row axis for one fixed column coordinate; shape (n,)."""
        return self.at(self.rows, column)


def _place(points: Floats, wanted: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Neighbours of each wanted coordinate, and how far it is from the lower to the upper one."""
    wanted = np.asarray(wanted, dtype=np.float64)
    if len(points) == 1:
        zero = np.zeros(wanted.shape, dtype=np.intp)
        return zero, zero, np.zeros(wanted.shape)
    low = np.clip(np.searchsorted(points, wanted, side="right") - 1, 0, len(points) - 2)
    return low, low + 1, (wanted - points[low]) / (points[low + 1] - points[low])

"""Look-up tables at one load: piecewise linear functions of the slew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from halo_timing.pdk.table import Floats, Table


@dataclass(frozen=True, eq=False)
class Line:
    """A function of the slew, linear between its points and straight on outside.

    Attributes
    ----------
    points : ndarray of float64, shape (n,)
        Slews in ps, ascending; one point makes a constant.
    values : ndarray of float64, shape (n,)
        ps or fJ.
    """

    points: Floats
    values: Floats

    def at(self, slew_ps: ArrayLike) -> Floats:
        """Values at slews, of their shape."""
        slew_ps = np.asarray(slew_ps, np.float64)
        if len(self.points) == 1:
            return np.full(slew_ps.shape, self.values[0])
        low = np.clip(np.searchsorted(self.points, slew_ps, side="right") - 1, 0, len(self.points) - 2)
        part = (slew_ps - self.points[low]) / (self.points[low + 1] - self.points[low])
        result: Floats = self.values[low] * (1 - part) + self.values[low + 1] * part
        return result


CONSTANT_ZERO = Line(np.zeros(1), np.zeros(1))


def line_at_load(table: Table, load_ff: float) -> Line:
    """Line of a delay, transition or energy table at one load: its values at its own slews."""
    return Line(table.rows, table.along_rows(load_ff))


def line_at_related_slew(table: Table, related_slew_ps: float) -> Line:
    """Line of a constraint over the constrained pin's slew, at one slew of the related pin."""
    return Line(table.columns, table.at(related_slew_ps, table.columns))


def sum_of_lines(lines: Sequence[Line]) -> Line:
    """Sum of lines, exact: over the points of all of them."""
    if not lines:
        return CONSTANT_ZERO
    points = common_points(lines)
    return Line(points, np.sum([line.at(points) for line in lines], axis=0))


def common_points(lines: Sequence[Line]) -> Floats:
    """Points over which each of `lines` is linear between neighbours, shape ``(n,)``, ascending."""
    bent = [line.points for line in lines if len(line.points) > 1]
    return np.unique(np.concatenate(bent)) if bent else np.zeros(1)

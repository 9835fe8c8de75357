"""The shape of the delays: how they follow the zeros that a weight ends in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.report.axis import Axis, linear_axis
from halo_timing.report.levels import Ink
from halo_timing.report.result import Result
from halo_timing.report.text import fixed, gigahertz

# Dots closer than this, in per cent of the axis, are one dot.
_DOT = 1


@dataclass(frozen=True)
class ShapeRow:
    """Weights that end in the same number of zeros.

    Parameters
    ----------
    dots
        A dot a value, on an axis that is 100 wide and 2 high.
    slowest_at
        Where the slowest of them lies.
    positions
        Of the values in the tables.
    """

    name: str
    count: int
    fastest_ps: str
    slowest_ps: str
    freq_ghz: str
    ratio: str
    dots: tuple[Ink, ...]
    slowest_at: float
    positions: tuple[int, ...]


@dataclass(frozen=True)
class ShapeChart:
    """Rows from the most zeros to none; `reference_at` is the best conventional MAC's worst period."""

    axis: Axis
    rows: tuple[ShapeRow, ...]
    reference_at: float | None
    reference_ps: str


def shape_chart(result: Result) -> ShapeChart:
    """Lay out the rows.

    Notes
    -----
    The classes are those of HALO (Juneja et al., AAAI 2026): 8 multiples of 32 at 8 bits, 0 among them, then
    odd multiples of 16, 8, 4, 2 and 1.
    """
    period_ps = result.mac.tables.period_ps
    best_ps = float(result.best.tables.period_ps.max()) if result.best else None
    shown = [float(period) for period in period_ps if period > 0] + ([best_ps] if best_ps else [])
    axis = linear_axis(min(shown), max(shown), 6)
    groups = zero_classes(
        result.mac.tables.values.astype(int), int(result.mac.tables.metadata["weight_width"])
    )
    return ShapeChart(
        axis=axis,
        rows=tuple(_row(result, name, chosen, axis) for name, chosen in groups if chosen.any()),
        reference_at=axis.at(best_ps) if best_ps else None,
        reference_ps=fixed(best_ps, 1),
    )


def zero_classes(values: NDArray[np.int_], width: int) -> list[tuple[str, NDArray[np.bool_]]]:
    """Name and members of each class, most zeros first."""
    most = max(width - 3, 1)
    groups = [(f"multiples of {1 << most}", values % (1 << most) == 0)]
    for zeros in reversed(range(most)):
        name = f"odd multiples of {1 << zeros}" if zeros else "odd values"
        groups.append((name, (values % (1 << zeros) == 0) & (values % (2 << zeros) != 0)))
    return groups


def _row(result: Result, name: str, chosen: NDArray[np.bool_], axis: Axis) -> ShapeRow:
    period_ps, levels = result.mac.tables.period_ps, result.cost_map.level_of_value
    slowest_ps = float(period_ps[chosen].max())
    dots = []
    for level in np.unique(levels[chosen]).tolist():
        places = {round(axis.at(float(period)), _DOT) for period in period_ps[chosen & (levels == level)]}
        dots.append(Ink(level, "".join(f"M{place:g} 1h0" for place in sorted(places))))
    return ShapeRow(
        name=name,
        count=int(chosen.sum()),
        fastest_ps=fixed(float(period_ps[chosen].min()), 1),
        slowest_ps=fixed(slowest_ps, 1),
        freq_ghz=gigahertz(slowest_ps),
        ratio=fixed(float(period_ps.max()) / slowest_ps if slowest_ps else None, 2),
        dots=tuple(dots),
        slowest_at=axis.at(slowest_ps),
        positions=tuple(np.flatnonzero(chosen).tolist()),
    )

"""Choosing levels: where to cut the order of values by delay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.model import CostMap, Level
from halo_timing.errors import UsageError
from halo_timing.tables import Tables

DEFAULT_LEVELS = 3
# A codebook of fewer than eight values is less than a three-bit grid: no quantizer keeps a model with it.
DEFAULT_MIN_SIZE = 8


def gap_cuts(period_ps: NDArray[np.floating], levels: int, min_size: int = DEFAULT_MIN_SIZE) -> list[float]:
    """Limits of `levels` classes, cut at the widest relative gaps in the sorted periods.

    Parameters
    ----------
    period_ps
        Period per value, shape ``(n,)``.
    levels
        Number of classes wanted; fewer come back where there are not that many distinct periods.
    min_size
        Smallest number of values in the fastest class.

    Returns
    -------
    list of float
        Largest period of each class, ascending; the last is the largest of all.
    """
    ordered = np.sort(np.asarray(period_ps, np.float64))
    positions = np.arange(max(min_size, 1), len(ordered))
    # Values behind which nothing moves have period 0, which is no clock to run at.
    positions = positions[ordered[positions - 1] > 0]
    gaps = np.log(ordered[positions] / ordered[positions - 1])
    # A stable sort makes ties go to the smaller codebook.
    widest = positions[np.argsort(-gaps, kind="stable")]
    cuts = [int(position) for position in widest[: levels - 1] if ordered[position] > ordered[position - 1]]
    return [float(ordered[position - 1]) for position in sorted(cuts)] + [float(ordered[-1])]


def build_cost_map(
    tables: Tables,
    *,
    levels: int = DEFAULT_LEVELS,
    margin: float = 0.0,
    min_size: int = DEFAULT_MIN_SIZE,
) -> CostMap:
    """Cost map with levels found by :func:`gap_cuts` in the bounds.

    Parameters
    ----------
    levels
        Levels wanted.
    margin
        Share added to each level's period, such as 0.05.
    min_size
        Smallest codebook.

    Raises
    ------
    UsageError
        If an option is out of range.
    """
    if not 1 <= levels <= 16:
        raise UsageError(f"--levels {levels}: between 1 and 16 levels are possible")
    if not 0 <= margin <= 1:
        raise UsageError(f"--margin {margin:g}: a share between 0 and 1, such as 0.05, is wanted")
    if not 1 <= min_size <= len(tables.values):
        raise UsageError(f"--min-size {min_size}: the operand has {len(tables.values)} values")
    period_ps = tables.period_ps
    limits = gap_cuts(period_ps, levels, min_size)
    return CostMap(
        values=tables.values,
        period_ps=period_ps,
        bound_ps=tables.bound_ps,
        energy_fj=np.full(len(tables.values), np.nan, np.float32),
        levels=_levels(tables.values, period_ps, limits, margin, float(tables.metadata["vdd_v"])),
        metadata={
            **tables.metadata,
            "level_rule": {"cuts": "widest relative gaps", "levels": levels, "min_size": min_size},
            "margin": margin,
            "period_from": "bound",
            "units": {"period_ps": "ps", "energy_fj": "fJ", "freq_ghz": "GHz", "vdd": "V"},
            "zero_point": "symmetric: 0 is code 0",
        },
    )


def _levels(
    values: NDArray[np.int16],
    period_ps: NDArray[np.float32],
    limits: Sequence[float],
    margin: float,
    vdd_v: float,
) -> tuple[Level, ...]:
    levels = []
    for limit in limits:
        # 0 belongs to every codebook, whatever it costs: a pruned weight must be representable.
        codebook = values[(period_ps <= limit) | (values == 0)]
        slowest = float(period_ps[np.isin(values, codebook)].max())
        levels.append(Level(codebook, slowest * (1 + margin), vdd_v))
    return tuple(levels)

"""Cost maps made up for tests of the quantizer, with the classes of a weight-row array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halo_timing.costmap.model import CostMap, Level


def array_cost_map(
    steps: Sequence[int] = (32, 16, 1),
    width: int = 8,
    signed: bool = True,
    periods: Sequence[float] | None = None,
) -> CostMap:
    """Levels of multiples of each step, fastest first; a value is slower the fewer zeros it ends in."""
    half = 1 << (width - 1)
    values = np.arange(-half, half, dtype=np.int16) + (0 if signed else half)
    trailing_zeros = np.array([(value & -value).bit_length() for value in values.tolist()])
    own = np.where(values == 0, 300.0, 600.0 - 40.0 * trailing_zeros).astype(np.float32)
    levels = []
    for index, step in enumerate(steps):
        codebook = values[values % step == 0]
        slowest = float(own[values % step == 0].max())
        levels.append(Level(codebook, slowest if periods is None else periods[index], 1.1))
    return CostMap(
        values=values,
        period_ps=own,
        bound_ps=own,
        energy_fj=np.full(len(values), np.nan, np.float32),
        levels=tuple(levels),
        metadata={"weight_width": width, "weight_signed": signed},
    )

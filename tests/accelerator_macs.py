"""MACs that were never synthesised, for tests of the accelerator's model."""

from __future__ import annotations

import numpy as np

from halo_timing.accelerator.comparison import Macs
from halo_timing.accelerator.mac_cost import MacUnit, OperatingPoint
from halo_timing.accelerator.schemes import FloatUnit
from halo_timing.accelerator.systolic import Pipeline
from halo_timing.costmap.model import CostMap, Level

VALUES = np.arange(-128, 128, dtype=np.int16)


def trailing_zeros(fast_ps: float, mid_ps: float, worst_ps: float) -> np.ndarray:
    """Periods of a MAC whose delay shows trailing zeros: multiples of 32, of 16, all others."""
    period = np.where(VALUES % 32 == 0, fast_ps, np.where(VALUES % 16 == 0, mid_ps, worst_ps))
    return period.astype(np.float32)


def unit(name: str, period_ps: np.ndarray, energy_fj: np.ndarray | float = np.nan) -> MacUnit:
    energy = np.broadcast_to(np.asarray(energy_fj, np.float32), (256,))
    return MacUnit(
        name, "pdk", "typ", 100.0, Pipeline(1, 3), VALUES, period_ps, energy, 0 * energy, 1.0, name
    )


def cost_map(mac: MacUnit) -> CostMap:
    """Map with the three levels of :func:`trailing_zeros`."""
    limits = sorted({float(period) for period in mac.period_ps})
    levels = tuple(Level(mac.values[mac.period_ps <= limit], limit, 1.0) for limit in limits)
    return CostMap(
        mac.values,
        mac.period_ps,
        mac.period_ps,
        mac.cycle_fj,
        levels,
        {"weight_width": 8, "margin": 0, "period_from": "bound"},
    )


def macs(mac: MacUnit, best_ps: float = 400.0, float_ps: float = 1200.0) -> Macs:
    """`mac` beside a conventional one without a spread, and a floating-point one."""
    return Macs(
        unit=mac,
        cost_map=cost_map(mac),
        best=unit("best", np.full(256, best_ps, np.float32)),
        float_unit=FloatUnit(
            "fp16", "pdk", "typ", 300.0, Pipeline(4, 8), OperatingPoint(float_ps, 1.0, None, 1 << 16), 16
        ),
    )

"""Dynamic timing: when each transition settles and what it toggles, by simulation of every transition."""

from halo_timing.dynamic.exhaustive import simulate_exhaustive
from halo_timing.dynamic.result import ENERGY_PARTS, DynamicResult

__all__ = ["ENERGY_PARTS", "DynamicResult", "simulate_exhaustive"]

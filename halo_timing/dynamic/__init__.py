"""Dynamic timing: when each transition settles and what it toggles, by simulation of every transition."""

from halo_timing.dynamic.exhaustive import simulate_exhaustive
from halo_timing.dynamic.plan import Part, Plan
from halo_timing.dynamic.result import ENERGY_PARTS, DynamicResult
from halo_timing.dynamic.simulation import Simulation
from halo_timing.dynamic.stimulus import Stimulus, load_pairs

__all__ = [
    "ENERGY_PARTS",
    "DynamicResult",
    "Part",
    "Plan",
    "Simulation",
    "Stimulus",
    "load_pairs",
    "simulate_exhaustive",
]

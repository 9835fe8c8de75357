"""Levels and codebooks: which values may be used at which clock."""

from halo_timing.costmap.codebooks import choose_codebook
from halo_timing.costmap.distributions import fit_codebook
from halo_timing.costmap.levels import build_cost_map
from halo_timing.costmap.model import CostMap, Level

__all__ = ["CostMap", "Level", "build_cost_map", "choose_codebook", "fit_codebook"]

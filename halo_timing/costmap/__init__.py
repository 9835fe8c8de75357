"""Levels and codebooks: which values may be used at which clock."""

from halo_timing.costmap.levels import build_cost_map, gap_cuts
from halo_timing.costmap.model import CostMap, Level

__all__ = ["CostMap", "Level", "build_cost_map", "gap_cuts"]

"""What a weight value costs: delay and energy of MAC operands, and the quantizers that use them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from halo_timing.api import characterize, characterize_corners
    from halo_timing.costmap import CostMap, Level, build_cost_map
    from halo_timing.dynamic.stimulus import Stimulus
    from halo_timing.dynamic_characterization import DynamicOptions
    from halo_timing.quantize import HaloQuantizer
    from halo_timing.tables import Tables

__all__ = [
    "CostMap",
    "DynamicOptions",
    "HaloQuantizer",
    "Level",
    "Stimulus",
    "Tables",
    "build_cost_map",
    "characterize",
    "characterize_corners",
]

# Names are imported at their first use: the tools' child processes and the command line start quickly.
_HOMES = {
    "CostMap": "halo_timing.costmap",
    "DynamicOptions": "halo_timing.dynamic_characterization",
    "HaloQuantizer": "halo_timing.quantize",
    "Level": "halo_timing.costmap",
    "Stimulus": "halo_timing.dynamic.stimulus",
    "Tables": "halo_timing.tables",
    "build_cost_map": "halo_timing.costmap",
    "characterize": "halo_timing.api",
    "characterize_corners": "halo_timing.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

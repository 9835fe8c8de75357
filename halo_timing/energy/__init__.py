"""Energy of a netlist per cycle: net switching, Liberty's internal energy of toggles, clock, leakage."""

from halo_timing.energy.cell_energies import CellEnergies, net_loads_ff
from halo_timing.energy.lines import EdgeEnergies, EnergyLine
from halo_timing.energy.weights import WeightEnergies, weight_energies

__all__ = [
    "CellEnergies",
    "EdgeEnergies",
    "EnergyLine",
    "WeightEnergies",
    "net_loads_ff",
    "weight_energies",
]

"""Energy of a netlist per cycle: net switching, Liberty's internal energy of toggles, clock, leakage."""

from halo_timing.energy.cell_energies import CellEnergies
from halo_timing.energy.weights import WeightEnergies, weight_energies

__all__ = ["CellEnergies", "WeightEnergies", "weight_energies"]

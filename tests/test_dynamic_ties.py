"""Tie cells have no inputs, and must not stop a simulation with the library's tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halo_timing.dynamic_characterization import DynamicOptions, simulation_of
from halo_timing.held_weight import find_held_weight
from halo_timing.rtl import find_mac
from halo_timing.sta import TimingConditions, sweep, write_delays
from halo_timing.synthesis import MappingTarget, synthesize
from halo_timing.tools.opensta import OpenSta
from halo_timing.tools.yosys import Yosys
from tests.conftest import SMALL


def test_a_mac_with_tie_cells_is_simulated(
    target: MappingTarget, conditions: TimingConditions, yosys: Yosys, sta: OpenSta, tmp_path: Path
) -> None:
    mac = find_mac(f"one_digit:{SMALL}")
    netlist = synthesize(mac, target, mac.recipes[0], yosys, tmp_path)
    assert any(instance.cell.startswith("LOGIC") for instance in netlist.instances)
    sdf = tmp_path / "delays.sdf"
    arrivals = write_delays(netlist, mac.interface, conditions, sta, sdf, tmp_path / "sdf.log")
    simulation = simulation_of(mac, netlist, conditions, arrivals, sdf, DynamicOptions())
    found = simulation.run(jobs=1).period_ps.max(axis=1)
    held = find_held_weight(netlist, mac.interface)
    bound = sweep(
        netlist, mac.interface, held, conditions, sta, sdf_path=sdf, arrivals_ps=arrivals, log_folder=tmp_path
    ).bound_ps
    assert (found > 0).any()
    assert np.all(found <= bound * 1.001)

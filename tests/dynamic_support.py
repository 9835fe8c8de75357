"""MACs mapped for the tests of dynamic timing, with everything that simulating them needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from halo_timing.characterization import mapping_target, timing_conditions
from halo_timing.dynamic.activation import ActivationNets, find_activation_nets
from halo_timing.dynamic.exhaustive import group_stages
from halo_timing.dynamic.model import EnergySource, Model
from halo_timing.dynamic.stages import Stage, find_stages, launch_times
from halo_timing.dynamic.walks import Walk
from halo_timing.held_weight import HeldWeight, find_held_weight
from halo_timing.netlist import Netlist
from halo_timing.pdk.registry import Pdk
from halo_timing.rtl import Mac, find_mac
from halo_timing.sdf import Sdf, read_sdf
from halo_timing.sta import TimingConditions, write_delays
from halo_timing.synthesis import synthesize
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.yosys import find_yosys
from tests.cell_adders import cell_adder_mac
from tests.every_cell import every_cell_mac


@dataclass(frozen=True, eq=False)
class Bench:
    """A mapped MAC with its delays."""

    mac: Mac
    netlist: Netlist
    conditions: TimingConditions
    held: HeldWeight
    sdf_path: Path
    arrivals_ps: dict[str, float]

    @cached_property
    def sdf(self) -> Sdf:
        return read_sdf(self.sdf_path)

    @cached_property
    def nets(self) -> ActivationNets:
        return find_activation_nets(self.netlist, self.mac.interface, self.held)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        return find_stages(self.netlist, self.mac.interface, self.held, self.nets)

    def model(self, sdf: Sdf | None = None, energies: EnergySource | None = None) -> Model:
        """Model of the logic behind the activation register."""
        sdf = sdf or self.sdf
        launch = launch_times(self.netlist, sdf, self.arrivals_ps)
        groups = group_stages(self.netlist, sdf, self.stages, launch, energies)
        return next(group.model for group in groups if group.depth == 1)

    def random_walks(self, count: int, steps: int, seed: int) -> list[Walk]:
        rng = np.random.default_rng(seed)
        weights = rng.integers(0, len(self.held.values), count)
        patterns = 1 << self.nets.bits
        return [Walk(int(weight), rng.integers(0, patterns, steps + 1).tolist()) for weight in weights]


def find_bench_mac(spec: str, pdk: Pdk, folder: Path) -> Mac:
    """MAC of the family, or ``cell_adders`` or ``every_cell``, made of the library's own cells."""
    name, _, width = spec.partition(":WIDTH=")
    own = {"cell_adders": cell_adder_mac, "every_cell": every_cell_mac}
    if name in own:
        return own[name](pdk.library(pdk.corner()), folder, int(width or 8))
    return find_mac(spec)


def make_bench(pdk: Pdk, spec: str, folder: Path, recipe: str | None = None) -> Bench:
    """Map a MAC with one recipe and write its delays into `folder`; see :func:`find_bench_mac`."""
    folder.mkdir(parents=True, exist_ok=True)
    corner = pdk.corner()
    mac = find_bench_mac(spec, pdk, folder)
    conditions = timing_conditions(pdk, corner)
    netlist = synthesize(mac, mapping_target(pdk, corner), recipe or mac.recipes[0], find_yosys(), folder)
    path = folder / "delays.sdf"
    arrivals = write_delays(netlist, mac.interface, conditions, find_opensta(), path, folder / "sta.log")
    return Bench(mac, netlist, conditions, find_held_weight(netlist, mac.interface), path, arrivals)

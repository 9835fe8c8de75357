"""Files for simulating a mapped netlist: its Verilog, models of its cells, and its delays."""

from __future__ import annotations

from pathlib import Path

from halo_timing.files import write_text
from halo_timing.interface import Interface
from halo_timing.netlist import Netlist
from halo_timing.pdk.verilog_models import unconditional_sdf, verilog_models
from halo_timing.sta import TimingConditions, write_delays
from halo_timing.tools.opensta import OpenSta


def write_sources(netlist: Netlist, folder: Path) -> list[Path]:
    """Write netlist and models of its cells, made from their Liberty functions; return the files."""
    paths = [folder / "netlist.v", folder / "cells.v"]
    write_text(paths[0], netlist.to_verilog())
    write_text(paths[1], verilog_models(netlist.library, {instance.cell for instance in netlist.instances}))
    return paths


def write_sdf(
    netlist: Netlist, interface: Interface, conditions: TimingConditions, sta: OpenSta, folder: Path
) -> Path:
    """Write the delays that a simulator without state-dependent paths takes: of each path the largest.

    Raises
    ------
    ToolError
        If OpenSTA fails.
    """
    conditional = folder / "conditional.sdf"
    write_delays(netlist, interface, conditions, sta, conditional, folder / "sta_delays.log")
    path = folder / "delays.sdf"
    write_text(path, unconditional_sdf(conditional.read_text()))
    return path

"""Dynamic power against OpenSTA's, from the dump of one simulation: where OpenSTA can read one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halo_timing.dynamic import icarus_bench
from halo_timing.dynamic.activation import find_activation_nets
from halo_timing.dynamic.exhaustive import simulate_exhaustive
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.dynamic.walks import Walk, full_walk
from halo_timing.energy import CellEnergies, weight_energies
from halo_timing.held_weight import find_held_weight
from halo_timing.pdk.registry import Pdk
from halo_timing.resources import flows_dir
from halo_timing.tools.icarus import find_icarus
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.staging import stage_files
from tests.conftest import SMALL
from tests.dynamic_support import make_bench

WEIGHT_INDEX = 5

_SCRIPT = """read_liberty cells.lib
set_cmd_units -time ps -capacitance fF
read_verilog part.v
link_design {top}
if {{[info commands set_wire_load_model] ne ""}} {{
  read_liberty no_wires.lib
  set_wire_load_model -name ideal
}}
create_clock -name clock -period {period_ps} [get_ports {clock}]
set_input_transition {slew_ps} [all_inputs]
set_load {load_ff} [all_outputs]
"""
_POWER = """read_vcd -scope halo_bench/dut kept.vcd
report_power -digits 8
"""


def test_dynamic_power_is_openstas(nangate45: Pdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The product stage of a small MAC on a walk through all transitions, registers and clock included."""
    sta = find_opensta()
    known = sta.run_script("puts [info commands read_vcd]", cwd=tmp_path, log_path=tmp_path / "ask.log")
    bench = make_bench(nangate45, f"array:{SMALL}", tmp_path)
    interface, conditions = bench.mac.interface, bench.conditions
    products = [
        bench.netlist.instances[register.instance].pins["Q"]
        for register in bench.netlist.registers
        if register.group == "product_q"
    ]
    part = icarus_bench.fan_in(bench.netlist, products)
    held = find_held_weight(part, interface)
    nets = find_activation_nets(part, interface, held)
    nldm = NldmDelays(part, conditions.output_load_ff, conditions.input_slew_ps)
    energies = CellEnergies(part, nldm.loads_ff, nldm.slews_ps)
    delays, arrivals_ps = bench.sdf, bench.arrivals_ps
    result = simulate_exhaustive(
        part, interface, held, delays, arrivals_ps=arrivals_ps, semantics="icarus", energies=energies,
        indices=[WEIGHT_INDEX],
    )  # fmt: skip
    ours = weight_energies(energies, held, nets, result)

    plain = icarus_bench._bench

    def whole_dump(*arguments: Any) -> str:
        text = re.sub(r"    \$dumpvars\(0, w\d+\);\n", "", plain(*arguments))
        return text.replace('$dumpfile("dump.vcd");', '$dumpfile("dump.vcd"); $dumpvars(0, dut);')

    def keep(path: Path) -> tuple[np.ndarray, ...]:
        shutil.copy(path, tmp_path / "kept.vcd")
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8)

    monkeypatch.setattr(icarus_bench, "_bench", whole_dump)
    monkeypatch.setattr(icarus_bench, "read_vcd", keep)
    walk = full_walk(nets.bits)
    settle_fs = bench.model().longest_fs
    icarus_bench.simulate_walks_in_icarus(
        part, interface, held, delays, [Walk(WEIGHT_INDEX, walk)], products[:1], settle_fs, find_icarus(),
        tmp_path / "icarus.log",
    )  # fmt: skip
    # The table has each activation's pair with itself too, which costs nothing. The load adds a few cycles.
    # The dump begins a cycle before the first of eight edges that load and hold the weight.
    cycles = len(walk) + 9
    spent_fj = (ours.dynamic_fj - ours.clock_fj)[0] * 4**nets.bits + ours.clock_fj[0] * cycles
    period_fs = 2 * (settle_fs + 1)
    ours_w = spent_fj / (cycles * period_fs)

    liberty = nangate45.corner().liberty[0]
    stage_files(tmp_path, {"cells.lib": liberty, "no_wires.lib": flows_dir() / "no_wires.lib"})
    (tmp_path / "part.v").write_text(part.to_verilog())
    script = _SCRIPT.format(
        top=part.name, clock=interface.clock, period_ps=period_fs / 1000,
        slew_ps=conditions.input_slew_ps, load_ff=conditions.output_load_ff,
    )  # fmt: skip
    if "read_vcd" not in known:
        sta.run_script(script, cwd=tmp_path, log_path=tmp_path / "power.log")
        pytest.skip(f"OpenSTA {'.'.join(map(str, sta.version))} has no read_vcd to take activities from")
    printed = sta.run_script(script + _POWER, cwd=tmp_path, log_path=tmp_path / "power.log")
    (row,) = re.findall(r"^Total\s+(\S+)\s+(\S+)", printed, re.MULTILINE)
    assert sum(map(float, row)) == pytest.approx(ours_w, rel=0.05)

"""The benches on mapped netlists: a structure of each kind, on two PDKs, without delays and with them.

The whole matrix runs in RTL, and every netlist is proved equal to its RTL when it is made; what is tested
here is that netlist, generated cell models and SDF work together in a simulator that shares no code with
ours.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from halo_timing.characterization import mapping_target, timing_conditions
from halo_timing.gate_level import write_sdf, write_sources
from halo_timing.mac_model import BenchOptions, MacConfig
from halo_timing.pdk.registry import load_pdk
from halo_timing.rtl import find_mac
from halo_timing.sta import sweep
from halo_timing.synthesis import synthesize
from halo_timing.testbench import run_testbench
from halo_timing.tools.icarus import find_icarus
from halo_timing.tools.opensta import OpenSta
from halo_timing.tools.yosys import Yosys
from tests.conftest import SMALL
from tests.dynamic_support import make_bench
from tests.fast_clock import Sums, sums_at_period

# The slowest library needs some 20 ns a cycle; the benches change inputs in its middle.
_PERIOD_PS = 100_000


@pytest.mark.parametrize("pdk_name", ["nangate45", "osu018"])
@pytest.mark.parametrize(
    ("structure", "delays"),
    [
        ("array", False),
        ("array", True),
        ("booth:SIGNED=0", False),
        ("booth_stored:PIPELINE=fused", False),
        ("two_row", True),
        ("dadda:PIPELINE=carry_save", False),
    ],
)
def test_benches_pass_on_gates(
    structure: str, delays: bool, pdk_name: str, yosys: Yosys, sta: OpenSta, tmp_path: Path
) -> None:
    pdk = load_pdk(pdk_name, install=True)
    corner = pdk.default_corner
    mac = find_mac(f"{structure}{',' if ':' in structure else ':'}{SMALL}")
    netlist = synthesize(mac, mapping_target(pdk, corner), mac.recipes[0], yosys, tmp_path)
    sources = write_sources(netlist, tmp_path / "gates")
    sdf = None
    if delays:
        conditions = timing_conditions(pdk, corner)
        sdf = write_sdf(netlist, mac.interface, conditions, sta, tmp_path / "delays")
    options = BenchOptions(MacConfig.from_parameters(mac.parameters), period_ps=_PERIOD_PS, random_steps=200)
    result = run_testbench(sources, options, build_dir=tmp_path / "build", sdf=sdf)
    assert result.passed, [test.message for test in result.tests if test.message]
    assert len(result.tests) >= 4


@pytest.mark.parametrize("pdk_name", ["nangate45", "osu018"])
def test_sums_are_right_at_the_clock_of_the_fast_weights(pdk_name: str, sta: OpenSta, tmp_path: Path) -> None:
    bench = make_bench(load_pdk(pdk_name, install=True), f"one_digit_high_radix:{SMALL}", tmp_path)
    bounds = sweep(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        bench.conditions,
        sta,
        sdf_path=bench.sdf_path,
        arrivals_ps=bench.arrivals_ps,
        log_folder=tmp_path,
    ).bound_ps
    fast = [-8, -4, -2, -1, 0, 1, 2, 4]
    period_ps = max(bounds[bench.held.values == weight][0] for weight in fast)
    assert period_ps < bounds.max()

    def run(period_ps: float) -> Sums:
        return sums_at_period(
            bench.netlist,
            bench.mac,
            bench.sdf,
            bench.arrivals_ps,
            fast,
            period_ps,
            find_icarus(),
            cycles=100,
        )

    assert run(period_ps) == Sums(checked=800, wrong=0)
    assert run(period_ps / 2).wrong > 0

"""Sampled dynamic timing: against the static bound, all transitions of a tiny MAC, and itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halo_timing.characterization import mapping_target, timing_conditions
from halo_timing.dynamic import DynamicResult, Simulation, Stimulus
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.errors import UsageError
from halo_timing.held_weight import find_held_weight
from halo_timing.pdk.registry import Pdk
from halo_timing.rtl import OwnMac
from halo_timing.sta import sweep, write_delays
from halo_timing.synthesis import synthesize
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.yosys import find_yosys
from tests.conftest import SMALL
from tests.dynamic_support import Bench, make_bench

TINY = "WEIGHT_WIDTH=3,ACTIVATION_WIDTH=2,ACCUMULATOR_WIDTH=8"
QUICK = Stimulus(samples=200, rows=8, search_rounds=4)
PIPELINES = [
    f"array:{SMALL}",
    f"booth:{SMALL},PIPELINE=fused",
    f"one_digit:{SMALL}",
    f"booth_stored:{SMALL},PIPELINE=carry_save",
]
# Adds into a register of its own, which the weight's neighbours never see.
ACCUMULATOR = """
module own #(parameter WIDTH = 4) (
  input clk, input load, input signed [3:0] w, input signed [3:0] a, output reg signed [11:0] total
);
  reg signed [3:0] w_q, a_q;
  reg signed [7:0] p_q;
  always @(posedge clk) begin
    if (load) w_q <= w;
    a_q <= a;
    p_q <= w_q * a_q;
    total <= total + p_q;
  end
endmodule
"""
COMBINATIONAL = """
module plain (input signed [3:0] w, input signed [3:0] a, input signed [9:0] c, output signed [9:0] y);
  assign y = w * a + c;
endmodule
"""


class Benches:
    """Benches by the MAC, each made once."""

    def __init__(self, pdk: Pdk, folder: Path) -> None:
        self.pdk, self.folder = pdk, folder
        self.made: dict[str, Bench] = {}

    def __getitem__(self, spec: str) -> Bench:
        if spec not in self.made:
            self.made[spec] = make_bench(self.pdk, spec, self.folder / str(len(self.made)))
        return self.made[spec]


@pytest.fixture(scope="module")
def benches(nangate45: Pdk, tmp_path_factory: pytest.TempPathFactory) -> Benches:
    return Benches(nangate45, tmp_path_factory.mktemp("benches"))


@pytest.fixture()
def bench(benches: Benches) -> Bench:
    return benches[PIPELINES[0]]


def simulation(bench: Bench, stimulus: Stimulus = QUICK, **options: object) -> Simulation:
    return Simulation(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        options.pop("delays", bench.sdf),  # type: ignore[arg-type]
        bench.arrivals_ps,
        stimulus,
        **options,  # type: ignore[arg-type]
    )


def own_bench(pdk: Pdk, folder: Path, text: str, **roles: object) -> Bench:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "own.v").write_text(text)
    mac = OwnMac(files=(folder / "own.v",), weight="w", activation="a", **roles).mac()  # type: ignore[arg-type]
    corner = pdk.corner()
    conditions = timing_conditions(pdk, corner)
    netlist = synthesize(mac, mapping_target(pdk, corner), "speed", find_yosys(), folder)
    sdf_path = folder / "delays.sdf"
    arrivals = write_delays(netlist, mac.interface, conditions, find_opensta(), sdf_path, folder / "sta.log")
    return Bench(mac, netlist, conditions, find_held_weight(netlist, mac.interface), sdf_path, arrivals)


def assert_within_bound(bench: Bench, result: DynamicResult, folder: Path, reached: float) -> None:
    bound = sweep(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        bench.conditions,
        find_opensta(),
        sdf_path=bench.sdf_path,
        arrivals_ps=bench.arrivals_ps,
        log_folder=folder,
    )
    assert result.stages == bound.stages
    rows = [bound.values.tolist().index(value) for value in result.values]
    # Setup times are interpolated once more by OpenSTA, at the slews of each case.
    assert (result.period_ps <= bound.stage_bound_ps[rows] + 0.05).all()
    assert (result.period_ps.max(axis=0) > reached * bound.stage_bound_ps[rows].max(axis=0)).all()


@pytest.mark.parametrize("spec", PIPELINES)
def test_no_weight_is_slower_than_its_bound(benches: Benches, spec: str, tmp_path: Path) -> None:
    bench = benches[spec]
    result = simulation(bench).run(jobs=2)
    assert_within_bound(bench, result, tmp_path, reached=0.75)
    assert result.drawn_ps is not None
    assert (result.drawn_ps <= result.period_ps).all()
    for stage, text, counts in zip(
        result.stages, result.stage_stimulus, result.histogram.sum(axis=2).T, strict=True
    ):
        exhaustive = stage in ("activation_q", "product_q")
        assert text.startswith("exhaustive" if exhaustive else "sampled(n=200, seed=1")
        assert (counts == (256 if exhaustive else 200)).all()
        assert ("lower estimate" in text) == (not exhaustive)


@pytest.mark.parametrize("pipeline", ["two_stage", "fused"])
def test_the_search_finds_the_slowest_of_all_transitions(benches: Benches, pipeline: str) -> None:
    bench = benches[f"array:{TINY},PIPELINE={pipeline}"]
    sim = simulation(bench, Stimulus(samples=500))
    assert sim.sampler is not None
    weights = np.array([6])
    result = sim.run(indices=weights.tolist())
    stage = result.stages.index("psum_q")
    window = sim.sampler.window
    grid = np.meshgrid(*map(np.arange, (4, 4, 256, 256)), indexing="ij")
    a0, a1, p0, p1 = (axis.ravel() for axis in grid)
    everything = {
        name: np.zeros((1, window.cycles, len(a0)), np.int64) for name in sim.sampler.element.inputs
    }
    everything["activation_in"][0, :2] = a0, a1
    everything["psum_in"][0, -2:] = p0, p1
    with ThreadPoolExecutor(1) as pool:
        found = sim.sampler.measure(pool, weights, everything)
    for row, measured in enumerate(found):
        slowest = measured.required_fs.max() / 1000
        assert result.drawn_ps is not None
        assert result.drawn_ps[row, stage] <= result.period_ps[row, stage] <= slowest
        assert result.period_ps[row, stage] == slowest


def test_the_worst_transition_needs_what_is_said(bench: Bench) -> None:
    sim = simulation(bench)
    result = sim.run()
    assert sim.sampler is not None
    assert result.worst_inputs is not None
    stage = result.stages.index("psum_q")
    with ThreadPoolExecutor(1) as pool:
        for row in range(len(result.values)):
            inputs = {name: bits[row, stage][None, :, None] for name, bits in result.worst_inputs.items()}
            (measured,) = sim.sampler.measure(pool, np.array([row]), inputs)
            assert max(int(measured.required_fs.max()), 0) / 1000 == result.period_ps[row, stage]
            operands = (result.worst_inputs["activation_in"][row, stage, :2] ^ 8) - 8
            assert (operands == result.worst[row, stage]).all()
    exhaustive = result.stages.index("product_q")
    assert (result.worst_inputs["psum_in"][:, exhaustive] == -1).all()


def test_the_seed_decides_and_threads_and_company_do_not(bench: Bench) -> None:
    first = simulation(bench).run(jobs=1)
    again = simulation(bench).run(jobs=3)
    some = simulation(bench).run(indices=[3, 9])
    other = simulation(bench, replace(QUICK, seed=2)).run()
    for name in ("period_ps", "worst", "histogram", "toggles", "drawn_ps"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert np.array_equal(getattr(first, name)[[3, 9]], getattr(some, name))
    assert not np.array_equal(first.histogram, other.histogram)


def test_without_a_search_the_samples_stand_alone(bench: Bench) -> None:
    found = simulation(bench).run()
    alone = simulation(bench, replace(QUICK, search_rounds=0)).run()
    assert alone.drawn_ps is not None
    assert np.array_equal(alone.drawn_ps, found.drawn_ps)
    assert (alone.period_ps <= found.period_ps).all()
    assert (alone.period_ps < found.period_ps).any()
    assert "search" not in alone.stimulus


def test_more_rounds_find_no_less(bench: Bench) -> None:
    few, many = (simulation(bench, replace(QUICK, search_rounds=rounds)).run() for rounds in (1, 6))
    assert (few.period_ps <= many.period_ps).all()


def test_the_tile_fact_stills_low_bits(bench: Bench) -> None:
    sim = simulation(bench, replace(QUICK, shift=2))
    result = sim.run()
    assert result.values.tolist() == [-8, -4, 0, 4]
    assert "every weight of the column a multiple of 4" in result.stimulus
    assert sim.sampler is not None
    for bits in (sim.sampler.column.draw(np.array([0, 4, 8, 12]))["psum_in"], result.worst_inputs["psum_in"]):  # type: ignore[index]
        assert (bits[bits >= 0] % 4 == 0).all()
    with pytest.raises(UsageError, match="weight 1: no multiple of 4"):
        sim.run(indices=[9])
    everything = simulation(bench).run(indices=[0, 4, 8, 12])
    stage = result.stages.index("psum_q")
    assert (result.period_ps[:, stage] <= everything.period_ps[:, stage] + 1).all()


def test_slews_are_carried_too(bench: Bench) -> None:
    delays = NldmDelays(bench.netlist, bench.conditions.output_load_ff, bench.conditions.input_slew_ps)
    fixed, carried = simulation(bench).run(), simulation(bench, delays=delays).run()
    stage = fixed.stages.index("psum_q")
    ratio = carried.period_ps[:, stage] / fixed.period_ps[:, stage]
    assert (ratio > 0.85).all()
    assert (ratio < 1.03).all()
    assert not np.array_equal(fixed.period_ps, carried.period_ps)


def test_a_plan_says_what_will_be_done(bench: Bench) -> None:
    sim = simulation(bench)
    plan = sim.plan(jobs=2)
    exhaustive, sampled = plan.parts
    assert exhaustive.stages == ("activation_q", "product_q")
    assert (exhaustive.transitions, sampled.transitions, plan.weights) == (256, 200, 16)
    assert sampled.stages == ("psum_q",)
    assert plan.seconds is not None
    assert 0 < plan.seconds < 100
    assert "psum_q: sampled(n=200" in plan.lines()[1]
    assert "16 weights x 200 transitions, about" in plan.lines()[1]
    assert simulation(bench, coverage="sampled").plan(calibrate=False).seconds is None
    done: list[int] = []
    sim.run(progress=done.append)
    assert sum(done) == plan.units


def test_wide_operands_are_sampled(benches: Benches, tmp_path: Path) -> None:
    bench = benches["booth:WEIGHT_WIDTH=2,ACTIVATION_WIDTH=12,ACCUMULATOR_WIDTH=16"]
    sim = simulation(bench)
    result = sim.run()
    assert not sim.exhaustive
    assert_within_bound(bench, result, tmp_path, reached=0.75)
    with pytest.raises(UsageError, match="no stage is exhaustive"):
        sim.run(settle_path=tmp_path / "settle.npy")


def test_sampling_an_exhaustive_stage_finds_no_more(bench: Bench) -> None:
    every = simulation(bench).run()
    drawn = simulation(bench, coverage="sampled").run()
    stage = every.stages.index("product_q")
    assert (drawn.period_ps[:, stage] <= every.period_ps[:, stage]).all()
    # 4-bit operands have few transitions: the search finds the slowest of nearly all weights.
    assert (drawn.period_ps[:, stage] == every.period_ps[:, stage]).mean() > 0.9


def test_a_mac_may_add_into_a_register_of_its_own(nangate45: Pdk, tmp_path: Path) -> None:
    bench = own_bench(nangate45, tmp_path / "own", ACCUMULATOR, top="own", load={"load": 1}, hold={"load": 0})
    sim = simulation(bench)
    assert sim.sampler is not None
    assert set(sim.sampler.window.memory) == {"total"}
    drawn = sim.sampler.column.draw(np.array([3, 15]))
    weights, terms = bench.held.values[[3, 15]], sim.sampler.column.row
    activations = (sim.sampler.column.activations[0] ^ 8) - 8
    # Two edges pass before a product is added.
    added = np.array([activations[: max(count - 2, 0), k].sum() for k, count in enumerate(terms)])
    assert (drawn["total"][:, 0] == (weights[:, None] * added[None]) % 4096).all()
    assert_within_bound(bench, sim.run(), tmp_path, reached=0.7)


def test_a_unit_without_a_clock_is_sampled(nangate45: Pdk, tmp_path: Path) -> None:
    bench = own_bench(nangate45, tmp_path / "own", COMBINATIONAL, top="plain", accumulator="c")
    assert_within_bound(bench, simulation(bench).run(), tmp_path, reached=0.7)

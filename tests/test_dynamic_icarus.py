"""The ``icarus`` semantics against Icarus Verilog itself: every toggle of every net, to the femtosecond."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from halo_timing.dynamic.icarus_bench import simulate_walks_in_icarus
from halo_timing.dynamic.walks import Walk, full_walk, simulate_walks
from halo_timing.pdk.registry import Pdk, load_pdk
from halo_timing.tools.icarus import find_icarus
from tests.conftest import SMALL
from tests.dynamic_support import Bench, make_bench

CASES = [
    ("nangate45", "array"),
    ("nangate45", "booth"),
    ("osu018", "array:WEIGHT_WIDTH=6,ACTIVATION_WIDTH=6,ACCUMULATOR_WIDTH=16"),
    ("osu018", "booth:WEIGHT_WIDTH=6,ACTIVATION_WIDTH=6,ACCUMULATOR_WIDTH=16"),
]


@pytest.fixture(scope="module")
def small_bench(nangate45: Pdk, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(nangate45, f"array:{SMALL}", tmp_path_factory.mktemp("bench"))


def assert_equal_to_icarus(bench: Bench, walks: list[Walk], folder: Path) -> int:
    model = bench.model()
    ours, _ = simulate_walks(model, bench.nets, walks, "icarus")
    nets = [source.net for source in model.sources] + [gate.net for gate in model.gates]
    theirs = simulate_walks_in_icarus(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        bench.sdf,
        walks,
        nets,
        model.longest_fs,
        find_icarus(),
        folder / "icarus.log",
    )
    assert ours == theirs
    return len(ours)


@pytest.mark.parametrize(("pdk_name", "spec"), CASES)
def test_random_transitions_are_bit_exact(pdk_name: str, spec: str, tmp_path: Path) -> None:
    bench = make_bench(load_pdk(pdk_name, install=True), spec, tmp_path)
    toggles = assert_equal_to_icarus(bench, bench.random_walks(30, 60, seed=1), tmp_path)
    assert toggles > 50_000


def test_a_full_walk_is_bit_exact(small_bench: Bench, tmp_path: Path) -> None:
    walk = full_walk(small_bench.nets.bits)
    assert assert_equal_to_icarus(small_bench, [Walk(index, walk) for index in (1, 7, 8)], tmp_path) > 1000


def test_a_full_walk_takes_every_transition_once() -> None:
    walk = full_walk(5)
    steps = set(pairwise(walk))
    assert len(walk) == 32 * 31 + 1
    assert steps == {(a, b) for a in range(32) for b in range(32) if a != b}


def test_the_semantics_differ_where_pulses_are_short(small_bench: Bench) -> None:
    model = small_bench.model()
    walks = [Walk(index, full_walk(small_bench.nets.bits)) for index in range(16)]
    icarus, _ = simulate_walks(model, small_bench.nets, walks, "icarus")
    inertial, _ = simulate_walks(model, small_bench.nets, walks, "inertial")
    assert icarus != inertial
    assert len(inertial) == pytest.approx(len(icarus), rel=0.02)
    assert np.isin(inertial.net, icarus.net).all()

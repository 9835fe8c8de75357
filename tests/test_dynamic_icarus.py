"""The ``icarus`` semantics against Icarus Verilog itself: every toggle of every net, to the femtosecond.

A sample of ``make proof`` (:mod:`benchmarks.icarus_proof`), which takes more netlists and transitions.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from halo_timing.dynamic.walks import Walk, full_walk, simulate_walks
from halo_timing.pdk.registry import Pdk, load_pdk
from tests.conftest import SMALL
from tests.dynamic_support import Bench, make_bench
from tests.icarus_agreement import Agreement, Delays, compare_delays, compare_with_icarus

SIX = "WEIGHT_WIDTH=6,ACTIVATION_WIDTH=6,ACCUMULATOR_WIDTH=16"
CASES: list[tuple[str, str, Delays]] = [
    ("nangate45", "array", "conditional"),
    ("nangate45", "booth", "annotated plain"),
    ("nangate45", f"two_row:{SIX}", "conditional"),
    ("nangate45", "cell_adders:WIDTH=6", "conditional"),
    ("nangate45", "every_cell", "conditional"),
    ("nangate45", "every_cell", "annotated"),
    ("osu018", "booth_stored", "conditional"),
    ("osu018", f"sign_magnitude:{SIX}", "conditional"),
    ("osu018", f"wallace:{SIX}", "annotated"),
    ("osu018", "cell_adders:WIDTH=6", "conditional"),
    ("osu018", "cell_adders:WIDTH=6", "annotated plain"),
    ("osu018", "every_cell", "conditional"),
]


@pytest.fixture(scope="module")
def small_bench(nangate45: Pdk, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(nangate45, f"array:{SMALL}", tmp_path_factory.mktemp("bench"))


def agrees(found: Agreement) -> bool:
    return not (found.different_toggles or found.different_settles or found.different_counts)


@pytest.mark.parametrize(("pdk_name", "spec", "delays"), CASES)
def test_random_transitions_are_bit_exact(pdk_name: str, spec: str, delays: Delays, tmp_path: Path) -> None:
    bench = make_bench(load_pdk(pdk_name, install=True), spec, tmp_path)
    found = compare_with_icarus(bench, bench.random_walks(30, 30, seed=1), tmp_path, delays)
    assert agrees(found), found
    assert found.toggles > 15 * found.transitions


def test_a_full_walk_is_bit_exact(small_bench: Bench, tmp_path: Path) -> None:
    walk = full_walk(small_bench.nets.bits)
    found = compare_with_icarus(small_bench, [Walk(index, walk) for index in (1, 7, 8)], tmp_path)
    assert agrees(found), found
    assert found.transitions == 3 * 16 * 15
    assert found.toggles > 1000


def test_a_femtosecond_is_noticed(small_bench: Bench, tmp_path: Path) -> None:
    sdf = small_bench.sdf
    name = max(sdf.cells, key=lambda name: len(sdf.cells[name].paths))
    cell = sdf.cells[name]
    later = [replace(path, rise_fs=(path.rise_fs or 0) + 1) for path in cell.paths]
    changed = replace(sdf, cells={**sdf.cells, name: replace(cell, paths=later)})
    found = compare_delays(small_bench, small_bench.random_walks(4, 50, seed=1), tmp_path, changed, sdf)
    assert found.different_toggles
    assert found.different_settles


@pytest.mark.parametrize("pdk_name", ["nangate45", "osu018"])
def test_the_netlists_hold_the_cells_that_mappers_avoid(pdk_name: str, tmp_path: Path) -> None:
    pdk = load_pdk(pdk_name, install=True)
    library = pdk.library()
    adders = make_bench(pdk, "cell_adders:WIDTH=4", tmp_path / "adders").netlist
    outputs = Counter(len(adders.cell_of(instance).outputs) for instance in adders.instances)
    assert outputs[2] >= 30
    every = make_bench(pdk, "every_cell", tmp_path / "every").netlist
    there = {instance.cell for instance in every.instances}
    logic = {cell.name for cell in library.cells.values() if cell.is_combinational and cell.inputs}
    assert logic <= there
    assert any(len(library.cell(name).outputs) == 2 for name in logic)


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

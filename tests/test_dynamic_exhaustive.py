"""Exhaustive dynamic timing of a mapped MAC: against the static bound, its function and its own variants."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from halo_timing.dynamic.exhaustive import SETTLE_UNIT_PS, _settle_unit_ps, simulate_exhaustive
from halo_timing.dynamic.result import DynamicResult
from halo_timing.dynamic.walks import Walk, full_walk, simulate_walks
from halo_timing.errors import UsageError
from halo_timing.pdk.registry import Pdk
from tests.conftest import SMALL
from tests.dynamic_support import Bench, make_bench


@pytest.fixture(scope="module")
def bench(nangate45: Pdk, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(nangate45, f"booth:{SMALL}", tmp_path_factory.mktemp("bench"))


def simulate(bench: Bench, **options: object) -> DynamicResult:
    return simulate_exhaustive(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        bench.sdf,
        arrivals_ps=bench.arrivals_ps,
        **options,  # type: ignore[arg-type]
    )


def test_a_table_is_the_same_from_one_thread_and_from_three(bench: Bench, tmp_path: Path) -> None:
    files = [(tmp_path / f"settle{jobs}.npy", tmp_path / f"energy{jobs}.npy") for jobs in (1, 3)]
    results = [
        simulate(bench, jobs=jobs, settle_path=settle, energy_path=energy)
        for jobs, (settle, energy) in zip((1, 3), files, strict=True)
    ]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()
    for name in ("period_ps", "worst", "histogram", "toggles"):
        assert np.array_equal(getattr(results[0], name), getattr(results[1], name))
    assert all(np.isnan(result.energy_fj).all() for result in results), "no energies were given"
    settle = np.load(files[0][0]) * SETTLE_UNIT_PS
    period = results[0].dynamic_ps
    assert (np.abs(settle.max(axis=(1, 2)) - period) <= SETTLE_UNIT_PS).all()
    assert (results[0].histogram.sum(axis=2) == settle[0].size).all()
    assert (settle[:, range(16), range(16)] == 0).all()
    for row, value in enumerate(results[0].dynamic_ps):
        stage = int(results[0].period_ps[row].argmax())
        before, after = results[0].worst[row, stage] + 8
        assert settle[row, before, after] == pytest.approx(value, abs=SETTLE_UNIT_PS)


def test_what_settles_is_the_product(bench: Bench) -> None:
    """Every endpoint toggles an odd number of times exactly when its bit of the product changes."""
    model = bench.model()
    walk = full_walk(bench.nets.bits)
    signed = [(pattern ^ 8) - 8 for pattern in walk]
    product = [end for end in model.endpoints if end.name.startswith("product")]
    assert len(product) == 8
    for index, weight in enumerate(bench.held.values):
        toggles, _ = simulate_walks(model, bench.nets, [Walk(index, walk)], "inertial")
        words = [int(weight) * activation & 0xFF for activation in signed]
        for end in product:
            bit = int(end.name.rstrip("/D").rstrip("_").rsplit("_", 1)[1])
            count = np.bincount(toggles.transition[toggles.net == end.net], minlength=len(walk) - 1)
            changes = [(one ^ other) >> bit & 1 for one, other in pairwise(words)]
            assert (count % 2 == changes).all()


def test_nothing_moves_before_the_clock_reaches_an_output(bench: Bench) -> None:
    model = bench.model()
    toggles, _ = simulate_walks(model, bench.nets, bench.random_walks(16, 50, seed=3), "inertial")
    sources = [source for source in model.sources if source.net in bench.nets.depth]
    first = min(min(source.launch_fs) for source in sources)
    launched = np.isin(toggles.net, [source.net for source in sources])
    assert toggles.time_fs.min() == first
    assert toggles.time_fs[launched].max() == max(max(source.launch_fs) for source in sources)
    shortest = min(int(gate.delay_fs[gate.delay_fs >= 0].min()) for gate in model.gates)
    assert toggles.time_fs[~launched].min() >= first + shortest


@pytest.mark.parametrize(
    ("longest_ps", "unit_ps"), [(10.0, 0.1), (6553.5, 0.1), (6554.0, 0.2), (20000.0, 0.4)]
)
def test_slow_libraries_get_a_coarser_unit(longest_ps: float, unit_ps: float) -> None:
    assert _settle_unit_ps(longest_ps) == pytest.approx(unit_ps)
    assert longest_ps / _settle_unit_ps(longest_ps) <= 65535


def test_a_mac_of_which_nothing_is_exhaustive_is_refused(bench: Bench) -> None:
    interface = replace(bench.mac.interface, hold={})
    with pytest.raises(UsageError, match="sample"):
        simulate_exhaustive(bench.netlist, interface, bench.held, bench.sdf, arrivals_ps={})

"""What must hold of the ``inertial`` semantics whatever the circuit: real cells, random wiring and delays."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_timing.dynamic.exhaustive import simulate_exhaustive
from halo_timing.dynamic.model import Model
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.dynamic.walks import Walk, simulate_walks
from halo_timing.pdk.registry import Pdk, load_pdk
from halo_timing.sta import sweep
from halo_timing.tools.opensta import find_opensta
from tests.conftest import SMALL
from tests.dynamic_support import Bench, make_bench
from tests.real_cell_circuits import BITS, FIRST, RealCircuit, make_real_circuit, simulate_pairs

SMALL_MACS = (
    "array",
    "booth",
    "booth_stored",
    "wallace",
    "dadda",
    "sign_magnitude",
    "split",
    "one_digit",
    "two_row",
)


@st.composite
def circuits(draw: st.DrawFn) -> RealCircuit:
    library = load_pdk(draw(st.sampled_from(["nangate45", "osu018"])), install=True).library()
    seed, count = draw(st.integers(0, 2**32)), draw(st.integers(1, 12))
    return make_real_circuit(library, seed, count, draw(st.sampled_from([4, 50, 100_000])))


def settled(circuit: RealCircuit, pattern: int) -> dict[int, int]:
    """Value of every net by the cells' functions, cell after cell."""
    value = {0: 0, 1: 1} | {FIRST + bit: pattern >> bit & 1 for bit in range(BITS)}
    for instance in circuit.netlist.instances:
        cell = circuit.netlist.cell_of(instance)
        for pin in cell.outputs:
            assert pin.function is not None
            point = {name: bool(value[instance.pins[name]]) for name in pin.function.inputs}
            value[instance.pins[pin.name]] = int(pin.function(**point))
    return value


@settings(max_examples=30, deadline=None)
@given(circuit=circuits(), with_slews=st.booleans())
def test_every_net_settles_to_its_function(circuit: RealCircuit, with_slews: bool) -> None:
    found = simulate_pairs(circuit.model(with_slews))
    size = 1 << BITS
    values = [settled(circuit, pattern) for pattern in range(size)]
    for net in circuit.netlist.port("y").nets:
        row = [value[net] for value in values]
        if net not in found.times:
            assert len(set(row)) == 1
            continue
        for pair, times in enumerate(found.times[net]):
            before, after = row[pair % size], row[pair // size]
            assert found.before[net][pair] == before
            assert before ^ (len(times) & 1) == after
            assert times == sorted(times)


@settings(max_examples=30, deadline=None)
@given(circuit=circuits())
def test_nothing_moves_before_the_shortest_path_or_after_the_longest(circuit: RealCircuit) -> None:
    earliest = {net: min(launch.time_fs) for net, launch in circuit.launch.items()}
    latest = {net: max(launch.time_fs) for net, launch in circuit.launch.items()}
    for instance in circuit.netlist.instances:
        for path in circuit.sdf.cells[instance.name].paths:
            start, end = instance.pins[path.from_pin], instance.pins[path.to_pin]
            if start in earliest:
                assert path.rise_fs is not None
                assert path.fall_fs is not None
                first = earliest[start] + min(path.rise_fs, path.fall_fs)
                last = latest[start] + max(path.rise_fs, path.fall_fs)
                earliest[end] = min(earliest.get(end, first), first)
                latest[end] = max(latest.get(end, last), last)
    model = circuit.model(with_slews=False)
    for net, pairs in simulate_pairs(model).times.items():
        moments = [time for times in pairs for time in times]
        assert all(earliest[net] <= time <= min(latest[net], model.longest_fs) for time in moments)


@settings(max_examples=30, deadline=None)
@given(circuit=circuits(), with_slews=st.booleans())
def test_no_cell_toggles_more_often_than_its_inputs_ask(circuit: RealCircuit, with_slews: bool) -> None:
    """Filtering only removes toggles, two at a time, from what the same input waveforms would cause.

    That is so cell by cell. It is not so of a whole circuit: a pulse that filtering removes may, if it comes
    through, hide others further on.
    """
    model = circuit.model(with_slews)
    found = simulate_pairs(model)
    initial = [settled(circuit, pattern) for pattern in range(1 << BITS)]
    for gate in model.gates:
        for pair, times in enumerate(found.times.get(gate.net, [])):
            now = dict(initial[pair % (1 << BITS)])
            events = {net: found.times[net][pair] for net in set(gate.inputs) & found.times.keys()}
            shown, asked = now[gate.net], 0
            for moving in steps(events):
                for net in moving:
                    now[net] ^= 1
                state = sum(now[net] << place for place, net in enumerate(gate.inputs))
                asked += int(gate.value[state]) != shown
                shown = int(gate.value[state])
            assert len(times) <= asked
            assert (asked - len(times)) % 2 == 0


def steps(events: dict[int, list[int]]) -> list[list[int]]:
    """Nets that toggle together, in order; a pulse of no width is two steps of the same moment."""
    moments: dict[tuple[int, int], list[int]] = {}
    for net, times in events.items():
        for place, time in enumerate(times):
            moments.setdefault((time, place - times.index(time)), []).append(net)
    return [moments[key] for key in sorted(moments)]


@pytest.mark.parametrize("spec", [f"array:{SMALL}", f"booth:{SMALL}", "cell_adders:WIDTH=4"])
def test_without_filtering_a_mac_toggles_more_under_every_weight(
    nangate45: Pdk, spec: str, tmp_path: Path
) -> None:
    bench = make_bench(nangate45, spec, tmp_path)
    model = bench.model()
    rng = np.random.default_rng(2)
    more = 0
    for index in range(len(bench.held.values)):
        walk = Walk(index, rng.integers(0, 1 << bench.nets.bits, 13).tolist())
        toggles, _ = simulate_walks(model, bench.nets, [walk], "inertial")
        unfiltered = transport_toggles(bench, model, walk)
        assert len(toggles) <= unfiltered
        assert (len(toggles) - unfiltered) % 2 == 0
        more += unfiltered > len(toggles)
    assert more > len(bench.held.values) / 2


def transport_toggles(bench: Bench, model: Model, walk: Walk) -> int:
    """Toggles of all nets if every change that a gate's inputs ask for comes out, in its order."""
    steady = {net: int(values[walk.weight_index]) for net, values in bench.nets.held.items()}
    total = 0
    for before, after in pairwise(walk.activations):
        value, times = dict(steady), dict[int, list[int]]()
        for source in model.sources:
            if source.net not in bench.nets.values:
                continue
            row = bench.nets.values[source.net][walk.weight_index]
            value[source.net] = int(row[before])
            if row[before] != row[after]:
                times[source.net] = [source.launch_fs[int(row[before])]]
        for gate in model.gates:
            now = {net: value[net] for net in gate.inputs}
            state = sum(now[net] << place for place, net in enumerate(gate.inputs))
            value[gate.net] = int(gate.value[state])
            moments: dict[int, set[int]] = {}
            for net in now.keys() & times.keys():
                for moment in times[net]:
                    moments.setdefault(moment, set()).symmetric_difference_update({net})
            own: list[int] = []
            for moment in sorted(moments):
                for net in moments[moment]:
                    now[net] ^= 1
                new = sum(now[net] << place for place, net in enumerate(gate.inputs))
                if gate.value[new] != gate.value[state]:
                    own.append(max([moment + int(gate.delay_fs[state, new]), *own[-1:]]))
                state = new
            if own:
                times[gate.net] = own
        total += sum(map(len, times.values()))
    return total


@pytest.mark.parametrize("spec", [*(f"{name}:{SMALL}" for name in SMALL_MACS), "cell_adders:WIDTH=4"])
def test_no_weight_is_slower_than_its_bound(nangate45: Pdk, spec: str, tmp_path: Path) -> None:
    assert_bound(make_bench(nangate45, spec, tmp_path), tmp_path)


@pytest.mark.parametrize("spec", ["booth", "one_digit"])
def test_no_weight_of_a_whole_mac_is_slower_than_its_bound(nangate45: Pdk, spec: str, tmp_path: Path) -> None:
    bench = make_bench(nangate45, spec, tmp_path)
    some = np.sort(np.random.default_rng(3).choice(len(bench.held.values), 24, replace=False))
    held = replace(bench.held, values=bench.held.values[some], contents=bench.held.contents[:, some])
    assert_bound(replace(bench, held=held), tmp_path)


@pytest.mark.fuzz
@pytest.mark.parametrize("spec", ["booth", "one_digit"])
@pytest.mark.parametrize("pdk_name", ["nangate45", "osu018"])
def test_no_weight_at_all_is_slower_than_its_bound(pdk_name: str, spec: str, tmp_path: Path) -> None:
    assert_bound(make_bench(load_pdk(pdk_name, install=True), spec, tmp_path), tmp_path)


def test_cells_that_tie_a_net_take_part_with_slews(nangate45: Pdk, tmp_path: Path) -> None:
    bench = make_bench(nangate45, "cell_adders:WIDTH=4", tmp_path)
    assert any(not gate.inputs for gate in bench.model().gates)
    conditions = bench.conditions
    delays = NldmDelays(bench.netlist, conditions.output_load_ff, conditions.input_slew_ps)
    results = [
        simulate_exhaustive(
            bench.netlist, bench.mac.interface, bench.held, given, arrivals_ps=bench.arrivals_ps
        )
        for given in (bench.sdf, delays)
    ]
    assert results[1].period_ps == pytest.approx(results[0].period_ps, rel=0.15)


def assert_bound(bench: Bench, folder: Path) -> None:
    arguments = bench.netlist, bench.mac.interface, bench.held
    result = simulate_exhaustive(*arguments, bench.sdf, arrivals_ps=bench.arrivals_ps)
    bound = sweep(
        *arguments,
        bench.conditions,
        find_opensta(),
        sdf_path=bench.sdf_path,
        arrivals_ps=bench.arrivals_ps,
        log_folder=folder,
    )
    limit = bound.stage_bound_ps[:, [bound.stages.index(stage) for stage in result.stages]]
    # Setup times are interpolated once more by OpenSTA, at the slews of each case.
    assert (result.period_ps <= limit + 0.05).all()
    assert ((result.period_ps == 0) >= (limit == 0)).all()
    assert result.period_ps.max() > 0.8 * limit.max()

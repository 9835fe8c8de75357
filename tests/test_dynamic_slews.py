"""Events with slews: arithmetic against OpenSTA, kernels against an event-driven simulation."""

from __future__ import annotations

import heapq
import math
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_timing.delay_calculation import constant_nets, delay_arcs, delay_line, edge_pairs, live_arcs
from halo_timing.dynamic.domain import Exhaustive, Sampled
from halo_timing.dynamic.exhaustive import simulate_exhaustive
from halo_timing.dynamic.model import Gate, Model, Source, build_model
from halo_timing.dynamic.run import Motion, Runner, Waveforms
from halo_timing.dynamic.slews import STANDS_IN_FS, NldmDelays, SlewSteps, setup_segments
from halo_timing.dynamic.stages import launch_times
from halo_timing.errors import UsageError
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Instance, Netlist, Port
from halo_timing.pdk.cells import Cell
from halo_timing.pdk.line import Line, sum_of_lines
from halo_timing.pdk.registry import Pdk, load_pdk
from halo_timing.resources import flows_dir
from halo_timing.sta import sweep
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.staging import stage_files
from tests.conftest import SMALL
from tests.dynamic_support import Bench, make_bench

BITS = 3
SOURCES = 4


@pytest.fixture(scope="module")
def bench(nangate45: Pdk, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(nangate45, f"booth:{SMALL}", tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def osu_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(load_pdk("osu018", install=True), f"array:{SMALL}", tmp_path_factory.mktemp("osu"))


def nldm(bench: Bench) -> NldmDelays:
    return NldmDelays(bench.netlist, bench.conditions.output_load_ff, bench.conditions.input_slew_ps)


@pytest.mark.parametrize("name", ["bench", "osu_bench"])
def test_every_delay_at_the_worst_slews_is_openstas(name: str, request: pytest.FixtureRequest) -> None:
    """The SDF is OpenSTA's own calculation of each arc, at the largest slew of each net."""
    bench: Bench = request.getfixturevalue(name)
    delays, netlist = nldm(bench), bench.netlist
    clocks = {register.instance: register.clock_pin for register in netlist.registers}
    constants = constant_nets(netlist)
    compared = 0
    for index, instance in enumerate(netlist.instances):
        paths = bench.sdf.cells[instance.name].paths if instance.name in bench.sdf.cells else []
        for pin in netlist.cell_of(instance).outputs:
            net = instance.pins.get(pin.name)
            if net is None or net in constants:
                continue
            clock = clocks.get(index)
            largest: dict[tuple[str, int, str], float] = {}
            for arc in delay_arcs(pin, clock) if clock else live_arcs(pin, instance, constants):
                for edge, start_edge in edge_pairs(arc):
                    slew = 0.0 if clock else delays.slews_ps[instance.pins[arc.related_pin], start_edge]
                    delay = float(delay_line(arc, edge, delays.loads_ff[net, edge]).at(slew))
                    key = arc.related_pin, edge, plain(arc.sdf_cond)
                    largest[key] = max(largest.get(key, -math.inf), delay)
            for (start, edge, condition), delay in largest.items():
                written = [
                    time
                    for path in paths
                    if (path.from_pin, path.to_pin, plain(path.condition)) == (start, pin.name, condition)
                    and (time := (path.rise_fs, path.fall_fs)[edge]) is not None
                ]
                assert max(written) / 1000 == pytest.approx(delay, abs=2e-3)
                compared += 1
    assert compared > 500


def plain(condition: str | None) -> str:
    return re.sub(r"[()\s]", "", condition or "")


@pytest.mark.parametrize("name", ["bench", "osu_bench"])
def test_setup_times_are_openstas_at_the_slew_of_the_data(name: str, request: pytest.FixtureRequest) -> None:
    """The clock is ideal, its slew 0; that of the data is the largest of its net."""
    bench: Bench = request.getfixturevalue(name)
    delays = nldm(bench)
    seen = set()
    for register in bench.netlist.registers:
        instance = bench.netlist.instances[register.instance]
        for pin in register.data_pins:
            theirs = bench.sdf.setup_fs(instance.name, pin)
            for edge, line in enumerate(delays.setup(register, pin)):
                slew_ps = float(delays.slews_ps[instance.pins[pin], edge])
                # OpenSTA writes three digits of a picosecond.
                assert float(line.at(slew_ps)) == pytest.approx(theirs[edge] / 1000, abs=0.001)
                seen.add(theirs[edge])
    assert len(seen) > 2


@pytest.mark.parametrize("pdk_name", ["nangate45", "osu018"])
def test_one_switching_input_is_timed_as_opensta_does(pdk_name: str, tmp_path: Path) -> None:
    """Chains of random cells whose other inputs hold still: arrival and slew at the end, both edges."""
    pdk = load_pdk(pdk_name, install=True)
    netlist, cases = random_chains(pdk, count=12, length=7, seed=5)
    slew_ps, load_ff = 37.5, 9.25
    reported = opensta_chains(pdk, netlist, cases, slew_ps, load_ff, tmp_path)
    delays = NldmDelays(netlist, load_ff, slew_ps)
    outputs = netlist.port("y").nets
    model = build_model(
        netlist,
        delays,
        [("y", f"y[{bit}]") for bit in range(len(outputs))],
        launch_times(netlist, delays, {}),
    )
    held = {net: cases[net] for net in netlist.port("side").nets} | {CONSTANT_0: 0, CONSTANT_1: 1}
    found: dict[tuple[int, int], tuple[float, float]] = {}
    values = dict.fromkeys(netlist.port("a").nets, 0)
    settled = netlist.evaluate(
        {net: np.array([-value], np.int64).view(np.uint64) for net, value in (held | values).items()}
    )

    def observe(wave: Waveforms) -> None:
        if wave.net in outputs:
            bit, times, slews = outputs.index(wave.net), wave.times, wave.slews_fs
            for entry, start_edge in enumerate(("rise", "fall")):
                begin, end = int(wave.starts[entry]), int(wave.starts[entry + 1]) - 1
                assert end - begin == 1, "one input, no glitch"
                rises = (int(settled[wave.net][0] & np.uint64(1)) == 0) == (start_edge == "rise")
                found[bit, 0 if rises else 1] = times[begin] / 1000, slews[begin] / 1000

    motions = {net: Motion(1, np.array([0, 1], np.uint32), np.array([1, 0], np.uint32)) for net in values}
    Runner(model, Sampled(2), "inertial").run(held, motions, observe)
    assert set(found) == set(reported)
    assert len(found) == 2 * len(outputs)
    for key, (arrival_ps, end_slew_ps) in found.items():
        assert arrival_ps == pytest.approx(reported[key][0], rel=1e-5, abs=0.005)
        assert end_slew_ps == pytest.approx(reported[key][1], rel=3e-5, abs=0.005)


def random_chains(pdk: Pdk, count: int, length: int, seed: int) -> tuple[Netlist, dict[int, int]]:
    """Make chains from ``a`` to ``y``, and the value of each ``side`` input that lets its chain switch."""
    library = pdk.library(pdk.corner())
    rng = np.random.default_rng(seed)
    # Where one arc has both senses, OpenSTA mixes the slews of both edges, which never come together.
    cells: list[Cell] = [
        cell
        for cell in library.cells.values()
        if cell.is_combinational
        and len(cell.outputs) == 1
        and 1 <= len(cell.inputs) <= 4
        and not cell.dont_use
        and not any(arc.sense == "non_unate" for pin in cell.outputs for arc in pin.arcs)
        and all(pin.capacitance_ff > 0 for pin in cell.inputs)
        and cell.outputs[0].function
        and set(cell.outputs[0].function.inputs) == {pin.name for pin in cell.inputs}
    ]
    names = ["1'b0", "1'b1"] + [f"a[{bit}]" for bit in range(count)]
    starts = list(range(2, 2 + count))
    instances: list[Instance] = []
    sides: list[int] = []
    cases: dict[int, int] = {}
    ends = []
    for chain in range(count):
        net = starts[chain]
        for place in range(length):
            cell = cells[int(rng.integers(len(cells)))]
            function = cell.outputs[0].function
            assert function is not None
            through = int(rng.integers(len(function.inputs)))
            rows = [
                row
                for row in range(1 << len(function.inputs))
                if not row >> through & 1
                and (function.truth_table >> row & 1) != (function.truth_table >> (row | 1 << through) & 1)
            ]
            row = int(rng.choice(rows))
            pins = {}
            for position, pin in enumerate(function.inputs):
                if position == through:
                    pins[pin] = net
                else:
                    pins[pin] = len(names)
                    sides.append(len(names))
                    cases[len(names)] = row >> position & 1
                    names.append(f"side[{len(sides) - 1}]")
            net = len(names)
            names.append(f"y[{chain}]" if place == length - 1 else f"n{chain}_{place}")
            pins[cell.outputs[0].name] = net
            instances.append(Instance(f"u{chain}_{place}", cell.name, pins))
        ends.append(net)
    ports = (
        Port("a", "input", tuple(starts)),
        Port("side", "input", tuple(sides)),
        Port("y", "output", tuple(ends)),
    )
    return Netlist("chains", library, ports, tuple(instances), tuple(names), {}), cases


def opensta_chains(
    pdk: Pdk, netlist: Netlist, cases: dict[int, int], slew_ps: float, load_ff: float, folder: Path
) -> dict[tuple[int, int], tuple[float, float]]:
    liberty = pdk.corner().liberty
    stage_files(folder, {f"lib{index}.lib": path for index, path in enumerate(liberty)})
    stage_files(folder, {"no_wires.lib": flows_dir() / "no_wires.lib"})
    (folder / "chains.v").write_text(netlist.to_verilog())
    lines = [f"read_liberty lib{index}.lib" for index in range(len(liberty))]
    lines += [
        "set_cmd_units -time ps -capacitance fF",
        "read_verilog chains.v",
        "link_design chains",
        "read_liberty no_wires.lib",
        "set_wire_load_model -name ideal",
        f"set_load {load_ff} [all_outputs]",
        "create_clock -name c -period 1000000",
        "set_input_delay 0 -clock c [all_inputs]",
        "set_output_delay 0 -clock c [all_outputs]",
        f"set_input_transition {slew_ps} [all_inputs]",
    ]
    lines += [
        f"set_case_analysis {value} [get_ports {{{netlist.net_names[net]}}}]" for net, value in cases.items()
    ]
    count = len(netlist.port("y").nets)
    for bit in range(count):
        for edge in ("rise", "fall"):
            lines.append(f'puts "@ {bit} {edge}"')
            lines.append(
                f"report_checks -path_delay max -{edge}_to [get_ports {{y[{bit}]}}] -fields {{slew}} "
                "-format full -digits 6"
            )
    text = find_opensta().run_script(
        "\n".join(lines), cwd=folder, log_path=folder / "chains.log", timeout_s=100
    )
    found = {}
    for part in text.split("@ ")[1:]:
        head, body = part.split("\n", 1)
        bit, edge = head.split()
        point = re.findall(r"^ *([\d.]+) +[\d.]+ +([\d.]+) [\^v] y\[\d+\] \(out\)$", body, re.MULTILINE)
        found[int(bit), 0 if edge == "rise" else 1] = float(point[-1][1]), float(point[-1][0])
    return found


@pytest.mark.parametrize(
    ("name", "slack_ps"),
    # In OSU's tables a setup time falls as the slew grows, and the static one is that of the largest slew.
    [("bench", 0.01), ("osu_bench", 0.2)],
)
def test_no_weight_is_slower_than_its_bound(
    name: str, slack_ps: float, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bench: Bench = request.getfixturevalue(name)
    arguments = bench.netlist, bench.mac.interface, bench.held
    result = simulate_exhaustive(*arguments, nldm(bench), arrivals_ps=bench.arrivals_ps)
    bound = sweep(
        *arguments,
        bench.conditions,
        find_opensta(),
        sdf_path=bench.sdf_path,
        arrivals_ps=bench.arrivals_ps,
        log_folder=tmp_path,
    )
    limit = bound.stage_bound_ps[:, [bound.stages.index(stage) for stage in result.stages]]
    assert (result.period_ps <= limit + slack_ps).all()
    assert result.period_ps.max() > 0.9 * limit.max()
    fixed = simulate_exhaustive(*arguments, bench.sdf, arrivals_ps=bench.arrivals_ps)
    assert (result.period_ps <= fixed.period_ps * 1.02 + slack_ps).all(), "smaller slews are seldom slower"


def test_icarus_semantics_refuse_slews(bench: Bench) -> None:
    with pytest.raises(UsageError, match="SDF"):
        Runner(bench.model(cast(Any, nldm(bench))), Exhaustive(4), "icarus")


def make_circuit(seed: int, count: int, longest: int) -> tuple[Model, Any]:
    rng = np.random.default_rng(seed)
    gates, toggle = [], {}
    for index in range(count):
        arity = int(rng.choice([1, 2, 2, 3, 3, 4, 5]))
        inputs = tuple(int(net) for net in rng.integers(0, SOURCES + index, arity))
        states = 1 << arity
        value = rng.integers(0, 2, states).astype(np.uint32)
        records, knots = int(rng.integers(1, 6)), int(rng.integers(1, 4))
        at = np.sort(rng.integers(1, longest, (records, knots)), axis=1).astype(np.float64)
        at[:, -1] = np.inf
        line = np.zeros((records, knots, 8))
        line[..., 0] = rng.integers(longest, 2 * longest, (records, knots))
        line[..., 1] = rng.uniform(-0.4, 0.4, (records, knots))
        line[..., 2] = rng.integers(0, longest, (records, knots))
        line[..., 3] = rng.uniform(-0.5, 0.4, (records, knots))
        line[..., 4:] = rng.normal(size=(records, knots, 4)) / [1, longest, 1, longest]
        line[rng.random(records) < 0.2, :, 0] += STANDS_IN_FS
        if rng.random() < 0.5:
            line[..., 6:] = 0
        record = rng.integers(0, records, (arity, states)).astype(np.uint32)
        steps = SlewSteps(record, at, line, bool(line[..., 6:].any()))
        empty = np.zeros((0, 0), np.int32), np.zeros((2, 0, 0), np.float32)
        gates.append(Gate(f"g{index}", SOURCES + index, inputs, value, *empty, steps))
        toggle[SOURCES + index] = (float(rng.normal()), float(rng.normal()))
    sources = tuple(
        Source(
            net,
            (int(rng.integers(0, longest)), int(rng.integers(0, longest))),
            (int(rng.integers(0, longest)), int(rng.integers(0, longest))),
        )
        for net in range(SOURCES)
    )
    patterns = rng.integers(0, 2, (SOURCES, 1 << BITS)).astype(np.uint32)
    return Model(cast(Any, None), sources, tuple(gates), (), toggle), patterns


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 12), longest=st.sampled_from([4, 30, 1000]))
def test_the_kernels_equal_an_event_driven_simulation(seed: int, count: int, longest: int) -> None:
    model, patterns = make_circuit(seed, count, longest)
    size = 1 << BITS
    before, after = (side.ravel() for side in np.meshgrid(np.arange(size), np.arange(size)))
    motions = {net: Motion(1, values[before], values[after]) for net, values in enumerate(patterns)}
    waves: dict[int, tuple[Any, Any, Any]] = {}

    def observe(wave: Waveforms) -> None:
        waves[wave.net] = wave.starts.copy(), wave.times.copy(), wave.slews_fs.copy()

    spent = sum(Runner(model, Sampled(size * size), "inertial").run({}, motions, observe).values())
    for entry in range(size * size):
        expected, energy = by_events(model, patterns, int(before[entry]), int(after[entry]))
        for net, (starts, times, slews) in waves.items():
            span = slice(int(starts[entry]), int(starts[entry + 1]) - 1)
            assert list(zip(times[span].tolist(), slews[span].tolist(), strict=True)) == expected.get(net, [])
        assert spent[:, entry] == pytest.approx(energy, abs=1e-4)


def by_events(model: Model, patterns: Any, before: int, after: int) -> Any:
    """One transition: one queue for all gates, one moment after the other."""
    value = {net: int(values[before]) for net, values in enumerate(patterns)}
    for gate in model.gates:
        value[gate.net] = int(gate.value[state_of(gate, value)])
    initial, state = dict(value), {gate.net: state_of(gate, value) for gate in model.gates}
    queue: list[tuple[int, int, int, float]] = []
    for net, values in enumerate(patterns):
        if values[before] != values[after]:
            falls = int(values[before])
            source = model.sources[net]
            heapq.heappush(queue, (source.launch_fs[falls], net, source.slew_fs[falls], 0.0))
    pending: dict[int, tuple[int, int, int, float]] = {}
    events: dict[int, list[tuple[int, int]]] = {}
    causes: dict[int, list[float]] = {}
    energy = np.zeros(3)
    while queue:
        now = queue[0][0]
        moved: dict[int, int] = {}
        while queue and queue[0][0] == now:
            event = heapq.heappop(queue)
            _, net, slew, cause = event
            if net >= SOURCES:
                if pending.get(net) != event:
                    continue
                del pending[net]
            value[net] ^= 1
            moved[net] = slew
            events.setdefault(net, []).append((now, slew))
            causes.setdefault(net, []).append(cause)
        for gate in model.gates:
            pins = [pin for pin, net in enumerate(gate.inputs) if net in moved]
            if not pins:
                continue
            old, new = state[gate.net], state_of(gate, value)
            state[gate.net] = new
            options = []
            for pin in pins:
                slew = moved[gate.inputs[pin]]
                assert gate.steps is not None
                row = int(gate.steps.record[pin, new])
                part = int(np.searchsorted(gate.steps.knots_fs[row], slew, side="right"))
                delay, out_slew, toggle_fj, edge_fj = (
                    gate.steps.line[row, part, column] + gate.steps.line[row, part, column + 1] * slew
                    for column in (0, 2, 4, 6)
                )
                energy[1] += edge_fj if gate.steps.has_edges else 0
                options.append((delay, pin, out_slew, toggle_fj))
            if gate.value[old] == gate.value[new]:
                continue
            if gate.net in pending:
                del pending[gate.net]
                continue
            delay, _, out_slew, toggle_fj = min(options)
            delay -= STANDS_IN_FS if delay > STANDS_IN_FS / 2 else 0
            event = (now + math.floor(delay + 0.5), gate.net, math.floor(max(out_slew, 0) + 0.5), toggle_fj)
            pending[gate.net] = event
            heapq.heappush(queue, event)
    for gate in model.gates:
        pair = model.toggle_fj[gate.net]
        own = causes.get(gate.net, [])
        toggles = [pair[(initial[gate.net] + k) % 2] for k in range(len(own))]
        energy[0] += sum(toggles)
        energy[1] += sum(own)
        energy[2] += sum(toggles) + sum(own) - (toggles[-1] + own[-1] if len(own) % 2 else 0)
    return events, energy


def state_of(gate: Gate, value: dict[int, int]) -> int:
    return sum(value[net] << pin for pin, net in enumerate(gate.inputs))


def lines() -> st.SearchStrategy[Line]:
    points = st.lists(st.integers(0, 500), min_size=1, max_size=6, unique=True).map(sorted)
    return points.flatmap(
        lambda at: st.lists(st.floats(-100, 100), min_size=len(at), max_size=len(at)).map(
            lambda values: Line(np.array(at, np.float64), np.array(values))
        )
    )


@given(one=lines(), other=lines(), slew=st.floats(0, 800))
def test_segments_are_their_lines(one: Line, other: Line, slew: float) -> None:
    knots, line = setup_segments((one, other))
    for row, own in enumerate((one, other)):
        part = int(np.searchsorted(knots[row], slew * 1000, side="right"))
        value = line[row, part, 0] + line[row, part, 1] * slew * 1000
        assert value / 1000 == pytest.approx(float(own.at(slew)), abs=1e-6)
    total = float(sum_of_lines([one, other]).at(slew))
    assert total == pytest.approx(float(one.at(slew) + other.at(slew)), abs=1e-6)

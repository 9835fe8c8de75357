"""Kernels and memo against a plain event-driven simulation of random circuits."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_timing.dynamic import run as run_module
from halo_timing.dynamic.domain import Exhaustive, Sampled
from halo_timing.dynamic.model import Gate, Model, Source, delay_table
from halo_timing.dynamic.run import Motion, Runner, Semantics, Waveforms
from halo_timing.errors import NetlistError
from halo_timing.pdk.logic import parse_function
from halo_timing.sdf import IoPath

BITS = 3
SOURCES = 4


@dataclass
class Circuit:
    name: str
    model: Model = field(repr=False)
    patterns: np.ndarray[Any, np.dtype[np.uint32]] = field(repr=False)
    """Value of each source per bit pattern."""


def make_circuit(seed: int, count: int, longest: int) -> Circuit:
    # Few distinct delays make ties between events, many short pulses, and pulses of exactly a delay.
    rng = np.random.default_rng(seed)
    gates, toggle = [], {}
    for index in range(count):
        arity = int(rng.choice([1, 2, 2, 3, 3, 4, 5]))
        inputs = tuple(int(net) for net in rng.integers(0, SOURCES + index, arity))
        states = 1 << arity
        value = rng.integers(0, 2, states).astype(np.uint32)
        delay = rng.integers(1, longest, (states, states)).astype(np.int32)
        delay[value[:, None] == value[None, :]] = -1
        energy = rng.normal(size=(2, states, states)).astype(np.float32)
        energy[0][delay < 0] = 0
        gates.append(Gate(f"g{index}", SOURCES + index, inputs, value, delay, energy))
        toggle[SOURCES + index] = (float(rng.normal()), float(rng.normal()))
    sources = tuple(
        Source(net, (int(rng.integers(0, longest)), int(rng.integers(0, longest)))) for net in range(SOURCES)
    )
    patterns = rng.integers(0, 2, (SOURCES, 1 << BITS)).astype(np.uint32)
    model = Model(cast(Any, None), sources, tuple(gates), (), toggle)
    return Circuit(f"make_circuit({seed}, {count}, {longest})", model, patterns)


def circuits() -> st.SearchStrategy[Circuit]:
    return st.builds(make_circuit, st.integers(0, 2**32), st.integers(1, 14), st.sampled_from([3, 20, 1000]))


def simulate(circuit: Circuit, semantics: Semantics, transitions: list[tuple[int, int]] | None) -> Any:
    """Toggle times per (before, after) and net, and energies per (before, after)."""
    domain = Exhaustive(BITS) if transitions is None else Sampled(len(transitions))
    held, motions = {}, {}
    for net, values in enumerate(circuit.patterns):
        if isinstance(domain, Exhaustive):
            support, values = domain.source(values)
            if not support:
                held[net] = int(values[0])
            else:
                motions[net] = Motion(support, values, values)
        else:
            before, after = np.array(transitions).T
            motions[net] = Motion(1, values[before], values[after])
    size = 1 << BITS
    everything = [(before, after) for after in range(size) for before in range(size)]
    keys = transitions or everything

    def entries(support: int) -> list[int]:
        if transitions is not None:
            return list(range(len(keys)))
        low_map, high_map = domain.maps(size - 1, [support])
        return [int(low_map[0][before] + high_map[0][after]) for before, after in keys]

    times: dict[tuple[int, int], dict[int, list[int]]] = {key: {} for key in keys}

    def observe(wave: Waveforms) -> None:
        for key, entry in zip(keys, entries(wave.support), strict=True):
            start, end = int(wave.starts[entry]), int(wave.starts[entry + 1]) - 1
            if end > start:
                times[key][wave.net] = wave.times[start:end].tolist()

    spent = Runner(circuit.model, domain, semantics).run(held, motions, observe)
    energy = {key: np.zeros(3) for key in keys}
    for support, parts in spent.items():
        for key, entry in zip(keys, entries(support), strict=True):
            energy[key] += parts[:, entry]
    return times, energy


def by_events(circuit: Circuit, semantics: Semantics, before: int, after: int) -> Any:
    """The same of one transition: one queue for all gates, one moment after the other."""
    model = circuit.model
    value = {net: int(values[before]) for net, values in enumerate(circuit.patterns)}
    for gate in model.gates:
        value[gate.net] = int(gate.value[state_of(gate, value)])
    initial, state = dict(value), {gate.net: state_of(gate, value) for gate in model.gates}
    aim = dict(value)
    queue: list[tuple[int, int]] = []
    for net, values in enumerate(circuit.patterns):
        if values[before] != values[after]:
            rise, fall = model.sources[net].launch_fs
            aim[net] = int(values[after])
            heapq.heappush(queue, (rise if values[after] else fall, net))
    pending: dict[int, int] = {}
    cause: dict[int, float] = {}
    times: dict[int, list[int]] = {}
    steps: dict[int, list[float]] = {}
    energy = np.zeros(3)
    while queue:
        now = queue[0][0]
        moved = set()
        while queue and queue[0][0] == now:
            _, net = heapq.heappop(queue)
            if semantics == "inertial" and net >= SOURCES and pending.get(net) != now:
                continue
            pending.pop(net, None)
            if value[net] != aim[net]:
                value[net] = aim[net]
                moved.add(net)
                times.setdefault(net, []).append(now)
                steps.setdefault(net, []).append(cause.get(net, 0.0))
        for gate in model.gates:
            if not moved & set(gate.inputs):
                continue
            old, new = state[gate.net], state_of(gate, value)
            state[gate.net] = new
            energy[1] += gate.energy_fj[1, old, new]
            if gate.value[old] == gate.value[new]:
                continue
            aim[gate.net] = int(gate.value[new])
            if semantics == "inertial" and gate.net in pending:
                del pending[gate.net]
                continue
            cause[gate.net] = float(gate.energy_fj[0, old, new])
            pending[gate.net] = now + int(gate.delay_fs[old, new])
            heapq.heappush(queue, (pending[gate.net], gate.net))
    for gate in model.gates:
        pair = model.toggle_fj[gate.net]
        toggles = [pair[(initial[gate.net] + k) % 2] for k in range(len(times.get(gate.net, [])))]
        own = steps.get(gate.net, [])
        energy[0] += sum(toggles)
        energy[1] += sum(own)
        energy[2] += sum(toggles) + sum(own) - (toggles[-1] + own[-1] if len(toggles) % 2 else 0)
    return times, energy


def state_of(gate: Gate, value: dict[int, int]) -> int:
    return sum(value[net] << pin for pin, net in enumerate(gate.inputs))


@pytest.mark.parametrize("semantics", ["inertial", "icarus"])
@settings(max_examples=40, deadline=None)
@given(circuit=circuits())
def test_the_memo_equals_an_event_driven_simulation(semantics: Semantics, circuit: Circuit) -> None:
    times, energy = simulate(circuit, semantics, None)
    for (before, after), found in times.items():
        expected, expected_fj = by_events(circuit, semantics, before, after)
        assert found == expected
        assert energy[before, after] == pytest.approx(expected_fj, abs=1e-4)


@pytest.mark.parametrize("semantics", ["inertial", "icarus"])
@settings(max_examples=25, deadline=None)
@given(circuit=circuits(), seed=st.integers(0, 100))
def test_a_list_of_transitions_equals_the_memo(semantics: Semantics, circuit: Circuit, seed: int) -> None:
    chosen = sorted(
        {(int(a), int(b)) for a, b in np.random.default_rng(seed).integers(0, 1 << BITS, (20, 2))}
    )
    times, energy = simulate(circuit, semantics, None)
    listed, listed_fj = simulate(circuit, semantics, chosen)
    for key in chosen:
        assert listed[key] == times[key]
        assert listed_fj[key] == pytest.approx(energy[key], abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(circuit=circuits())
def test_a_pool_that_must_grow_gives_the_same(circuit: Circuit) -> None:
    expected = simulate(circuit, "inertial", None)
    usual = run_module._EVENTS_PER_ENTRY
    try:
        run_module._EVENTS_PER_ENTRY = 1
        grown = simulate(circuit, "inertial", None)
    finally:
        run_module._EVENTS_PER_ENTRY = usual
    assert grown[0] == expected[0]
    assert all((grown[1][key] == expected[1][key]).all() for key in expected[1])


@settings(max_examples=25, deadline=None)
@given(circuit=circuits())
def test_filtering_never_adds_toggles(circuit: Circuit) -> None:
    """Without filtering, every change of the value that the inputs ask for would come out."""
    times, _ = simulate(circuit, "inertial", None)
    for (before, _after), found in times.items():
        value = {net: int(values[before]) for net, values in enumerate(circuit.patterns)}
        for gate in circuit.model.gates:
            value[gate.net] = int(gate.value[state_of(gate, value)])
        for gate in circuit.model.gates:
            asked = 0
            now = dict(value)
            moments = sorted({time for net in gate.inputs for time in found.get(net, [])})
            shown = value[gate.net]
            for moment in moments:
                for net in set(gate.inputs):
                    now[net] ^= moment in found.get(net, [])
                asked += int(gate.value[state_of(gate, now)]) != shown
                shown = int(gate.value[state_of(gate, now)])
            toggles = len(found.get(gate.net, []))
            assert toggles <= asked
            assert (asked - toggles) % 2 == 0


def test_conditions_edges_and_both_senses_of_xor_make_the_delay_table() -> None:
    function = parse_function("A ^ B", ("A", "B"), where="x")
    paths = [
        IoPath("A", "Z", "", "(B == 1'b0)", 10, 20),
        IoPath("A", "Z", "", "(B == 1'b1)", 30, 40),
        IoPath("B", "Z", "posedge", None, 50, 60),
        IoPath("B", "Z", "negedge", None, 70, 80),
    ]
    value, delay = delay_table(function, ("A", "B"), paths, "x")
    assert value.tolist() == [0, 1, 1, 0]
    # States are A + 2 B.
    assert delay.tolist() == [
        [-1, 10, 50, -1],
        [20, -1, -1, 60],
        [80, -1, -1, 40],
        [-1, 70, 30, -1],
    ]


def test_where_no_condition_holds_the_slowest_path_stands_in() -> None:
    function = parse_function("A & B", ("A", "B"), where="x")
    paths = [IoPath("A", "Z", "", "(B == 1'b0)", 10, 20), IoPath("B", "Z", "", None, 90, 15)]
    _, delay = delay_table(function, ("A", "B"), paths, "x")
    assert delay[2, 3] == 10
    assert delay[0, 3] == 90
    assert delay[3, 0] == 15


def test_an_input_without_delay_is_refused() -> None:
    function = parse_function("A & B", ("A", "B"), where="x")
    with pytest.raises(NetlistError, match="u1: an input has no delay"):
        delay_table(function, ("A", "B"), [IoPath("A", "Z", "", None, 1, 1)], "u1")

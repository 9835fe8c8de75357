"""The floating-point MAC at one corner: mapped, checked against numpy, its worst period, energy and leakage.

There is no sweep over weights: 65 536 of them have no order that levels could be cut from, and what is wanted
is a baseline. The MAC is signed off for any operands, as a designer would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.delay_calculation import net_loads_ff, worst_slews_ps
from halo_timing.dynamic.model import build_model
from halo_timing.dynamic.sampled import Launches, Worker
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.dynamic.stages import launch_times
from halo_timing.energy.cell_energies import CellEnergies
from halo_timing.energy.leakage import leakage_nw
from halo_timing.float_mac import EDGES_BEFORE_ADDER, multiply_add
from halo_timing.held_weight import bit_words, find_held_weight, unpack_words
from halo_timing.interface import Interface
from halo_timing.netlist import Netlist, Words
from halo_timing.reference import check_reference
from halo_timing.rtl import Mac
from halo_timing.sta import TimingConditions, stages_of, worst_period_ps, write_delays
from halo_timing.synthesis import MappingTarget, synthesize
from halo_timing.tools.opensta import OpenSta
from halo_timing.tools.yosys import Yosys

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class FloatStimulus:
    """Transitions for the energy: MACs in columns, each with a weight of its own.

    Parameters
    ----------
    columns
        Number of columns, a transition each.
    rows
        Elements of a column; the MAC stands in a row that is drawn, and its incoming sums are what the rows
        above make of drawn activations.
    weight_sigma, activation_sigma
        Of the normal distributions of weights and activations.
    seed
        Of everything that is drawn.
    """

    columns: int = 1024
    rows: int = 64
    weight_sigma: float = 0.05
    activation_sigma: float = 1.0
    seed: int = 1


@dataclass(frozen=True)
class FloatEnergy:
    """Mean energy of a cycle in fJ, glitches included, and leakage in nW."""

    switching_fj: float
    internal_fj: float
    clock_fj: float
    leakage_nw: float

    @property
    def cycle_fj(self) -> float:
        """Energy of a cycle without leakage."""
        return self.switching_fj + self.internal_fj + self.clock_fj


def characterize_float_mac(
    mac: Mac,
    target: MappingTarget,
    conditions: TimingConditions,
    yosys: Yosys,
    sta: OpenSta,
    *,
    provenance: Mapping[str, Any],
    log_folder: Path,
    stimulus: FloatStimulus | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Netlist, dict[str, Any]]:
    """Map the MAC by each of its recipes, keep the fastest, and measure it.

    Returns
    -------
    netlist
        The fastest.
    dict
        Content of ``synthesis.json``.

    Raises
    ------
    ToolError
        If a tool fails.
    RtlError
        If the netlist does not compute what numpy does.
    """
    stimulus = stimulus or FloatStimulus()
    trials = []
    for recipe in mac.recipes:
        folder = log_folder / recipe
        netlist = synthesize(mac, target, recipe, yosys, folder)
        held = find_held_weight(netlist, mac.interface)
        check = check_reference(netlist, mac.interface, held, multiply_add)
        period_ps = worst_period_ps(netlist, mac.interface, held, conditions, sta, folder)
        trials.append((period_ps, recipe, netlist, check))
        if progress:
            progress(1)
    period_ps, recipe, netlist, check = min(trials, key=lambda trial: trial[0])
    energy = measure_energy(netlist, mac.interface, conditions, sta, stimulus, log_folder)
    if progress:
        progress(1)
    return netlist, {
        "recipe": recipe,
        "area_um2": round(netlist.area_um2, 6),
        "cell_count": len(netlist.instances),
        "worst_period_ps": round(period_ps, 6),
        "trials": [
            {
                "recipe": name,
                "worst_period_ps": round(period, 6),
                "area_um2": round(candidate.area_um2, 6),
                "cells": len(candidate.instances),
            }
            for period, name, candidate, _ in trials
        ],
        "reference": asdict(check),
        "float": {
            **{key: provenance[key] for key in ("pdk", "corner", "vdd_v", "liberty_sha256", "tools")},
            "mac": mac.name,
            "parameters": dict(mac.parameters),
            "weight_width": 16,
            "hop": check.latency - EDGES_BEFORE_ADDER,
            "latency": check.latency,
            "energy_fj": round(energy.cycle_fj, 4),
            "energy_parts": {name: round(value, 4) for name, value in asdict(energy).items()},
            "stimulus": asdict(stimulus),
        },
    }


def measure_energy(
    netlist: Netlist,
    interface: Interface,
    conditions: TimingConditions,
    sta: OpenSta,
    stimulus: FloatStimulus,
    log_folder: Path,
) -> FloatEnergy:
    """Simulate one clock cycle in each of many columns, with delays, and count what it costs.

    Raises
    ------
    ToolError
        If OpenSTA fails.
    """
    load_ff = net_loads_ff(netlist, conditions.output_load_ff)
    slew_ps = worst_slews_ps(netlist, load_ff, conditions.input_slew_ps)
    energies = CellEnergies(netlist, load_ff, slew_ps)
    delays = NldmDelays(netlist, conditions.output_load_ff, conditions.input_slew_ps)
    arrivals = write_delays(
        netlist, interface, conditions, sta, log_folder / "delays.sdf", log_folder / "sta_energy.log"
    )
    held = find_held_weight(netlist, interface)
    stages = stages_of(netlist, interface, held)
    endpoints = [(str(index), name) for index, names in enumerate(stages.values()) for name in names]
    model = build_model(netlist, delays, endpoints, launch_times(netlist, delays, arrivals), energies)
    before, after = _sources(netlist, interface, stimulus)
    rows = (
        {net: words[None, :] for net, words in before.items()},
        {net: words[None, :] for net, words in after.items()},
    )
    measured = Worker(model, "inertial", len(stages)).run(Launches({}, *rows, stimulus.columns), 0, 0)
    switching, internal, _ = measured.energy_fj / stimulus.columns
    leakage = leakage_nw(netlist, rows[0], stimulus.columns)
    return FloatEnergy(
        float(switching),
        float(internal),
        _clock_fj(netlist, energies, before, stimulus.columns),
        float(leakage[0]),
    )


def column_operands(stimulus: FloatStimulus, cycles: int) -> tuple[Integers, Integers, Integers]:
    """Draw what one MAC of each column sees.

    Returns
    -------
    weights
        Bit patterns, shape ``(columns,)``.
    activations, sums
        Bit patterns in each cycle, shape ``(cycles, columns)``.
    """
    rng = np.random.default_rng(stimulus.seed)
    count = stimulus.columns

    def half(sigma: float, *shape: int) -> Integers:
        return (rng.standard_normal(shape) * sigma).astype(np.float16).view(np.uint16).astype(np.int64)

    row = rng.integers(0, stimulus.rows, count)
    weights = half(stimulus.weight_sigma, count)
    above = half(stimulus.weight_sigma, stimulus.rows, count)
    sums = np.zeros((cycles, count), np.int64)
    for index in range(stimulus.rows):
        added = multiply_add(above[index], half(stimulus.activation_sigma, cycles, count), sums)
        sums = np.where(index < row, added, sums)
    return weights, half(stimulus.activation_sigma, cycles, count), sums


def _sources(
    netlist: Netlist, interface: Interface, stimulus: FloatStimulus
) -> tuple[dict[int, Words], dict[int, Words]]:
    """Words of every port bit and register output in two cycles that follow one another."""
    # Every register has seen a few cycles of the stream by then.
    cycles = 2 * len(netlist.port(interface.weight).nets)
    weights, activations, sums = column_operands(stimulus, cycles)
    zeros = np.zeros(stimulus.columns, np.int64)
    state = {register.instance: bit_words(zeros, 0) for register in netlist.registers}
    sources: list[dict[int, Words]] = []
    for cycle in range(cycles):
        # The weight is loaded at first, and then holds still while other weights come by.
        controls = interface.load if cycle < cycles // 2 else interface.hold
        given = {interface.activation: activations[cycle], interface.partial_sum: sums[cycle]}
        given[interface.weight] = weights
        given |= {name: zeros + value for name, value in controls.items()}
        now = {
            net: bit_words(given.get(port.name, zeros), bit)
            for port in netlist.ports
            if port.direction == "input"
            for bit, net in enumerate(port.nets)
        }
        for register in netlist.registers:
            now |= netlist.state_values(register, state[register.instance])
        values = netlist.evaluate(now)
        state = {register.instance: netlist.next_state(register, values) for register in netlist.registers}
        sources.append(now)
    return sources[-2], sources[-1]


def _clock_fj(netlist: Netlist, energies: CellEnergies, sources: Mapping[int, Words], count: int) -> float:
    """Energy of the clock in a cycle: its net's two toggles, and both edges in every register."""
    total = 0.0
    clocks = set()
    for register in netlist.registers:
        pins = netlist.instances[register.instance].pins
        clocks.add(pins[register.clock_pin])
        pin, same = next(iter(register.state_pins.items()))
        ones = float(unpack_words(sources[pins[pin]], count).mean())
        share = ones if same else 1 - ones
        at_0, at_1 = energies.hold_fj(register)
        total += at_0 * (1 - share) + at_1 * share
    return total + sum(sum(energies.toggle_fj(net)) for net in sorted(clocks))

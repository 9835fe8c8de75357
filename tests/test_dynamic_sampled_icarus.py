"""Sampled transitions in the ``icarus`` semantics against Icarus Verilog: every toggle, to the femtosecond.

The bench of Icarus drives activations only. So each bit of a partial sum gets a register in front, whose
clock-to-output delay is the port's arrival, and the operand of the bench is activation and sum side by side.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halo_timing.dynamic import Simulation, Stimulus
from halo_timing.dynamic.domain import Sampled
from halo_timing.dynamic.element import Integers
from halo_timing.dynamic.icarus_bench import simulate_walks_in_icarus
from halo_timing.dynamic.kernels import NEVER
from halo_timing.dynamic.run import Runner, Waveforms
from halo_timing.dynamic.sampled import Sampler
from halo_timing.dynamic.walks import Toggles, Walk
from halo_timing.interface import Interface
from halo_timing.netlist import Instance, Netlist, Port
from halo_timing.pdk.registry import Pdk
from halo_timing.sdf import IoPath, Sdf, SdfCell
from halo_timing.tools.icarus import find_icarus
from tests.conftest import SMALL
from tests.dynamic_support import Bench, make_bench

SAMPLES = 150


@pytest.mark.parametrize(
    "spec",
    [f"array:{SMALL}", f"booth:{SMALL},PIPELINE=fused", f"booth_stored:{SMALL},PIPELINE=carry_save"],
)
def test_accumulators_toggle_as_in_icarus(spec: str, nangate45: Pdk, tmp_path: Path) -> None:
    bench = make_bench(nangate45, spec, tmp_path)
    sim = Simulation(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        bench.sdf,
        bench.arrivals_ps,
        Stimulus(samples=SAMPLES, rows=20),
        semantics="icarus",
    )
    sampler = sim.sampler
    assert sampler is not None
    netlist, interface, sdf = with_sum_registers(bench)
    cycles = sampler.window.cycles
    nets = [gate.net for gate in sampler.model.gates]
    nets += [source.net for source in sampler.model.sources]
    for weight in (3, 8, 13):
        drawn = sampler.column.draw(np.array([weight]))
        theirs = simulate_walks_in_icarus(
            netlist,
            interface,
            bench.held,
            sdf,
            [Walk(weight, words(bench, drawn, cycles))],
            nets,
            sampler.model.longest_fs,
            find_icarus(),
            tmp_path / "icarus.log",
        )
        ours = our_toggles(sampler, weight, drawn)
        # Each sample takes all edges of its window; the last one is the transition.
        sample, step = np.divmod(theirs.transition, cycles - 1)
        last = step == cycles - 2
        assert ours == Toggles.ordered(theirs.net[last], sample[last], theirs.time_fs[last])
        assert len(ours) > 10 * SAMPLES


def with_sum_registers(bench: Bench) -> tuple[Netlist, Interface, Sdf]:
    """Put registers before the partial sum; the operand's upper bits feed them."""
    netlist, interface = bench.netlist, bench.mac.interface
    model = netlist.instances[netlist.registers[0].instance]
    (pin,) = netlist.registers[0].state_pins.keys() & {"Q"}
    instances, names, cells = list(netlist.instances), list(netlist.net_names), dict(bench.sdf.cells)
    groups = dict(netlist.groups)
    chained = sorted(target for target in interface.chains.values() if target != interface.activation)
    operand = list(netlist.port(interface.activation).nets)
    for name in chained:
        delay_fs = round(bench.arrivals_ps[name] * 1000)
        for bit, net in enumerate(netlist.port(name).nets):
            own = f"late_{name}_{bit}"
            names[net] = f"{own}_q"
            names.append("")
            operand.append(len(names) - 1)
            groups[len(instances)] = own, 0
            instances.append(Instance(own, model.cell, {"CK": model.pins["CK"], "D": operand[-1], pin: net}))
            cells[own] = SdfCell(model.cell, [IoPath("CK", pin, "", None, delay_fs, delay_fs)])
    for bit, net in enumerate(operand):
        names[net] = f"operand[{bit}]"
    ports = tuple(port for port in netlist.ports if port.name not in {*chained, interface.activation})
    wider = replace(
        netlist,
        ports=(*ports, Port("operand", "input", tuple(operand))),
        instances=tuple(instances),
        net_names=tuple(names),
        groups=groups,
    )
    return wider, replace(interface, activation="operand"), Sdf(cells, bench.sdf.interconnect_fs)


def words(bench: Bench, drawn: dict[str, Integers], cycles: int) -> list[int]:
    """Operand before each edge of all windows: an activation, and the sum that shows after the edge."""
    interface = bench.mac.interface
    chained = sorted(target for target in interface.chains.values() if target != interface.activation)
    result = [0]
    for sample in range(SAMPLES):
        for cycle in range(cycles - 1):
            place = len(bench.netlist.port(interface.activation).nets)
            value = int(drawn[interface.activation][0, cycle, sample])
            for name in chained:
                value |= int(drawn[name][0, cycle + 1, sample]) << place
                place += len(bench.netlist.port(name).nets)
            result.append(value)
    return result


def our_toggles(sampler: Sampler, weight: int, drawn: dict[str, Integers]) -> Toggles:
    found: list[tuple[Integers, ...]] = []

    def observe(wave: Waveforms) -> None:
        times = wave.times[wave.times != NEVER]
        sample = np.repeat(np.arange(SAMPLES), wave.toggles)
        found.append((np.full(len(times), wave.net), sample, times))

    launches = sampler.launches(np.array([weight]), drawn)
    held, motions = launches.motions(sampler.model, 0, weight, slice(0, SAMPLES))
    Runner(sampler.model, Sampled(SAMPLES), "icarus").run(held, motions, observe)
    return Toggles.ordered(*(np.concatenate(column) for column in zip(*found, strict=True)))

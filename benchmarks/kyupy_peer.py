"""Throughput of KyuPy's waveform simulator on the same logic and delays; needs the ``bench`` extra.

KyuPy simulates the combinational logic between registers with SDF delays, for the libraries that are built
into it: Nangate45 among them, cells of at most four inputs. It takes no conditional delays.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from halo_timing.dynamic.icarus_bench import fan_in
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Netlist, Port
from halo_timing.pdk.verilog_models import unconditional_sdf
from tests.dynamic_support import Bench

SIMULATIONS = 4096
ROUNDS = 4
EVENTS = 32


def kyupy_rate(bench: Bench) -> float | str:
    """Transitions per second of processor time, or the reason why there is no such figure.

    Random transitions of the activation under one weight. What is timed is the propagation of waveforms with
    one set of delays, memory reused and forks left out; not its capture, which is a loop in Python.
    """
    try:
        from kyupy import sdf, verilog
        from kyupy.techlib import NANGATE45
        from kyupy.wave_sim import WaveSim
    except ImportError:
        return "not installed"
    model = bench.model()
    netlist = bench.netlist
    ends = {end.name.rpartition("/")[0] for end in model.endpoints}
    captured = [
        next(
            instance.pins[pin.name] for pin in netlist.cell_of(instance).outputs if pin.name in instance.pins
        )
        for instance in netlist.instances
        if instance.name in ends
    ]
    part = _as_kyupy_wants_it(fan_in(netlist, captured), captured)
    unknown = {instance.cell for instance in part.instances} - NANGATE45.cells.keys()
    if unknown:
        return f"no {min(unknown)}"
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        (Path(name) / "part.v").write_text(part.to_verilog())
        circuit = verilog.load(Path(name) / "part.v", tlib=NANGATE45)
        delays = sdf.parse(unconditional_sdf(bench.sdf_path.read_text())).iopaths(circuit, tlib=NANGATE45)
    circuit.resolve_tlib_cells(NANGATE45)
    simulator = WaveSim(circuit, delays[-1:], sims=SIMULATIONS, c_caps=EVENTS, c_reuse=True, strip_forks=True)
    rng = np.random.default_rng(1)
    moving = {
        netlist.instances[netlist.drivers[net][0]].name
        for net in bench.nets.values
        if net in netlist.drivers and bench.nets.depth[net] == 1
    }
    moves = np.array([node.name in moving for node in circuit.s_nodes])
    held = rng.integers(0, 2, (len(moves), 1))
    for row, node in enumerate(circuit.s_nodes):
        held[row] = bench.mac.interface.hold.get(node.name, held[row])
    spent = 0.0
    for number in range(ROUNDS + 1):
        for row in (0, 2):
            values = rng.integers(0, 2, (len(moves), SIMULATIONS))
            simulator.s[row] = np.where(moves[:, None], values, held)
        simulator.s[1] = 0.0
        begin = time.process_time()
        simulator.s_to_c()
        simulator.c_prop()
        if number:  # the first round compiles
            spent += time.process_time() - begin
    if not (simulator.e[:, :, 0] >> 2).mean(axis=1).sum() > bench.nets.bits:
        return "nothing moved"
    return ROUNDS * SIMULATIONS / spent


def _as_kyupy_wants_it(netlist: Netlist, captured: Sequence[int]) -> Netlist:
    """Drop pins that drive nothing, and all output ports but the captured nets.

    KyuPy leaves out what feeds a net with loose ends, registers that drive nothing, and readers of a net
    that is an output port as well.
    """
    inputs = tuple(port for port in netlist.ports if port.direction == "input")
    names = [f"net{net}" for net in range(len(netlist.net_names))]
    for net in (CONSTANT_0, CONSTANT_1, *(net for port in inputs for net in port.nets)):
        names[net] = netlist.net_names[net]
    for bit, net in enumerate(captured):
        names[net] = f"captured[{bit}]"
    read = set(captured)
    for instance in netlist.instances:
        read |= {instance.pins[pin.name] for pin in netlist.cell_of(instance).inputs}
    instances = [
        replace(instance, pins={pin: net for pin, net in instance.pins.items() if net in read})
        for instance in netlist.instances
    ]
    ports = (*inputs, Port("captured", "output", tuple(captured)))
    return replace(netlist, ports=ports, net_names=tuple(names), instances=tuple(instances))

"""Random combinational netlists of a library's own cells, with random or the library's delays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.domain import Sampled
from halo_timing.dynamic.model import Model, build_model
from halo_timing.dynamic.run import Motion, Runner
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.dynamic.stages import Launch
from halo_timing.netlist import Instance, Netlist, Port
from halo_timing.pdk.library import Library
from halo_timing.sdf import IoPath, Sdf, SdfCell

BITS = 3
FIRST = 2
"""Net of the first input bit; 0 and 1 are the constants."""
NEAR = 7


@dataclass(repr=False)
class RealCircuit:
    name: str
    netlist: Netlist
    sdf: Sdf
    launch: dict[int, Launch]

    def __repr__(self) -> str:
        return self.name

    def model(self, with_slews: bool) -> Model:
        delays = NldmDelays(self.netlist, 3.0, 20.0) if with_slews else self.sdf
        width = len(self.netlist.port("y").nets)
        ends = [("0", f"y[{bit}]" if width > 1 else "y") for bit in range(width)]
        return build_model(self.netlist, delays, ends, self.launch)


def make_real_circuit(library: Library, seed: int, count: int, longest: int) -> RealCircuit:
    """`count` cells whose pins may share nets or be tied to constants; delays below `longest` fs.

    Paths have the conditions that the library gives them, so that some states have conditional delays, some
    unconditional ones.
    """
    rng = np.random.default_rng(seed)
    cells = sorted(
        (cell for cell in library.cells.values() if cell.is_combinational and cell.inputs),
        key=lambda cell: cell.name,
    )
    bits = tuple(range(FIRST, FIRST + BITS))
    nets, instances, delays = [0, 1, *bits], [], {}
    for index in range(count):
        cell = cells[rng.integers(len(cells))]
        near = [*bits, *nets[-NEAR:]]
        pins = {pin.name: int(rng.choice(near)) for pin in cell.inputs}
        for pin in cell.outputs:
            pins[pin.name] = len(nets)
            nets.append(len(nets))
        name = f"u{index}"
        instances.append(Instance(name, cell.name, pins))
        times = iter(rng.integers(0, longest, (64, 2)).tolist())
        paths = [
            IoPath(arc.related_pin, pin.name, "", arc.sdf_cond, *next(times))
            for pin in cell.outputs
            for arc in pin.arcs
            if arc.is_delay
        ]
        delays[name] = SdfCell(cell.name, paths)
    names = ("1'b0", "1'b1", *(f"a[{bit}]" for bit in range(BITS)), *(f"n{net}" for net in nets[5:]))
    ports = (Port("a", "input", bits), Port("y", "output", tuple(nets[5:])))
    netlist = Netlist("random", library, ports, tuple(instances), names, {})
    launch = {
        net: Launch((int(rng.integers(longest)), int(rng.integers(longest))), (20_000, 30_000))
        for net in bits
    }
    return RealCircuit(
        f"make_real_circuit({library.name}, {seed}, {count}, {longest})", netlist, Sdf(delays, {}), launch
    )


@dataclass
class Motions:
    """What every net does in every pair of input patterns; pair ``before + 8 * after``."""

    times: dict[int, list[list[int]]]
    """Toggle times per net that moves, and pair."""
    before: dict[int, NDArray[np.uint32]]


def simulate_pairs(model: Model) -> Motions:
    """All pairs of input patterns, inertial semantics."""
    size = 1 << BITS
    pairs = np.arange(size * size)
    motions = {
        FIRST + bit: Motion(
            1, (pairs % size >> bit & 1).astype(np.uint32), (pairs // size >> bit & 1).astype(np.uint32)
        )
        for bit in range(BITS)
    }
    found = Motions({}, {})

    def observe(wave: Any) -> None:
        starts, times = wave.starts.tolist(), wave.times.tolist()
        found.times[wave.net] = [times[start : end - 1] for start, end in pairwise(starts)]
        found.before[wave.net] = wave.before

    Runner(model, Sampled(len(pairs)), "inertial").run({0: 0, 1: 1}, motions, observe)
    return found

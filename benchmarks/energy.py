"""What the limits of the energy model amount to, on one MAC: the figures of docs/energy.md.

    python -m benchmarks.energy [--pdk nangate45] [--mac array] [--others 24] [--seed 0]

Every weight that is a multiple of 32, and some others at random; all pairs of activations. Each line changes
one thing and gives the mean energy of a cycle against the first line: for the multiples of 32, for the
others, and the largest change of a single weight.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.exhaustive import simulate_exhaustive
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.energy import CellEnergies, WeightEnergies, weight_energies
from halo_timing.netlist import Instance, Netlist
from halo_timing.pdk.library import Library
from halo_timing.pdk.registry import load_pdk
from tests.dynamic_support import Bench, make_bench

Floats = NDArray[np.float64]


@click.command()
@click.option("--pdk", default="nangate45", show_default=True)
@click.option("--mac", default="array", show_default=True)
@click.option("--others", default=24, show_default=True, help="Weights that are no multiple of 32.")
@click.option("--seed", default=0, show_default=True)
def main(pdk: str, mac: str, others: int, seed: int) -> None:
    """Print the parts of the energy, then what each limit of the model may hide."""
    with tempfile.TemporaryDirectory(prefix="halo-timing-") as folder:
        bench = make_bench(load_pdk(pdk, install=True), mac, Path(folder))
        assert bench.sdf.cells  # read while it is there
    rng = np.random.default_rng(seed)
    fast = np.flatnonzero(bench.held.values % 32 == 0)
    rest = np.flatnonzero(bench.held.values % 32)
    chosen = np.concatenate([fast, np.sort(rng.choice(rest, min(others, len(rest)), replace=False))])
    nldm = NldmDelays(bench.netlist, bench.conditions.output_load_ff, bench.conditions.input_slew_ps)
    plain = CellEnergies(bench.netlist, nldm.loads_ff, nldm.slews_ps)
    base = run(bench, plain, chosen)

    click.echo(f"{pdk}, {mac}: fJ a cycle, leakage at 1000 ps")
    parts = ("switching_fj", "internal_fj", "glitch_fj", "clock_fj")
    columns = [getattr(base, name) for name in parts] + [base.leakage_fj(1000.0), base.total_fj(1000.0)]
    click.echo(f"{'':14}" + "".join(f"{name:>12}" for name in (*parts, "leakage_fj", "total_fj")))
    for title, rows in groups(len(fast)):
        click.echo(f"{title:14}" + "".join(f"{column[rows].mean():12.1f}" for column in columns))
    quiet = base.dynamic_fj - base.glitch_fj
    for title, energy in (("with glitches", base.dynamic_fj), ("without", quiet)):
        ratio = energy[: len(fast)].mean() / energy[len(fast) :].mean()
        click.echo(f"multiples of 32 over others, {title}: {ratio:.3f}")

    click.echo(
        f"\n{'switching + internal, against the above':44}{'m. of 32':>10}{'others':>10}{'largest':>10}"
    )
    wires = wire_load_ff(bench.netlist)
    variants: list[tuple[str, WeightEnergies]] = [
        ("events carry slews (--delays nldm)", run(bench, plain, chosen, nldm)),
        ("Icarus' treatment of short pulses", run(bench, plain, chosen, semantics="icarus")),
        (
            "filtered pulses swing fully",
            run(bench, FullSwing(bench.netlist, plain.load_ff, plain.slew_ps), chosen),
        ),
        ("several inputs at once: the cheapest", run(bench, Extreme(plain, np.fmin), chosen)),
        ("several inputs at once: the dearest", run(bench, Extreme(plain, np.fmax), chosen)),
        (
            "slews 0 at every input",
            run(bench, CellEnergies(bench.netlist, plain.load_ff, 0 * plain.slew_ps), chosen),
        ),
        (
            "data pins cost nothing (clock active)",
            run(bench, QuietData(bench.netlist, plain.load_ff, plain.slew_ps), chosen),
        ),
    ]
    if wires is not None:
        loaded = CellEnergies(bench.netlist, plain.load_ff + wires[:, None], plain.slew_ps)
        variants.append(("the library's own wire-load model", run(bench, loaded, chosen)))
    reference = base.switching_fj + base.internal_fj
    for title, other in variants:
        change = (other.switching_fj + other.internal_fj) / reference - 1
        click.echo(
            f"{title:44}{change[: len(fast)].mean():+10.2%}{change[len(fast) :].mean():+10.2%}"
            f"{change[np.abs(change).argmax()]:+10.2%}"
        )


def groups(fast: int) -> list[tuple[str, slice]]:
    return [("multiples of 32", slice(fast)), ("others", slice(fast, None))]


def run(
    bench: Bench,
    energies: CellEnergies,
    chosen: NDArray[np.int64],
    delays: Any = None,
    semantics: Any = "inertial",
) -> WeightEnergies:
    """Simulate the chosen weights."""
    result = simulate_exhaustive(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        delays or bench.sdf,
        arrivals_ps=bench.arrivals_ps,
        semantics=semantics,
        energies=energies,
        indices=chosen.tolist(),
    )
    return weight_energies(energies, bench.held, bench.nets, result)


class FullSwing(CellEnergies):
    """Charges every step that would move an output, though the output may never follow.

    The energy is booked as the inputs' own, which the simulation charges at every step.
    """

    def gate_fj(self, instance: Instance, pin: str, inputs: Sequence[str]) -> NDArray[np.float32]:
        energy = super().gate_fj(instance, pin, inputs)
        function = self.netlist.cell_of(instance).pins[pin].function
        assert function is not None
        value = np.array([function.truth_table >> state & 1 for state in range(energy.shape[1])])
        net = np.where(value[None, :] == 1, *super().toggle_fj(instance.pins[pin]))
        energy[1] += energy[0] + np.where(value[:, None] != value[None, :], net, 0.0)
        energy[0] = 0
        return energy

    def toggle_fj(self, net: int) -> tuple[float, float]:
        driver = self.netlist.drivers.get(net)
        return (0.0, 0.0) if driver and driver[0] in self.netlist.graph else super().toggle_fj(net)


class Extreme(CellEnergies):
    """Charges steps of several inputs with the least or the most of the inputs' own, not the mean."""

    def __init__(self, plain: CellEnergies, choose: np.ufunc) -> None:
        super().__init__(plain.netlist, plain.load_ff, plain.slew_ps)
        self.choose = choose

    def gate_fj(self, instance: Instance, pin: str, inputs: Sequence[str]) -> NDArray[np.float32]:
        energy = super().gate_fj(instance, pin, inputs)
        lines, index = self.toggle_lines(instance, pin, inputs)
        states = np.arange(energy.shape[1])
        extreme = np.full(energy.shape[1:], np.nan)
        several = np.zeros(energy.shape[1:], int)
        for place, name in enumerate(inputs):
            rise_ps, fall_ps = self.slew_ps[instance.pins[name]]
            own = np.array(
                [
                    float(lines[number].at(rise_ps if state >> place & 1 else fall_ps))
                    if number >= 0
                    else np.nan
                    for state, number in enumerate(index[place])
                ]
            )
            changes = (states[:, None] ^ states[None, :]) >> place & 1 == 1
            several += changes
            extreme = np.where(changes, self.choose(extreme, own[None, :]), extreme)
        moved = (several > 1) & (energy[0] != 0)
        energy[0] = np.where(moved, extreme, energy[0])
        return energy


class QuietData(CellEnergies):
    """Charges nothing at data pins of registers: all their toggles come while the first latch is closed."""

    def capture_fj(self, instance: Instance, pin: str) -> tuple[tuple[float, float], tuple[float, float]]:
        return (0.0, 0.0), super().capture_fj(instance, pin)[1]


def wire_load_ff(netlist: Netlist) -> Floats | None:
    """Wire capacitance of each net by the library's default wire-load model; None if it has none."""
    library: Library = netlist.library
    if library.default_wire_load is None:
        return None
    model = library.wire_loads[library.default_wire_load]
    result = np.zeros(len(netlist.net_names))
    fanouts, lengths = zip(*sorted(model.lengths), strict=True)
    for net, pins in netlist.loads.items():
        length = np.interp(len(pins), fanouts, lengths) + model.slope * max(len(pins) - fanouts[-1], 0)
        result[net] = length * model.capacitance_ff_per_length
    return result


if __name__ == "__main__":
    main()

"""Energy of a simulated run against one counted from the toggles in Icarus' VCD, tables read by hand."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from halo_timing.dynamic import icarus_bench
from halo_timing.dynamic.exhaustive import group_stages, simulate_exhaustive
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.dynamic.stages import launch_times
from halo_timing.dynamic.walks import Walk, full_walk
from halo_timing.energy import CellEnergies
from halo_timing.netlist import Instance
from halo_timing.pdk.registry import load_pdk
from halo_timing.tools.icarus import find_icarus
from tests.conftest import SMALL
from tests.dynamic_support import Bench, make_bench
from tests.liberty_text import LibertyText

FLIP_FLOPS = {"nangate45": ("CK", "QN"), "osu018": ("CLK", None)}
Edges = tuple[str, ...]
EDGES = ("fall", "rise")


class Ledger:
    """What each toggle costs, by the Liberty text, the netlist's wiring and given slews."""

    def __init__(
        self, bench: Bench, text: LibertyText, slew_ps: np.ndarray, clock: str, inverted: str | None
    ):
        self.bench, self.text, self.clock, self.inverted = bench, text, clock, inverted
        self.slew_ps = slew_ps[:, ::-1]  # indexed by the value after the edge
        self.load_ff = np.full((len(bench.netlist.net_names), 2), 0.0)
        for instance in bench.netlist.instances:
            for pin, net in instance.pins.items():
                for value, edge in enumerate(EDGES):
                    self.load_ff[net, value] += text.capacitance_ff(instance.cell, pin, edge)
        for port in bench.netlist.ports:
            if port.direction == "output":
                self.load_ff[list(port.nets)] += bench.conditions.output_load_ff
        self.spent = np.zeros(3)

    def toggle(self, net: int, after: int) -> float:
        return float(self.load_ff[net, after]) * self.text.vdd**2 / 2

    def gate(
        self, instance: Instance, output: str, before: Mapping[int, int], events: Mapping[int, list[int]]
    ) -> None:
        """Charge the toggles of one output in one transition."""
        function = self.bench.netlist.cell_of(instance).pins[output].function
        assert function is not None
        net = instance.pins[output]
        if not events.get(net):
            return
        state = {pin: before[instance.pins[pin]] for pin in function.inputs}
        steps = []
        for time in sorted({t for pin in state for t in events.get(instance.pins[pin], ())}):
            new = {pin: bit ^ (time in events.get(instance.pins[pin], ())) for pin, bit in state.items()}
            if function(**new) != function(**state):
                steps.append((time, state, new))
            state = new
        costs = []
        value = before[net]
        for time in events[net]:
            value ^= 1
            _, old, new = [step for step in steps if step[0] < time][-1]
            assert function(**new) == value
            costs.append((self.toggle(net, value), self.caused(instance, output, old, new, value)))
        switching, internal = (sum(parts) for parts in zip(*costs, strict=True))
        last = sum(costs[-1]) if len(costs) % 2 else 0.0
        self.spent += switching, internal, switching + internal - last

    def caused(
        self, instance: Instance, output: str, old: dict[str, int], new: dict[str, int], value: int
    ) -> float:
        function = self.bench.netlist.cell_of(instance).pins[output].function
        assert function is not None
        changed = [pin for pin in new if old[pin] != new[pin]]
        full = {**new, output: value}
        load = float(self.load_ff[instance.pins[output], value])

        def decides(pin: str) -> bool:
            return any(function(**s) != function(**{**s, pin: 1 - s[pin]}) for s in (old, new))

        def slew(pin: str) -> float:
            return float(self.slew_ps[instance.pins[pin], new[pin]])

        told = [
            pin for pin in changed if decides(pin) and self.text.describes(instance.cell, output, pin, full)
        ]
        costs = [
            self.text.energy_fj(instance.cell, output, pin, EDGES[value], slew(pin), load, full)
            for pin in told
        ] or [self.text.mean_fj(instance.cell, output, pin, EDGES[value], slew(pin), load) for pin in changed]
        return sum(costs) / len(costs)

    def data_pin(self, instance: Instance, toggles: int, before: int) -> None:
        """Charge a register for the toggles at its data pin, and what it will do at the next clock edge."""
        clock, cell, net = self.clock, instance.cell, instance.pins["D"]
        own = [
            self.text.energy_fj(
                cell, "D", None, EDGES[value], self.slew_ps[net, value], 0.0,
                {"D": value, "Q": 1 - value, "QN": value, clock: 0},
            )
            for value in (0, 1)
        ]  # fmt: skip
        spent, glitch = toggles // 2 * sum(own), toggles // 2 * sum(own)
        if toggles % 2:
            after = before ^ 1
            q, inverse = instance.pins["Q"], self.inverted and instance.pins.get(self.inverted)
            spent += own[after] + self.toggle(q, after)
            spent += self.text.energy_fj(cell, "Q", clock, EDGES[after], 0.0, self.load_ff[q, after], {})
            if self.inverted:
                load = self.load_ff[inverse, before] if inverse else 0.0
                spent += self.text.energy_fj(cell, self.inverted, clock, EDGES[before], 0.0, load, {})
                spent += self.toggle(inverse, before) if inverse else 0.0
            for d, sign in ((after, 1), (before, -1)):
                state = {"D": d, "Q": before, "QN": after, clock: 1}
                spent += sign * self.text.energy_fj(cell, clock, None, "rise", 0.0, 0.0, state)
        self.spent += 0.0, spent, glitch


def read_changes(path: Path) -> list[tuple[int, int, str]]:
    """Time, number of the variable, value."""
    header, _, body = path.read_text().partition("$enddefinitions $end")
    codes = [line.split()[3] for line in header.splitlines() if line.strip().startswith("$var")]
    number = {code: index for index, code in enumerate(codes)}
    changes, now = [], 0
    for line in body.splitlines():
        if line.startswith("#"):
            now = int(line[1:])
        elif line[:1] in "01x" and line[1:] in number:
            changes.append((now, number[line[1:]], line[0]))
    return changes


@pytest.mark.parametrize("name", ["nangate45", "osu018"])
def test_energy_of_every_transition_is_that_of_the_dump(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pdk = load_pdk(name, install=True)
    bench = make_bench(pdk, f"array:{SMALL}", tmp_path)
    netlist, conditions = bench.netlist, bench.conditions
    nldm = NldmDelays(netlist, conditions.output_load_ff, conditions.input_slew_ps)
    energies = CellEnergies(netlist, nldm.loads_ff, nldm.slews_ps)
    weight_index = 5  # -3
    result = simulate_exhaustive(
        netlist,
        bench.mac.interface,
        bench.held,
        bench.sdf,
        arrivals_ps=bench.arrivals_ps,
        semantics="icarus",
        energies=energies,
        indices=[weight_index],
        energy_path=tmp_path / "energy.npy",
    )
    table = np.load(tmp_path / "energy.npy")[0]

    # The same transitions in Icarus, its dump kept.
    def keep(path: Path) -> object:
        shutil.copy(path, tmp_path / "kept.vcd")
        return read_vcd(path)

    read_vcd = icarus_bench.read_vcd
    monkeypatch.setattr(icarus_bench, "read_vcd", keep)
    launch = launch_times(netlist, bench.sdf, bench.arrivals_ps)
    stages = [stage for stage in bench.stages if stage.depth is not None]
    groups = group_stages(netlist, bench.sdf, stages, launch, None)
    gates = [gate for group in groups for gate in group.model.gates]
    watched = sorted({net for gate in gates for net in (*gate.inputs, gate.net) if net > 1})
    walk = full_walk(bench.nets.bits)
    settle_fs = max(group.model.longest_fs for group in groups)
    icarus_bench.simulate_walks_in_icarus(
        netlist, bench.mac.interface, bench.held, bench.sdf, [Walk(weight_index, walk)], watched, settle_fs,
        find_icarus(), tmp_path / "icarus.log",
    )  # fmt: skip

    clock, inverted = FLIP_FLOPS[name]
    ledger = Ledger(
        bench, LibertyText(pdk.corner().liberty[0]), np.nan_to_num(nldm.slews_ps), clock, inverted
    )
    # Half a cycle after each clock edge the inputs change: even halves hold what registers cause, odd ones
    # what the ports cause.
    before, events = halves(read_changes(tmp_path / "kept.vcd"), watched, settle_fs + 1)
    instances = {instance.name: instance for instance in netlist.instances}
    first_edge = 10  # four that load the weight, four that hold it, and the first activation's own
    sums = np.zeros(3)
    for step, (old, new) in enumerate(pairwise(walk)):
        ledger.spent[:] = 0
        for group in groups:
            half = 2 * (first_edge + step) - (group.depth == 0)
            for gate in group.model.gates:
                owner, _, pin = gate.name.rpartition("/")
                ledger.gate(instances[owner], pin, before[half], events[half])
            for end in group.model.endpoints:
                toggles = len(events[half].get(end.net, ()))
                register = instances[end.name.rpartition("/")[0]]
                ledger.data_pin(register, toggles, before[half].get(end.net, 0))
        # Rows and columns of the table are values from -8 to 7.
        place = (old + 8) % 16, (new + 8) % 16
        assert table[place] == pytest.approx(ledger.spent[:2].sum(), rel=1e-5), (step, old, new)
        sums += ledger.spent
    # From an activation to itself nothing moves.
    assert not table.diagonal().any()
    assert result.energy_fj[0] == pytest.approx(sums / 256, rel=1e-5)
    assert sums[2] > 0.1 * sums[:2].sum()


def halves(
    changes: list[tuple[int, int, str]], nets: list[int], half_fs: int
) -> tuple[list[dict[int, int]], list[dict[int, list[int]]]]:
    """Values of nets when each half cycle begins, and the times of their toggles in it."""
    values = {0: 0, 1: 1}
    before: list[dict[int, int]] = [dict(values)]
    events: list[dict[int, list[int]]] = [{}]
    for time, variable, text in changes:
        while len(events) <= time // half_fs:
            before.append(dict(values))
            events.append({})
        value = int(text == "1")
        if text != "x" and values.get(nets[variable], value) != value:
            events[-1].setdefault(nets[variable], []).append(time)
        values[nets[variable]] = value
    return before, events

"""Energies of single cells against tables read, chosen and interpolated by hand from the Liberty text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from halo_timing.energy import CellEnergies
from halo_timing.energy.register_power import RegisterPower
from halo_timing.netlist import Instance, Netlist, Port
from halo_timing.pdk.library import Library
from halo_timing.pdk.registry import Pdk, load_pdk
from tests.liberty_text import LibertyText

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "pdk"
SURROUNDINGS = [(12.0, 31.0, 4.0, 3.1), (55.0, 140.0, 25.0, 24.0)]
"""Slew of every rise and fall in ps, load of every rise and fall in fF."""


@dataclass(frozen=True)
class Cells:
    """The same cells in one PDK: names, output pin, and their functions."""

    pdk: str
    inverter: str
    nand2: str
    xor2: str
    mux2: str
    output: str
    mux_inputs: tuple[str, str, str]
    """Input taken at select 0, the one at 1, select."""
    mux_inverts: bool = False


CELLS = [
    Cells("nangate45", "INV_X1", "NAND2_X1", "XOR2_X1", "MUX2_X1", "", ("A", "B", "S")),
    Cells("osu018", "INVX1", "NAND2X1", "XOR2X1", "MUX2X1", "Y", ("B", "A", "S"), mux_inverts=True),
    Cells(
        "ihp-sg13g2", "sg13g2_inv_1", "sg13g2_nand2_1", "sg13g2_xor2_1", "sg13g2_mux2_1", "",
        ("A0", "A1", "S"),
    ),
]  # fmt: skip

FLIP_FLOPS: dict[str, tuple[str, str, dict[str, int], str | None]] = {
    "nangate45": ("DFF_X1", "CK", {}, "QN"),
    "osu018": ("DFFPOSX1", "CLK", {}, None),
    "ihp-sg13g2": ("sg13g2_dfrbpq_1", "CLK", {"RESET_B": 1}, None),
}
"""Cell, clock pin, pins that hold still, inverted output."""


@pytest.fixture(scope="module", params=CELLS, ids=lambda cells: cells.pdk)
def cells(request: pytest.FixtureRequest) -> Cells:
    return request.param


@pytest.fixture(scope="module")
def pdk(cells: Cells) -> Iterator[Pdk]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield find_pdk(cells.pdk, monkeypatch)


def find_pdk(name: str, monkeypatch: pytest.MonkeyPatch) -> Pdk:
    if name != "ihp-sg13g2":
        return load_pdk(name, install=True)
    root = Path(os.environ.get("HALO_TIMING_TEST_PDKS", _BESIDE))
    if not root.is_dir():
        pytest.skip(f"no PDK data in {root}; HALO_TIMING_TEST_PDKS names another folder")
    monkeypatch.setenv("PDK_ROOT", str(root / "open_pdks"))
    return load_pdk(name)


@pytest.fixture(scope="module")
def library(pdk: Pdk) -> Library:
    return pdk.library()


@pytest.fixture(scope="module")
def text(pdk: Pdk) -> LibertyText:
    return LibertyText(pdk.corner().liberty[0])


def lone_cell(library: Library, cell: str) -> Netlist:
    """Return a netlist of one cell, each pin at a port of its name."""
    pins = library.cells[cell].pins
    nets = {name: index for index, name in enumerate(pins, start=2)}
    ports = tuple(
        Port(name, "output" if pin.direction == "output" else "input", (nets[name],))
        for name, pin in pins.items()
    )
    names = ("1'b0", "1'b1", *pins)
    groups = {0: ("state", 0)} if library.cells[cell].is_flip_flop else {}
    return Netlist("lone", library, ports, (Instance("u0", cell, nets),), names, groups)


def energies(netlist: Netlist, surroundings: tuple[float, float, float, float]) -> CellEnergies:
    count = len(netlist.net_names)
    slews, loads = np.array(surroundings[:2]), np.array(surroundings[2:])
    return CellEnergies(netlist, np.tile(loads, (count, 1)), np.tile(slews, (count, 1)))


def logic(cells: Cells, kind: str, pins: dict[str, int]) -> int:
    if kind == "inverter":
        return 1 - pins["A"]
    if kind == "mux2":
        at_0, at_1, select = cells.mux_inputs
        return pins[at_1 if pins[select] else at_0] ^ cells.mux_inverts
    first, second = pins.values()
    return first ^ second if kind == "xor2" else 1 - (first & second)


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
@pytest.mark.parametrize("kind", ["inverter", "nand2", "xor2", "mux2"])
def test_every_step_of_a_gate(
    cells: Cells,
    library: Library,
    text: LibertyText,
    kind: str,
    surroundings: tuple[float, float, float, float],
) -> None:
    cell = getattr(cells, kind)
    netlist = lone_cell(library, cell)
    ((output, pin),) = [(p.name, p) for p in library.cells[cell].outputs]
    assert pin.function is not None
    inputs = pin.function.inputs
    table = energies(netlist, surroundings).gate_fj(netlist.instances[0], output, inputs)
    slew, load = (dict(zip(("rise", "fall"), surroundings[k : k + 2], strict=True)) for k in (0, 2))

    def moves(state: dict[str, int], name: str) -> bool:
        return logic(cells, kind, state) != logic(cells, kind, {**state, name: 1 - state[name]})

    single = 0
    for old_bits, new_bits in product(product((0, 1), repeat=len(inputs)), repeat=2):
        old, new = dict(zip(inputs, old_bits, strict=True)), dict(zip(inputs, new_bits, strict=True))
        changed = [name for name in inputs if old[name] != new[name]]
        before, after = logic(cells, kind, old), logic(cells, kind, new)
        full = {**new, output: after}
        edge = "rise" if after else "fall"
        toggle = own = 0.0
        if before != after:
            start = {name: slew["rise" if new[name] else "fall"] for name in changed}
            causes = [n for n in changed if moves(old, n) or moves(new, n)]
            told = [n for n in causes if text.describes(cell, output, n, full)]
            costs = [text.energy_fj(cell, output, n, edge, start[n], load[edge], full) for n in told] or [
                text.mean_fj(cell, output, n, edge, start[n], load[edge]) for n in changed
            ]
            toggle = float(np.mean(costs))
            single += len(changed) == 1
            assert told or len(changed) > 1
        for name in changed:
            # IHP's select has conditions for all states in which the output rests: its default is for none.
            if not moves(new, name):
                rise = "rise" if new[name] else "fall"
                own += text.energy_fj(cell, name, None, rise, slew[rise], 0.0, {**new, output: after})
        place = [sum(bit << position for position, bit in enumerate(bits)) for bits in (old_bits, new_bits)]
        assert table[0, place[0], place[1]] == pytest.approx(toggle, rel=1e-3, abs=1e-6), (old, new)
        assert table[1, place[0], place[1]] == pytest.approx(own, rel=1e-3, abs=1e-6), (old, new)
    assert single == {"inverter": 2, "nand2": 4, "xor2": 8, "mux2": 12}[kind]


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_every_edge_of_a_flip_flop(
    cells: Cells, library: Library, text: LibertyText, surroundings: tuple[float, float, float, float]
) -> None:
    """The cycle: active edge with data and state apart or not, outputs, inactive edge, data."""
    rise_ps, fall_ps, rise_ff, fall_ff = surroundings
    cell, clock, others, inverted = FLIP_FLOPS[cells.pdk]
    slews = dict.fromkeys(("D", clock), (rise_ps, fall_ps))
    tied = {name: bool(value) for name, value in others.items()}
    power = RegisterPower(library.cells[cell], tied, slews, {"Q": (rise_ff, fall_ff)})

    def own(pin: str, edge: str, d: int, q: int, clock_is: int) -> float:
        state = {"D": d, "Q": q, "QN": 1 - q, clock: clock_is, **others}
        return text.energy_fj(cell, pin, None, edge, rise_ps if edge == "rise" else fall_ps, 0.0, state)

    def output(pin: str, edge: str, load_ff: float) -> float:
        return text.energy_fj(cell, pin, clock, edge, rise_ps, load_ff, {})

    hold = [own(clock, "rise", q, q, 1) + own(clock, "fall", q, q, 0) for q in (0, 1)]
    change = []
    for q, edge, other_edge, load_ff in ((1, "rise", "fall", rise_ff), (0, "fall", "rise", fall_ff)):
        both = output("Q", edge, load_ff)
        if inverted:
            # It is not connected, and toggles nevertheless.
            both += output(inverted, other_edge, 0.0)
        change.append(both + own(clock, "rise", q, 1 - q, 1) - own(clock, "rise", 1 - q, 1 - q, 1))
    data = [own("D", "rise", 1, 0, 0), own("D", "fall", 0, 1, 0)]
    assert min(*hold, *change, *data) > 0
    assert power.hold_fj() == pytest.approx(hold, rel=1e-3)
    assert power.change_fj() == pytest.approx(change, rel=1e-3)
    assert power.data_fj("D") == pytest.approx(data, rel=1e-3)
    assert power.turns("D") == ((1.0, 0.0), (0.0, 1.0))

"""Forms of power groups, invariants of energies, leakage, and the parts of a weight's energy."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halo_timing.delay_calculation import net_loads_ff, worst_slews_ps
from halo_timing.dynamic.exhaustive import simulate_exhaustive
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.energy import CellEnergies, WeightEnergies, weight_energies
from halo_timing.energy.leakage import leakage_nw
from halo_timing.energy.weights import resting_sources
from halo_timing.errors import UsageError
from halo_timing.held_weight import unpack_words
from halo_timing.netlist import Instance, Netlist, Port
from halo_timing.pdk.library import Library, read_library
from halo_timing.pdk.registry import Pdk
from halo_timing.resources import flows_dir
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.staging import stage_files
from tests.conftest import SMALL
from tests.dynamic_support import Bench, make_bench
from tests.liberty_text import LibertyText
from tests.pdk_support import DELAYS, VALUES, edges, liberty, timing


def table(edge: str, fj: float) -> str:
    """Return an energy for every slew and load; the library's unit is 1 pF V^2, which is 1000 fJ."""
    return f'{edge} (scalar) {{ values ("{fj / 1000}"); }}'


def group(fj: tuple[float, float], extra: str = "") -> str:
    return f"internal_power () {{ {extra} {table('rise_power', fj[0])} {table('fall_power', fj[1])} }}"


def one_gate(folder: Path, function: str, output: str, inputs: str = "") -> CellEnergies:
    """Energies of one cell G with inputs A, B and output Y; `output` and `inputs` are power groups."""
    pins = "".join(f"pin ({p}) {{ direction : input; capacitance : 0.002; {inputs} }}" for p in "AB")
    cell = (
        f'cell (G) {{ area : 1; {pins} pin (Y) {{ direction : output; function : "{function}"; {output} }} }}'
    )
    path = folder / "g.lib"
    path.write_text(liberty(cell))
    netlist = Netlist(
        "one",
        read_library([path]),
        (Port("a", "input", (2,)), Port("b", "input", (3,)), Port("y", "output", (4,))),
        (Instance("u0", "G", {"A": 2, "B": 3, "Y": 4}),),
        ("1'b0", "1'b1", "a", "b", "y"),
        {},
    )
    return CellEnergies(netlist, net_loads_ff(netlist, 3.0), np.full((5, 2), 20.0))


def gate(energies: CellEnergies) -> np.ndarray:
    return energies.gate_fj(energies.netlist.instances[0], "Y", ("A", "B"))


def test_a_group_may_name_several_pins(tmp_path: Path) -> None:
    energy = gate(one_gate(tmp_path, "A B", group((5, 3), 'related_pin : "A B";')))
    assert energy[0, 0b01, 0b11] == energy[0, 0b10, 0b11] == pytest.approx(5)
    assert energy[0, 0b11, 0b01] == energy[0, 0b11, 0b10] == pytest.approx(3)


def test_one_table_may_serve_both_edges(tmp_path: Path) -> None:
    both = f'internal_power () {{ related_pin : "A B"; {table("power", 4)} }}'
    energy = gate(one_gate(tmp_path, "A ^ B", both))
    assert np.unique(energy[0]) == pytest.approx([0, 4])


def test_supplies_add_up(tmp_path: Path) -> None:
    groups = "".join(
        group(fj, f'related_pin : "A B"; {attribute} : {supply};')
        for fj, attribute, supply in (((5, -1), "related_pg_pin", "VDD"), ((-2, 4), "related_pg_pin", "VSS"))
    )
    energy = gate(one_gate(tmp_path, "A B", groups))
    assert energy[0, 0b01, 0b11] == pytest.approx(3)
    assert energy[0, 0b11, 0b01] == pytest.approx(3)


def test_a_group_without_when_is_for_what_is_left(tmp_path: Path) -> None:
    groups = group((7, 7), 'related_pin : "A B"; when : "!B";') + group((2, 2), 'related_pin : "A B";')
    energy = gate(one_gate(tmp_path, "A ^ B", groups))
    assert energy[0, 0b00, 0b01] == pytest.approx(7)
    assert energy[0, 0b10, 0b11] == pytest.approx(2)


def test_an_inputs_default_is_not_added_to_an_outputs_toggle(tmp_path: Path) -> None:
    inputs = group((1, 2), 'when : "!Y";') + group((8, 8))
    energy = gate(one_gate(tmp_path, "A + B", "", inputs))
    # B = 0, so that A moves Y: its table holds the energy, if Y is 1 afterwards; else the condition is met.
    assert energy[1, 0b00, 0b01] == 0
    assert energy[1, 0b01, 0b00] == pytest.approx(2)
    # B = 1 and so Y: none of the conditions holds, and the output rests.
    assert energy[1, 0b10, 0b11] == pytest.approx(8)
    alone = gate(one_gate(tmp_path, "A + B", "", group((8, 8))))
    assert alone[1, 0b00, 0b01] == pytest.approx(8)


def test_inputs_that_change_together_cost_their_mean_and_both_edges(tmp_path: Path) -> None:
    output = group((6, 6), "related_pin : A;") + group((2, 2), "related_pin : B;")
    energy = gate(one_gate(tmp_path, "A B", output, group((1, 10))))
    assert energy[0, 0b00, 0b11] == pytest.approx(4)
    assert energy[1, 0b00, 0b11] == pytest.approx(2)
    assert energy[1, 0b01, 0b10] == pytest.approx(11)


def test_a_driver_counts_its_own_pin_as_in_opensta(tmp_path: Path) -> None:
    arc = timing("A B", edges(DELAYS, "t", VALUES))
    energies = one_gate(tmp_path, "A B", f"capacitance : 0.005; {arc}")
    (tmp_path / "one.v").write_text(
        "module one (a, b, y); input a, b; output y; G u0 (.A(a), .B(b), .Y(y)); endmodule\n"
    )
    script = """read_liberty g.lib
read_verilog one.v
link_design one
set_load 0.003 [get_ports y]
report_checks -unconstrained -fields capacitance -digits 6 -format full
"""
    printed = find_opensta().run_script(script, cwd=tmp_path, log_path=tmp_path / "loads.log")
    loads = {words[-2]: float(words[0]) for words in map(str.split, printed.splitlines()) if "u0/Y" in words}
    assert loads == {"u0/Y": pytest.approx(0.008)}
    # The library's voltage is 1.2 V.
    assert energies.toggle_fj(4) == pytest.approx([8 * 1.2**2 / 2] * 2)
    assert energies.toggle_fj(2) == pytest.approx([2 * 1.2**2 / 2] * 2)


_FJ = st.floats(0, 50, allow_nan=False)
_POWER = st.lists(
    st.tuples(st.sampled_from(["A", "B", "A B"]), st.sampled_from(["", "A", "!B", "A B"]), _FJ, _FJ)
)
_FUNCTIONS = st.sampled_from(["A B", "!(A + B)", "A ^ B", "!A", "A"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_FUNCTIONS, _POWER, st.lists(st.tuples(st.sampled_from(["", "!Y", "Y"]), _FJ, _FJ)), st.data())
def test_gate_energies_keep_their_invariants(
    tmp_path: Path,
    function: str,
    outputs: list[tuple[str, str, float, float]],
    inputs: list[tuple[str, float, float]],
    data: st.DataObject,
) -> None:
    def condition(when: str) -> str:
        return f'when : "{when}";' if when else ""

    energies = one_gate(
        tmp_path,
        function,
        "".join(group((r, f), f'related_pin : "{pins}"; {condition(when)}') for pins, when, r, f in outputs),
        "".join(group((r, f), condition(when)) for when, r, f in inputs),
    )
    instance = energies.netlist.instances[0]
    pins = energies.netlist.cell_of(instance).pins["Y"].function.inputs
    energy = energies.gate_fj(instance, "Y", pins)
    value = [
        energies.netlist.cell_of(instance).pins["Y"].function(**dict(zip(pins, map(bool, bits), strict=True)))
        for bits in ([state >> place & 1 for place in range(len(pins))] for state in range(1 << len(pins)))
    ]
    lines, index = energies.toggle_lines(instance, "Y", pins)
    edges, edge_index = energies.edge_lines(instance, "Y", pins)
    # Tables without negative numbers cost nothing negative; nothing costs nothing; rest costs no toggle.
    assert (energy >= 0).all()
    assert not energy.diagonal(axis1=1, axis2=2).any()
    for old, new in product(range(1 << len(pins)), repeat=2):
        if value[old] == value[new]:
            assert energy[0, old, new] == 0
        changed = [place for place in range(len(pins)) if (old ^ new) >> place & 1]
        if len(changed) == 1 and value[old] != value[new]:
            number = index[changed[0], new]
            expected = float(lines[number].at(20.0)) if number >= 0 else 0.0
            assert energy[0, old, new] == pytest.approx(expected, abs=1e-4)
        parts = [edge_index[place, new] for place in changed]
        expected = sum(float(edges[number].at(20.0)) for number in parts if number >= 0)
        assert energy[1, old, new] == pytest.approx(expected, abs=1e-4)


@pytest.fixture(scope="module")
def bench(nangate45: Pdk, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(nangate45, f"array:{SMALL}", tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def energies(bench: Bench) -> CellEnergies:
    nldm = NldmDelays(bench.netlist, bench.conditions.output_load_ff, bench.conditions.input_slew_ps)
    return CellEnergies(bench.netlist, nldm.loads_ff, nldm.slews_ps)


@pytest.fixture(scope="module")
def found(bench: Bench, energies: CellEnergies) -> WeightEnergies:
    result = simulate_exhaustive(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        bench.sdf,
        arrivals_ps=bench.arrivals_ps,
        energies=energies,
        indices=[3, 8, 9, 15],
    )
    return weight_energies(energies, bench.held, bench.nets, result)


def test_parts_of_a_weights_energy_add_up(found: WeightEnergies) -> None:
    assert list(found.values) == [-5, 0, 1, 7]
    four = found.switching_fj + found.internal_fj + found.clock_fj + found.leakage_fj(1000.0)
    assert found.total_fj(1000.0) == pytest.approx(four)
    assert found.leakage_fj(2000.0) == pytest.approx(found.leakage_nw * 2e-3)
    assert (found.glitch_fj <= found.switching_fj + found.internal_fj).all()
    # Zero moves nothing but the activation register, and cannot glitch; more ones move more.
    assert found.glitch_fj[1] == 0
    assert found.dynamic_fj.argmin() == 1
    assert found.glitch_fj[0] > 0


def test_every_transition_costs_something(bench: Bench, energies: CellEnergies, tmp_path: Path) -> None:
    """Some tables of this library are negative, but no transition is; and standing still is free."""
    path = tmp_path / "energy.npy"
    simulate_exhaustive(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        bench.sdf,
        arrivals_ps=bench.arrivals_ps,
        energies=energies,
        energy_path=path,
    )
    table = np.load(path)
    diagonal = np.eye(table.shape[1], dtype=bool)
    assert not table[:, diagonal].any()
    assert table[:, ~diagonal].min() > 0
    tables = [
        edge.values
        for cell in {instance.cell for instance in bench.netlist.instances}
        for pin in bench.netlist.library.cells[cell].pins.values()
        for arc in pin.power
        for edge in (arc.rise, arc.fall)
        if edge is not None
    ]
    assert min(values.min() for values in tables) < 0


def test_clock_energy_is_counted_register_by_register(
    bench: Bench, found: WeightEnergies, nangate45: Pdk
) -> None:
    """Each is a DFF_X1; its clock pin's tables are read from the text, at the slew 0 of an ideal clock."""
    text = LibertyText(nangate45.corner().liberty[0])
    hold = []
    for q in (0, 1):
        state = {"D": q, "Q": q, "QN": 1 - q}
        hold.append(sum(text.energy_fj("DFF_X1", "CK", None, e, 0.0, 0.0, state) for e in ("rise", "fall")))
    pin_ff = sum(text.capacitance_ff("DFF_X1", "CK", edge) for edge in ("rise", "fall"))
    assert {bench.netlist.instances[r.instance].cell for r in bench.netlist.registers} == {"DFF_X1"}
    for value, clock_fj in zip(found.values, found.clock_fj, strict=True):
        ones = 0.0
        for register in bench.netlist.registers:
            if register.group.startswith("weight"):
                ones += int(value) >> register.bit & 1
            elif register.group.startswith("activation"):
                ones += 0.5
            elif register.group == "product_q":
                ones += np.mean([int(value) * a >> register.bit & 1 for a in range(-8, 8)])
            else:
                ones += 0.5
        count = len(bench.netlist.registers)
        expected = hold[1] * ones + hold[0] * (count - ones) + count * pin_ff * text.vdd**2 / 2
        assert clock_fj == pytest.approx(expected, rel=1e-4)


def test_leakage_is_that_of_each_cells_state(bench: Bench, nangate45: Pdk) -> None:
    netlist = bench.netlist
    text = LibertyText(nangate45.corner().liberty[0])
    sources, patterns = resting_sources(netlist, bench.nets, len(bench.held.values), seed=1)
    one = {net: words[3:4] for net, words in sources.items()}
    bits = {net: unpack_words(words[0], patterns) for net, words in netlist.evaluate(one).items()}
    (clock,) = {netlist.instances[r.instance].pins[r.clock_pin] for r in netlist.registers}
    total = 0.0
    for pattern, phase in product(range(patterns), (0, 1)):
        for instance in netlist.instances:
            state = {
                pin: phase if net == clock else int(bits[net][pattern]) for pin, net in instance.pins.items()
            }
            total += text.leakage_nw(instance.cell, state)
    assert leakage_nw(netlist, one, patterns) == pytest.approx([total / patterns / 2], rel=1e-9)


def test_weights_hold_what_is_theirs(bench: Bench) -> None:
    """At rest the weight's bits and the activation are on their registers, in all patterns and each."""
    sources, patterns = resting_sources(bench.netlist, bench.nets, len(bench.held.values), seed=0)
    assert patterns == 16
    for register in bench.netlist.registers:
        net = bench.netlist.instances[register.instance].pins["Q"]
        rows = np.array([unpack_words(words, patterns) for words in sources[net]])
        if register.group.startswith("weight"):
            assert (rows == (bench.held.values >> register.bit & 1)[:, None]).all()
        elif register.group == "activation_q":
            assert (rows == (np.arange(16) >> register.bit & 1)).all()


def test_a_run_without_energies_is_refused(bench: Bench, energies: CellEnergies) -> None:
    result = simulate_exhaustive(
        bench.netlist, bench.mac.interface, bench.held, bench.sdf, arrivals_ps=bench.arrivals_ps, indices=[0]
    )
    with pytest.raises(UsageError, match="without energies"):
        weight_energies(energies, bench.held, bench.nets, result)


def test_columns_of_another_length_are_refused() -> None:
    two, three = np.zeros(2), np.zeros(3)
    with pytest.raises(UsageError, match="clock_fj"):
        WeightEnergies(np.zeros(2, np.int32), two, two, two, three, two)


_CHAIN = """module chain (clk, a, y); input clk, a; output y; wire n, m;
  INV_X1 u1 (.A(a), .ZN(n)); BUF_X2 u2 (.A(n), .Z(m)); INV_X4 u3 (.A(m), .ZN(y)); endmodule
"""
_POWER_SCRIPT = """read_liberty cells.lib
read_verilog chain.v
link_design chain
if {[info commands set_wire_load_model] ne ""} {
  read_liberty no_wires.lib
  set_wire_load_model -name ideal
}
create_clock -name c -period 10 [get_ports clk]
set_input_delay 0 -clock c [get_ports a]
set_output_delay 0 -clock c [get_ports y]
set_input_transition 0.03 [get_ports a]
set_load 5 [get_ports y]
set_power_activity -input -activity 1 -duty 0.5
report_power -digits 8 -instances [get_cells {u1 u2 u3}]
"""


def test_a_chain_costs_what_opensta_says(nangate45_library: Library, tmp_path: Path) -> None:
    """One toggle a cycle passes through all stages; slews and loads are calculated on both sides."""
    names = ("1'b0", "1'b1", "clk", "a", "n", "m", "y")
    cells = (
        ("u1", "INV_X1", "A", 3, "ZN", 4),
        ("u2", "BUF_X2", "A", 4, "Z", 5),
        ("u3", "INV_X4", "A", 5, "ZN", 6),
    )
    netlist = Netlist(
        "chain",
        nangate45_library,
        (Port("clk", "input", (2,)), Port("a", "input", (3,)), Port("y", "output", (6,))),
        tuple(Instance(name, cell, {i: source, o: net}) for name, cell, i, source, o, net in cells),
        names,
        {},
    )
    loads = net_loads_ff(netlist, 5.0)
    slews = worst_slews_ps(netlist, loads, 30.0)
    # For power, OpenSTA takes the larger load of both edges.
    loads = np.repeat(loads.max(axis=1, keepdims=True), 2, axis=1)
    energies, swapped = CellEnergies(netlist, loads, slews), CellEnergies(netlist, loads, slews[:, ::-1])
    no_wires = flows_dir() / "no_wires.lib"
    stage_files(tmp_path, {"cells.lib": nangate45_library.files[0], "no_wires.lib": no_wires})
    (tmp_path / "chain.v").write_text(_CHAIN)
    sta = find_opensta()
    printed = sta.run_script(_POWER_SCRIPT, cwd=tmp_path, log_path=tmp_path / "power.log")
    rows = {
        words[-1]: [float(word) for word in words[:3]]
        for words in map(str.split, printed.splitlines())
        if words and words[-1] in ("u1", "u2", "u3")
    }
    # OpenSTA 2.0 counts both edges' energies for every edge, later versions take their mean; and it looks an
    # output's rise up at the slew of the input's rise, even in an inverter. 1 fJ in 10 ns is 1e-7 W.
    old = sta.version < (2, 1)
    for instance in netlist.instances:
        ((name, pin),) = [(p.name, p) for p in netlist.cell_of(instance).outputs]
        source = swapped if old and instance.cell.startswith("INV") else energies
        energy = source.gate_fj(instance, name, pin.function.inputs)[0]
        both_fj = float(energy[0, 1] + energy[1, 0])
        internal_fj = both_fj if old else both_fj / 2
        switching_fj, _ = energies.toggle_fj(instance.pins[name])
        internal_w, switching_w, _ = rows[instance.name]
        assert switching_w * 1e7 == pytest.approx(switching_fj, rel=1e-4)
        assert internal_w * 1e7 == pytest.approx(internal_fj, rel=1e-4)

"""Typed libraries: units, orientations and errors on small files, numbers against OpenSTA on real ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from halo_timing.errors import LibertyError
from halo_timing.files import write_text
from halo_timing.pdk.library import Cell, Library, TimingArc, read_library
from halo_timing.pdk.registry import Pdk, load_pdk
from halo_timing.resources import flows_dir
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.staging import stage_files
from tests.pdk_support import (
    CELLS,
    DELAYS,
    FLIP_FLOP,
    HEADER,
    TEMPLATES,
    VALUES,
    gate,
    liberty,
    timing,
)

Read = Callable[..., Library]


@pytest.fixture()
def read(tmp_path: Path) -> Read:
    """Return a reader of one or more Liberty texts."""

    def read_texts(*texts: str) -> Library:
        paths = [tmp_path / f"{number}.lib" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return read_library(paths)

    return read_texts


def with_output(arcs: str, extra: str = "") -> str:
    """Return a library in which cell X has these arcs on its output."""
    pins = "pin (A) { direction : input; capacitance : 0.002; } pin (B) { direction : input; }"
    return liberty(
        f'cell (X) {{ {extra} {pins} pin (Y) {{ direction : output; function : "A ^ B"; {arcs} }} }}'
    )


# --- small files ----------------------------------------------------------------------------------------


def test_units_become_ps_ff_fj_nw(read: Read) -> None:
    header = (
        HEADER.replace('"1ns"', '"10PS"')
        .replace("(1, pf)", "(0.5, fF)")
        .replace('"1nW"', '"100pW"')
        .replace('voltage_unit : "1V"', 'voltage_unit : "100mV"')
        .replace("nom_voltage : 1.2", "nom_voltage : 12")
    )
    power = 'internal_power () { related_pin : "A"; power (p) { values ("2, 2", "2, 2"); } }'
    cell = gate("INV", "A", "!A", "cell_leakage_power : 3;").replace("function", f"{power} function")
    library = read(liberty(cell, header + " default_max_transition : 7;"))
    (inverter,) = library.cells.values()
    (arc,) = inverter.outputs[0].arcs
    assert arc.cell_rise is not None
    assert library.voltage_v == pytest.approx(1.2)
    assert inverter.leakage_nw == pytest.approx(0.3)
    assert inverter.inputs[0].capacitance_ff == pytest.approx(0.001)
    assert library.default_max_transition_ps == 70
    assert arc.cell_rise.rows.tolist() == [0.1, 1.0]
    assert arc.cell_rise.columns.tolist() == [0.0005, 0.005, 0.01]
    assert arc.cell_rise.values[0].tolist() == pytest.approx([0.1, 0.2, 0.3])
    (energy,) = inverter.outputs[0].power
    assert energy.rise is energy.fall
    assert energy.rise is not None
    assert energy.rise.at(1.0, 0.005) == pytest.approx(2 * 0.5 * 0.1**2)


def test_orientation_does_not_matter(read: Read) -> None:
    swapped = """lu_table_template (s) {
      variable_1 : total_output_net_capacitance; variable_2 : input_net_transition;
      index_1 ("0.001, 0.01, 0.02"); index_2 ("0.01, 0.1"); }"""
    turned = 'values ("0.01, 0.02", "0.02, 0.03", "0.03, 0.05");'
    cell = gate("INV", "A", "!A")
    other = cell.replace("(t)", "(s)").replace(VALUES, turned)
    one, two = (
        read(liberty(text, templates=TEMPLATES + swapped)).cells["INV"].outputs[0].arcs[0]
        for text in (cell, other)
    )
    for kind in DELAYS:
        a, b = getattr(one, kind), getattr(two, kind)
        assert (a.row_axis, a.column_axis) == (b.row_axis, b.column_axis) == ("input_slew_ps", "load_ff")
        for part in ("rows", "columns", "values"):
            np.testing.assert_array_equal(getattr(a, part), getattr(b, part))


def test_tables_of_fewer_axes(read: Read) -> None:
    extra = """lu_table_template (s1) { variable_1 : input_net_transition; index_1 ("0.01, 0.1"); }
    lu_table_template (l1) { variable_1 : total_output_net_capacitance; index_1 ("0.01, 0.1"); }"""
    arcs = timing(
        "A B",
        'cell_rise (s1) { values ("0.1, 0.2"); } cell_fall (l1) { index_1 ("0, 0.1"); values ("0.1, 0.2"); }'
        ' rise_transition (scalar) { values ("0.5"); } fall_transition (t) { index_1 ("0, 1");'
        ' index_2 ("0, 1"); values ("0, 1", "2, 3"); }',
    )
    library = read(with_output(arcs).replace("cell (X)", f"{extra} cell (X)"))
    first, second = library.cells["X"].outputs[0].arcs
    assert (first.related_pin, second.related_pin, first.sense) == ("A", "B", "non_unate")
    assert first.cell_rise is not None
    assert first.cell_fall is not None
    assert first.rise_transition is not None
    assert first.fall_transition is not None
    assert first.cell_rise.at([55.0, 55.0], [0.0, 1e6]).tolist() == pytest.approx([150.0, 150.0])
    assert first.cell_fall.at([0.0, 1e6], [50.0, 50.0]).tolist() == pytest.approx([150.0, 150.0])
    assert first.rise_transition.at(1.0, 2.0) == 500
    assert first.fall_transition.at(500.0, 500.0) == pytest.approx(1500)


def broken(old: str, new: str) -> str:
    """Return the usable library with the first occurrence of `old` replaced."""
    text = liberty()
    assert old in text
    return text.replace(old, new, 1)


def table_of(tables: str) -> str:
    """Return a library in which cell X has these tables."""
    return with_output(timing("A", tables))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (broken("1ns", "1 parsec"), r"line \d+: time_unit is '1 parsec', which is not a known unit"),
        (broken("1nW", "1bar"), "leakage_power_unit is '1bar'"),
        (broken("(1, pf)", "(0, pf)"), "capacitive_load_unit is '0pf'"),
        (broken("capacitive_load_unit (1, pf);", ""), "capacitive_load_unit .* is missing"),
        (broken("nom_voltage : 1.2;", ""), "does not say its voltage"),
        (broken("slew_upper_threshold_pct_fall : 80;", ""), "slew_upper_threshold_pct_fall is missing"),
        (broken("table_lookup", "generic_cmos"), "delay_model is 'generic_cmos'"),
        (broken('"!A"', '"!Z"'), r"line \d+: function in cell INV: .* uses 'Z'"),
        (broken('"!A"', '"!A)"'), "function in cell INV: .*closes nothing"),
        (broken('next_state : "D"', 'next_state : "X"'), "next_state in cell DFF"),
        (broken("cell (BUF)", "cell (INV)"), r"cell \(INV\) appears twice"),
        (
            broken("direction : output", "direction : sideways"),
            "pin Y of cell INV has the direction 'side",
        ),
        (broken('related_pin : "A"', 'related_pin : "Q9"'), "cell INV: pin Y is related to 'Q9'"),
        (broken("pin (D)", "pin (CK)"), "cell DFF has two pins named CK"),
        (broken("ff (IQ, IQN)", "ff (IQ)"), "does not name the two state variables"),
        (broken("area : 1;", "area : big;"), r"area of cell \(INV\) is 'big', not a finite number"),
        (with_output(timing("A", "", "intrinsic_rise : 1;")), "cell X has linear delays"),
        (table_of('cell_rise (t) { values ("1, 2, 3", "4, 5"); }'), "holds 5 values, its axes ask for 2 x 3"),
        (table_of("cell_rise (t) { }"), "holds 0 values, its axes ask for 2 x 3"),
        (table_of('cell_rise (u) { values ("1"); }'), r"cell_rise \(u\) names a table template that"),
        (table_of('cell_rise (t) { index_1 ("2, 1"); values ("1"); }'), "index_1 of .* does not ascend"),
        (
            table_of('cell_rise (c) { values ("1, 2", "3, 4"); }'),
            "'constrained_pin_transition', which is",
        ),
    ],
)
def test_contradictions_are_named(text: str, message: str, read: Read) -> None:
    with pytest.raises(LibertyError, match=message):
        read(text)


def test_three_axes_and_files_of_different_corners_are_refused(read: Read) -> None:
    three = """lu_table_template (t3) {
      variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
      variable_3 : related_out_total_output_net_capacitance; } cell (X)"""
    with pytest.raises(LibertyError, match="three axes"):
        read(with_output(timing("A", 'cell_rise (t3) { values ("1"); }')).replace("cell (X)", three))
    with pytest.raises(LibertyError, match=r"1\.lib: is for 1 V and 25 C"):
        read(liberty(), liberty(gate("X", "A", "A"), HEADER.replace("nom_voltage : 1.2", "nom_voltage : 1")))
    with pytest.raises(LibertyError, match=r"1\.lib, line 1: library tiny has the name of that in .*0\.lib"):
        read(liberty(), liberty(gate("X", "A", "A")))
    with pytest.raises(LibertyError, match="no Liberty file"):
        read_library([])


def test_cells_beyond_the_model_are_left_out_with_the_reason(read: Read) -> None:
    odd = [
        "cell (BUS) { bus (A) { } }",
        "cell (BANK) { ff_bank (IQ, IQN, 4) { } }",
        FLIP_FLOP.replace("(DFF)", "(TWO)").replace("pin (D)", 'ff (JQ, JQN) { next_state : "D"; } pin (D)'),
        FLIP_FLOP.replace("(DFF)", "(NOCLOCK)").replace('clocked_on : "CK";', ""),
        FLIP_FLOP.replace("(DFF)", "(MS)").replace(
            'clocked_on : "CK";', 'clocked_on : "CK"; clocked_on_also : "D";'
        ),
    ]
    library = read(liberty(CELLS + "".join(odd)))
    assert set(library.left_out) == {"BUS", "BANK", "TWO", "NOCLOCK", "MS"}
    assert set(library.cells) == {"INV", "BUF", "ND2", "DFF"}
    with pytest.raises(LibertyError, match=r"cell BUS cannot be used \(bus pins"):
        library.cell("BUS")
    with pytest.raises(LibertyError, match="cell NONE does not exist"):
        library.cell("NONE")


def test_what_a_file_does_not_say_is_noted(read: Read) -> None:
    header = re.sub(r"\w*(time|voltage|leakage_power)_unit : \S+", "", HEADER).replace(
        "nom_temperature : 25;", ""
    )
    library = read(liberty(header=header))
    assert library.temperature_c == 25
    assert [note.split()[1] for note in library.notes] == ["time_unit", "voltage_unit", "leakage_power_unit"]


def test_one_library_from_several_files(read: Read) -> None:
    whole = read(liberty())
    parts = read(
        liberty(gate("INV", "A", "!A") + gate("BUF", "A", "A", area=2), name="a"),
        liberty(gate("ND2", "AB", "!(A B)") + FLIP_FLOP, HEADER.replace("(1, pf)", "(1000, ff)"), name="b"),
    )
    assert parts.name == "a+b"
    assert list(parts.cells) == list(whole.cells)
    assert parts.cells["INV"].inputs[0].capacitance_ff == parts.cells["ND2"].inputs[0].capacitance_ff == 2
    assert whole.sha256 != parts.sha256


def test_states_leakage_and_flags(read: Read) -> None:
    leakage = 'leakage_power () { when : "A"; value : 3; } leakage_power () { when : "!A"; value : 1; }'
    pin = (
        'dont_use : true; pg_pin (VDD) { } pin (Z) { direction : output; function : "0"; three_state : "A"; }'
    )
    library = read(liberty(gate("X", "A", "!A", leakage + pin), HEADER + " default_cell_leakage_power : 9;"))
    cell = library.cells["X"]
    assert cell.leakage_nw == 2
    assert [(state.text, value) for state, value in cell.leakage_states] == [("A", 3.0), ("!A", 1.0)]
    assert (cell.dont_use, cell.dont_touch, cell.supply_pins, cell.is_combinational) == (
        True,
        False,
        ("VDD",),
        False,
    )
    assert read(liberty(header=HEADER + " default_cell_leakage_power : 9;")).cells["INV"].leakage_nw == 9


# --- real files against OpenSTA -------------------------------------------------------------------------


def sdf_of_every_cell(
    library: Library, cells: list[Cell], slew_ps: float, load_ff: float, folder: Path
) -> str:
    """SDF in which instance u<n> is cell n between ports of its own, with this slew and load everywhere."""
    ports, body = [], []
    for number, cell in enumerate(cells):
        pins = [(pin, f"p{number}_{k}") for k, pin in enumerate((*cell.inputs, *cell.outputs))]
        ports += [f"{pin.direction} {port}" for pin, port in pins]
        body.append(f"{cell.name} u{number} ({', '.join(f'.{pin.name}({port})' for pin, port in pins)});")
    write_text(folder / "all.v", f"module all ({', '.join(ports)});\n" + "\n".join(body) + "\nendmodule\n")
    staged = {f"library_{k}.lib": path for k, path in enumerate(library.files)}
    stage_files(folder, {**staged, "no_wires.lib": flows_dir() / "no_wires.lib"})
    script = ["set sta_preset_clear_arcs_enabled 1", *(f"read_liberty {name}" for name in staged)]
    script += ["set_cmd_units -time ps -capacitance fF", "read_verilog all.v", "link_design all"]
    script += ["read_liberty no_wires.lib", "set_wire_load_model -name ideal"]
    script += [f"set_load {load_ff} [all_outputs]", f"set_input_transition {slew_ps} [all_inputs]"]
    script += ["write_sdf -digits 8 all.sdf"]
    find_opensta().run_script("\n".join(script), cwd=folder, log_path=folder / "all.log", timeout_s=300)
    return (folder / "all.sdf").read_text()


def largest(triple: str) -> float:
    return max(float(value) for value in triple.split(":") if value)


def assert_tables_agree_with_opensta(library: Library, slew_ps: float, load_ff: float, folder: Path) -> int:
    """Compare every delay and setup that OpenSTA writes with ours; return how many there were."""
    cells = [cell for cell in library.cells.values() if cell.is_combinational or cell.is_flip_flop]
    cells = [cell for cell in cells if cell.inputs]
    sdf = sdf_of_every_cell(library, cells, slew_ps, load_ff, folder)
    to_ps = {"1ns": 1000.0, "1ps": 1.0}[re.search(r"\(TIMESCALE (\w+)\)", sdf)[1]]  # type: ignore[index]
    compared = 0
    for entry in re.split(r"^ \(CELL$", sdf, flags=re.MULTILINE)[1:]:
        instance = re.search(r"\(INSTANCE u(\d+)\)", entry)
        if instance is None:
            continue
        cell = cells[int(instance[1])]
        paths = re.findall(
            r"(?:\(COND (.*)\n\s*)?\(IOPATH (\w+) (\w+) \(([\d.:-]*)\) \(([\d.:-]*)\)\)", entry
        )
        for condition, source, sink, rise, fall in paths:
            arcs = [arc for arc in cell.pins[sink].arcs if arc.related_pin == source and arc.is_delay]
            arcs = [arc for arc in arcs if same_condition(arc, condition)]
            for value, table in ((rise, "cell_rise"), (fall, "cell_fall")):
                ours = [
                    float(t.at(slew_ps, load_ff)) for arc in arcs if (t := getattr(arc, table)) is not None
                ]
                if value and ours:
                    gap = min(abs(largest(value) * to_ps - our) for our in ours)
                    assert gap <= 1e-4 * max(ours) + 1e-5, (cell.name, source, sink, condition, table)
                    compared += 1
        for edge, sink, source, value in re.findall(
            r"\(SETUP \((posedge|negedge) (\w+)\) \(posedge (\w+)\) \(([\d.:-]*)\)\)", entry
        ):
            kind = "rise_constraint" if edge == "posedge" else "fall_constraint"
            setups = [
                a for a in cell.pins[sink].arcs if a.timing_type == "setup_rising" and a.related_pin == source
            ]
            ours = [float(t.at(slew_ps, slew_ps)) for arc in setups if (t := getattr(arc, kind)) is not None]
            assert min(abs(largest(value) * to_ps - our) for our in ours) <= 1e-4 * abs(max(ours)) + 1e-5, (
                cell.name
            )
            compared += 1
    return compared


def same_condition(arc: TimingArc, condition: str) -> bool:
    """Whether an SDF condition is the arc's; OpenSTA writes sdf_cond as it stands in the file."""
    return (arc.sdf_cond or "").replace(" ", "") == condition.replace(" ", "")


@pytest.mark.parametrize(("slew_ps", "load_ff"), [(7.3, 3.1), (350.0, 200.0)])
def test_nangate45_delays_agree_with_opensta(
    slew_ps: float, load_ff: float, nangate45_liberty: Path, tmp_path: Path
) -> None:
    library = read_library([nangate45_liberty])
    assert assert_tables_agree_with_opensta(library, slew_ps, load_ff, tmp_path) > 1000


@pytest.mark.parametrize("name", ["osu018", "osu035", "osu050"])
def test_osu_delays_agree_with_opensta(name: str, tmp_path: Path) -> None:
    library = load_pdk(name, install=True).library()
    assert assert_tables_agree_with_opensta(library, 123.0, 47.0, tmp_path) > 100


def inverter_energy_fj(
    library: Library, inverter: str, load_ff: float, slew_ps: float, folder: Path
) -> float:
    """Mean internal energy per edge of one inverter by OpenSTA: power over transition rate."""
    cell = library.cells[inverter]
    pins = f".{cell.inputs[0].name}(a), .{cell.outputs[0].name}(y)"
    write_text(
        folder / "one.v", f"module one (input k, input a, output y);\n{inverter} u ({pins});\nendmodule\n"
    )
    staged = {f"library_{k}.lib": path for k, path in enumerate(library.files)}
    stage_files(folder, {**staged, "no_wires.lib": flows_dir() / "no_wires.lib"})
    script = [f"read_liberty {name}" for name in staged]
    script += ["set_cmd_units -time ps -capacitance fF -power W", "read_verilog one.v", "link_design one"]
    script += ["read_liberty no_wires.lib", "set_wire_load_model -name ideal"]
    script += ["create_clock -name k -period 10000 [get_ports k]", f"set_load {load_ff} [get_ports y]"]
    script += [f"set_input_transition {slew_ps} [get_ports {{k a}}]"]
    script += ["set_input_delay 0 -clock k [get_ports a]", "set_power_activity -input -activity 1 -duty 0.5"]
    script += ["report_power -instances [get_cells u] -digits 9"]
    printed = find_opensta().run_script("\n".join(script), cwd=folder, log_path=folder / "one.log")
    row = re.search(r"^\s*(\S+)\s+\S+\s+\S+\s+\S+\s+u$", printed, re.MULTILINE)
    assert row is not None
    return float(row[1]) * 10e-9 * 1e15


def assert_energies_agree_with_opensta(pdk: Pdk, folder: Path) -> None:
    """Liberty gives no unit of internal energy; OpenSTA has to derive it too."""
    library, inverter = pdk.library(), pdk.cells().inverter
    load_ff, slew_ps = pdk.constraints().output_load_ff, pdk.constraints().input_slew_ps
    (arc,) = [arc for arc in library.cells[inverter].outputs[0].power if arc.related_pin is not None]
    assert arc.rise is not None
    assert arc.fall is not None
    edges_fj = [float(table.at(slew_ps, load_ff)) for table in (arc.rise, arc.fall)]
    # OpenSTA 2.0 counts the energies of both edges for every edge; later versions take their mean.
    ours_fj = sum(edges_fj) / (1 if find_opensta().version < (2, 1) else 2)
    assert ours_fj == pytest.approx(inverter_energy_fj(library, inverter, load_ff, slew_ps, folder), rel=1e-4)


@pytest.mark.parametrize("name", ["nangate45", "osu018"])
def test_internal_energy_agrees_with_opensta(name: str, tmp_path: Path) -> None:
    assert_energies_agree_with_opensta(load_pdk(name, install=True), tmp_path)

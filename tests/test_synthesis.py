"""RTL to netlist: determinism, the proof of equality, and faults that it must find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halo_timing import equivalence
from halo_timing.characterization import Mapped
from halo_timing.equivalence import prove_equivalence
from halo_timing.errors import FlowError, RtlError, ToolError, UsageError
from halo_timing.interface import Interface
from halo_timing.netlist import Instance, Netlist
from halo_timing.pdk.verilog_models import verilog_models
from halo_timing.rtl import Mac, family, find_mac, read_module
from halo_timing.synthesis import MappingTarget, find_recipe, recipes, synthesize
from halo_timing.tools.icarus import find_icarus
from halo_timing.tools.yosys import Yosys


def test_the_same_inputs_give_the_same_bytes(
    small_mac: Mac, small_mapped: Mapped, target: MappingTarget, yosys: Yosys, tmp_path: Path
) -> None:
    again = synthesize(small_mac, target, small_mapped.recipe, yosys, tmp_path)
    assert again.to_verilog() == small_mapped.netlist.to_verilog()


def test_every_function_is_proved(small_mapped: Mapped) -> None:
    netlist, proof = small_mapped.netlist, small_mapped.proof
    outputs = sum(len(port.nets) for port in netlist.ports if port.direction == "output")
    assert proof.exhaustive + proof.sat == len(netlist.registers) + outputs


def test_what_has_too_many_inputs_to_try_them_all_is_proved_by_sat(
    small_mac: Mac, small_mapped: Mapped, yosys: Yosys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equivalence, "_EXHAUSTIVE_INPUTS", 16)
    proof = prove_equivalence(small_mac, small_mapped.netlist, yosys, tmp_path)
    assert proof.sat
    assert proof.exhaustive + proof.sat == small_mapped.proof.exhaustive + small_mapped.proof.sat


def _swapped(netlist: Netlist, position: int, cell: str) -> Netlist:
    instances = list(netlist.instances)
    instances[position] = Instance(instances[position].name, cell, instances[position].pins)
    return replace(netlist, instances=tuple(instances))


@pytest.mark.parametrize(("group", "most_inputs"), [("product_q", 22), ("psum_q", 22), ("psum_q", 16)])
def test_a_planted_fault_is_found(
    group: str,
    most_inputs: int,
    small_mac: Mac,
    small_mapped: Mapped,
    yosys: Yosys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(equivalence, "_EXHAUSTIVE_INPUTS", most_inputs)
    netlist = small_mapped.netlist
    register = [register for register in netlist.registers if register.group == group][-1]
    (net,) = (netlist.instances[register.instance].pins[pin] for pin in register.data_pins)
    partner = {"AND2": "NAND2", "NOR2": "OR2", "INV": "BUF", "NAND2": "AND2", "OR2": "NOR2"}
    pending, seen = [net], set()
    while pending:  # the first cell before the register that has a complement with the same pins
        current = pending.pop(0)
        if current in seen or current not in netlist.drivers:
            continue
        seen.add(current)
        position, _ = netlist.drivers[current]
        instance = netlist.instances[position]
        kind, _, drive = instance.cell.partition("_")
        other = f"{partner.get(kind)}_{drive}"
        if other in netlist.library.cells and set(netlist.library.cells[other].pins) == set(instance.pins):
            break
        pending += [net for pin, net in instance.pins.items() if net != current]
    else:
        pytest.fail("no cell with a complement")
    with pytest.raises(FlowError, match=group) as caught:
        prove_equivalence(small_mac, _swapped(netlist, position, other), yosys, tmp_path)
    if group == "product_q":
        assert "weight_q = " in str(caught.value)


def test_netlist_equals_rtl_in_another_simulator(
    small_mac: Mac, small_mapped: Mapped, tmp_path: Path
) -> None:
    """The oracle: Icarus runs the RTL and the netlist side by side, all operand pairs, chained sums."""
    netlist = small_mapped.netlist
    cells = {instance.cell for instance in netlist.instances}
    (tmp_path / "cells.v").write_text(verilog_models(netlist.library, cells))
    (tmp_path / "mapped.v").write_text(netlist.to_verilog().replace("module mac ", "module mapped "))
    parameters = ", ".join(
        f'.{name}("{value}")' if isinstance(value, str) else f".{name}({value})"
        for name, value in small_mac.parameters.items()
    )
    ports = [port.name for port in netlist.ports]
    wires = [
        f"wire {'' if len(p.nets) == 1 else f'[{len(p.nets) - 1}:0] '}{s}_{p.name};"
        for p in netlist.ports
        if p.direction == "output"
        for s in "rn"
    ]
    inputs = [
        f"reg {'' if len(p.nets) == 1 else f'[{len(p.nets) - 1}:0] '}{p.name};"
        for p in netlist.ports
        if p.direction == "input"
    ]
    outputs = [p.name for p in netlist.ports if p.direction == "output"]

    def pins(side: str) -> str:
        return ", ".join(f".{name}({f'{side}_{name}' if name in outputs else name})" for name in ports)

    differ = " || ".join(f"r_{name} !== n_{name}" for name in outputs)
    (tmp_path / "bench.v").write_text(
        f"""
module bench;
  {" ".join(inputs)}
  {" ".join(wires)}
  mac #({parameters}) rtl ({pins("r")});
  mapped gate ({pins("n")});
  integer w, a, errors;
  initial begin
    errors = 0; clk = 0; rst_n = 0; weight_load = 0; weight_in = 0; activation_in = 0; psum_in = 0;
    psum_carry_in = 0;
    #1 clk = 1; #1 clk = 0; rst_n = 1;
    for (w = 0; w < 16; w = w + 1) begin
      weight_in = w; weight_load = 1; #1 clk = 1; #1 clk = 0; weight_load = 0;
      for (a = 0; a < 16; a = a + 1) begin
        activation_in = a; psum_in = r_psum_out; #1 clk = 1; #1 clk = 0;
        if ({differ}) errors = errors + 1;
      end
    end
    $display("errors %0d", errors);
  end
endmodule
"""
    )
    icarus = find_icarus()
    sources = [tmp_path / "bench.v", tmp_path / "mapped.v", tmp_path / "cells.v", *small_mac.files]
    icarus.compile(sources, top="bench", output=tmp_path / "bench.vvp", log_path=tmp_path / "compile.log")
    text = icarus.simulate(tmp_path / "bench.vvp", cwd=tmp_path, log_path=tmp_path / "run.log")
    assert "errors 0" in text


def test_sequential_equality_needs_the_same_registers(
    small_mac: Mac, small_mapped: Mapped, yosys: Yosys, tmp_path: Path
) -> None:
    netlist = small_mapped.netlist
    renamed = {
        index: ("odd" if group == "psum_q" else group, bit) for index, (group, bit) in netlist.groups.items()
    }
    with pytest.raises(FlowError, match="not in both"):
        prove_equivalence(small_mac, replace(netlist, groups=renamed), yosys, tmp_path)


def test_recipes_exist_for_the_family() -> None:
    for mac in family().values():
        for name in mac.recipes:
            assert find_recipe(name) is recipes()[name]
    with pytest.raises(UsageError, match="unknown recipe 'nope'"):
        find_recipe("nope")


def test_unknown_macs_and_parameters_are_named() -> None:
    with pytest.raises(RtlError, match=r"unknown MAC 'nope'.*array"):
        find_mac("nope")
    with pytest.raises(RtlError, match=r"WIDE=3.*WEIGHT_WIDTH"):
        find_mac("array:WIDE=3")
    with pytest.raises(RtlError, match="a number or a plain word"):
        find_mac("array:ADDER=$(id)")
    assert find_mac("array:SIGNED=0").interface.signed is False


def test_impossible_parameters_fail_in_the_flow(target: MappingTarget, yosys: Yosys, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="WEIGHT_WIDTH"):
        synthesize(find_mac("array:WEIGHT_WIDTH=99"), target, "area_units", yosys, tmp_path)


def test_the_header_of_the_family(small_mac: Mac) -> None:
    module = read_module(small_mac.files, "mac")
    ports = {port.name: (port.direction, port.range_text) for port in module.ports}
    assert ports["weight_in"] == ("input", "[WEIGHT_WIDTH-1:0]")
    assert ports["clk"] == ("input", "")
    assert module.parameters["ACCUMULATOR_WIDTH"] == "24"
    assert module.parameters["MULTIPLIER"] == '"array"'


def test_headers_in_either_style(tmp_path: Path) -> None:
    path = tmp_path / "old $style.v"
    path.write_text(
        "`define W 4\nmodule old(a, b, y);\n  parameter N = `W;\n  input signed [N-1:0] a;\n"
        "  input b;\n  output [7:0] y;\n  assign y = a * b;\nendmodule\n"
    )
    module = read_module([path], "old")
    assert [(p.name, p.direction, p.range_text, p.signed) for p in module.ports] == [
        ("a", "input", "[N-1:0]", True),
        ("b", "input", "", False),
        ("y", "output", "[7:0]", False),
    ]
    assert module.parameters == {"N": "4"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module bad(input a; endmodule", r"bad\.v.*line"),
        ('`include "nowhere.v"\nmodule bad(input a); endmodule', r"bad\.v.*nowhere"),
        ("module other(input a); endmodule", "no module 'bad'.*other"),
    ],
)
def test_bad_verilog_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.v"
    path.write_text(text)
    with pytest.raises(RtlError, match=message) as caught:
        read_module([path], "bad")
    assert "\n" not in str(caught.value)


def test_missing_verilog_is_named(tmp_path: Path) -> None:
    with pytest.raises(RtlError, match=r"gone\.v"):
        read_module([tmp_path / "gone.v"], "gone")


def test_a_register_free_multiplier_with_operators(
    target: MappingTarget, yosys: Yosys, tmp_path: Path
) -> None:
    """Operators of a user's own RTL are mapped and proved like the family's spelled-out structures."""
    path = tmp_path / "mul.v"
    path.write_text(
        "module mul(input signed [3:0] w, a, output signed [7:0] y);\n  assign y = w * a;\nendmodule\n"
    )
    interface = Interface(weight="w", activation="a", result="y")
    mac = Mac("mul", "product", (path,), "mul", {}, interface, ("delay",))
    netlist = synthesize(mac, target, "delay", yosys, tmp_path)
    proof = prove_equivalence(mac, netlist, yosys, tmp_path)
    assert (proof.exhaustive, proof.sat, proof.patterns) == (8, 0, 256)
    assert "signed" not in netlist.to_verilog()


def test_scripts_are_left_to_be_run_by_hand(
    small_mac: Mac, target: MappingTarget, yosys: Yosys, tmp_path: Path
) -> None:
    synthesize(small_mac, target, "area_units", yosys, tmp_path)
    script = (tmp_path / "synth_area_units.ys").read_text()
    assert "@" not in script.partition("read_liberty")[2]
    assert "upsize" in (tmp_path / "synth_area_units.abc").read_text()


def test_counting_words_count() -> None:
    from halo_timing.equivalence import _counting_words
    from halo_timing.held_weight import unpack_words

    columns = [unpack_words(_counting_words(position, 8), 256) for position in range(8)]
    assert np.array_equal(
        sum(column.astype(int) << bit for bit, column in enumerate(columns)), np.arange(256)
    )

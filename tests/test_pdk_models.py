"""Simulation models made from Liberty: functions, states, and delays from SDF in Icarus."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from halo_timing.errors import LibertyError, PdkError
from halo_timing.pdk.library import Library, read_library
from halo_timing.pdk.registry import load_pdk
from halo_timing.pdk.verilog_models import unconditional_sdf, verilog_models
from halo_timing.tools.icarus import find_icarus
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.staging import stage_files
from tests.pdk_support import FLIP_FLOP, liberty


def simulate(models: str, bench: str, folder: Path, options: tuple[str, ...] = ()) -> str:
    (folder / "models.v").write_text(models)
    (folder / "bench.v").write_text(bench)
    icarus, log = find_icarus(), folder / "icarus.log"
    icarus.compile(
        ["models.v", "bench.v"],
        top="bench",
        output=folder / "bench.vvp",
        log_path=log,
        options=("-Wall", *options),
    )
    # -Wall complains of nothing in the models; missing timescales of benches are their own.
    assert not re.search(r"models\.v:\d+: warning", log.read_text())
    return icarus.simulate(folder / "bench.vvp", cwd=folder, log_path=log)


def exhaustive_bench(library: Library, names: list[str]) -> str:
    lines = ["`timescale 1ns/1fs", "module bench;"]
    body = []
    for number, name in enumerate(names):
        cell = library.cells[name]
        inputs, outputs = cell.inputs, cell.outputs
        lines.append(f"  reg [{len(inputs)}:0] i{number}; wire [{len(outputs)}:0] o{number};")
        pins = [f".\\{pin.name} (i{number}[{k}])" for k, pin in enumerate(inputs)]
        pins += [f".\\{pin.name} (o{number}[{k}])" for k, pin in enumerate(outputs)]
        lines.append(f"  \\{name} u{number} ({', '.join(pins)});")
        shown = f'$display("{number} %0d %b", i{number}, o{number}[{len(outputs) - 1}:0])'
        loop = f"for (i{number} = 0; i{number} < {1 << len(inputs)}; i{number} = i{number} + 1)"
        body.append(f"    {loop} begin #1; {shown}; end")
    return "\n".join([*lines, "  initial begin", *body, "  end", "endmodule\n"])


def assert_models_follow_truth_tables(library: Library, folder: Path) -> None:
    names = [name for name, cell in library.cells.items() if cell.is_combinational and cell.inputs]
    assert len(names) > 20
    printed = simulate(verilog_models(library, names), exhaustive_bench(library, names), folder)
    rows = [line.split() for line in printed.splitlines()]
    assert len(rows) == sum(1 << len(library.cells[name].inputs) for name in names)
    for number, point, bits in rows:
        cell = library.cells[names[int(number)]]
        values = {pin.name: bool(int(point) >> k & 1) for k, pin in enumerate(cell.inputs)}
        for bit, pin in zip(reversed(bits), cell.outputs, strict=True):
            assert pin.function is not None
            expected = pin.function(**{name: values[name] for name in pin.function.inputs})
            assert int(bit) == expected, (cell.name, values)


def test_models_follow_truth_tables(nangate45_liberty: Path, tmp_path: Path) -> None:
    assert_models_follow_truth_tables(read_library([nangate45_liberty]), tmp_path)


def test_models_of_a_library_with_pads(tmp_path: Path) -> None:
    assert_models_follow_truth_tables(load_pdk("osu035", install=True).library(), tmp_path)


def test_every_cell_with_a_function_has_a_model(nangate45_liberty: Path, tmp_path: Path) -> None:
    library = read_library([nangate45_liberty])
    names = [name for name, cell in library.cells.items() if not cell.has_statetable]
    models = verilog_models(library, names)
    assert models == verilog_models(library, reversed(names))
    simulate(models, "module bench; endmodule", tmp_path, ("-gspecify",))
    with pytest.raises(PdkError, match="CLKGATE_X1 has no function"):
        verilog_models(library, ["CLKGATE_X1"])
    with pytest.raises(LibertyError, match="cell NOPE does not exist"):
        verilog_models(library, ["NOPE"])


def test_flip_flops_and_latches(nangate45_liberty: Path, tmp_path: Path) -> None:
    bench = """`timescale 1ns/1fs
module bench; reg d = 0, c = 0, r = 1, s = 1, g = 0; wire q, qn, n, l, z;
  DFFRS_X1 a (.D(d), .CK(c), .RN(r), .SN(s), .Q(q), .QN(qn));
  SDFF_X1 b (.D(1'b0), .CK(c), .SI(d), .SE(1'b1), .Q(n), .QN());
  DLH_X1 e (.D(d), .G(g), .Q(l));
  TBUF_X1 t (.A(d), .EN(g), .Z(z));
  initial begin
    #1 $display("%b%b%b%b%b", q, qn, n, l, z);
    d = 1; #1 c = 1; #1 $display("%b%b%b%b%b", q, qn, n, l, z);
    d = 0; #1 g = 1; c = 0; #1 $display("%b%b%b%b%b", q, qn, n, l, z);
    r = 0; #1 $display("%b%b%b%b%b", q, qn, n, l, z);
    r = 1; s = 0; #1 $display("%b%b%b%b%b", q, qn, n, l, z);
    s = 1; d = 1; #1 $display("%b%b%b%b%b", q, qn, n, l, z);
    c = 1; #1 g = 0; #1 d = 0; #1 $display("%b%b%b%b%b", q, qn, n, l, z);
  end
endmodule
"""
    models = verilog_models(read_library([nangate45_liberty]), ["DFFRS_X1", "SDFF_X1", "DLH_X1", "TBUF_X1"])
    assert simulate(models, bench, tmp_path).split() == [
        "xxxx0", "101x1", "1010z", "0110z", "1010z", "1011z", "10110",
    ]  # fmt: skip


def test_names_that_verilog_does_not_take(tmp_path: Path) -> None:
    text = FLIP_FLOP.replace("(DFF)", '("2DFF")').replace("(D)", '("d[1]")').replace('"D"', '"d[1]"')
    text = text.replace("(CK)", "(input)").replace('"CK"', '"input"')
    path = tmp_path / "x.lib"
    path.write_text(liberty(text))
    models = verilog_models(read_library([path]), ["2DFF"])
    bench = """module bench; reg d = 1, c = 0; wire q; \\2DFF u (.\\d[1] (d), .\\input (c), .Q(q));
initial begin #1 c = 1; #1 $display("%b", q); end endmodule
"""
    assert simulate(models, bench, tmp_path, ("-gspecify",)) == "1\n"


NETLIST = """module top (input a, input b, input ck, output z, output q, output y);
  wire n;
  XOR2_X1 u1 (.A(a), .B(b), .Z(n));
  INV_X1 u2 (.A(n), .ZN(z));
  DFF_X1 \\r[0] (.D(n), .CK(ck), .Q(q));
  OAI21_X1 o (.A(a), .B1(b), .B2(n), .ZN(y));
endmodule
"""
BENCH = """`timescale 1ns/1fs
module bench; reg a = 0, b = 0, ck = 0; wire z, q, y; top dut (a, b, ck, z, q, y);
  always @(z) $display("z %0.0f", $realtime * 1e5);
  always @(q) $display("q %0.0f", $realtime * 1e5);
  initial begin $sdf_annotate("top.sdf", dut); #10 a = 1; #10 ck = 1; #10 b = 1; #10 $finish(0); end
endmodule
"""


def test_sdf_delays_reach_the_simulation(nangate45_liberty: Path, tmp_path: Path) -> None:
    """Each path takes its largest delay of all states, to the last digit that OpenSTA writes."""
    (tmp_path / "top.v").write_text(NETLIST)
    stage_files(tmp_path, {"cells.lib": nangate45_liberty})
    script = "read_liberty cells.lib\nread_verilog top.v\nlink_design top\nwrite_sdf -digits 5 raw.sdf"
    find_opensta().run_script(script, cwd=tmp_path, log_path=tmp_path / "sdf.log")
    raw = (tmp_path / "raw.sdf").read_text()
    assert "COND" in raw
    sdf = unconditional_sdf(raw)
    assert "COND" not in sdf
    assert "DATE" not in sdf
    assert "INTERCONNECT" not in sdf
    assert unconditional_sdf(sdf) == sdf
    (tmp_path / "top.sdf").write_text(sdf)
    cells = ["XOR2_X1", "INV_X1", "DFF_X1", "OAI21_X1"]
    models = verilog_models(read_library([nangate45_liberty]), cells) + NETLIST
    printed = simulate(models, BENCH, tmp_path, ("-gspecify", "-Tmax"))
    times = [(line.split()[0], int(line.split()[1])) for line in printed.splitlines()]

    def delay(cell: str, pin: str, edge: int) -> int:
        entry = raw.split(f'(CELLTYPE "{cell}")')[1].split("(CELL\n")[0]
        found = re.findall(rf"\(IOPATH {pin} \w+ \(([\d.]*)::([\d.]*)\) \(([\d.]*)::([\d.]*)\)", entry)
        return max(round(float(value) * 1e5) for row in found for value in row[2 * edge : 2 * edge + 2])

    rise, fall = 0, 1
    assert times[-3:] == [
        ("z", 10 * 10**5 + delay("XOR2_X1", "A", rise) + delay("INV_X1", "A", fall)),
        ("q", 20 * 10**5 + delay("DFF_X1", "CK", rise)),
        ("z", 30 * 10**5 + delay("XOR2_X1", "B", fall) + delay("INV_X1", "A", rise)),
    ]


def test_sdf_without_cells_is_refused() -> None:
    with pytest.raises(PdkError, match="holds no cells"):
        unconditional_sdf("(DELAYFILE)")

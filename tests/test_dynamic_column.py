"""Partial sums and register contents of sampled runs against the RTL of a column, in Icarus Verilog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from halo_timing.dynamic import Simulation, Stimulus
from halo_timing.dynamic.element import Integers
from halo_timing.dynamic.sampled import Sampler
from halo_timing.files import write_text
from halo_timing.held_weight import unpack_words
from halo_timing.pdk.registry import Pdk
from halo_timing.resources import rtl_dir
from halo_timing.tools.icarus import find_icarus
from tests.dynamic_support import Bench, make_bench

ROWS, COLUMNS_TRIED, WIDTH, ACC = 5, 14, 4, 12
PARAMETERS = f"WEIGHT_WIDTH={WIDTH},ACTIVATION_WIDTH={WIDTH},ACCUMULATOR_WIDTH={ACC}"
# Where each pipeline keeps what its accumulation stage starts from; the rest is at its ports.
CASES: Sequence[tuple[str, Mapping[str, str]]] = [
    ("array", {"activation_q": "u_mac.activation_q", "product_q": "u_mac.gen_two_stage.product_q"}),
    ("one_digit", {"activation_q": "u_mac.activation_q", "product_q": "u_mac.gen_two_stage.product_q"}),
    ("booth:PIPELINE=fused", {"activation_q": "u_mac.activation_q"}),
    ("booth_stored:PIPELINE=carry_save", {"activation_q": "u_mac.activation_q"}),
]


@pytest.mark.parametrize(("spec", "places"), CASES)
def test_sources_are_those_of_a_column_of_the_rtl(
    spec: str, places: Mapping[str, str], nangate45: Pdk, tmp_path: Path
) -> None:
    name, _, more = spec.partition(":")
    bench = make_bench(nangate45, f"{name}:{PARAMETERS}" + (f",{more}" if more else ""), tmp_path)
    stimulus = Stimulus(samples=COLUMNS_TRIED, rows=ROWS, seed=7)
    sim = Simulation(bench.netlist, bench.mac.interface, bench.held, bench.sdf, bench.arrivals_ps, stimulus)
    sampler = sim.sampler
    assert sampler is not None
    for weight in (3, 14):
        ours = our_sources(bench, sampler, weight)
        theirs = rtl_sources(bench, sampler, weight, places, tmp_path)
        assert {"psum_in", *ours} == {*ours}
        for source, values in ours.items():
            assert values.tolist() == theirs[source], source
        assert len({tuple(values) for values in theirs["psum_in"]}) > COLUMNS_TRIED / 2


def our_sources(bench: Bench, sampler: Sampler, weight: int) -> dict[str, Integers]:
    """Value before and after the edge of each source register and port, per column."""
    drawn = sampler.column.draw(np.array([weight]))
    launches = sampler.launches(np.array([weight]), drawn)
    nets = {net: (port.name, bit) for port in bench.netlist.ports for bit, net in enumerate(port.nets)}
    for register in bench.netlist.registers:
        for pin, same in register.state_pins.items():
            if same:
                nets[bench.netlist.instances[register.instance].pins[pin]] = register.group, register.bit
    result: dict[str, Integers] = {}
    used = {source.net for source in sampler.model.sources}
    wanted = {nets[net][0] for net in used & nets.keys() - launches.held.keys()}
    for net, (name, bit) in nets.items():
        if name in wanted and net in launches.before:
            values = result.setdefault(name, np.zeros((COLUMNS_TRIED, 2), np.int64))
            for side, words in enumerate((launches.before, launches.after)):
                bits = unpack_words(np.broadcast_to(words[net][0], (1,)), COLUMNS_TRIED)
                values[:, side] |= bits.astype(np.int64) << bit
    return result


def rtl_sources(
    bench: Bench, sampler: Sampler, weight: int, places: Mapping[str, str], folder: Path
) -> dict[str, list[list[int]]]:
    """The same from systolic_array.v with one column, each tile loaded after the other."""
    column, cycles = sampler.column, sampler.window.cycles
    lag = cycles - 2
    watched = {"psum_in": "psum_in", "psum_carry_in": "psum_carry_in", **places}
    lines, samples = [], []
    for k in range(COLUMNS_TRIED):
        tested = int(column.row[k])
        weights = bench.held.values[column.weights[:, k]]
        weights[tested] = bench.held.values[weight]
        lines += [word(shift=1, weight=int(value)) for value in weights[::-1]]
        first = len(lines)
        for vector in range(2 * cycles):
            # The row under test meets its own stream when the sums of cycle `lag` arrive.
            times = np.full(ROWS, vector)
            times[tested] -= lag
            inside = (times >= 0) & (times < cycles)
            values = column.activations[times.clip(0, cycles - 1), np.arange(ROWS), k] * inside
            lines.append(word(load=vector == 0, activations=values))
        lines += [word()] * (ROWS + 6)
        # An input shows in the cycle in which it is applied, a source `lag` edges behind its row's input.
        when = first + tested + 2 * lag
        samples.append((tested, (when, when + 1)))
    printed = run_rtl(bench, lines, watched, folder)
    return {
        name: [[printed[name][tested][time] for time in times] for tested, times in samples]
        for name in watched
    }


def word(shift: int = 0, weight: int = 0, load: int = 0, activations: Sequence[int] = (0,) * ROWS) -> str:
    packed = "".join(format(int(value), f"0{WIDTH}b") for value in reversed(activations))
    return f"{shift}{format(weight & 15, '04b')}{int(load)}{packed}"


def run_rtl(
    bench: Bench, lines: Sequence[str], watched: Mapping[str, str], folder: Path
) -> dict[str, list[list[int]]]:
    """Value of each watched signal, by name, row and clock cycle."""
    parameters = ", ".join(
        f'.{name}("{value}")' if isinstance(value, str) else f".{name}({value})"
        for name, value in bench.mac.parameters.items()
    )
    size = len(lines[0])
    signals = [
        f"dut.gen_row[{row}].gen_column[0].u_pe.{place}" for place in watched.values() for row in range(ROWS)
    ]
    text = f"""
module column_bench;
  reg clk = 0, rst_n = 0;
  reg [{size - 1}:0] words [0:{len(lines) - 1}];
  reg [{size - 1}:0] now = 0;
  integer step;
  wire [{ACC - 1}:0] result;
  systolic_array #(.ROWS({ROWS}), .COLUMNS(1), {parameters}) dut (
    .clk(clk), .rst_n(rst_n), .weight_shift(now[{size - 1}]), .weight_in(now[{size - 2} -: {WIDTH}]),
    .weight_load(now[{ROWS * WIDTH}]), .activation_valid(1'b0),
    .activation_in(now[{ROWS * WIDTH - 1}:0]), .result(result)
  );
  initial begin
    $readmemb("stimulus.txt", words);
    repeat (3) begin #5 clk = 1; #5 clk = 0; end
    rst_n = 1;
    for (step = 0; step < {len(lines)}; step = step + 1) begin
      now = words[step];
      #5 $display("@{" %0d" * len(signals)}", {", ".join(signals)});
      clk = 1; #5 clk = 0;
    end
    $finish;
  end
endmodule
"""
    write_text(folder / "column_bench.v", text)
    write_text(folder / "stimulus.txt", "\n".join(lines) + "\n")
    icarus = find_icarus()
    log = folder / "column.log"
    sources = ["column_bench.v", *sorted(rtl_dir().glob("*.v"))]
    icarus.compile(sources, top="column_bench", output=folder / "column.vvp", log_path=log)
    rows = [
        [int(number) for number in line.split()[1:]]
        for line in icarus.simulate(folder / "column.vvp", cwd=folder, log_path=log).splitlines()
        if line.startswith("@")
    ]
    table = np.array(rows).T.reshape(len(watched), ROWS, -1)
    return {name: table[place].tolist() for place, name in enumerate(watched)}

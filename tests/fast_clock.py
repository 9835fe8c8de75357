"""A mapped MAC in Icarus Verilog at the clock of its fast weights: are its sums right?

Delays are OpenSTA's, conditional ones too, in a cell model of each instance. What a neighbour sends
(activation, partial sum) arrives as late after each edge as static timing says it leaves an equal
neighbour. The cell models check no setup time; what comes too late for an edge is simply missed, and makes
a wrong sum.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from halo_timing.dynamic.icarus_cells import instance_models, ns, with_own_cells
from halo_timing.files import write_text
from halo_timing.mac_model import MacConfig, MacModel, Step
from halo_timing.netlist import Netlist
from halo_timing.rtl import Mac
from halo_timing.sdf import Sdf
from halo_timing.tools.icarus import Icarus

# Reset and loading are not what the fast period is for.
_SLOW = 10
_SLOW_CYCLES = 4


@dataclass(frozen=True)
class Sums:
    """Sums that were compared with the integer model, and those that differed."""

    checked: int
    wrong: int


def sums_at_period(
    netlist: Netlist,
    mac: Mac,
    sdf: Sdf,
    arrivals_ps: Mapping[str, float],
    weights: Sequence[int],
    period_ps: float,
    icarus: Icarus,
    *,
    cycles: int = 200,
    seed: int = 1,
) -> Sums:
    """Clock a MAC of the family through random activations and partial sums, `cycles` a weight.

    Parameters
    ----------
    arrivals_ps
        When each chained input port moves after the edge.
    weights
        Held one after another, loaded with a slow clock.

    Raises
    ------
    ToolError
        If Icarus fails.
    """
    config = MacConfig.from_parameters(mac.parameters)
    model = MacModel(config)
    widths = {
        port.name: len(port.nets)
        for port in netlist.ports
        if port.direction == "input" and port.name != mac.interface.clock
    }
    words, carries = [], mac.interface.result_carry in mac.interface.chains
    checked = 0
    for step, compare in _steps(config, weights, cycles, random.Random(seed)):
        model.edge(step)
        values = {
            "rst_n": int(not step.reset),
            "weight_load": int(step.weight_load),
            "weight_in": step.weight,
            "activation_in": step.activation,
            "psum_in": step.psum,
            "psum_carry_in": step.psum_carry,
        }
        bits = "".join(
            format(values[name] & ((1 << width) - 1), f"0{width}b") for name, width in widths.items()
        )
        words.append(f"{int(compare)}{model.psum:0{config.accumulator_width}b}{bits}")
        checked += compare
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        folder = Path(name)
        write_text(folder / "stimulus.txt", "\n".join(words) + "\n")
        write_text(folder / "cells.v", "\n".join(instance_models(netlist, sdf)))
        write_text(folder / "netlist.v", with_own_cells(netlist))
        bench = _bench(netlist, mac, config, widths, arrivals_ps, period_ps, words, carries=carries)
        write_text(folder / "bench.v", bench)
        log_path = folder / "icarus.log"
        icarus.compile(
            ["cells.v", "netlist.v", "bench.v"],
            top="halo_bench",
            output=folder / "bench.vvp",
            log_path=log_path,
            options=("-gspecify", "-Tmax"),
        )
        printed = icarus.simulate(folder / "bench.vvp", cwd=folder, log_path=log_path)
    (wrong,) = (int(line.split()[1]) for line in printed.splitlines() if line.startswith("wrong "))
    return Sums(checked, wrong)


def _steps(
    config: MacConfig, weights: Sequence[int], cycles: int, rng: random.Random
) -> Iterator[tuple[Step, bool]]:
    """Inputs before each edge, and whether the edge is fast and its sum counts."""
    mask = (1 << config.weight_width) - 1
    for weight in weights:
        yield from ((Step(reset=True), False) for _ in range(_SLOW_CYCLES))
        yield from ((Step(weight & mask, weight_load=True), False) for _ in range(_SLOW_CYCLES))
        for _ in range(cycles):
            activation, psum = (
                rng.getrandbits(config.activation_width),
                rng.getrandbits(config.accumulator_width),
            )
            carry = rng.getrandbits(config.accumulator_width) & config.carry_mask
            yield Step(weight & mask, activation=activation, psum=psum, psum_carry=carry), True


def _bench(
    netlist: Netlist,
    mac: Mac,
    config: MacConfig,
    widths: Mapping[str, int],
    arrivals_ps: Mapping[str, float],
    period_ps: float,
    words: Sequence[str],
    *,
    carries: bool,
) -> str:
    """Bench in which inputs move after the edge before the one that takes them; it looks before the next."""
    interface, total = mac.interface, len(words[0])
    position, ports, drives = sum(widths.values()), [f".{mac.interface.clock}(clock)"], []
    for name, width in widths.items():
        position -= width
        ports.append(f".{name}(in_{name})")
        delay = ns(round(arrivals_ps.get(name, 0.0) * 1000))
        drives.append(f"in_{name} <= #({delay}) word[{position + width - 1}:{position}];")
    outputs = (
        {interface.result: "result", interface.result_carry: "carry"}
        if carries
        else {interface.result: "result"}
    )
    ports += [f".{port}({wire})" for port, wire in outputs.items()]
    fast, slow = (ns(round(factor * period_ps * 1000 / 2)) for factor in (1, _SLOW))
    top = config.accumulator_width - 1
    low = sum(widths.values())
    found = "result + carry" if carries else "result"
    return "\n".join(
        [
            "`timescale 1ns/1fs",
            "module halo_bench;",
            f"  reg [{total - 1}:0] word, words [0:{len(words) - 1}];",
            "  reg clock = 0;",
            "  integer edge_number, wrong = 0;",
            f"  wire [{top}:0] {', '.join(outputs.values())};",
            *(f"  reg [{width - 1}:0] in_{name} = 0;" for name, width in widths.items()),
            f"  {netlist.name} dut ({', '.join(ports)});",
            f"  wire [{top}:0] found = {found};",
            "  initial begin",
            '    $readmemb("stimulus.txt", words);',
            f"    for (edge_number = 0; edge_number < {len(words)}; edge_number = edge_number + 1) begin",
            "      word = words[edge_number];",
            *(f"      {drive}" for drive in drives),
            f"      if (word[{total - 1}]) begin #({fast}) clock = 0; #({fast}); end",
            f"      else begin #({slow}) clock = 0; #({slow}); end",
            "      // The sum of the edge before is looked at now, the inputs of this one are taken.",
            f"      if (edge_number > 0 && words[edge_number-1][{total - 1}] &&",
            f"          found !== words[edge_number-1][{low + top}:{low}]) wrong = wrong + 1;",
            "      clock = 1;",
            "    end",
            '    $display("wrong %0d", wrong);',
            "    $finish;",
            "  end",
            "endmodule",
            "",
        ]
    )

"""A random netlist that holds every combinational cell of a library, dressed as a MAC."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halo_timing.files import write_text
from halo_timing.interface import Interface
from halo_timing.pdk.library import Library
from halo_timing.rtl import Mac

NEAR = 24


def every_cell_mac(library: Library, folder: Path, width: int = 8, seed: int = 1) -> Mac:
    """Write into `folder` a netlist in which each cell occurs twice, in random order.

    Inputs are wired to random nets made shortly before, all pins of a cell to different ones, as
    ``$sdf_annotate`` of Icarus wants it; what no cell reads is stored in output registers.
    """
    rng = np.random.default_rng(seed)
    cells = sorted(
        (cell for cell in library.cells.values() if cell.is_combinational and cell.inputs),
        key=lambda cell: cell.name,
    )
    nets = [f"{name}[{bit}]" for name in ("activation", "weight") for bit in range(width)]
    unread = dict.fromkeys(nets)
    lines = []
    for count, place in enumerate(rng.permutation(2 * len(cells))):
        cell = cells[place // 2]
        recent = nets[-max(NEAR, len(cell.inputs)) :]
        chosen = [recent[index] for index in rng.permutation(len(recent))[: len(cell.inputs)]]
        for net in chosen:
            unread.pop(net, None)
        outputs = [f"n{count}_{pin.name}" for pin in cell.outputs]
        nets += outputs
        unread |= dict.fromkeys(outputs)
        pins = [pin.name for pin in (*cell.inputs, *cell.outputs)]
        connections = ", ".join(f".{pin}({net})" for pin, net in zip(pins, chosen + outputs, strict=True))
        lines += [*(f"  wire {net};" for net in outputs), f"  {cell.name} u{count} ({connections});"]
    text = f"""module every_cell (
  input wire clk,
  input wire weight_load,
  input wire [{width - 1}:0] weight_in,
  input wire [{width - 1}:0] activation_in,
  output reg [{len(unread) - 1}:0] result
);
  reg [{width - 1}:0] weight;
  reg [{width - 1}:0] activation;
{chr(10).join(lines)}
  always @(posedge clk) begin
    if (weight_load) weight <= weight_in;
    activation <= activation_in;
    result <= {{{", ".join(unread)}}};
  end
endmodule
"""
    path = folder / "every_cell.v"
    write_text(path, text)
    return Mac(
        name="every_cell",
        description="every combinational cell of the library, wired at random",
        files=(path,),
        top="every_cell",
        parameters={},
        interface=Interface(
            weight="weight_in",
            activation="activation_in",
            result="result",
            clock="clk",
            load={"weight_load": 1},
            hold={"weight_load": 0},
        ),
        recipes=("speed",),
    )

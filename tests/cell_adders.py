"""A MAC built of a library's full adders, half adders and multiplexers, which mappers do not use."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

from halo_timing.files import write_text
from halo_timing.interface import Interface
from halo_timing.pdk.cells import Cell
from halo_timing.pdk.library import Library
from halo_timing.rtl import Mac

Truth = tuple[int, ...]

FULL_ADDER = {"s": (0, 1, 1, 0, 1, 0, 0, 1), "co": (0, 0, 0, 1, 0, 1, 1, 1)}
HALF_ADDER = {"s": (0, 1, 1, 0), "c": (0, 0, 0, 1)}
MUX2 = {"y": (0, 1, 0, 1, 0, 0, 1, 1)}


def cell_adder_mac(library: Library, folder: Path, width: int = 8) -> Mac:
    """Write the library's wrappers into `folder`, and describe the MAC that uses them."""
    wrappers = folder / "adder_cells.v"
    write_text(
        wrappers,
        "\n".join(
            [
                _wrapper(library, "full_adder", ("a", "b", "ci"), FULL_ADDER),
                _wrapper(library, "half_adder", ("a", "b"), HALF_ADDER),
                _wrapper(library, "mux2", ("a", "b", "select"), MUX2),
            ]
        ),
    )
    return Mac(
        name="cell_adders",
        description="rows of the library's own adders",
        files=(Path(__file__).with_name("cell_adders.v"), wrappers),
        top="cell_adders",
        parameters={"WIDTH": width},
        interface=Interface(
            weight="weight_in",
            activation="activation_in",
            result="product_out",
            clock="clk",
            load={"weight_load": 1},
            hold={"weight_load": 0},
        ),
        recipes=("speed",),
    )


def _wrapper(library: Library, name: str, inputs: Sequence[str], outputs: dict[str, Truth]) -> str:
    """Verilog module of the smallest cell that has these functions, or their complements."""
    for cell in sorted(library.cells.values(), key=lambda cell: (cell.area_um2, cell.name)):
        if not cell.is_combinational or (len(cell.inputs), len(cell.outputs)) != (len(inputs), len(outputs)):
            continue
        for pins in permutations(pin.name for pin in cell.inputs):
            found = {_truth(cell, pin.name, pins): pin.name for pin in cell.outputs}
            chosen = {}
            for port, truth in outputs.items():
                if truth in found:
                    chosen[port] = found[truth], ""
                elif (inverse := tuple(1 - value for value in truth)) in found:
                    chosen[port] = found[inverse], "~"
            if len(chosen) == len(outputs):
                connections = [f".{pin}({port})" for pin, port in zip(pins, inputs, strict=True)]
                connections += [f".{pin}({port}_)" for port, (pin, _) in chosen.items()]
                ports = [*(f"input {port}" for port in inputs), *(f"output {port}" for port in outputs)]
                lines = [f"module {name} ({', '.join(ports)});"]
                for port, (_, sense) in chosen.items():
                    lines += [f"  wire {port}_;", f"  assign {port} = {sense}{port}_;"]
                return "\n".join([*lines, f"  {cell.name} u ({', '.join(connections)});", "endmodule", ""])
    raise LookupError(f"{library.name} has no {name}")


def _truth(cell: Cell, output: str, pins: Sequence[str]) -> Truth:
    """Value of an output per state, bit p of which is the value of ``pins[p]``."""
    function = cell.pins[output].function
    assert function is not None
    states = range(1 << len(pins))
    return tuple(
        int(function(**{pin: bool(state >> pins.index(pin) & 1) for pin in function.inputs}))
        for state in states
    )

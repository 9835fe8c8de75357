"""Cell models for Icarus Verilog in which inputs that change at once act as one step.

Either one model per instance, whose specify block holds the instance's delays, conditional ones too; or one
per cell, for ``$sdf_annotate`` to fill in. Icarus 11 annotates no conditional (COND) path, so the latter
know only unconditional delays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from halo_timing.netlist import Netlist
from halo_timing.pdk.library import BooleanFunction, Cell
from halo_timing.pdk.verilog_models import verilog_models
from halo_timing.sdf import IoPath, Sdf, condition_function


def instance_models(netlist: Netlist, sdf: Sdf) -> Iterator[str]:
    """One model per instance of :func:`with_own_cells`, with the delays of the SDF."""
    yield "`timescale 1ns/1fs"
    for instance in netlist.instances:
        cell = netlist.cell_of(instance)
        paths = sdf.cells[instance.name].paths if instance.name in sdf.cells else []
        name = f"{cell.name}__{instance.name}"
        if cell.is_combinational and paths:
            yield combinational_model(cell, paths, name)
        else:
            text = re.sub(r"module \S+", f"module {name}", _started_model(netlist, cell), count=1)
            text = re.sub(r"  specify\n.*?  endspecify\n", "", text, flags=re.DOTALL)
            yield text.replace("endmodule", "\n".join([*_specify(paths, {}), "endmodule"]))


def annotated_models(netlist: Netlist) -> Iterator[str]:
    """One model per cell; each path from input to output waits for ``$sdf_annotate``."""
    yield "`timescale 1ns/1fs"
    for name in sorted({instance.cell for instance in netlist.instances}):
        cell = netlist.library.cell(name)
        paths = [
            IoPath(source, output.name, "", None, 0, 0)
            for output in cell.outputs
            for source in sorted({arc.related_pin for arc in output.arcs if arc.is_delay})
        ]
        if cell.is_combinational and paths:
            yield combinational_model(cell, paths, name)
        else:
            yield _started_model(netlist, cell)


def _started_model(netlist: Netlist, cell: Cell) -> str:
    """Model of a register or constant that never is unknown: look-ups by an unknown state would stay so."""
    text = verilog_models(netlist.library, [cell.name]).partition("\n")[2]
    return re.sub(r"^  reg (\S+);", r"  reg \1 = 0;", text, flags=re.MULTILINE)


def combinational_model(cell: Cell, paths: Sequence[IoPath], name: str) -> str:
    """Verilog of one instance with its delays, in which inputs that change at once act as one step.

    Icarus evaluates the parts of an expression one after another, and so can see a state that never was, or
    test a path's condition before all inputs have changed. Here conditions and outputs are looked up in
    tables. Icarus puts off an inversion (but no look-up and no concatenation) until all events of the moment
    are in: the first inversion of the inputs, taken together, serves the conditions, the second the outputs.
    """
    pins = [pin.name for pin in cell.inputs]
    outputs = [pin for pin in cell.outputs if pin.function is not None]
    ports = [*(f"input {pin}" for pin in pins), *(f"output {pin.name}" for pin in outputs)]
    lines = [
        f"module {name} ({', '.join(ports)});",
        f"  wire [{len(pins) - 1}:0] inverted = ~{{{', '.join(reversed(pins))}}};",
        f"  wire [{len(pins) - 1}:0] state = ~inverted;",
    ]
    conditions = sorted({path.condition for path in paths if path.condition is not None})
    for index, condition in enumerate(conditions):
        function = condition_function(condition, tuple(pins), name)
        lines += [
            f"  {_lookup(f'T{index}', function, pins, inverted=True)}",
            f"  wire c{index} = T{index}[inverted];",
        ]
    for pin in outputs:
        assert pin.function is not None
        lines += [
            f"  {_lookup(f'V_{pin.name}', pin.function, pins)}",
            f"  assign {pin.name} = V_{pin.name}[state];",
        ]
    lines += _specify(paths, {condition: f"c{index}" for index, condition in enumerate(conditions)})
    return "\n".join([*lines, "endmodule", ""])


def _lookup(name: str, function: BooleanFunction, pins: Sequence[str], inverted: bool = False) -> str:
    rows = 1 << len(pins)
    bits = ""
    for row in reversed(range(rows)):
        state = row ^ (rows - 1) if inverted else row
        point = {pin: bool(state >> pins.index(pin) & 1) for pin in function.inputs}
        bits += str(int(function(**point)))
    return f"localparam [{rows - 1}:0] {name} = {rows}'b{bits};"


def _specify(paths: Sequence[IoPath], condition_nets: Mapping[str, str]) -> list[str]:
    lines = []
    plain = {(path.from_pin, path.to_pin) for path in paths if path.condition is None}
    slowest: dict[tuple[str, str], list[int]] = {}
    for path in paths:
        ends = path.from_pin, path.to_pin
        rise, fall = (max(time or 0, 0) for time in (path.rise_fs, path.fall_fs))
        when = "" if path.condition is None else f"if ({condition_nets[path.condition]}) "
        source = f"{path.edge} {path.from_pin}" if path.edge else path.from_pin
        lines.append(f"    {when}({source} => {path.to_pin}) = ({ns(rise)}, {ns(fall)});")
        known = slowest.setdefault(ends, [0, 0])
        slowest[ends] = [max(known[0], rise), max(known[1], fall)]
    lines += [
        f"    ifnone ({start} => {end}) = ({ns(rise)}, {ns(fall)});"
        for (start, end), (rise, fall) in slowest.items()
        if (start, end) not in plain
    ]
    return ["  specify", *lines, "  endspecify"] if lines else []


def ns(time_fs: int) -> str:
    """Write a time as Verilog in ns, exactly."""
    return f"{time_fs // 10**6}.{time_fs % 10**6:06d}"


def with_own_cells(netlist: Netlist) -> str:
    """Netlist whose instances are of cells named after them."""
    text = netlist.to_verilog()
    return "`timescale 1ns/1fs\n" + re.sub(
        r"^  (\w+) (\w+) \(\.", r"  \1__\2 \2 (.", text, flags=re.MULTILINE
    )

"""The same transitions in Icarus Verilog: the judge of the ``icarus`` semantics.

Every instance gets a cell model of its own whose specify block holds the delays of the SDF, because Icarus
drops conditional (COND) paths when it annotates SDF. The clock runs so slowly that everything settles within
half a period, inputs change half a period before the edge that takes them, and a VCD dump tells every toggle.
"""

from __future__ import annotations

import re
import resource
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic._jit import compiled
from halo_timing.dynamic.walks import Toggles, Walk
from halo_timing.files import write_text
from halo_timing.held_weight import HeldWeight
from halo_timing.interface import Interface
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Netlist
from halo_timing.pdk.library import BooleanFunction, Cell
from halo_timing.pdk.verilog_models import unconditional_sdf, verilog_models
from halo_timing.sdf import IoPath, Sdf, condition_function
from halo_timing.tools.icarus import Icarus

_LOAD_EDGES = 4


def simulate_walks_in_icarus(
    netlist: Netlist,
    interface: Interface,
    held: HeldWeight,
    sdf: Sdf,
    walks: Sequence[Walk],
    nets: Sequence[int],
    settle_fs: int,
    icarus: Icarus,
    log_path: Path,
) -> Toggles:
    """Run walks one after another and collect the toggles of `nets` after each edge.

    Parameters
    ----------
    settle_fs
        Time within which everything settles.

    Raises
    ------
    ToolError
        If Icarus fails.
    """
    half = settle_fs + 1
    words, first_edges = _stimulus(netlist, interface, held, walks)
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        folder = Path(name)
        write_text(folder / "cells.v", "\n".join(_cell_models(netlist, sdf)))
        write_text(folder / "netlist.v", _with_own_cells(netlist))
        write_text(folder / "stimulus.txt", "\n".join(words) + "\n")
        write_text(folder / "bench.v", _bench(netlist, interface, nets, len(words), len(words[0]), half))
        icarus.compile(
            ["cells.v", "netlist.v", "bench.v"],
            top="halo_bench",
            output=folder / "bench.vvp",
            log_path=log_path,
            options=("-gspecify",),
        )
        icarus.simulate(folder / "bench.vvp", cwd=folder, log_path=log_path)
        times, ids, values = read_vcd(folder / "dump.vcd")
    edge_of: list[int] = []
    transition_of: list[int] = []
    count = 0
    for walk, first in zip(walks, first_edges, strict=True):
        # The activation that is there before an edge arrives with it; the first edge only sets the scene.
        edge_of += range(first + 2, first + 2 + walk.transitions)
        transition_of += range(count, count + walk.transitions)
        count += walk.transitions
    transition = np.full(len(words) + 2, -1)
    transition[edge_of] = transition_of
    edge, after = np.divmod(times, 2 * half)
    keep = (after < half) & (transition[edge] >= 0) & (values <= 1)
    return Toggles.ordered(np.asarray(nets)[ids[keep]], transition[edge[keep]], after[keep])


def time_walks_in_icarus(
    netlist: Netlist,
    interface: Interface,
    held: HeldWeight,
    sdf_path: Path,
    walks: Sequence[Walk],
    nets: Sequence[int],
    settle_fs: int,
    icarus: Icarus,
    log_path: Path,
) -> float:
    """Measure how much processor time Icarus needs for walks as people run it, in seconds.

    Plain cell models, ``$sdf_annotate``, no dump, and nothing but the logic that `nets` depend on.

    Raises
    ------
    ToolError
        If Icarus fails.
    """
    words, _ = _stimulus(netlist, interface, held, walks)
    part = _fan_in(netlist, nets)
    names = {instance.name for instance in part.instances}
    head, *cells = re.split(r"(?=^ \(CELL )", unconditional_sdf(sdf_path.read_text()), flags=re.MULTILINE)
    kept = [
        cell
        for cell in cells
        if (found := re.search(r"\(INSTANCE\s+(\S+?)\)", cell)) and found.group(1) in names
    ]
    end = "" if kept and kept[-1] == cells[-1] else ")\n"
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        folder = Path(name)
        models = verilog_models(netlist.library, [instance.cell for instance in part.instances])
        write_text(folder / "cells.v", models)
        write_text(folder / "netlist.v", "`timescale 1ns/1fs\n" + part.to_verilog())
        write_text(folder / "delays.sdf", "".join([head, *kept, end]))
        write_text(folder / "stimulus.txt", "\n".join(words) + "\n")
        bench = _bench(netlist, interface, [], len(words), len(words[0]), settle_fs + 1)
        bench = bench.replace('$dumpfile("dump.vcd");', '$sdf_annotate("delays.sdf", dut);')
        write_text(folder / "bench.v", bench)
        icarus.compile(
            ["cells.v", "netlist.v", "bench.v"],
            top="halo_bench",
            output=folder / "bench.vvp",
            log_path=log_path,
            options=("-gspecify", "-Tmax"),
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        icarus.simulate(folder / "bench.vvp", cwd=folder, log_path=log_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _fan_in(netlist: Netlist, nets: Sequence[int]) -> Netlist:
    """Keep the cells that `nets` depend on, through registers too."""
    pending, seen, kept = list(nets), set(nets), set()
    while pending:
        driver = netlist.drivers.get(pending.pop())
        if driver is not None and driver[0] not in kept:
            kept.add(driver[0])
            new = set(netlist.instances[driver[0]].pins.values()) - seen
            seen |= new
            pending += new
    order = sorted(kept)
    groups = {place: netlist.groups[index] for place, index in enumerate(order) if index in netlist.groups}
    return replace(netlist, instances=tuple(netlist.instances[index] for index in order), groups=groups)


def _cell_models(netlist: Netlist, sdf: Sdf) -> Iterator[str]:
    yield "`timescale 1ns/1fs"
    for instance in netlist.instances:
        cell = netlist.cell_of(instance)
        paths = sdf.cells[instance.name].paths if instance.name in sdf.cells else []
        name = f"{cell.name}__{instance.name}"
        if cell.is_combinational and paths:
            yield combinational_model(cell, paths, name)
        else:
            text = verilog_models(netlist.library, [cell.name]).partition("\n")[2]
            text = re.sub(r"module \S+", f"module {name}", text, count=1)
            # A look-up by an unknown state is unknown, even where a known input decides: nothing starts as x.
            text = re.sub(r"^  reg (\S+);", r"  reg \1 = 0;", text, flags=re.MULTILINE)
            text = re.sub(r"  specify\n.*?  endspecify\n", "", text, flags=re.DOTALL)
            yield text.replace("endmodule", "\n".join([*_specify(paths, {}), "endmodule"]))


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
        rise, fall = (0 if time is None else time for time in (path.rise_fs, path.fall_fs))
        when = "" if path.condition is None else f"if ({condition_nets[path.condition]}) "
        source = f"{path.edge} {path.from_pin}" if path.edge else path.from_pin
        lines.append(f"    {when}({source} => {path.to_pin}) = ({_ns(rise)}, {_ns(fall)});")
        known = slowest.setdefault(ends, [0, 0])
        slowest[ends] = [max(known[0], rise), max(known[1], fall)]
    lines += [
        f"    ifnone ({start} => {end}) = ({_ns(rise)}, {_ns(fall)});"
        for (start, end), (rise, fall) in slowest.items()
        if (start, end) not in plain
    ]
    return ["  specify", *lines, "  endspecify"] if lines else []


def _ns(time_fs: int) -> str:
    return f"{time_fs // 10**6}.{time_fs % 10**6:06d}"


def _with_own_cells(netlist: Netlist) -> str:
    text = netlist.to_verilog()
    return "`timescale 1ns/1fs\n" + re.sub(
        r"^  (\w+) (\w+) \(\.", r"  \1__\2 \2 (.", text, flags=re.MULTILINE
    )


def _stimulus(
    netlist: Netlist, interface: Interface, held: HeldWeight, walks: Sequence[Walk]
) -> tuple[list[str], list[int]]:
    """Input bits before every clock edge, most significant input first, and the first edge of each walk."""
    words, first = [], []
    for walk in walks:
        load = {
            interface.weight: int(held.values[walk.weight_index]),
            interface.activation: walk.activations[0],
        }
        words += [_word(netlist, interface, {**load, **interface.load})] * _LOAD_EDGES
        words += [_word(netlist, interface, {**load, **interface.hold})] * _LOAD_EDGES
        first.append(len(words))
        words += [
            _word(netlist, interface, {**load, **interface.hold, interface.activation: value})
            for value in walk.activations
        ]
    return words, first


def _inputs(netlist: Netlist, interface: Interface) -> list[tuple[str, int]]:
    return [
        (port.name, len(port.nets))
        for port in netlist.ports
        if port.direction == "input" and port.name != interface.clock
    ]


def _word(netlist: Netlist, interface: Interface, values: Mapping[str, int]) -> str:
    return "".join(
        format(values.get(name, 0) & ((1 << width) - 1), f"0{width}b")
        for name, width in _inputs(netlist, interface)
    )


def _bench(
    netlist: Netlist, interface: Interface, nets: Sequence[int], words: int, width: int, half_fs: int
) -> str:
    ports = []
    position = width
    for name, bits in _inputs(netlist, interface):
        position -= bits
        ports.append(f".{name}(word[{position + bits - 1}:{position}])")
    if interface.clock:
        ports.append(f".{interface.clock}(clock)")
    bit_names = {
        net: f"{port.name}[{bit}]" if len(port.nets) > 1 else port.name
        for port in netlist.ports
        for bit, net in enumerate(port.nets)
    }
    constants = {CONSTANT_0: "1'b0", CONSTANT_1: "1'b1"}
    watched = [constants.get(net) or f"dut.{bit_names.get(net, netlist.net_names[net])}" for net in nets]
    half = _ns(half_fs)
    return "\n".join(
        [
            "`timescale 1ns/1fs",
            "module halo_bench;",
            f"  reg [{width - 1}:0] word, words [0:{words - 1}];",
            "  reg clock;",
            "  integer edge_number;",
            f"  {netlist.name} dut ({', '.join(ports)});",
            *(f"  wire w{index} = {name};" for index, name in enumerate(watched)),
            "  initial begin",
            '    $readmemb("stimulus.txt", words);',
            "    clock = 0; word = words[0];",
            '    $dumpfile("dump.vcd");',
            *(f"    $dumpvars(0, w{index});" for index in range(len(nets))),
            f"    #({half}) #({half});",
            f"    for (edge_number = 0; edge_number < {words}; edge_number = edge_number + 1) begin",
            f"      clock = 1; #({half}) clock = 0;",
            f"      if (edge_number + 1 < {words}) word = words[edge_number + 1];",
            f"      #({half});",
            "    end",
            "    $finish;",
            "  end",
            "endmodule",
            "",
        ]
    )


def read_vcd(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Read the changes of one-bit variables from a VCD file.

    Returns
    -------
    time, variable, value
        One element per change: time in units of the file; number of the variable in the order of their
        declarations; 0, 1, or 2 for unknown. Changes within ``$dumpvars`` are included.
    """
    data = path.read_bytes()
    header, _, body = data.partition(b"$enddefinitions $end")
    codes = re.findall(rb"^\s*\$var\s+\S+\s+\d+\s+(\S+)", header, re.MULTILINE)
    numbers = np.full(max(map(_code, codes)) + 1, -1, np.int64)
    for index, code in enumerate(codes):
        numbers[_code(code)] = index
    return _scan_vcd(np.frombuffer(body, np.uint8), numbers, body.count(b"\n"))


def _code(text: bytes) -> int:
    value = 0
    for byte in text:
        value = value * 94 + byte - 32
    return value


@compiled
def _scan_vcd(
    body: NDArray[np.uint8], numbers: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    times = np.empty(most, np.int64)
    variables = np.empty(most, np.int64)
    values = np.empty(most, np.uint8)
    count = 0
    now = 0
    position = 0
    while position < len(body):
        first = body[position]
        position += 1
        number = 0
        if first == 35:  # '#'
            while position < len(body) and body[position] != 10:
                number = number * 10 + body[position] - 48
                position += 1
            now = number
        elif first == 48 or first == 49 or first == 120 or first == 122:  # 0, 1, x, z
            while position < len(body) and body[position] != 10:
                number = number * 94 + body[position] - 32
                position += 1
            times[count] = now
            variables[count] = numbers[number]
            values[count] = first - 48 if first <= 49 else 2
            count += 1
        else:
            while position < len(body) and body[position] != 10:
                position += 1
        position += 1
    return times[:count], variables[:count], values[:count]

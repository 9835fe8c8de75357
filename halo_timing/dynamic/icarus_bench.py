"""The same transitions in Icarus Verilog: the judge of the ``icarus`` semantics.

The clock runs so slowly that everything settles within half a period, inputs change half a period before the
edge that takes them, and a VCD dump tells every toggle. Delays are either part of the cell models, one for
every instance, or annotated with ``$sdf_annotate``, by which Icarus drops conditional (COND) paths; see
:mod:`halo_timing.dynamic.icarus_cells`.
"""

from __future__ import annotations

import math
import re
import resource
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic._jit import compiled
from halo_timing.dynamic.icarus_cells import annotated_models, instance_models, ns, with_own_cells
from halo_timing.dynamic.walks import Toggles, Walk
from halo_timing.files import write_text
from halo_timing.held_weight import HeldWeight
from halo_timing.interface import Interface
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Instance, Netlist
from halo_timing.pdk.verilog_models import unconditional_sdf, verilog_models
from halo_timing.sdf import Sdf
from halo_timing.tools.icarus import Icarus

_LOAD_EDGES = 4


@dataclass(frozen=True)
class Annotation:
    """Delays for ``$sdf_annotate``.

    Parameters
    ----------
    sdf
        Text of an SDF file; what Icarus gets is :func:`~halo_timing.pdk.verilog_models.unconditional_sdf` of
        it.
    plain_cells
        Whether outputs are the expressions of :func:`~halo_timing.pdk.verilog_models.verilog_models`, which
        Icarus evaluates one operand after another, instead of look-ups by all inputs at once.
    """

    sdf: str
    plain_cells: bool = False


def simulate_walks_in_icarus(
    netlist: Netlist,
    interface: Interface,
    held: HeldWeight,
    delays: Sdf | Annotation,
    walks: Sequence[Walk],
    nets: Sequence[int],
    settle_fs: int,
    icarus: Icarus,
    log_path: Path,
) -> Toggles:
    """Run walks one after another and collect the toggles of `nets` after each edge.

    Parameters
    ----------
    delays
        Conditional ones in the models of the instances, or unconditional ones by annotation.
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
        setup = ['$dumpfile("dump.vcd");', *(f"$dumpvars(0, w{index});" for index in range(len(nets)))]
        if isinstance(delays, Annotation):
            setup.append(_annotate(folder, netlist, delays))
        else:
            write_text(folder / "cells.v", "\n".join(instance_models(netlist, delays)))
            write_text(folder / "netlist.v", with_own_cells(netlist))
        write_text(folder / "bench.v", _bench(netlist, interface, nets, words, half, setup))
        _run(folder, words, icarus, log_path)
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
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        folder = Path(name)
        annotation = Annotation(sdf_path.read_text(), plain_cells=True)
        setup = [_annotate(folder, fan_in(netlist, nets), annotation)]
        write_text(folder / "bench.v", _bench(netlist, interface, [], words, settle_fs + 1, setup))
        return _run(folder, words, icarus, log_path)


def _annotate(folder: Path, netlist: Netlist, delays: Annotation) -> str:
    """Write netlist, cell models and SDF for annotation; return the statement that annotates."""
    instances = {instance.name: instance for instance in netlist.instances}
    head, *cells = re.split(r"(?=^ \(CELL )", unconditional_sdf(delays.sdf), flags=re.MULTILINE)
    kept = [
        _one_path_per_net(cell, netlist, instances[found.group(1)])
        for cell in cells
        if (found := re.search(r"\(INSTANCE\s+(\S+?)\)", cell)) and found.group(1) in instances
    ]
    write_text(folder / "delays.sdf", "".join([head, *kept]).rstrip().removesuffix("\n)") + "\n)\n")
    if delays.plain_cells:
        models = verilog_models(netlist.library, [instance.cell for instance in netlist.instances])
    else:
        models = "\n".join(annotated_models(netlist))
    write_text(folder / "cells.v", models)
    write_text(folder / "netlist.v", "`timescale 1ns/1fs\n" + netlist.to_verilog())
    return '$sdf_annotate("delays.sdf", dut);'


def _one_path_per_net(cell_sdf: str, netlist: Netlist, instance: Instance) -> str:
    """Merge paths of pins that share a net: Icarus knows only the first, and the fastest decides."""
    first: dict[int, str] = {}
    known_as = {
        pin.name: first.setdefault(instance.pins[pin.name], pin.name)
        for pin in netlist.cell_of(instance).inputs
    }
    path = re.compile(r"^    \(IOPATH (\w+) (\w+) \(([^:]*)\S*\) \(([^:]*)\S*\)\)\n", re.MULTILINE)
    fastest: dict[tuple[str, str], tuple[float, float]] = {}
    for start, end, rise, fall in path.findall(cell_sdf):
        known = fastest.get((known_as[start], end), (math.inf, math.inf))
        fastest[known_as[start], end] = min(known[0], float(rise)), min(known[1], float(fall))

    def merged(match: re.Match[str]) -> str:
        start, end = match[1], match[2]
        rise, fall = fastest[known_as[start], end]
        return f"    (IOPATH {start} {end} ({rise:.6f}) ({fall:.6f}))\n" if known_as[start] == start else ""

    return path.sub(merged, cell_sdf)


def _run(folder: Path, words: Sequence[str], icarus: Icarus, log_path: Path) -> float:
    """Compile and run what is in `folder`; return the processor time of the run in seconds."""
    write_text(folder / "stimulus.txt", "\n".join(words) + "\n")
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


def fan_in(netlist: Netlist, nets: Sequence[int]) -> Netlist:
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
    netlist: Netlist,
    interface: Interface,
    nets: Sequence[int],
    words: Sequence[str],
    half_fs: int,
    setup: Sequence[str],
) -> str:
    """Bench that clocks through the words; `nets` are watched, `setup` comes before the first edge."""
    ports = []
    count = len(words)
    position = width = len(words[0])
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
    half = ns(half_fs)
    return "\n".join(
        [
            "`timescale 1ns/1fs",
            "module halo_bench;",
            f"  reg [{width - 1}:0] word, words [0:{count - 1}];",
            "  reg clock;",
            "  integer edge_number;",
            f"  {netlist.name} dut ({', '.join(ports)});",
            *(f"  wire w{index} = {name};" for index, name in enumerate(watched)),
            "  initial begin",
            '    $readmemb("stimulus.txt", words);',
            "    clock = 0; word = words[0];",
            *(f"    {statement}" for statement in setup),
            f"    #({half}) #({half});",
            f"    for (edge_number = 0; edge_number < {count}; edge_number = edge_number + 1) begin",
            f"      clock = 1; #({half}) clock = 0;",
            f"      if (edge_number + 1 < {count}) word = words[edge_number + 1];",
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

"""Gate-level simulation models made from Liberty, and SDF that Icarus can use with them.

PDKs often come without Verilog, or under terms that forbid passing it on; the functions are in the Liberty.
Every input-to-output path has a specify entry of delay 0 for SDF to fill in.

Icarus 11 annotates no state-dependent (COND) path and no INTERCONNECT, without a word: a cell that
has only COND entries would switch in zero time. :func:`unconditional_sdf` gives each path the largest of its
delays instead, so a simulation is never faster than the cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from halo_timing.errors import PdkError
from halo_timing.pdk.library import BooleanFunction, Cell, FlipFlop, Latch, Library, Pin

_SIMPLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")
# Cell and pin names that would be keywords; longer ones do not occur as names.
_KEYWORDS = frozenset([
    "and", "assign", "begin", "buf", "case", "default", "else", "end", "endmodule", "event", "for",
    "force", "function", "if", "initial", "inout", "input", "integer", "nand", "negedge", "nor", "not",
    "or", "output", "parameter", "posedge", "reg", "repeat", "table", "task", "time", "tri", "wait",
    "while", "wire", "xnor", "xor",
])  # fmt: skip
_SDF_CELL = re.compile(r'\(CELL\s+\(CELLTYPE "([^"]*)"\)\s+\(INSTANCE\s*([^()\s]*)\)')
_SDF_PATH = re.compile(r"\(IOPATH\s+(\([^()]*\)|[^\s()]+)\s+([^\s()]+)\s+((?:\([^()]*\)\s*)+)\)")


def verilog_models(library: Library, names: Iterable[str]) -> str:
    """Verilog modules of the named cells, in the order of the library.

    Flip-flops start as x; where clear and preset are both active, clear wins. There are no timing checks.

    Parameters
    ----------
    library : Library
        Where the cells are.
    names : iterable of str
        Cell names; repetitions do not matter.

    Returns
    -------
    str
        Verilog-2005 with a timescale of 1 ns / 1 fs.

    Raises
    ------
    LibertyError
        If a cell does not exist.
    PdkError
        If a cell's function is not known.
    """
    wanted = {library.cell(name).name for name in names}
    modules = [_module(cell) for cell in library.cells.values() if cell.name in wanted]
    return "\n".join(["`timescale 1ns/1fs", *modules])


def _module(cell: Cell) -> str:
    pins = [pin for pin in cell.pins.values() if pin.direction != "internal"]
    if cell.has_statetable or not all(pin.function for pin in cell.outputs):
        raise PdkError(f"cell {cell.name} has no function in its Liberty, so no simulation model can be made")
    ports = ", ".join(f"{_port_kind(pin)} {_name(pin.name)}" for pin in pins)
    lines = [f"module {_name(cell.name)} ({ports});"]
    if cell.flip_flop is not None:
        lines += _flip_flop(cell.flip_flop)
    if cell.latch is not None:
        lines += _latch(cell.latch, cell.name)
    lines += [_assignment(pin) for pin in cell.outputs]
    paths = sorted({path for pin in cell.outputs for path in _paths(cell, pin)})
    if paths:
        lines += ["  specify", *(f"    {path}" for path in paths), "  endspecify"]
    return "\n".join([*lines, "endmodule\n"])


def _port_kind(pin: Pin) -> str:
    return pin.direction if pin.direction in ("input", "output") else "inout"


def _assignment(pin: Pin) -> str:
    assert pin.function is not None
    value = _expression(pin.function)
    if pin.three_state is not None:
        value = f"{_expression(pin.three_state)} ? 1'bz : {value}"
    return f"  assign {_name(pin.name)} = {value};"


def _flip_flop(state: FlipFlop) -> Iterator[str]:
    yield from _state_variables(state)
    yield f"  wire clock$ = {_expression(state.clocked_on)};"
    events = ["posedge clock$"]
    body = f"{_name(state.state)} <= {_expression(state.next_state)};"
    for what, function, value in (("preset$", state.preset, 1), ("clear$", state.clear, 0)):
        if function is not None:
            yield f"  wire {what} = {_expression(function)};"
            events.append(f"posedge {what}")
            body = f"if ({what}) {_name(state.state)} <= 1'b{value}; else {body}"
    yield f"  always @({' or '.join(events)}) {body}"


def _latch(state: Latch, cell: str) -> Iterator[str]:
    if state.enable is None or state.data_in is None:
        raise PdkError(
            f"cell {cell} is a latch without enable or data_in, so no simulation model can be made"
        )
    yield from _state_variables(state)
    body = f"if ({_expression(state.enable)}) {_name(state.state)} = {_expression(state.data_in)};"
    for function, value in ((state.preset, 1), (state.clear, 0)):
        if function is not None:
            body = f"if ({_expression(function)}) {_name(state.state)} = 1'b{value}; else {body}"
    yield f"  always @* {body}"


def _state_variables(state: FlipFlop | Latch) -> Iterator[str]:
    yield f"  reg {_name(state.state)};"
    yield f"  wire {_name(state.inverted_state)} = ~{_name(state.state)};"


def _paths(cell: Cell, pin: Pin) -> Iterator[str]:
    """Specify paths that end at an output, one for each pin that an arc starts from."""
    data = cell.flip_flop.next_state.inputs[:1] if cell.flip_flop else ()
    for arc in pin.arcs:
        if not arc.is_delay or cell.pins[arc.related_pin].direction == "output":
            continue
        start, end = _name(arc.related_pin), _name(pin.name)
        edge = {"rising_edge": "posedge", "falling_edge": "negedge"}.get(arc.timing_type)
        if edge and data and data[0] in cell.pins:
            yield f"({edge} {start} => ({end} : {_name(data[0])})) = (0, 0);"
        elif edge:
            yield f"({edge} {start} => ({end} : 1'b0)) = (0, 0);"
        else:
            yield f"({start} => {end}) = (0, 0);"


def _expression(function: BooleanFunction) -> str:
    return function.written_with("(~{})", {"*": "({} & {})", "+": "({} | {})", "^": "({} ^ {})"}, _leaf)


def _leaf(token: str) -> str:
    return f"1'b{token}" if token in ("0", "1") else _name(token)


def _name(name: str) -> str:
    """`name` as a Verilog identifier, escaped where it must be."""
    return name if _SIMPLE_NAME.match(name) and name not in _KEYWORDS else f"\\{name} "


def unconditional_sdf(sdf: str) -> str:
    """SDF in which each path of each instance has one delay an edge: its largest.

    Parameters
    ----------
    sdf : str
        SDF as OpenSTA writes it, with COND entries and ``min::max`` values.

    Returns
    -------
    str
        The same header and IOPATHs, nothing else; every value is given as min, typ and max alike.

    Raises
    ------
    PdkError
        If the text holds no cell entries.
    """
    starts = list(_SDF_CELL.finditer(sdf))
    if not starts:
        raise PdkError("the SDF file holds no cells; was it written by OpenSTA's write_sdf?")
    # Without the date, so that equal delays make equal files.
    parts = [re.sub(r"\n\s*\(DATE [^)]*\)", "", sdf[: starts[0].start()]).rstrip()]
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        body = sdf[start.end() : following.start() if following else len(sdf)]
        delays: dict[tuple[str, str], list[float]] = {}
        for source, sink, values in _SDF_PATH.findall(body):
            found = [_largest(value) for value in re.findall(r"\(([^()]*)\)", values)]
            known = delays.setdefault((source, sink), [0.0] * len(found))
            delays[source, sink] = [max(pair) for pair in zip(known, found, strict=False)]
        if delays:
            paths = [
                f"    (IOPATH {source} {sink} {' '.join(f'({v:.6f}:{v:.6f}:{v:.6f})' for v in values)})"
                for (source, sink), values in delays.items()
            ]
            parts.append(
                f' (CELL (CELLTYPE "{start.group(1)}") (INSTANCE {start.group(2)})\n  (DELAY (ABSOLUTE\n'
                + "\n".join(paths)
                + "\n  ))\n )"
            )
    return "\n".join([*parts, ")\n"])


def _largest(triple: str) -> float:
    return max((float(value) for value in triple.split(":") if value.strip()), default=0.0)

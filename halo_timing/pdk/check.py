"""What of a PDK can be used, what was left out and why, and a proof of the table arithmetic.

The proof: a chain of inverters is timed with this package's tables and with OpenSTA, over both edges, several
loads and input slews. It fails when units, axes, interpolation or pin capacitances are read differently.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from halo_timing.errors import PdkError, ToolError
from halo_timing.files import write_text
from halo_timing.pdk.library import Cell, Library, Pin
from halo_timing.pdk.registry import Corner, Pdk
from halo_timing.pdk.selection import ChosenCells, Constraints
from halo_timing.resources import flows_dir
from halo_timing.tools.opensta import OpenSta
from halo_timing.tools.staging import stage_files
from halo_timing.wheels import cache_dir

STAGES = 6
FANOUTS = (1, 4)
SLEWS_OF_TYPICAL = (0.5, 4.0)
TOLERANCE = 0.005


@dataclass(frozen=True)
class ChainResult:
    """One edge through the inverter chain, by both programs.

    Attributes
    ----------
    edge : str
        ``rise`` or ``fall`` at the chain's end.
    fanout : int
        Inverters that each stage drives.
    input_slew_ps : float
        Slew at its begin.
    ours_ps, opensta_ps : float
        Delay of the chain.
    """

    edge: str
    fanout: int
    input_slew_ps: float
    ours_ps: float
    opensta_ps: float

    @property
    def difference(self) -> float:
        """Relative difference from OpenSTA."""
        return (self.ours_ps - self.opensta_ps) / self.opensta_ps


@dataclass(frozen=True)
class CornerCheck:
    """What was found at one corner.

    Attributes
    ----------
    corner : Corner
        The corner.
    library : Library
        Its library.
    cells : ChosenCells
        Cells that the flow uses by name.
    constraints : Constraints
        Load, slew and period.
    usable : mapping of str to int
        Number of cells by kind that synthesis and simulation use.
    left_out : mapping of str to str
        Every other cell, with the reason.
    remarks : tuple of str
        What is missing from cells that are used, and what was assumed.
    chain : tuple of ChainResult
        The proof; empty if it was not asked for.
    """

    corner: Corner
    library: Library
    cells: ChosenCells
    constraints: Constraints
    usable: Mapping[str, int]
    left_out: Mapping[str, str]
    remarks: tuple[str, ...]
    chain: tuple[ChainResult, ...] = ()

    @property
    def worst_difference(self) -> float:
        """Largest relative difference in the proof."""
        return max((abs(result.difference) for result in self.chain), default=0.0)


def check_corner(pdk: Pdk, corner: Corner, sta: OpenSta | None) -> CornerCheck:
    """Check one corner.

    Parameters
    ----------
    pdk, corner
        What to check.
    sta : OpenSta or None
        Reference for the proof; None leaves the proof out.

    Raises
    ------
    HaloTimingError
        If the library cannot be used at all.
    PdkError
        If the proof fails.
    """
    library = pdk.library(corner)
    cells = pdk.cells(corner)
    constraints = pdk.constraints(corner)
    reasons = {name: cells.bars.get(name) or _reason(cell) for name, cell in library.cells.items()}
    used = [cell for name, cell in library.cells.items() if reasons[name] is None]
    kinds = Counter("flip-flops" if cell.is_flip_flop else "combinational" for cell in used)
    left_out = {name: reason for name, reason in reasons.items() if reason} | dict(library.left_out)
    chain = () if sta is None else _prove(library, cells, constraints, sta)
    check = CornerCheck(
        corner, library, cells, constraints, dict(kinds), left_out, (*library.notes, *_remarks(used)), chain
    )
    if check.worst_difference > TOLERANCE:
        raise PdkError(
            f"PDK {pdk.name}, corner {corner.name}: a chain of {cells.inverter} differs by "
            f"{check.worst_difference:.2%} from OpenSTA; the library uses something that is read differently"
        )
    return check


def _reason(cell: Cell) -> str | None:
    """Why a cell that is not barred cannot be used; None if it can."""
    if not cell.outputs:
        return "no output (filler, antenna, tap)"
    if not cell.inputs:
        return "no input (tie cell)"
    if cell.has_statetable:
        return "state given as a table (clock gate)"
    if cell.latch is not None:
        return "latch"
    if any(pin.three_state for pin in cell.outputs):
        return "three-state output"
    if any(pin.direction == "inout" for pin in cell.pins.values()):
        return "bidirectional pin"
    if any(pin.function is None for pin in cell.outputs):
        return "output without function"
    if any(not _has_delay(pin) for pin in cell.outputs):
        return "output without delay tables"
    return None


def _has_delay(pin: Pin) -> bool:
    return any(arc.is_delay for arc in pin.arcs)


def _remarks(used: list[Cell]) -> list[str]:
    lacks = {
        "without internal energy, which counts as 0": [
            cell.name for cell in used if not any(pin.power for pin in cell.pins.values())
        ],
        "without area": [cell.name for cell in used if cell.area_um2 == 0],
        "without leakage": [cell.name for cell in used if cell.leakage_nw == 0 and not cell.leakage_states],
        "with an input that has no capacitance": [
            cell.name for cell in used if any(pin.capacitance_ff == 0 for pin in cell.inputs)
        ],
        "with an input that no arc to the output starts from": [
            cell.name
            for cell in used
            if cell.is_combinational and any(_unconnected(pin) for pin in cell.outputs)
        ],
    }
    return [
        f"{len(names)} cells {what}: {', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
        for what, names in lacks.items()
        if names
    ]


def _unconnected(pin: Pin) -> bool:
    starts = {arc.related_pin for arc in pin.arcs if arc.is_delay}
    return pin.function is not None and any(name not in starts for name in pin.function.inputs)


def chain_delay_ps(inverter: Cell, edge: str, fanout: int, input_slew_ps: float, load_ff: float) -> float:
    """Delay of a chain of :data:`STAGES` inverters, each driving `fanout` of its like, by our tables.

    Parameters
    ----------
    inverter : Cell
        The inverter.
    edge : str
        Edge at the chain's end.
    fanout : int
        Inverter inputs on each inner net.
    input_slew_ps, load_ff : float
        Slew at the begin, load at the end.
    """
    arc = next(arc for arc in inverter.outputs[0].arcs if arc.is_delay)
    receiver = inverter.inputs[0]
    delay_ps = 0.0
    slew_ps = input_slew_ps
    for stage in range(STAGES):
        rises = ((STAGES - 1 - stage) % 2 == 0) == (edge == "rise")
        delay, transition = (
            (arc.cell_rise, arc.rise_transition) if rises else (arc.cell_fall, arc.fall_transition)
        )
        assert delay is not None
        assert transition is not None
        pin_ff = receiver.rise_capacitance_ff if rises else receiver.fall_capacitance_ff
        stage_load_ff = load_ff if stage == STAGES - 1 else fanout * pin_ff
        delay_ps += float(delay.at(slew_ps, stage_load_ff))
        slew_ps = max(float(transition.at(slew_ps, stage_load_ff)), 0.0)
    return delay_ps


def _prove(
    library: Library, cells: ChosenCells, constraints: Constraints, sta: OpenSta
) -> tuple[ChainResult, ...]:
    inverter = library.cell(cells.inverter)
    slews_ps = [round(constraints.input_slew_ps * factor, 3) for factor in SLEWS_OF_TYPICAL]
    load_ff = constraints.output_load_ff
    # Kept, so that a failure can be looked into.
    folder = cache_dir() / "check" / library.sha256[:16]
    # One file is enough, and quick: some corners are spread over fifty megabytes.
    stage_files(folder, {"library.lib": inverter.file, "no_wires.lib": flows_dir() / "no_wires.lib"})
    write_text(folder / "chains.v", _chains(inverter))
    script = _script(slews_ps, load_ff)
    printed = sta.run_script(script, cwd=folder, log_path=folder / "chains.log", timeout_s=600)
    found = {
        (slew, int(fanout), edge): float(arrival)
        for slew, fanout, edge, arrival in re.findall(
            r"^chain (\S+) (\d+) (\w+)$.*?(-?\d+\.\d+)\s+data arrival time", printed, re.MULTILINE | re.DOTALL
        )
    }
    wanted = [(slew, fanout, edge) for slew in slews_ps for fanout in FANOUTS for edge in ("rise", "fall")]
    if any((f"{slew:.3f}", fanout, edge) not in found for slew, fanout, edge in wanted):
        raise ToolError("sta printed no arrival for the inverter chain; is its report format a new one?")
    return tuple(
        ChainResult(
            edge,
            fanout,
            slew,
            chain_delay_ps(inverter, edge, fanout, slew, load_ff),
            found[f"{slew:.3f}", fanout, edge],
        )
        for slew, fanout, edge in wanted
    )


def _chains(inverter: Cell) -> str:
    """Verilog of one chain per fan-out; the inner nets drive idle inverters besides the next stage."""
    source, sink = inverter.inputs[0].name, inverter.outputs[0].name
    lines = []
    for fanout in FANOUTS:
        nets = [f"a{fanout}", *(f"n{fanout}_{stage}" for stage in range(1, STAGES)), f"y{fanout}"]
        for stage in range(STAGES):
            lines.append(
                f"  {inverter.name} i{fanout}_{stage} (.{source}({nets[stage]}), .{sink}({nets[stage + 1]}));"
            )
            idle = range(fanout - 1) if stage else ()
            lines += [f"  {inverter.name} l{fanout}_{stage}_{k} (.{source}({nets[stage]}));" for k in idle]
    inputs = ", ".join(f"a{fanout}" for fanout in FANOUTS)
    outputs = ", ".join(f"y{fanout}" for fanout in FANOUTS)
    wires = ", ".join(f"n{fanout}_{stage}" for fanout in FANOUTS for stage in range(1, STAGES))
    body = "\n".join(lines)
    return (
        f"module chains ({inputs}, {outputs});\n  input {inputs};\n  output {outputs};\n  wire {wires};\n"
        f"{body}\nendmodule\n"
    )


def _script(slews_ps: list[float], load_ff: float) -> str:
    lines = [
        "read_liberty library.lib",
        "set_cmd_units -time ps -capacitance fF",
        "read_verilog chains.v",
        "link_design chains",
        "read_liberty no_wires.lib",
        "set_wire_load_model -name ideal",
        f"set_load {load_ff} [all_outputs]",
        "create_clock -name chains -period 1000000",
        "set_input_delay 0 -clock chains [all_inputs]",
        "set_output_delay 0 -clock chains [all_outputs]",
    ]
    for slew in slews_ps:
        lines.append(f"set_input_transition {slew:.3f} [all_inputs]")
        for fanout in FANOUTS:
            for edge in ("rise", "fall"):
                lines.append(f'puts "chain {slew:.3f} {fanout} {edge}"')
                lines.append(
                    f"report_checks -path_delay max -{edge}_to [get_ports y{fanout}] -format full -digits 6"
                )
    return "\n".join(lines)

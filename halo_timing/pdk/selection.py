"""Which cells of a library the flow uses, and the constraints that follow from them.

Chosen by rule, so that a library never seen before needs no editing; a descriptor may name others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from halo_timing.errors import PdkError
from halo_timing.pdk.bars import find_bars
from halo_timing.pdk.descriptor import CellValues, ConstraintValues
from halo_timing.pdk.library import Cell, Library, Table, TimingArc

OUTPUT_FANOUT = 4
PERIOD_FO4 = 25
_SLEW_ROUNDS = 20


@dataclass(frozen=True)
class TieCell:
    """A cell whose output is constant."""

    cell: str
    pin: str


@dataclass(frozen=True)
class ChosenCells:
    """Cells that the flow refers to by name.

    Attributes
    ----------
    flip_flop : str
        Rising-edge D flip-flop, the smallest; without set and reset where the library has one such.
    buffer, inverter : str
        The smallest of each; the buffer drives the inputs in synthesis.
    tie_low, tie_high : TieCell or None
        Constants; None where the library has no such cell.
    bars : mapping of str to str
        Cells that synthesis must not use, and why, in the order of the names.
    """

    flip_flop: str
    buffer: str
    inverter: str
    tie_low: TieCell | None
    tie_high: TieCell | None
    bars: Mapping[str, str]

    @property
    def dont_use(self) -> tuple[str, ...]:
        """Names of the cells that synthesis must not use."""
        return tuple(self.bars)


@dataclass(frozen=True)
class Constraints:
    """What synthesis and timing assume around the design.

    Attributes
    ----------
    output_load_ff : float
        Load of each output port.
    input_slew_ps : float
        Slew at each input port.
    period_target_ps : float
        Delay that synthesis aims at.
    wire_load : None
        Nets have no capacitance of their own, on purpose and in every tool.
    """

    output_load_ff: float
    input_slew_ps: float
    period_target_ps: float
    wire_load: None = None


class _EdgeTables(NamedTuple):
    cell_rise: Table
    cell_fall: Table
    rise_transition: Table
    fall_transition: Table


def choose_cells(library: Library, wanted: CellValues) -> ChosenCells:
    """Choose the cells by rule; those that `wanted` names win.

    Raises
    ------
    PdkError
        If the library has no usable flip-flop, buffer, inverter or two-input gate, or a named cell does not
        fit its role.
    """
    bars = find_bars(library, wanted)
    usable = [cell for name, cell in library.cells.items() if name not in bars]

    files = ", ".join(map(str, library.files))

    def pick(
        named: str | None, fits: Callable[[Cell], bool], what: str, among: Iterable[Cell] = usable
    ) -> Cell | None:
        if named is not None:
            cell = library.cell(named)
            if not fits(cell):
                raise PdkError(f"library {library.name}: {named} is no {what}; name another one in [cells]")
            return cell
        return min(filter(fits, among), key=_preference, default=None)

    def need(named: str | None, fits: Callable[[Cell], bool], what: str) -> str:
        cell = pick(named, fits, what)
        if cell is None:
            raise PdkError(
                f"{files}: library {library.name} has no {what} among its {len(usable)} usable cells; "
                "add the Liberty file that holds it (some PDKs spread one corner over several files)"
            )
        return cell.name

    def tie(named: str | None, value: int) -> TieCell | None:
        # Libraries bar tie cells from use, because logic must not be mapped onto them; ties are another use.
        every = library.cells.values()
        cell = pick(
            named, lambda cell: _constant_pin(cell, value) is not None, f"tie cell for {value}", every
        )
        pin = _constant_pin(cell, value) if cell else None
        return TieCell(cell.name, pin) if cell and pin else None

    chosen = ChosenCells(
        flip_flop=need(wanted.flip_flop, _is_d_flip_flop, "rising-edge D flip-flop"),
        buffer=need(wanted.buffer, lambda cell: cell.is_buffer, "buffer"),
        inverter=need(wanted.inverter, lambda cell: cell.is_inverter, "inverter"),
        tie_low=tie(wanted.tie_low, 0),
        tie_high=tie(wanted.tie_high, 1),
        bars=bars,
    )
    if not any(_is_two_input_gate(cell) for cell in usable):
        raise PdkError(
            f"{files}: library {library.name} has no two-input AND, OR, NAND or NOR among its "
            f"{len(usable)} usable cells, without which logic cannot be mapped; add the file that holds it"
        )
    return chosen


def derive_constraints(library: Library, cells: ChosenCells, wanted: ConstraintValues) -> Constraints:
    """Constraints from the inverter with a fan-out of four (FO4); those that `wanted` gives win.

    The load is four inverter inputs, the slew that of an FO4 inverter driven by its like, the period 25 FO4
    delays: about what a fast pipelined 8-bit MAC needs in any process.

    Raises
    ------
    PdkError
        If the inverter's delay is not positive, which wrong units or tables cause.
    """
    inverter = library.cell(cells.inverter)
    tables = next(tables for arc in inverter.outputs[0].arcs if (tables := _edge_tables(arc)))
    load_ff = OUTPUT_FANOUT * inverter.inputs[0].capacitance_ff
    rise_ps = fall_ps = 0.0
    # Damaged tables may diverge here; the check below refuses what comes out.
    with np.errstate(over="ignore", invalid="ignore"):
        # The slew of a long chain of equal stages: a contraction, settled to 1e-6 after a few rounds.
        for _ in range(_SLEW_ROUNDS):
            fall_ps = max(float(tables.fall_transition.at(rise_ps, load_ff)), 0.0)
            rise_ps = max(float(tables.rise_transition.at(fall_ps, load_ff)), 0.0)
        delay_ps = float(tables.cell_rise.at(fall_ps, load_ff) + tables.cell_fall.at(rise_ps, load_ff)) / 2
    if not all(0 < value < math.inf for value in (load_ff, delay_ps, rise_ps + fall_ps)):
        raise PdkError(
            f"{inverter.file}: cell {cells.inverter} has a delay of {delay_ps:g} ps at {load_ff:g} fF; "
            "the units or the tables of the Liberty file are wrong"
        )
    return Constraints(
        output_load_ff=wanted.output_load_ff or _rounded(load_ff),
        input_slew_ps=wanted.input_slew_ps or _rounded((rise_ps + fall_ps) / 2),
        period_target_ps=wanted.period_target_ps or _rounded(PERIOD_FO4 * delay_ps),
    )


_IDENTITY = 0b10


def _preference(cell: Cell) -> tuple[int, float, str]:
    flip_flop = cell.flip_flop
    controls = 0 if flip_flop is None else (flip_flop.clear is not None) + (flip_flop.preset is not None)
    return controls, cell.area_um2, cell.name


def _edge_tables(arc: TimingArc) -> _EdgeTables | None:
    """Tables of both edges of a delay arc; None if it lacks any."""
    if arc.cell_rise and arc.cell_fall and arc.rise_transition and arc.fall_transition:
        return _EdgeTables(arc.cell_rise, arc.cell_fall, arc.rise_transition, arc.fall_transition)
    return None


def _is_two_input_gate(cell: Cell) -> bool:
    """Whether a cell is AND, OR, NAND or NOR of two inputs, any of them inverted."""
    return (
        cell.is_combinational
        and len(cell.inputs) == 2
        and len(cell.outputs) == 1
        and (function := cell.outputs[0].function) is not None
        and len(function.inputs) == 2
        and function.truth_table.bit_count() in (1, 3)
    )


def _is_d_flip_flop(cell: Cell) -> bool:
    flip_flop = cell.flip_flop
    if flip_flop is None or any(pin.direction in ("inout", "internal") for pin in cell.pins.values()):
        return False
    for function in (flip_flop.next_state, flip_flop.clocked_on):
        if (
            len(function.inputs) != 1
            or function.truth_table != _IDENTITY
            or function.inputs[0] not in cell.pins
        ):
            return False
    data, clock = flip_flop.next_state.inputs[0], flip_flop.clocked_on.inputs[0]
    has_setup = any(
        arc.timing_type == "setup_rising" and arc.related_pin == clock for arc in cell.pins[data].arcs
    )
    return has_setup and any(
        pin.function is not None
        and pin.function.inputs == (flip_flop.state,)
        and pin.function.truth_table == _IDENTITY
        and any(arc.related_pin == clock and arc.is_delay for arc in pin.arcs)
        for pin in cell.outputs
    )


def _constant_pin(cell: Cell, value: int) -> str | None:
    """Output that is always `value`, of a cell without inputs."""
    if cell.inputs:
        return None
    for pin in cell.outputs:
        if pin.function is not None and not pin.function.inputs and pin.function.truth_table == value:
            return pin.name
    return None


def _rounded(value: float) -> float:
    """Three significant digits: a constraint that a person can write down."""
    return float(f"{value:.3g}")

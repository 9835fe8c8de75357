"""What a library says about its cells, in ps, fF, fJ, nW and um², free of any file syntax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from halo_timing.pdk.logic import BooleanFunction
from halo_timing.pdk.table import Table


@dataclass(frozen=True)
class TimingArc:
    """One timing group from one related pin; it belongs to the pin that it ends at.

    Attributes
    ----------
    related_pin : str
        Where the arc begins.
    sense : str
        ``positive_unate``, ``negative_unate`` or ``non_unate``; taken from the pin's function where the file
        leaves it out.
    timing_type : str
        ``combinational``, ``rising_edge``, ``setup_rising``, … as Liberty names them.
    when : BooleanFunction or None
        State in which the arc holds; None means always (or whenever no other arc's state does).
    sdf_cond : str or None
        The same for SDF, as it is written.
    cell_rise, cell_fall, rise_transition, fall_transition : Table or None
        Delay to, and slew of, each edge of the ending pin, ps over (input slew, load).
    rise_constraint, fall_constraint : Table or None
        Constraint on each edge of the ending pin, ps over (related slew, constrained slew).
    """

    related_pin: str
    sense: str
    timing_type: str
    when: BooleanFunction | None = None
    sdf_cond: str | None = None
    cell_rise: Table | None = None
    cell_fall: Table | None = None
    rise_transition: Table | None = None
    fall_transition: Table | None = None
    rise_constraint: Table | None = None
    fall_constraint: Table | None = None

    @property
    def is_delay(self) -> bool:
        """Whether it gives a delay, not a constraint."""
        return self.cell_rise is not None or self.cell_fall is not None

    @property
    def has_both_edges(self) -> bool:
        """Whether it gives delay and slew of both edges."""
        tables = (self.cell_rise, self.cell_fall, self.rise_transition, self.fall_transition)
        return all(table is not None for table in tables)


@dataclass(frozen=True)
class PowerArc:
    """Energy inside the cell per edge of the pin that it belongs to.

    Attributes
    ----------
    related_pin : str or None
        Input whose edge causes the output's edge; None for the energy of the pin's own edge.
    when : BooleanFunction or None
        State in which it holds.
    supply_pin : str or None
        Supply pin that it is drawn from, where the file tells several apart; their energies add up.
    rise, fall : Table or None
        fJ per edge over (input slew, load). Where the file gives one table for both, both are that table.
    """

    related_pin: str | None
    when: BooleanFunction | None = None
    supply_pin: str | None = None
    rise: Table | None = None
    fall: Table | None = None


@dataclass(frozen=True)
class Pin:
    """One signal pin.

    Attributes
    ----------
    direction : str
        ``input``, ``output``, ``inout`` or ``internal``.
    capacitance_ff, rise_capacitance_ff, fall_capacitance_ff : float
        Load that it puts on its net; the latter two repeat the first where the file has only that.
    function : BooleanFunction or None
        Of an output, in input pins and state variables.
    three_state : BooleanFunction or None
        State in which an output is not driven.
    max_capacitance_ff, max_transition_ps : float or None
        Limits, where the file has them.
    """

    name: str
    direction: str
    capacitance_ff: float
    rise_capacitance_ff: float
    fall_capacitance_ff: float
    function: BooleanFunction | None = None
    three_state: BooleanFunction | None = None
    is_clock: bool = False
    max_capacitance_ff: float | None = None
    max_transition_ps: float | None = None
    arcs: tuple[TimingArc, ...] = ()
    power: tuple[PowerArc, ...] = ()


@dataclass(frozen=True)
class FlipFlop:
    """Edge-triggered state: `state` takes `next_state` when `clocked_on` rises."""

    state: str
    inverted_state: str
    next_state: BooleanFunction
    clocked_on: BooleanFunction
    clear: BooleanFunction | None = None
    preset: BooleanFunction | None = None


@dataclass(frozen=True)
class Latch:
    """Level-sensitive state: `state` follows `data_in` while `enable` is 1."""

    state: str
    inverted_state: str
    data_in: BooleanFunction | None
    enable: BooleanFunction | None
    clear: BooleanFunction | None = None
    preset: BooleanFunction | None = None


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    area_um2 : float
        Area.
    file : Path
        Liberty file that it is in.
    pins : mapping of str to Pin
        Signal pins in the order of the file; supply pins are in `supply_pins`.
    flip_flop, latch : FlipFlop, Latch or None
        The state, where there is one.
    has_statetable : bool
        State given as a table only (clock gates); its function is not modelled.
    dont_use, dont_touch : bool
        What the library says about use in synthesis.
    purpose : str or None
        What it is for, where the library marks it as something else than logic: ``pad``, ``level shifter``, …
    leakage_nw : float
        State-independent leakage: the cell's own value, else the mean over `leakage_states`.
    leakage_states : tuple of (BooleanFunction, float)
        Leakage in nW of single states.
    """

    name: str
    area_um2: float
    pins: Mapping[str, Pin]
    file: Path
    flip_flop: FlipFlop | None = None
    latch: Latch | None = None
    has_statetable: bool = False
    dont_use: bool = False
    dont_touch: bool = False
    purpose: str | None = None
    leakage_nw: float = 0.0
    leakage_states: tuple[tuple[BooleanFunction, float], ...] = field(default=(), repr=False)
    supply_pins: tuple[str, ...] = ()

    @property
    def is_flip_flop(self) -> bool:
        """Whether it holds edge-triggered state."""
        return self.flip_flop is not None

    @property
    def is_combinational(self) -> bool:
        """Whether its outputs are functions of its inputs alone, and all known."""
        stateless = self.flip_flop is None and self.latch is None and not self.has_statetable
        one_way = all(pin.direction in ("input", "output") for pin in self.pins.values())
        known = bool(self.outputs) and all(pin.function and not pin.three_state for pin in self.outputs)
        return stateless and one_way and known

    @property
    def is_buffer(self) -> bool:
        """Whether its only output follows its only input, with delays of both edges."""
        return self._is_one_input(0b10)

    @property
    def is_inverter(self) -> bool:
        """Whether its only output is the opposite of its only input, with delays of both edges."""
        return self._is_one_input(0b01)

    def _is_one_input(self, truth_table: int) -> bool:
        return (
            self.is_combinational
            and len(self.inputs) == len(self.outputs) == 1
            and (function := self.outputs[0].function) is not None
            and function.inputs == (self.inputs[0].name,)
            and function.truth_table == truth_table
            and any(arc.has_both_edges for arc in self.outputs[0].arcs)
        )

    @property
    def inputs(self) -> tuple[Pin, ...]:
        """Input pins in the order of the file."""
        return tuple(pin for pin in self.pins.values() if pin.direction == "input")

    @property
    def outputs(self) -> tuple[Pin, ...]:
        """Output pins in the order of the file."""
        return tuple(pin for pin in self.pins.values() if pin.direction == "output")

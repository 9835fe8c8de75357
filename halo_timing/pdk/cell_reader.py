"""From the groups of a Liberty file to typed cells: units applied, axes put one way round, names checked."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from halo_timing.errors import LibertyError
from halo_timing.pdk.cells import Cell, FlipFlop, Latch, Pin, PowerArc, TimingArc
from halo_timing.pdk.liberty import Group
from halo_timing.pdk.logic import BooleanFunction, parse_function
from halo_timing.pdk.table import CONSTRAINED_SLEW, INPUT_SLEW, LOAD, RELATED_SLEW, Floats, Table
from halo_timing.pdk.units import Units

_AXES = {
    "input_net_transition": INPUT_SLEW,
    "input_transition_time": INPUT_SLEW,
    "total_output_net_capacitance": LOAD,
    "related_pin_transition": RELATED_SLEW,
    "constrained_pin_transition": CONSTRAINED_SLEW,
}
_DELAY = (INPUT_SLEW, LOAD)
_CONSTRAINT = (RELATED_SLEW, CONSTRAINED_SLEW)
_TIMING_TABLES = {
    "cell_rise": _DELAY,
    "cell_fall": _DELAY,
    "rise_transition": _DELAY,
    "fall_transition": _DELAY,
    "rise_constraint": _CONSTRAINT,
    "fall_constraint": _CONSTRAINT,
}
# Beyond any unit's range, and far from where products of a few numbers overflow.
_LARGEST = 1e30
_UNSUPPORTED = {
    "bus": "bus pins",
    "bundle": "bundled pins",
    "ff_bank": "several flip-flops in one bank",
    "latch_bank": "several latches in one bank",
}
# Marks of cells that could be taken for logic by their functions.
_PURPOSES = {
    "pad_cell": "pad",
    "auxiliary_pad_cell": "pad",
    "is_macro_cell": "macro",
    "is_isolation_cell": "isolation cell",
    "is_level_shifter": "level shifter",
    "always_on": "always-on cell",
    "retention_cell": "retention cell",
    "switch_cell_type": "power switch",
}


class LeftOut(Exception):
    """A cell is sound, but uses what this model does not have; the text says what."""


class _Template(NamedTuple):
    variables: tuple[str, ...]
    points: tuple[list[float] | None, ...]


class _Names:
    """The names that functions of one cell may use, and the functions read so far."""

    def __init__(self, cell: str, known: Collection[str]) -> None:
        self.cell = cell
        self.known = known
        self.parsed: dict[str, BooleanFunction] = {}


class CellReader:
    """Reads the cells of one library group.

    Parameters
    ----------
    library : Group
        The library.
    units : Units
        Its units.
    """

    def __init__(self, library: Group, units: Units) -> None:
        self._units = units
        self._templates = {
            template.name: _Template(
                tuple(v for k in (1, 2, 3) if (v := template.text(f"variable_{k}"))),
                tuple(template.numbers(f"index_{k}") for k in (1, 2, 3)),
            )
            for template in library.children("lu_table_template", "power_lut_template")
        }
        self._default_capacitance = {
            direction: library.number(f"default_{direction}_pin_cap") or 0.0
            for direction in ("input", "output", "inout")
        }
        self._default_leakage = library.number("default_cell_leakage_power") or 0.0
        self._axes: dict[tuple[float, tuple[float, ...]], Floats] = {}

    def read(self, group: Group) -> Cell:
        """Read one ``cell`` group.

        Raises
        ------
        LibertyError
            If it contradicts itself or cannot be read.
        LeftOut
            If it needs something that the model does not have.
        """
        for kind, what in _UNSUPPORTED.items():
            if group.child(kind):
                raise LeftOut(what)
        states = list(group.children("ff", "latch"))
        if len(states) > 1:
            raise LeftOut("several flip-flops or latches")
        pin_groups = [(name, pin) for pin in group.children("pin") for name in pin.names]
        supplies = tuple(pin.name for pin in group.children("pg_pin"))
        names = _Names(
            group.name, {name for name, _ in pin_groups}.union(supplies, *(state.names for state in states))
        )
        pins: dict[str, Pin] = {}
        for name, pin in pin_groups:
            if name in pins:
                raise pin.error(f"cell {group.name} has two pins named {name}")
            pins[name] = self._pin(name, pin, names)
        self._check_related(group, pins)
        leakage_nw, leakage_states = self._leakage(group, names)
        return Cell(
            name=group.name,
            area_um2=group.number("area") or 0.0,
            pins=pins,
            file=group.path,
            flip_flop=_flip_flop(states, names),
            latch=_latch(states, names),
            has_statetable=group.child("statetable") is not None,
            dont_use=group.flag("dont_use"),
            dont_touch=group.flag("dont_touch"),
            purpose=_purpose(group, [pin for _, pin in pin_groups]),
            leakage_nw=leakage_nw,
            leakage_states=leakage_states,
            supply_pins=supplies,
        )

    def _pin(self, name: str, group: Group, names: _Names) -> Pin:
        direction = group.text("direction")
        if direction not in ("input", "output", "inout", "internal"):
            raise group.error(f"pin {name} of cell {names.cell} has the direction {direction!r}", "direction")
        function = _function(group, "function", names)
        capacitance = group.number("capacitance")
        if capacitance is None:
            capacitance = self._default_capacitance.get(direction, 0.0)
        edge_capacitances = [group.number(f"{edge}_capacitance") for edge in ("rise", "fall")]
        rise, fall = (capacitance if value is None else value for value in edge_capacitances)
        unit = self._units.capacitance_ff
        return Pin(
            name=name,
            direction=direction,
            capacitance_ff=capacitance * unit,
            rise_capacitance_ff=rise * unit,
            fall_capacitance_ff=fall * unit,
            function=function,
            three_state=_function(group, "three_state", names),
            is_clock=group.flag("clock"),
            max_capacitance_ff=_scaled(group.number("max_capacitance"), unit),
            max_transition_ps=_scaled(group.number("max_transition"), self._units.time_ps),
            arcs=tuple(
                arc for timing in group.children("timing") for arc in self._timing(timing, function, names)
            ),
            power=tuple(
                arc for power in group.children("internal_power") for arc in self._power(power, names)
            ),
        )

    def _timing(self, group: Group, function: BooleanFunction | None, names: _Names) -> list[TimingArc]:
        tables = {
            kind: self._table(table, axes, self._units.time_ps)
            for kind, axes in _TIMING_TABLES.items()
            if (table := group.child(kind))
        }
        if not tables and (
            group.number("intrinsic_rise") is not None or group.number("intrinsic_fall") is not None
        ):
            raise group.error(
                f"cell {names.cell} has linear delays (intrinsic_rise); only look-up tables are read"
            )
        sense = group.text("timing_sense")
        related = (group.text("related_pin") or "").split()
        return [
            TimingArc(
                related_pin=name,
                sense=sense
                or (function.unateness(name) if function and name in function.inputs else "non_unate"),
                timing_type=group.text("timing_type") or "combinational",
                when=_function(group, "when", names),
                sdf_cond=group.text("sdf_cond"),
                **tables,
            )
            for name in related
        ]

    def _power(self, group: Group, names: _Names) -> list[PowerArc]:
        unit = self._units.energy_fj
        both = self._table(table, _DELAY, unit) if (table := group.child("power")) else None
        rise = self._table(table, _DELAY, unit) if (table := group.child("rise_power")) else both
        fall = self._table(table, _DELAY, unit) if (table := group.child("fall_power")) else both
        when = _function(group, "when", names)
        supply = group.text("related_pg_pin")
        related: Sequence[str | None] = (group.text("related_pin") or "").split() or [None]
        return [PowerArc(name, when, supply, rise, fall) for name in related]

    def _table(self, group: Group, axes: tuple[str, str], unit: float) -> Table:
        template = self._template(group)
        if len(template.variables) > 2:
            raise group.error(
                f"{group.title} has three axes ({', '.join(template.variables)}); two can be read"
            )
        points: dict[str, Floats] = {}
        shape: list[int] = []
        order: list[str] = []
        for number, variable in enumerate(template.variables, start=1):
            axis = _AXES.get(variable)
            if axis not in axes or axis in points:
                raise group.error(f"{group.title} is over {variable!r}, which is not an axis of {group.kind}")
            index = group.numbers(f"index_{number}") or template.points[number - 1]
            if not index:
                raise group.error(f"{group.title} has no index_{number}")
            points[axis] = self._points(group, number, index, axis)
            shape.append(len(index))
            order.append(axis)
        values = group.numbers("values")
        if values is None or len(values) != math.prod(shape):
            size = " x ".join(map(str, shape)) or "1"
            raise group.error(
                f"{group.title} holds {len(values or ())} values, its axes ask for {size}", "values"
            )
        if max(map(abs, values)) > _LARGEST:
            raise group.error(f"{group.title} holds a value beyond {_LARGEST:g}", "values")
        array = np.array(values, dtype=np.float64).reshape(shape) * unit
        if order == [axes[1], axes[0]]:
            array = np.ascontiguousarray(array.T)
        # An axis that the file lacks becomes one point, in its place.
        array = array.reshape([len(points[axis]) if axis in points else 1 for axis in axes])
        array.setflags(write=False)
        return Table(axes[0], axes[1], points.get(axes[0], _ABSENT), points.get(axes[1], _ABSENT), array)

    def _template(self, group: Group) -> _Template:
        found = self._templates.get(group.name)
        if found is not None:
            return found
        if group.name == "scalar" or (not group.name and group.numbers("index_1") is None):
            return _Template((), ())
        raise group.error(f"{group.title} names a table template that the library does not define")

    def _points(self, group: Group, number: int, index: list[float], axis: str) -> Floats:
        unit = self._units.capacitance_ff if axis == LOAD else self._units.time_ps
        key = (unit, tuple(index))
        found = self._axes.get(key)
        if found is None:
            step = max((index[-1] - index[0]) * 1e-9, 1 / _LARGEST)
            if any(after - before < step for before, after in pairwise(index)):
                raise group.error(f"index_{number} of {group.title} does not ascend", f"index_{number}")
            if max(-index[0], index[-1]) > _LARGEST:
                raise group.error(
                    f"index_{number} of {group.title} goes beyond {_LARGEST:g}", f"index_{number}"
                )
            found = self._axes[key] = _frozen(index, unit)
        return found

    def _leakage(
        self, group: Group, names: _Names
    ) -> tuple[float, tuple[tuple[BooleanFunction, float], ...]]:
        unit = self._units.leakage_nw or 0.0
        states: dict[BooleanFunction, float] = {}
        always = None
        for leakage in group.children("leakage_power"):
            value = leakage.number("value") or 0.0
            when = _function(leakage, "when", names)
            if when is None:
                always = (always or 0.0) + value * unit
            else:
                # Supplies are told apart in some files; what is drawn is their sum.
                states[when] = states.get(when, 0.0) + value * unit
        stated = group.number("cell_leakage_power")
        if stated is not None:
            typical = stated * unit
        elif always is not None:
            typical = always
        elif states:
            typical = sum(states.values()) / len(states)
        else:
            typical = self._default_leakage * unit
        return typical, tuple(states.items())

    def _check_related(self, group: Group, pins: dict[str, Pin]) -> None:
        for pin in pins.values():
            starts = [arc.related_pin for arc in pin.arcs] + [arc.related_pin for arc in pin.power]
            for start in starts:
                if start is not None and start not in pins:
                    raise group.error(
                        f"cell {group.name}: pin {pin.name} is related to {start!r}, no pin of it"
                    )


def _frozen(numbers: Sequence[float], unit: float) -> Floats:
    array = np.array(numbers, dtype=np.float64) * unit
    array.setflags(write=False)
    return array


_ABSENT = _frozen((0.0,), 1.0)


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value * unit


def _purpose(cell: Group, pins: Sequence[Group]) -> str | None:
    for attribute, purpose in _PURPOSES.items():
        if (cell.text(attribute) or "false").lower() != "false":
            return purpose
    return "pad" if any(pin.flag("is_pad") for pin in pins) else None


def _function(group: Group, attribute: str, names: _Names) -> BooleanFunction | None:
    text = group.text(attribute)
    if text is None:
        return None
    # The same few states recur in hundreds of groups of one cell.
    found = names.parsed.get(text)
    if found is None:
        try:
            found = parse_function(text, names.known, where=f"{attribute} in cell {names.cell}")
        except LibertyError as error:
            raise group.error(str(error), attribute) from error
        names.parsed[text] = found
    return found


def _flip_flop(states: Sequence[Group], names: _Names) -> FlipFlop | None:
    if not states or states[0].kind != "ff":
        return None
    group = states[0]
    next_state = _function(group, "next_state", names)
    clocked_on = _function(group, "clocked_on", names)
    if next_state is None or clocked_on is None:
        raise LeftOut("a flip-flop without next_state or clocked_on")
    if group.text("clocked_on_also") is not None:
        raise LeftOut("a flip-flop with two clocks (clocked_on_also)")
    state, inverted = _state_names(group)
    return FlipFlop(
        state, inverted, next_state, clocked_on,
        _function(group, "clear", names), _function(group, "preset", names),
    )  # fmt: skip


def _latch(states: Sequence[Group], names: _Names) -> Latch | None:
    if not states or states[0].kind != "latch":
        return None
    group = states[0]
    attributes = ("data_in", "enable", "clear", "preset")
    return Latch(*_state_names(group), *(_function(group, name, names) for name in attributes))


def _state_names(group: Group) -> tuple[str, str]:
    if len(group.names) != 2:
        raise group.error(f"{group.title} does not name the two state variables")
    return group.names[0], group.names[1]

"""Delays from the library's tables, with the slew that each event brings: gates of a model.

A net's load is fixed, so an arc's delay and output slew are piecewise linear functions of the slew at its
start. For every input and every state after its event, a gate has one record: the arc that then applies, and
the energies, all over common points of the slew. The functions reach the kernels as one intercept and slope
per segment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from halo_timing.delay_calculation import (
    CLOCK_SLEW_PS,
    FALL,
    RISE,
    delay_arcs,
    delay_line,
    edge_pairs,
    net_loads_ff,
    setup_arcs,
    slew_line,
    worst_slews_ps,
)
from halo_timing.errors import NetlistError
from halo_timing.netlist import CONSTANT_0, Instance, Netlist, Register
from halo_timing.pdk.cells import TimingArc
from halo_timing.pdk.library import BooleanFunction
from halo_timing.pdk.line import CONSTANT_ZERO, Line, common_points, line_at_related_slew

Floats = NDArray[np.float64]

# Added to a delay that only stands in: any that fits is smaller.
STANDS_IN_FS = float(2**40)


@dataclass(frozen=True, eq=False)
class SlewSteps:
    """What each event at a gate's inputs leads to.

    Parameters
    ----------
    record
        Record of an event at input p that leads to state s, shape ``(inputs, states)``, uint32.
    knots_fs
        Slews at which a record's functions bend, shape ``(records, k)``; padded with infinity, which the
        last column always is.
    line
        Intercept and slope over the slew in fs of: delay in fs, output slew in fs, internal energy in fJ of
        the output's toggle, internal energy in fJ of the input's own edge; shape ``(records, k, 8)``.
    has_edges
        Whether any input edge costs energy by itself.
    """

    record: NDArray[np.uint32]
    knots_fs: Floats
    line: Floats
    has_edges: bool

    def kept(self, inputs: NDArray[np.int64], states: NDArray[np.int64]) -> SlewSteps:
        """Return the same with other inputs tied: `inputs` are left, `states` are the whole gate's ones."""
        record = np.ascontiguousarray(self.record[np.ix_(inputs, states)])
        return SlewSteps(record, self.knots_fs, self.line, self.has_edges)


@dataclass(frozen=True, eq=False)
class NldmDelays:
    """Delays of a netlist from its library's tables; nets have no resistance.

    Parameters
    ----------
    netlist
        The netlist.
    output_load_ff, input_slew_ps
        What surrounds it.
    """

    netlist: Netlist
    output_load_ff: float
    input_slew_ps: float

    @cached_property
    def loads_ff(self) -> Floats:
        """See :func:`halo_timing.delay_calculation.net_loads_ff`."""
        return net_loads_ff(self.netlist, self.output_load_ff)

    @cached_property
    def slews_ps(self) -> Floats:
        """See :func:`halo_timing.delay_calculation.worst_slews_ps`."""
        return worst_slews_ps(self.netlist, self.loads_ff, self.input_slew_ps)

    def launch(self, register: Register, pin: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """When the rise and the fall of a register's output happen after the clock edge, and their slews, fs.

        Raises
        ------
        NetlistError
            If the flip-flop has no clock-to-output arc for an edge.
        """
        instance = self.netlist.instances[register.instance]
        net = instance.pins[pin]
        found: dict[int, list[tuple[float, float]]] = {RISE: [], FALL: []}
        for arc in delay_arcs(self.netlist.cell_of(instance).pins[pin], register.clock_pin):
            for edge, _ in edge_pairs(arc):
                lines = (build(arc, edge, self.loads_ff[net, edge]) for build in (delay_line, slew_line))
                delay, slew = (float(line.at(CLOCK_SLEW_PS)) for line in lines)
                found[edge].append((delay, max(slew, 0.0)))
        if not all(found.values()):
            raise NetlistError(
                f"{instance.name} ({instance.cell}): no delay from {register.clock_pin} to an edge of {pin}"
            )
        (rise, rise_slew), (fall, fall_slew) = max(found[RISE]), max(found[FALL])
        return (round(rise * 1000), round(fall * 1000)), (round(rise_slew * 1000), round(fall_slew * 1000))

    def setup(self, register: Register, pin: str) -> tuple[Line, Line]:
        """Give the setup time in ps of a data pin's rise and fall over its slew; 0 where there is none."""
        instance = self.netlist.instances[register.instance]
        lines: list[Line] = []
        for edge in (RISE, FALL):
            own = []
            for arc in setup_arcs(self.netlist.cell_of(instance).pins[pin], register.clock_pin):
                table = (arc.rise_constraint, arc.fall_constraint)[edge]
                if table is not None:
                    own.append(line_at_related_slew(table, CLOCK_SLEW_PS))
            nominal = np.nan_to_num(self.slews_ps[instance.pins[pin], edge])
            lines.append(max(own, key=lambda line: float(line.at(nominal)), default=CONSTANT_ZERO))
        return lines[RISE], lines[FALL]

    def steps(
        self,
        instance: Instance,
        pin: str,
        function: BooleanFunction,
        values: NDArray[np.uint32],
        toggles: tuple[Sequence[Line], NDArray[np.int64]],
        edges: tuple[Sequence[Line], NDArray[np.int64]],
    ) -> SlewSteps:
        """Work out a gate's records.

        Conditional arcs count where the state after the event meets the condition, unconditional ones where
        no conditional one from that input does; of several that apply, the slowest at the net's worst slew.
        Where none applies (the event alone does not move the output), the slowest arc from the input stands
        in for events at several inputs at once.

        Parameters
        ----------
        values
            Output per state, shape ``(states,)``.
        toggles, edges
            Energies, see :meth:`halo_timing.dynamic.model.EnergySource.toggle_lines`.

        Raises
        ------
        NetlistError
            If an input whose event alone moves the output has no arc for it.
        """
        net = instance.pins[pin]
        arcs = delay_arcs(self.netlist.cell_of(instance).pins[pin])
        rows: dict[tuple[int, int, bool, int, int], int] = {}

        @cache
        def nominal_ps(index: int, edge: int, slew_ps: float) -> float:
            return float(delay_line(arcs[index], edge, self.loads_ff[net, edge]).at(slew_ps))

        record = np.zeros((len(function.inputs), len(values)), np.uint32)
        for place, name in enumerate(function.inputs):
            start = instance.pins.get(name, CONSTANT_0)
            for state, value in enumerate(values):
                edge = RISE if value else FALL
                start_edge = RISE if state >> place & 1 else FALL
                setting = dict(
                    zip(function.inputs, (bool(state >> bit & 1) for bit in range(16)), strict=False)
                )
                fitting, any_arc = _candidates(arcs, name, edge, start_edge, setting)
                if not fitting and value != values[state ^ 1 << place]:
                    raise NetlistError(
                        f"{instance.name} ({instance.cell}/{pin}): the library has no delay from {name} to "
                        "this output in a state in which it decides; correct the library or exclude the cell"
                    )
                slew_ps = float(np.nan_to_num(self.slews_ps[start, start_edge]))
                ranked = [(nominal_ps(index, edge, slew_ps), -index) for index in fitting or any_arc]
                chosen = -max(ranked)[1] if ranked else -1
                key = (
                    chosen,
                    edge,
                    bool(fitting),
                    int(toggles[1][place, state]),
                    int(edges[1][place, state]),
                )
                record[place, state] = rows.setdefault(key, len(rows))
        lines = [self._lines(arcs, net, key, toggles[0], edges[0]) for key in rows]
        has_edges = bool((edges[1] >= 0).any())
        return SlewSteps(record, *_segments(lines), has_edges)

    def _lines(
        self,
        arcs: Sequence[TimingArc],
        net: int,
        key: tuple[int, int, bool, int, int],
        toggles: Sequence[Line],
        edges: Sequence[Line],
    ) -> list[Line]:
        """Delay and slew in ps and both energies in fJ of a record, over the slew in ps."""
        chosen, edge, fits, toggle, own_edge = key
        load_ff = float(self.loads_ff[net, edge])
        delay, slew = Line(np.zeros(1), np.full(1, STANDS_IN_FS / 1000)), CONSTANT_ZERO
        if chosen >= 0:
            delay, slew = delay_line(arcs[chosen], edge, load_ff), slew_line(arcs[chosen], edge, load_ff)
            if not fits:
                delay = Line(delay.points, delay.values + STANDS_IN_FS / 1000)
        return [
            delay,
            slew,
            toggles[toggle] if toggle >= 0 else CONSTANT_ZERO,
            edges[own_edge] if own_edge >= 0 else CONSTANT_ZERO,
        ]


def largest(steps: SlewSteps, column: int, limit_fs: float, rows: NDArray[np.uint32]) -> float:
    """Largest value of a function (0 delay, 1 slew) over slews from 0 to a limit, among records; fs."""
    found = -np.inf
    for row in np.unique(rows):
        knots = steps.knots_fs[row]
        slews = np.array([0.0, *knots[knots < limit_fs], limit_fs])
        segments = np.searchsorted(knots, slews, side="right")
        intercept, slope = steps.line[row, segments, 2 * column], steps.line[row, segments, 2 * column + 1]
        value = float((intercept + slope * slews).max())
        found = max(found, value - STANDS_IN_FS if value >= STANDS_IN_FS / 2 else value)
    return found


def constant_setup(setup_fs: tuple[int, int]) -> tuple[Line, Line]:
    """Make setup lines that do not depend on the slew."""
    return Line(np.zeros(1), np.array([setup_fs[0] / 1000])), Line(
        np.zeros(1), np.array([setup_fs[1] / 1000])
    )


def setup_segments(setup: tuple[Line, Line]) -> tuple[Floats, Floats]:
    """Knots and (intercept, slope) of setup times, all in fs; shapes ``(2, k)`` and ``(2, k, 2)``."""
    return _segments([[own] for own in setup])


def _candidates(
    arcs: Sequence[TimingArc], start: str, edge: int, start_edge: int, setting: Mapping[str, bool]
) -> tuple[list[int], list[int]]:
    """Arcs that apply to an event, and all that lead from the input to this edge."""
    conditional, plain, any_arc = [], [], []
    for index, arc in enumerate(arcs):
        pairs = edge_pairs(arc)
        if arc.related_pin != start or all(edge != end for end, _ in pairs):
            continue
        any_arc.append(index)
        if (edge, start_edge) not in pairs:
            continue
        if arc.when is None:
            plain.append(index)
        elif _may_hold(arc.when, setting):
            conditional.append(index)
    return conditional or plain, any_arc


def _may_hold(function: BooleanFunction, setting: Mapping[str, bool]) -> bool:
    """Whether a state can meet a condition; pins that the gate does not have may be anything."""
    known = [setting.get(name) for name in function.inputs]
    return any(
        function.truth_table >> row & 1
        and all(bit is None or bit == bool(row >> place & 1) for place, bit in enumerate(known))
        for row in range(1 << len(known))
    )


def _segments(records: Sequence[Sequence[Line]]) -> tuple[Floats, Floats]:
    """Knots in fs, and intercepts and slopes over the slew in fs; energies, from the third on, stay in fJ."""
    points = [common_points(lines) for lines in records]
    # Cells that tie a net to a constant have no records.
    most = max([1, *(len(own) - 1 for own in points)])
    columns = max((len(lines) for lines in records), default=0)
    knots = np.full((len(records), most), np.inf)
    line = np.zeros((len(records), most, 2 * columns))
    for row, (own, lines) in enumerate(zip(points, records, strict=True)):
        knots[row, : max(len(own) - 2, 0)] = own[1:-1] * 1000
        for column, function in enumerate(lines):
            scale = 1000.0 if column < 2 else 1.0
            values = function.at(own) * scale
            for segment in range(most):
                low = min(segment, max(len(own) - 2, 0))
                slope = (
                    0.0
                    if len(own) == 1
                    else (values[low + 1] - values[low]) / (own[low + 1] - own[low]) / 1000
                )
                line[row, segment, 2 * column] = values[low] - slope * own[low] * 1000
                line[row, segment, 2 * column + 1] = slope
    return knots, line

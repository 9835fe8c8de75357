"""Loads, slews and delays from the library's own tables, as OpenSTA calculates them without wires.

OpenSTA keeps one slew per edge of a net: the largest over all arcs that end there. :func:`worst_slews_ps`
does the same; it is the slew at which fixed delays (SDF) were taken, and the nominal one for energies. The
dynamic simulation with slews starts from the same tables but gives each event a slew of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import NetlistError
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Instance, Netlist
from halo_timing.pdk.cells import Pin, TimingArc
from halo_timing.pdk.line import Line, line_at_load
from halo_timing.pdk.logic import BooleanFunction
from halo_timing.pdk.table import Table

RISE = 0
FALL = 1
# An ideal clock has steep edges, in every tool.
CLOCK_SLEW_PS = 0.0

Floats = NDArray[np.float64]


def net_loads_ff(netlist: Netlist, output_load_ff: float) -> Floats:
    """Load of each net: the pins on it, and the port's load on every output port bit.

    The driver's own pin counts too, where its library gives it a capacitance, as in OpenSTA.

    Returns
    -------
    ndarray of float64, shape (nets, 2)
        For a rise and a fall of the net, fF.
    """
    loads = np.zeros((len(netlist.net_names), 2))
    for instance in netlist.instances:
        pins = netlist.cell_of(instance).pins
        for name, net in instance.pins.items():
            loads[net] += pins[name].rise_capacitance_ff, pins[name].fall_capacitance_ff
    for port in netlist.ports:
        if port.direction == "output":
            for net in port.nets:
                loads[net] += output_load_ff
    return loads


def worst_slews_ps(netlist: Netlist, loads_ff: Floats, input_slew_ps: float) -> Floats:
    """Largest slew of each edge of each net.

    Parameters
    ----------
    loads_ff
        See :func:`net_loads_ff`.
    input_slew_ps
        Slew at the input ports.

    Returns
    -------
    ndarray of float64, shape (nets, 2)
        For a rise and a fall, ps; NaN for nets that never move.
    """
    slews = np.full((len(netlist.net_names), 2), np.nan)
    for port in netlist.ports:
        if port.direction == "input":
            slews[list(port.nets)] = input_slew_ps
    constants = constant_nets(netlist)
    clocks = {register.instance: register.clock_pin for register in netlist.registers}
    for index in [*clocks, *netlist.order]:
        instance = netlist.instances[index]
        for pin in netlist.cell_of(instance).outputs:
            net = instance.pins.get(pin.name)
            if net is None or net in constants:
                continue
            clock = clocks.get(index)
            arcs = delay_arcs(pin, clock) if clock else live_arcs(pin, instance, constants)
            for arc in arcs:
                for edge, start_edge in edge_pairs(arc):
                    slew = CLOCK_SLEW_PS if clock else slews[instance.pins[arc.related_pin], start_edge]
                    if not np.isnan(slew):
                        reached = float(slew_line(arc, edge, loads_ff[net, edge]).at(slew))
                        slews[net, edge] = np.fmax(slews[net, edge], max(reached, 0.0))
    return slews


def constant_nets(netlist: Netlist) -> dict[int, int]:
    """Nets that tie cells and constants decide, and their values; nothing moves on them."""
    known = {CONSTANT_0: 0, CONSTANT_1: 1}
    for index in netlist.order:
        instance = netlist.instances[index]
        for pin in netlist.cell_of(instance).outputs:
            if pin.function is not None and pin.name in instance.pins:
                value = _under_constants(pin.function, instance, known)
                if value is not None:
                    known[instance.pins[pin.name]] = value
    return known


def live_arcs(pin: Pin, instance: Instance, constants: Mapping[int, int]) -> list[TimingArc]:
    """Arcs of a combinational output that its constant inputs leave: what OpenSTA times.

    An arc from a constant pin, or whose state the constants rule out, is dead. Where they decide the state of
    one conditional arc from a pin, that one alone is left of the pin's.
    """
    arcs = []
    for start in dict.fromkeys(arc.related_pin for arc in delay_arcs(pin)):
        if instance.pins.get(start, CONSTANT_0) in constants:
            continue
        own = [(arc, _holds(arc, instance, constants)) for arc in delay_arcs(pin) if arc.related_pin == start]
        certain = [arc for arc, holds in own if holds and arc.when is not None]
        arcs += certain or [arc for arc, holds in own if holds is not False]
    return arcs


def _holds(arc: TimingArc, instance: Instance, constants: Mapping[int, int]) -> bool | None:
    if arc.when is None:
        return True
    value = _under_constants(arc.when, instance, constants)
    return None if value is None else bool(value)


def _under_constants(
    function: BooleanFunction, instance: Instance, constants: Mapping[int, int]
) -> int | None:
    """Value of a function of pins, where constants decide it."""
    settings = [constants.get(instance.pins.get(name, -1)) for name in function.inputs]
    possible = {
        function.truth_table >> row & 1
        for row in range(1 << len(settings))
        if all(bit is None or bit == row >> place & 1 for place, bit in enumerate(settings))
    }
    return possible.pop() if len(possible) == 1 else None


def delay_arcs(pin: Pin, clock_pin: str | None = None) -> list[TimingArc]:
    """Arcs by which an output follows its inputs or, of a flip-flop, its clock."""
    wanted = ("rising_edge", "falling_edge") if clock_pin else ("combinational",)
    return [
        arc
        for arc in pin.arcs
        if arc.is_delay and arc.timing_type in wanted and clock_pin in (None, arc.related_pin)
    ]


def edge_pairs(arc: TimingArc) -> list[tuple[int, int]]:
    """Every (edge of the output, edge of the arc's start) by which the output can move."""
    starts = {"rising_edge": (RISE,), "falling_edge": (FALL,)}
    pairs = []
    for edge in (RISE, FALL):
        if (arc.cell_rise, arc.cell_fall)[edge] is None:
            continue
        by_sense = {"positive_unate": (edge,), "negative_unate": (1 - edge,)}.get(arc.sense, (RISE, FALL))
        pairs += [(edge, start) for start in starts.get(arc.timing_type, by_sense)]
    return pairs


def delay_line(arc: TimingArc, edge: int, load_ff: float) -> Line:
    """Delay of an arc to an edge of the output at one load, over the slew at its start.

    Raises
    ------
    NetlistError
        If the arc has no table for this edge.
    """
    return _line((arc.cell_rise, arc.cell_fall)[edge], arc, "delay", load_ff)


def slew_line(arc: TimingArc, edge: int, load_ff: float) -> Line:
    """Slew of an edge of the output at one load, over the slew at the arc's start; may go below 0 outside.

    Raises
    ------
    NetlistError
        If the arc has no table for this edge.
    """
    return _line((arc.rise_transition, arc.fall_transition)[edge], arc, "transition", load_ff)


def _line(table: Table | None, arc: TimingArc, what: str, load_ff: float) -> Line:
    if table is None:
        raise NetlistError(f"the arc from {arc.related_pin} has no {what} table for one of its edges")
    return line_at_load(table, load_ff)


def setup_arcs(pin: Pin, clock_pin: str) -> Sequence[TimingArc]:
    """List the setup constraints of a data pin against the clock."""
    return [
        arc
        for arc in pin.arcs
        if arc.related_pin == clock_pin and arc.timing_type in ("setup_rising", "setup_falling")
    ]

"""Arcs of both senses in OpenSTA's SDF: one entry stands for two delays, and must hold the larger.

A library may describe the two senses of an XOR input in one group. Each edge of the output then has two
delays, from a rising and from a falling input; ``write_sdf`` of OpenSTA gives one of them, the last, without
an edge (OSU 0.18 um: up to 7 % too small). A bound from such a file would not be sound.
"""

from __future__ import annotations

import re

from halo_timing.delay_calculation import (
    Floats,
    constant_nets,
    delay_line,
    edge_pairs,
    live_arcs,
    net_loads_ff,
    worst_slews_ps,
)
from halo_timing.netlist import Netlist

_INSTANCE = re.compile(r"^\s*\(INSTANCE (\S*)\)")
_CONDITION = re.compile(r"^\s*\(COND ")
_TRIPLE = r"\(([\d.]+)::([\d.]+)\)"
_PATH = re.compile(rf"^(\s*\(IOPATH (\w+) (\w+)) {_TRIPLE} {_TRIPLE}(\)+)$")


def raise_merged_arcs(sdf: str, netlist: Netlist, output_load_ff: float, input_slew_ps: float) -> str:
    """Raise the entries of arcs of both senses to the larger delay of each edge.

    Parameters
    ----------
    sdf
        Text that OpenSTA wrote for the netlist, in ns.
    output_load_ff, input_slew_ps
        Constraints that it was written under.

    Returns
    -------
    str
        The text; nothing is ever made smaller.
    """
    largest_ps = _merged_delays_ps(netlist, output_load_ff, input_slew_ps)
    lines = []
    owner, conditional = "", False
    for line in sdf.splitlines(keepends=True):
        if found := _INSTANCE.match(line):
            owner = found[1]
        path = _PATH.match(line.rstrip("\n"))
        limits = largest_ps.get((owner, path[2], path[3])) if path and not conditional else None
        if path and limits:
            rise, fall = (
                max(float(path[place]), limit / 1000) for place, limit in zip((5, 7), limits, strict=True)
            )
            line = f"{path[1]} ({path[4]}::{rise:.6f}) ({path[6]}::{fall:.6f}){path[8]}\n"
        lines.append(line)
        conditional = bool(_CONDITION.match(line))
    return "".join(lines)


def _merged_delays_ps(
    netlist: Netlist, output_load_ff: float, input_slew_ps: float
) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Largest delay to a rise and a fall of arcs of both senses, by (instance, input, output)."""
    loads_ff = net_loads_ff(netlist, output_load_ff)
    slews_ps = worst_slews_ps(netlist, loads_ff, input_slew_ps)
    constants = constant_nets(netlist)
    found: dict[tuple[str, str, str], tuple[float, float]] = {}
    for index in netlist.order:
        instance = netlist.instances[index]
        for pin in netlist.cell_of(instance).outputs:
            net = instance.pins.get(pin.name)
            if net is None or net in constants:
                continue
            for arc in live_arcs(pin, instance, constants):
                if arc.sense == "non_unate" and arc.when is None:
                    delays = [0.0, 0.0]
                    for edge, start_edge in edge_pairs(arc):
                        slew = _known(slews_ps, instance.pins[arc.related_pin], start_edge)
                        at_worst = float(delay_line(arc, edge, loads_ff[net, edge]).at(slew))
                        delays[edge] = max(delays[edge], at_worst)
                    found[instance.name, arc.related_pin, pin.name] = delays[0], delays[1]
    return found


def _known(slews_ps: Floats, net: int, edge: int) -> float:
    slew = float(slews_ps[net, edge])
    return 0.0 if slew != slew else slew

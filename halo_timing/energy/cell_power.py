"""Which ``internal_power`` tables of a cell tell the energy of an edge, whatever its instance's load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.energy.lines import NONE, EdgeEnergies
from halo_timing.energy.states import Bits, CellStates, Weights, standing_in
from halo_timing.pdk.library import Cell, PowerArc, Table
from halo_timing.pdk.line import Line, line_at_load, sum_of_lines

Mix = tuple[tuple[Table, float], ...]
"""Tables whose weighted sum is the energy of an edge."""


@dataclass(frozen=True, eq=False)
class EdgeTables:
    """What :class:`~halo_timing.energy.lines.EdgeEnergies` is made of once the load is known.

    Parameters
    ----------
    mixes
        Whether the edge that draws the energy is a rise, and the tables.
    index, fits
        As there.
    """

    mixes: tuple[tuple[bool, Mix], ...]
    index: NDArray[np.int64]
    fits: NDArray[np.bool_]

    def under(self, load_ff: tuple[float, float]) -> EdgeEnergies:
        """Energies at a load for (rise, fall) of the pin that the tables belong to."""
        lines = tuple(line_of(mix, load_ff[0] if rise else load_ff[1]) for rise, mix in self.mixes)
        return EdgeEnergies(lines, self.index, self.fits)


def line_of(mix: Mix, load_ff: float) -> Line:
    """Weighted sum of tables at one load."""
    lines = [(line_at_load(table, load_ff), weight) for table, weight in mix]
    return sum_of_lines([Line(line.points, weight * line.values) for line, weight in lines])


def mix_of(groups: Sequence[PowerArc], weights: Sequence[float] | Weights, rise: bool) -> Mix:
    """Tables of the groups that count at a rise or a fall."""
    tables = [group.rise if rise else group.fall for group in groups]
    chosen = zip(tables, weights, strict=True)
    return tuple((table, float(weight)) for table, weight in chosen if table is not None and weight)


def toggle_tables(cell: Cell, output: str, inputs: Sequence[str], tied: Mapping[str, bool]) -> EdgeTables:
    """Tables of the output's toggle, by the input that causes it.

    Where the library describes the state after the step for no input's edge, the mean over the states that
    it describes for that input stands in: the output has toggled, and that costs something.
    """
    states = CellStates(cell, inputs, tied)
    pin = cell.pins[output]
    rises = states.values[output][: 1 << len(inputs)]
    rows = []
    for name in inputs:
        groups = [group for group in pin.power if group.related_pin in (name, None)]
        weights, fits = states.holding(groups)
        weights = np.where(fits, weights, standing_in(groups)[:, None])
        rows.append((groups, weights, fits, rises))
    return _edge_tables(states, rows, len(inputs))


def input_tables(
    cell: Cell, inputs: Sequence[str], own: Sequence[str], tied: Mapping[str, bool]
) -> EdgeTables:
    """Tables of the own edges of the inputs in `own`.

    A group without ``when`` beside others with one stands for the states that these leave out. Where the
    edge moves an output, that output's table holds the energy, and such a group does not count.
    """
    states = CellStates(cell, inputs, tied)
    rows = []
    for name in inputs:
        groups = cell.pins[name].power if name in own else ()
        covered = np.zeros(states.count, bool)
        for pin in cell.outputs:
            if (value := states.values.get(pin.name)) is not None:
                covered |= value != states.flipped(name, value)
        weights, fits = states.holding(groups, covered)
        rows.append((groups, weights, fits, states.values[name][: 1 << len(inputs)]))
    return _edge_tables(states, rows, len(inputs))


def _edge_tables(
    states: CellStates, rows: Sequence[tuple[Sequence[PowerArc], Weights, Bits, Bits]], kept: int
) -> EdgeTables:
    mixes: dict[tuple[bool, Mix], int] = {}
    index = np.full((len(rows), 1 << kept), NONE, np.int64)
    fits = np.zeros((len(rows), 1 << kept), bool)
    for position, (groups, weights, holds, rises) in enumerate(rows):
        fits[position] = states.averaged(holds.astype(float), kept) > 0
        if not groups:
            continue
        mean = states.averaged(weights, kept)
        for number, rise in enumerate(rises):
            mix = mix_of(groups, mean[:, number], bool(rise))
            if mix:
                index[position, number] = mixes.setdefault((bool(rise), mix), len(mixes))
    return EdgeTables(tuple(mixes), index, fits)

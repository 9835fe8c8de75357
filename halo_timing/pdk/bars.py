"""Cells that logic must not be mapped onto, each with the reason.

The library says so for some, the descriptor for others. The rest is found by rule, so that a library never
seen before needs no list: pads and cells for power domains by their attributes, delay cells by their tables.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from halo_timing.pdk.cells import Cell, TimingArc
from halo_timing.pdk.descriptor import CellValues
from halo_timing.pdk.library import Library

BY_DESCRIPTOR = "barred by the descriptor (dont_use)"
BY_LIBRARY = "barred by the library (dont_use)"
DELAY_CELL = "delay cell (a buffer of no more area is much faster at every load)"

#: A delay cell is so much slower than a buffer of no more area, at its lightest load and at its heaviest.
#: Clock buffers of several stages are slow at light loads only; plain buffers differ by less than 1.3.
DELAY_RATIO = 1.5


def find_bars(library: Library, wanted: CellValues) -> dict[str, str]:
    """Say which cells synthesis must not use, and why.

    Parameters
    ----------
    library : Library
        The cells.
    wanted : CellValues
        Patterns of the descriptor: ``dont_use`` bars, ``use`` lifts every other bar.

    Returns
    -------
    dict of str to str
        Name and reason, in the order of the names.
    """
    bars: dict[str, str] = {}
    for name, cell in library.cells.items():
        if _matches(name, wanted.dont_use):
            bars[name] = BY_DESCRIPTOR
        elif _matches(name, wanted.use):
            continue
        elif cell.dont_use:
            bars[name] = BY_LIBRARY
        elif cell.purpose is not None:
            bars[name] = f"special purpose: {cell.purpose}"
    buffers = [cell for name, cell in library.cells.items() if name not in bars and cell.is_buffer]
    for cell in buffers:
        if not _matches(cell.name, wanted.use) and any(_outruns(other, cell) for other in buffers):
            bars[cell.name] = DELAY_CELL
    return dict(sorted(bars.items()))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _outruns(buffer: Cell, cell: Cell) -> bool:
    """Whether `buffer`, of no more area, is much faster than `cell` at both ends of its load axis."""
    if buffer.name == cell.name or buffer.area_um2 > cell.area_um2:
        return False
    arc, fast = _delay_arc(cell), _delay_arc(buffer)
    pairs = ((arc.cell_rise, fast.cell_rise), (arc.cell_fall, fast.cell_fall))
    for slow_table, fast_table in pairs:
        if slow_table is None or fast_table is None:
            return False
        slew_ps = float(slow_table.rows[0])
        for load_ff in (float(slow_table.columns[0]), float(slow_table.columns[-1])):
            ours, theirs = float(slow_table.at(slew_ps, load_ff)), float(fast_table.at(slew_ps, load_ff))
            if not 0 < theirs * DELAY_RATIO < ours:
                return False
    return True


def _delay_arc(cell: Cell) -> TimingArc:
    return next(arc for arc in cell.outputs[0].arcs if arc.has_both_edges)

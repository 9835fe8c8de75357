"""Levels and their codebooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.model import CostMap
from halo_timing.report.result import Figure, Result
from halo_timing.report.text import fixed, value_list

#: Index of the level of a value that no level allows, as in the cost map.
NO_LEVEL = 255
_SHORT_LIST = 48


@dataclass(frozen=True)
class Ink:
    """Marks of one level: SVG path data."""

    level: int
    path: str


@dataclass(frozen=True)
class LevelRow:
    """One level of the table.

    Parameters
    ----------
    codebook, long_codebook
        The allowed values, in short, and in full where the short form is not all.
    strip
        The allowed values drawn over all values, coloured by the fastest level that allows each.
    """

    index: int
    count: Figure
    period_ps: Figure
    freq_ghz: Figure
    vdd_v: str
    codebook: str
    long_codebook: str
    strip: tuple[Ink, ...]


def colours(count: int) -> tuple[str, ...]:
    """CSS colour of each level: the fastest stands out, the slowest recedes."""
    if count == 1:
        return ("var(--fast)",)
    if count == 2:
        return ("var(--fast)", "var(--slow)")
    between = count - 2
    return (
        "var(--fast)",
        *(
            f"color-mix(in oklab, var(--slow) {round(100 * step / between)}%, var(--mid))"
            for step in range(between)
        ),
        "var(--slow)",
    )


def level_rows(result: Result) -> tuple[LevelRow, ...]:
    """Lay out the table of levels."""
    return tuple(_row(result, index) for index in range(len(result.cost_map.levels)))


def columns(positions: NDArray[np.intp] | Sequence[int], top: float = 0, bottom: float = 100) -> str:
    """SVG path of full-height columns at whole x positions, neighbours joined."""
    path: list[str] = []
    cells = [int(position) for position in positions]
    start = 0
    for end in range(len(cells)):
        if end + 1 == len(cells) or cells[end + 1] != cells[end] + 1:
            path.append(f"M{cells[start]} {bottom:g}V{top:g}H{cells[end] + 1}V{bottom:g}z")
            start = end + 1
    return "".join(path)


def _row(result: Result, index: int) -> LevelRow:
    cost_map, level = result.cost_map, result.cost_map.levels[index]
    codebook = [int(value) for value in level.codebook]
    text = value_list(codebook)
    if len(codebook) == len(cost_map.values):
        short, long = f"every value, {codebook[0]}…{codebook[-1]}", ""
    elif text.count(",") < _SHORT_LIST:
        short, long = text, ""
    else:
        short, long = f"{len(codebook)} values from {codebook[0]} to {codebook[-1]}", text
    return LevelRow(
        index=index,
        count=result.figure(f"level:{index}__values", 0),
        period_ps=result.figure(f"level:{index}__period_ps", 1),
        freq_ghz=result.figure(f"level:{index}__freq_ghz", 3),
        vdd_v=fixed(level.vdd_v, 3),
        codebook=short,
        long_codebook=long,
        strip=_strip(cost_map, index),
    )


def _strip(cost_map: CostMap, index: int) -> tuple[Ink, ...]:
    own = cost_map.level_of_value
    return tuple(
        Ink(level, path) for level in range(index + 1) if (path := columns(np.flatnonzero(own == level)))
    )

"""Many MACs side by side: what the spread of each is worth, against itself and the best conventional one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import UsageError
from halo_timing.tables import Tables

#: Codebook sizes that stand for the fast class: those of grids of three and of four bits.
SIZES = (8, 16)


@dataclass(frozen=True)
class StudyInput:
    """A characterised MAC."""

    name: str
    conventional: bool
    area_um2: float
    cells: int
    recipe: str
    tables: Tables


@dataclass(frozen=True)
class Figures:
    """Delays of a MAC and what they are worth.

    Parameters
    ----------
    worst_ps
        Delay of its slowest weight.
    fast_ps
        By codebook size: the delay at which its fastest so many values are right, 0 among them.
    self_ratio, best_ratio
        By codebook size: the slowest weight of this MAC, and of the fastest conventional one, over `fast_ps`.
    """

    worst_ps: float
    fast_ps: Mapping[int, float]
    self_ratio: Mapping[int, float]
    best_ratio: Mapping[int, float]


@dataclass(frozen=True)
class StudyRow:
    """Figures of one MAC as a whole (periods), and of its multiplier alone (delays of logic)."""

    name: str
    conventional: bool
    area_um2: float
    cells: int
    recipe: str
    mac: Figures
    core: Figures


def read_input(name: str, conventional: bool, folder: Path) -> StudyInput:
    """Read a MAC's result folder.

    Raises
    ------
    CostMapError
        If its tables are missing or damaged.
    """
    synthesis = json.loads((folder / "synthesis.json").read_text())
    return StudyInput(
        name=name,
        conventional=conventional,
        area_um2=synthesis["area_um2"],
        cells=synthesis["cell_count"],
        recipe=synthesis["recipe"],
        tables=Tables.load(folder),
    )


def compare(inputs: Sequence[StudyInput]) -> list[StudyRow]:
    """Compare MACs of one corner; rows come in the order of the inputs.

    Raises
    ------
    UsageError
        If none of them is conventional: there would be nothing to compare with.
    """
    conventional = [item.tables for item in inputs if item.conventional]
    if not conventional:
        raise UsageError("a study needs at least one conventional MAC to compare with, such as booth")
    best_mac_ps = min(float(tables.period_ps.max()) for tables in conventional)
    best_core_ps = min(float(tables.core_ps.max()) for tables in conventional)
    return [
        StudyRow(
            name=item.name,
            conventional=item.conventional,
            area_um2=item.area_um2,
            cells=item.cells,
            recipe=item.recipe,
            mac=_figures(item.tables.values, item.tables.period_ps, best_mac_ps),
            core=_figures(item.tables.values, item.tables.core_ps, best_core_ps),
        )
        for item in inputs
    ]


def _figures(values: NDArray[np.int16], delay_ps: NDArray[np.float32], best_ps: float) -> Figures:
    worst = float(delay_ps.max())
    fast = {size: fast_class_ps(values, delay_ps, size) for size in SIZES}
    return Figures(
        worst_ps=worst,
        fast_ps=fast,
        self_ratio={size: worst / fast[size] for size in SIZES},
        best_ratio={size: best_ps / fast[size] for size in SIZES},
    )


def fast_class_ps(values: NDArray[np.int16], delay_ps: NDArray[np.float32], size: int) -> float:
    """Delay at which the fastest `size` values are right, 0 among them."""
    others = np.sort(delay_ps[values != 0])
    zero = float(delay_ps[values == 0].max(initial=0.0))
    return max(zero, float(others[min(size - 1, len(others)) - 1]))


def to_csv(rows: Sequence[StudyRow]) -> str:
    """Rows as CSV, a column per figure and codebook size."""
    stream = io.StringIO()
    records = []
    for row in rows:
        record: dict[str, object] = {
            "name": row.name,
            "conventional": int(row.conventional),
            "area_um2": f"{row.area_um2:.3f}",
            "cells": row.cells,
            "recipe": row.recipe,
        }
        for part, figures in (("mac", row.mac), ("core", row.core)):
            record[f"{part}_worst_ps"] = f"{figures.worst_ps:.3f}"
            for size in SIZES:
                record[f"{part}_fast_ps[{size}]"] = f"{figures.fast_ps[size]:.3f}"
                record[f"{part}_self[{size}]"] = f"{figures.self_ratio[size]:.4f}"
                record[f"{part}_best[{size}]"] = f"{figures.best_ratio[size]:.4f}"
        records.append(record)
    writer = csv.DictWriter(stream, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue()

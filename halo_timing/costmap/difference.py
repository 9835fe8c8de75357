"""What differs between two results: period and energy of each value, levels gained and lost."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.model import CostMap, Level
from halo_timing.errors import CostMapError
from halo_timing.tables import Tables

#: Metadata that say what a result is of, in the order in which they are told.
FACTS = (
    "mac", "parameters", "pdk", "corner", "vdd_v", "temperature_c", "wires", "input_slew_ps",
    "output_load_ff", "stimulus", "netlist_sha256", "liberty_sha256", "tools",
)  # fmt: skip
_COST_MAP = "costmap.safetensors"
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """One of the two results; `cost_map` is None where levels were not found."""

    name: str
    tables: Tables
    cost_map: CostMap | None

    @classmethod
    def load(cls, folder: Path) -> Side:
        """Read a result folder."""
        path = folder / _COST_MAP
        return cls(str(folder), Tables.load(folder), CostMap.load(path) if path.exists() else None)


@dataclass(frozen=True)
class LevelChange:
    """A codebook and its level in each result; None where it is no level there."""

    codebook: NDArray[np.int16]
    before: Level | None
    after: Level | None


@dataclass(frozen=True)
class Difference:
    """Two results value by value.

    Parameters
    ----------
    before, after
        What is compared.
    values
        Values that both have, shape ``(n,)``.
    period_ps, energy_fj
        Of each value in both, shape ``(2, n)``; energies NaN where unknown.
    facts
        What the results are of, where they differ: name to both texts.
    levels
        Levels of either, by codebook, smallest first; empty where one has none.
    """

    before: Side
    after: Side
    values: NDArray[np.int16]
    period_ps: Floats
    energy_fj: Floats
    facts: Mapping[str, tuple[str, str]]
    levels: tuple[LevelChange, ...]

    @property
    def period_ratio(self) -> NDArray[np.float64]:
        """Period after over before, shape ``(n,)``; NaN where nothing moves in one of them."""
        before, after = self.period_ps.astype(np.float64)
        valid = (before > 0) & (after > 0)
        return np.where(valid, after / np.where(valid, before, 1), np.nan)

    @property
    def energies_known(self) -> bool:
        """Whether both results have energies."""
        return not np.isnan(self.energy_fj).all(axis=1).any()

    def to_csv(self) -> str:
        """Write one row a value; empty where unknown."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        names = ["period_ps", "energy_fj"]
        writer.writerow(["value", *(f"{name}_{side}" for name in names for side in ("before", "after"))])
        columns = np.concatenate([self.period_ps, self.energy_fj])
        for value, row in zip(self.values.tolist(), columns.T, strict=True):
            writer.writerow([value, *("" if np.isnan(number) else str(number) for number in row)])
        return stream.getvalue()


def compare_results(before: Side, after: Side) -> Difference:
    """Compare two results.

    Raises
    ------
    CostMapError
        If they have no operand value in common.
    """
    values = np.intersect1d(before.tables.values, after.tables.values)
    if not len(values):
        raise CostMapError(f"{before.name} and {after.name}: no operand value is in both")
    places = [np.searchsorted(side.tables.values, values) for side in (before, after)]
    tables = (before.tables, after.tables)
    return Difference(
        before=before,
        after=after,
        values=values.astype(np.int16),
        period_ps=np.stack([each.period_ps[at] for each, at in zip(tables, places, strict=True)]),
        energy_fj=np.stack([each.energy_fj[at] for each, at in zip(tables, places, strict=True)]),
        facts=_facts(before.tables.metadata, after.tables.metadata),
        levels=_levels(before.cost_map, after.cost_map),
    )


def _facts(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        name: (_text(before.get(name)), _text(after.get(name)))
        for name in FACTS
        if before.get(name) != after.get(name)
    }


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(part)}" for key, part in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    # Hashes are told apart by their beginnings.
    text = str(value)
    return text[:12] if len(text) == 64 and " " not in text else text


def _levels(before: CostMap | None, after: CostMap | None) -> tuple[LevelChange, ...]:
    if before is None or after is None:
        return ()
    sides = [{tuple(level.codebook.tolist()): level for level in side.levels} for side in (before, after)]
    books = sorted(set(sides[0]) | set(sides[1]), key=lambda book: (len(book), book))
    return tuple(
        LevelChange(np.array(book, np.int16), sides[0].get(book), sides[1].get(book)) for book in books
    )

"""Levels at other voltages: the highest clock at one voltage, or the lowest voltages for one clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from halo_timing.costmap.levels import periods_from
from halo_timing.costmap.model import CostMap, Level
from halo_timing.costmap.voltage import VoltageModel, comparable, load_corners
from halo_timing.errors import UsageError
from halo_timing.tables import Tables


def voltage_model(tables: Sequence[Tables], source: str) -> VoltageModel:
    """Model of the corners that differ from the first in voltage alone."""
    alike = comparable(tables)
    return VoltageModel.through(alike, [periods_from(each, source) for each in alike])


@dataclass(frozen=True)
class CornerClocks:
    """Clock of each level at a corner, its margin included; `name`, supply and temperature of the corner."""

    name: str
    vdd_v: float
    temperature_c: float
    freq_ghz: tuple[float, ...]


def corner_clocks(folder: Path, cost_map: CostMap) -> list[CornerClocks]:
    """Clocks of a cost map's levels at every corner in a result folder, by rising supply.

    Raises
    ------
    CostMapError
        If tables are damaged.
    UsageError
        If a corner was not simulated whose simulated periods are asked for.
    """
    source, margin = str(cost_map.metadata["period_from"]), float(cost_map.metadata["margin"])
    chosen = [np.isin(cost_map.values, level.codebook) for level in cost_map.levels]
    corners = []
    for tables in load_corners(folder):
        period_ps = periods_from(tables, source)
        slowest_ps = [float(period_ps[values].max()) * (1 + margin) for values in chosen]
        about = tables.metadata
        corners.append(
            CornerClocks(
                str(about["corner"]),
                float(about["vdd_v"]),
                float(about["temperature_c"]),
                tuple(1e3 / slowest for slowest in slowest_ps),
            )
        )
    return sorted(corners, key=lambda corner: (corner.vdd_v, corner.name))


def folder_voltages(folder: Path, cost_map: CostMap) -> VoltageModel:
    """Model of the corners in a result folder, by the periods that its cost map goes by.

    Raises
    ------
    CostMapError
        If tables are damaged, or of different netlists.
    """
    return voltage_model(load_corners(folder), str(cost_map.metadata["period_from"]))


def level_clock_ghz(cost_map: CostMap, model: VoltageModel, index: int, vdd_v: float) -> float:
    """Clock at which every value of a level is right at a voltage, the cost map's margin included."""
    chosen = np.isin(cost_map.values, cost_map.levels[index].codebook)
    return 1e3 / (float(model.at(vdd_v)[chosen].max()) * (1 + float(cost_map.metadata["margin"])))


def at_voltages(
    cost_map: CostMap,
    tables: Sequence[Tables],
    *,
    vdd_v: float | None = None,
    freq_ghz: float | None = None,
) -> CostMap:
    """Move the levels of a cost map to other operating points; their codebooks stay.

    Parameters
    ----------
    tables
        Tables of the PDK's corners, that of the cost map first.
    vdd_v
        Run every level at this voltage, each as fast as its slowest value allows.
    freq_ghz
        Run every level at this clock, each at the lowest voltage at which its slowest value is right. Exactly
        one of the two is given.

    Returns
    -------
    CostMap
        With the cost map's margin in every period; ``value_period_ps`` of a level are its values' periods at
        its own voltage. Metadata gain ``voltage``: the fit, and mean energies where tables have them.

    Raises
    ------
    UsageError
        If not one of the two is given, or a level cannot be had.
    """
    if (vdd_v is None) == (freq_ghz is None):
        raise UsageError("one of --vdd and --freq is wanted")
    model = voltage_model(tables, str(cost_map.metadata["period_from"]))
    margin = float(cost_map.metadata["margin"])
    levels = []
    for index, level in enumerate(cost_map.levels):
        chosen = np.isin(cost_map.values, level.codebook)
        if vdd_v is not None:
            vdd, period = vdd_v, 1e3 / level_clock_ghz(cost_map, model, index, vdd_v)
        else:
            assert freq_ghz is not None
            if not 0 < freq_ghz < np.inf:
                raise UsageError(f"--freq {freq_ghz:g}: a clock in GHz is wanted")
            period = 1e3 / freq_ghz
            found = model.lowest_vdd(chosen, period / (1 + margin))
            if found is None:
                best_ghz = level_clock_ghz(cost_map, model, index, float(model.vdd_v[-1]))
                raise UsageError(
                    f"--freq {freq_ghz:g}: level {index} reaches {best_ghz:.3f} GHz at the highest "
                    f"voltage, {model.vdd_v[-1]:g} V"
                )
            vdd = found
        own = np.asarray(model.at(vdd)[chosen], np.float32)
        # Rounding to float32 must not make a value slower than its level.
        levels.append(Level(level.codebook, max(period, float(own.max()) * (1 + margin)), vdd, own))
    summary = {**model.summary(), "energies": [_energies(tables, level) for level in levels]}
    return replace(cost_map, levels=tuple(levels), metadata={**cost_map.metadata, "voltage": summary})


def _energies(tables: Sequence[Tables], level: Level) -> dict[str, Any]:
    """Mean energy and leakage of a cycle over a level's values at its voltage, alike; None if unknown."""
    alike = sorted(comparable(tables), key=lambda each: float(each.metadata["vdd_v"]))
    chosen = np.isin(alike[0].values, level.codebook)
    squares = [float(each.metadata["vdd_v"]) ** 2 for each in alike]
    switched = [float(np.mean(each.energy_fj[chosen])) for each in alike]
    result: dict[str, Any] = {"energy_fj": None, "leakage_fj": None}
    if not np.isnan(switched).any():
        # C V² / 2: straight between corners against the square of the voltage.
        result["energy_fj"] = round(float(np.interp(level.vdd_v**2, squares, switched)), 6)
        leakage = [
            float(np.mean(found.leakage_fj(level.period_ps)[np.isin(found.values, level.codebook)]))
            for found in (each.dynamic for each in alike)
            if found is not None
        ]
        result["leakage_fj"] = round(float(np.interp(level.vdd_v**2, squares, leakage)), 9)
    return result

"""What single transitions need and cost: histograms, maps, energies; drawn where a MAC was simulated."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from halo_timing.dynamic_tables import DynamicTables
from halo_timing.report.axis import Axis, linear_axis
from halo_timing.report.levels import Ink
from halo_timing.report.result import Figure, Result
from halo_timing.report.shape import zero_classes
from halo_timing.report.text import fixed, percent

_MOST_COLUMNS = 1024
# Share of a picture's bins that are not quite black.
_DARKEST = 0.99
# From white over the colour of the fast level to black: darker is later, in both themes and in grey print.
_STOPS = ((0.0, (255, 255, 255)), (0.45, (244, 170, 92)), (0.75, (190, 60, 30)), (1.0, (40, 8, 30)))


@dataclass(frozen=True)
class Histogram:
    """Share of the transitions per period of one weight: an SVG path in a box 100 wide and 100 high."""

    name: str
    value: int
    path: str


@dataclass(frozen=True)
class TransitionMap:
    """Picture of one weight's transitions: before from left to right, after from bottom to top."""

    value: int
    worst_ps: str
    image: str


@dataclass(frozen=True)
class Spread:
    """Picture of all weights' histograms: weights from left to right, periods from bottom to top."""

    axis: Axis
    bins: int
    image: str


@dataclass(frozen=True)
class EnergyRow:
    """Mean energy of some weights, in parts; widths in per cent of the largest sum."""

    name: str
    count: int
    total_fj: str
    parts: tuple[tuple[str, float, str], ...]
    glitch: str
    leakage: str


@dataclass(frozen=True)
class TransitionView:
    """The section; `details` holds what the script shows of any weight that a reader chooses."""

    stage: str
    axis: Axis
    histograms: tuple[Histogram, ...]
    spread: Spread | None
    cloud_x: Axis
    cloud_y: Axis
    cloud: tuple[Ink, ...]
    maps: tuple[TransitionMap, ...]
    map_gradient: str
    rows: tuple[EnergyRow, ...]
    glitch_share: Figure
    saving: Figure
    closeness: Figure
    stimulus: tuple[str, ...]
    delays: str
    details: dict[str, Any]


def transition_view(result: Result, table: DynamicTables) -> TransitionView:
    """Lay out the section of a simulated MAC."""
    stage = int(np.argmax(np.ptp(table.stage_period_ps, axis=0)))
    longest_ps = float(table.stage_period_ps[:, stage].max())
    axis = linear_axis(0, longest_ps, 8)
    slowest = int(np.argmax(table.stage_period_ps[:, stage]))
    moving = np.flatnonzero((table.values != 0) & (table.stage_period_ps[:, stage] > 0))
    fastest = int(moving[np.argmin(table.stage_period_ps[moving, stage])]) if len(moving) else slowest
    cloud_x = linear_axis(float(table.dynamic_ps.min()), float(table.dynamic_ps.max()), 6)
    cloud_y = linear_axis(float(table.cycle_fj.min()), float(table.cycle_fj.max()))
    scale_ps = float(table.maps.max(initial=1)) * table.settle_unit_ps
    return TransitionView(
        stage=table.stages[stage],
        axis=axis,
        histograms=tuple(
            Histogram(name, int(table.values[row]), _steps(table.histogram[row, stage], table.bin_ps, axis))
            for name, row in (("fastest", fastest), ("slowest", slowest))
        ),
        spread=_spread(table, stage, longest_ps),
        cloud_x=cloud_x,
        cloud_y=cloud_y,
        cloud=_cloud(result, table, cloud_x, cloud_y),
        maps=tuple(_map(table, index, scale_ps) for index in range(len(table.map_values))),
        map_gradient=", ".join(f"rgb{color} {round(100 * at)}%" for at, color in _STOPS),
        rows=_energy_rows(table, int(result.mac.tables.metadata["weight_width"])),
        glitch_share=result.figure("energy__glitch__share", 1, scale=100),
        saving=result.figure("energy__fast__saved_share", 1, scale=100),
        closeness=result.figure("timing__dynamic__bound_share", 1, scale=100),
        stimulus=tuple(dict.fromkeys(table.metadata["stage_stimulus"])),
        delays=table.metadata["delays"],
        details={
            "stage": table.stages[stage],
            "bin_ps": table.bin_ps,
            "axis_ps": [axis.low, axis.high],
            "value": table.values.tolist(),
            "histogram": [_sparse(row) for row in table.histogram[:, stage].tolist()],
            "worst": table.worst[:, stage].tolist(),
            "period_ps": [round(float(period), 1) for period in table.stage_period_ps[:, stage]],
            "dynamic_ps": [round(float(period), 1) for period in table.dynamic_ps],
            "energy_fj": [round(float(energy), 1) for energy in table.cycle_fj],
            "glitch_fj": [round(float(energy), 1) for energy in table.glitch_fj],
            "cloud": [[cloud_x.low, cloud_x.high], [cloud_y.low, cloud_y.high]],
            "map_ps": scale_ps,
            "palette": [f"{red:02x}{green:02x}{blue:02x}" for red, green, blue in _palette().tolist()],
        },
    )


def _steps(counts: NDArray[np.int64], bin_ps: float, axis: Axis) -> str:
    """Outline of a histogram, its highest bin at the top; transitions in which nothing moves are left out."""
    moving = counts.copy()
    moving[0] = 0
    highest = max(int(moving.max()), 1)
    changes = np.flatnonzero(moving | np.roll(moving, 1)).tolist()
    path = [
        f"H{axis.at(index * bin_ps):g}V{round(100 - 100 * moving[index] / highest, 2):g}" for index in changes
    ]
    last = int(np.flatnonzero(moving)[-1]) + 1 if moving.any() else 0
    return "".join(["M0 100", *path, f"H{axis.at(last * bin_ps):g}V100"])


def _sparse(counts: list[int]) -> list[int]:
    """First bin that counts, and the bins from there on, without the zeros at both ends; bin 0 left out."""
    filled = [index for index, count in enumerate(counts) if index and count]
    return [filled[0], *counts[filled[0] : filled[-1] + 1]] if filled else []


def _cloud(result: Result, table: DynamicTables, across: Axis, up: Axis) -> tuple[Ink, ...]:
    level_of = dict(
        zip(result.cost_map.values.tolist(), result.cost_map.level_of_value.tolist(), strict=True)
    )
    inks = []
    levels = np.array([level_of[value] for value in table.values.tolist()])
    for level in np.unique(levels).tolist():
        rows = levels == level
        places = zip(table.dynamic_ps[rows].tolist(), table.cycle_fj[rows].tolist(), strict=True)
        marks = [f"M{across.at(ps):g} {round(100 - up.at(fj), 2):g}h0" for ps, fj in places]
        inks.append(Ink(level, "".join(marks)))
    return tuple(inks)


def _map(table: DynamicTables, index: int, scale_ps: float) -> TransitionMap:
    periods = table.maps[index].astype(np.float64) * table.settle_unit_ps
    shades = np.rint(255 * periods / scale_ps).astype(np.uint8)
    # Rows of a picture go down, and `after` is to grow upwards.
    return TransitionMap(int(table.map_values[index]), fixed(float(periods.max()), 1), _png(shades.T[::-1]))


def _spread(table: DynamicTables, stage: int, longest_ps: float) -> Spread | None:
    """Picture of the histograms; None for more weights than a screen has columns."""
    if len(table.values) > _MOST_COLUMNS:
        return None
    axis = linear_axis(0, longest_ps)
    bins = math.ceil(axis.high / table.bin_ps)
    counts = np.zeros((len(table.values), bins))
    known = table.histogram[:, stage, :bins]
    counts[:, : known.shape[1]] = known
    # What does not move has no period.
    moving = counts.sum(axis=1, keepdims=True)
    counts[:, 0] = 0
    # The root lets rare transitions be seen beside common ones; a few weights have all theirs in one bin.
    shares = np.sqrt(counts / np.maximum(moving, 1))
    darkest = float(np.quantile(shares[shares > 0], _DARKEST)) if shares.any() else 1.0
    shades = np.rint(255 * np.minimum(shares / darkest, 1)).astype(np.uint8)
    return Spread(axis, bins, _png(shades.T[::-1]))


def _png(shades: NDArray[np.uint8]) -> str:
    """Picture of shades, first row at the top, as the address of an image."""
    picture = Image.fromarray(np.ascontiguousarray(shades))
    picture.putpalette(_palette().ravel().tobytes())
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _palette() -> NDArray[np.uint8]:
    places, shades = [at for at, _ in _STOPS], np.linspace(0, 1, 256)
    channels = [np.interp(shades, places, [color[channel] for _, color in _STOPS]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def _energy_rows(table: DynamicTables, width: int) -> tuple[EnergyRow, ...]:
    """All weights, then those that end in ever fewer zeros."""
    values = table.values.astype(int)
    groups = [("all values", np.ones(len(values), bool)), *zero_classes(values, width)]
    leakage_fj = table.leakage_fj(table.dynamic_ps)
    largest = max(float((table.cycle_fj + leakage_fj)[chosen].mean()) for _, chosen in groups if chosen.any())
    rows = []
    for name, chosen in groups:
        if not chosen.any():
            continue
        glitch = float(table.glitch_fj[chosen].mean())
        moved = float((table.switching_fj + table.internal_fj)[chosen].mean())
        useful = {
            "nets": float(table.switching_fj[chosen].mean()),
            "cells": float(table.internal_fj[chosen].mean()),
            "clock": float(table.clock_fj[chosen].mean()),
            "leakage": float(leakage_fj[chosen].mean()),
        }
        rows.append(
            EnergyRow(
                name=name,
                count=int(chosen.sum()),
                total_fj=fixed(sum(useful.values()), 0),
                parts=tuple(
                    (part, round(100 * max(energy, 0.0) / largest, 2), f"{part} {fixed(energy, 0)} fJ")
                    for part, energy in useful.items()
                ),
                glitch=percent(glitch / moved if moved else None),
                leakage=fixed(useful["leakage"], 1),
            )
        )
    return tuple(rows)

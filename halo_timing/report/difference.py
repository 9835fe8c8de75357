"""The page that draws two results over each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.difference import Difference, LevelChange
from halo_timing.report.axis import Axis, Tick, linear_axis
from halo_timing.report.page import asset, environment
from halo_timing.report.text import fixed, value_list

_LABELS = 8


@dataclass(frozen=True)
class Chart:
    """A quantity of both results against the value, in a box `count` wide and 100 high: SVG paths."""

    title: str
    unit: str
    axis: Axis
    before: str
    after: str
    summary: str


@dataclass(frozen=True)
class Row:
    """A codebook as a level of each result."""

    codebook: str
    count: str
    before: str
    after: str
    change: str


def render_difference(difference: Difference) -> str:
    """Draw the page: HTML that loads nothing from elsewhere; the same for the same results."""
    charts = [_chart("Period", "ps", difference.period_ps)]
    if difference.energies_known:
        charts.append(_chart("Energy", "fJ", difference.energy_fj))
    return (
        environment()
        .get_template("difference.html.j2")
        .render(
            difference=difference,
            charts=charts,
            count=len(difference.values),
            ticks=_ticks(difference.values),
            rows=[_row(change) for change in difference.levels],
            style=asset("page.css"),
            dark=asset("dark.css"),
        )
    )


def _chart(title: str, unit: str, sides: NDArray[np.float32]) -> Chart:
    axis = linear_axis(0, float(np.nanmax(sides)))
    worst = [fixed(float(np.nanmax(side)), 1) for side in sides]
    return Chart(
        title,
        unit,
        axis,
        _steps(axis, sides[0]),
        _steps(axis, sides[1]),
        f"{title} of each value in both results; the largest is {worst[0]} {unit} before, {worst[1]} after.",
    )


def _steps(axis: Axis, numbers: NDArray[np.float32]) -> str:
    """Path of one step a value; the line is broken where a number is unknown."""
    parts, drawing = [], False
    for position, number in enumerate(numbers.tolist()):
        if np.isnan(number):
            drawing = False
            continue
        height = f"{round(100 - axis.at(number), 2):g}"
        parts.append(f"V{height}h1" if drawing else f"M{position} {height}h1")
        drawing = True
    return "".join(parts)


def _ticks(values: NDArray[np.int16]) -> tuple[Tick, ...]:
    """Label some values, in the middle of their steps."""
    step = max(1, len(values) // _LABELS)
    return tuple(
        Tick(round(100 * (position + 0.5) / len(values), 3), fixed(int(values[position])))
        for position in range(0, len(values), step)
    )


def _row(change: LevelChange) -> Row:
    def told(side: str) -> str:
        level = getattr(change, side)
        return "–" if level is None else f"{fixed(level.period_ps, 1)} ps, {level.vdd_v:g} V"

    if change.before and change.after:
        word = f"{fixed(100 * (change.after.period_ps / change.before.period_ps - 1), 1)} %"
    else:
        word = "lost" if change.before else "gained"
    values = value_list(change.codebook.tolist())
    return Row(values, fixed(len(change.codebook)), told("before"), told("after"), word)

"""Clock frequency per weight: one bar a value, coloured by level, beside the conventional MAC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.report.axis import Axis, Tick, linear_axis
from halo_timing.report.levels import Ink
from halo_timing.report.result import MacResult, Result
from halo_timing.report.text import fixed
from halo_timing.tables import Tables

# Where the bars are narrower than a pixel, a gap between them would only fade them.
_GAPLESS = 1024
_GAP = 0.11
_LABELS = 8
# Of a line of text, in per cent of the plot.
_LABEL_HEIGHT = 8


@dataclass(frozen=True)
class ReferenceLine:
    """Worst frequency of the best conventional MAC, and where its label goes.

    Parameters
    ----------
    series
        SVG path of its frequency per weight; empty where it has other weights.
    """

    at: float
    label_at: float
    name: str
    freq_ghz: str
    series: str


@dataclass(frozen=True)
class FrequencyChart:
    """The chart in a box that is `count` wide and 100 high, and what a reader can ask about each bar.

    `simulated` is the SVG path of the frequencies that simulation allows; empty without one.
    """

    count: int
    axis: Axis
    ticks: tuple[Tick, ...]
    bars: tuple[Ink, ...]
    reference: ReferenceLine | None
    simulated: str
    summary: str
    details: dict[str, Any]


def frequency_chart(result: Result) -> FrequencyChart:
    """Lay out the chart."""
    tables, best = result.mac.tables, result.best
    freq_ghz = _frequencies(tables.period_ps)
    shown = [float(np.nanmax(freq_ghz))]
    if best:
        shown.append(float(np.nanmax(_frequencies(best.tables.period_ps))))
    simulated = _frequencies(tables.bound_ps if tables.dynamic_ps is None else tables.dynamic_ps)
    # With 0 held hardly anything moves: its bar may leave the plot, the others should fill it.
    shown += [float(freq) for freq in simulated[tables.values != 0] if not np.isnan(freq)]
    axis = linear_axis(0, max(shown))
    slow, fast = float(np.nanmin(freq_ghz)), float(np.nanmax(freq_ghz))
    return FrequencyChart(
        count=len(tables.values),
        axis=axis,
        ticks=_ticks(tables.values),
        bars=_bars(result, freq_ghz, axis),
        reference=_reference(best, tables, axis) if best else None,
        simulated="" if tables.dynamic_ps is None else _outline(axis, simulated),
        summary=(
            f"Bar chart of the clock frequency of each of {len(tables.values)} weight values, "
            f"from {fixed(slow, 3)} to {fixed(fast, 3)} GHz, coloured by level."
        ),
        details=_details(result),
    )


def _frequencies(period_ps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Frequency in GHz; NaN where nothing can switch, so that any clock would do."""
    period = period_ps.astype(np.float64)
    freq_ghz = np.full(len(period), np.nan)
    freq_ghz[period > 0] = 1e3 / period[period > 0]
    return freq_ghz


def _bars(result: Result, freq_ghz: NDArray[np.float64], axis: Axis) -> tuple[Ink, ...]:
    levels = result.cost_map.level_of_value
    gap = _GAP if len(freq_ghz) <= _GAPLESS else 0
    inks = []
    for level in np.unique(levels).tolist():
        path = [
            f"M{position + gap:g} 100V{_down(axis, float(freq_ghz[position]))}h{1 - 2 * gap:g}V100z"
            for position in np.flatnonzero(levels == level).tolist()
        ]
        inks.append(Ink(level, "".join(path)))
    return tuple(inks)


def _reference(best: MacResult, tables: Tables, axis: Axis) -> ReferenceLine:
    freq_ghz = _frequencies(best.tables.period_ps)
    worst_ghz = float(np.nanmin(freq_ghz))
    series = ""
    if np.array_equal(best.tables.values, tables.values):
        series = _outline(axis, freq_ghz)
    line_at, top_at = axis.at(worst_ghz), axis.at(float(np.nanmax(freq_ghz)))
    # A label on the line would hide a series that runs close above it.
    label_at = top_at if series and top_at - line_at < _LABEL_HEIGHT else line_at
    return ReferenceLine(line_at, label_at, best.name, fixed(worst_ghz, 3), series)


def _outline(axis: Axis, freq_ghz: NDArray[np.float64]) -> str:
    """SVG path along the tops of bars."""
    heights = [_down(axis, float(freq)) for freq in freq_ghz]
    return f"M0 {heights[0]}" + "".join(f"V{height}h1" for height in heights) if heights else ""


def _down(axis: Axis, freq_ghz: float) -> str:
    """Y of a frequency in SVG, where y grows downwards; what never switches reaches the top."""
    return f"{0 if np.isnan(freq_ghz) else round(100 - axis.at(freq_ghz), 2):g}"


def _ticks(values: NDArray[np.int16]) -> tuple[Tick, ...]:
    """Label multiples of a power of two, in the middle of their bars."""
    numbers = values.astype(int)
    step = 1
    while np.count_nonzero(numbers % step == 0) > _LABELS:
        step *= 2
    return tuple(
        Tick(round(100 * (position + 0.5) / len(numbers), 3), fixed(numbers[position]), minor=index % 2 == 1)
        for index, position in enumerate(np.flatnonzero(numbers % step == 0).tolist())
    )


def _details(result: Result) -> dict[str, Any]:
    """Numbers of each bar for the page's script; names are given by index."""
    tables, paths = result.mac.tables, result.mac.tables.worst_paths
    ends = [(str(path["startpoint"]), str(path["endpoint"])) if path else None for path in paths]
    names = sorted({name for pair in ends if pair for name in pair})
    index = {name: position for position, name in enumerate(names)}
    best = result.best
    same_values = best is not None and np.array_equal(best.tables.values, tables.values)
    return {
        "width": int(tables.metadata["weight_width"]),
        "value": tables.values.tolist(),
        "period_ps": _rounded(tables.period_ps),
        "dynamic_ps": _simulated(tables),
        "level": result.cost_map.level_of_value.tolist(),
        "stages": list(tables.stages),
        "stage_ps": [_rounded(stage) for stage in tables.stage_bound_ps.T],
        "names": names,
        "from": [index[pair[0]] if pair else None for pair in ends],
        "to": [index[pair[1]] if pair else None for pair in ends],
        "reference": {"name": best.name, "period_ps": _rounded(best.tables.period_ps)}
        if best and same_values
        else None,
    }


def _simulated(tables: Tables) -> list[float | None] | None:
    if tables.dynamic_ps is None:
        return None
    return [None if np.isnan(period) else round(float(period), 1) for period in tables.dynamic_ps]


def _rounded(period_ps: NDArray[np.float32]) -> list[float]:
    return [round(float(period), 2) for period in period_ps]

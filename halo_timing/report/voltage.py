"""Clock of each level against the supply, where a PDK has several voltages at one process and temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halo_timing.costmap.operating_points import level_clock_ghz
from halo_timing.costmap.voltage import VoltageModel
from halo_timing.report.axis import Axis, linear_axis
from halo_timing.report.result import Figure, Result
from halo_timing.report.text import fixed, percent

_SAMPLES = 61


@dataclass(frozen=True)
class Mark:
    """A point of the plot, in per cent of its axes.

    Parameters
    ----------
    kind
        Of CSS: empty for what was measured, ``behind`` if at another process or temperature than the curve,
        ``diamond`` for where the cost map runs the level.
    """

    level: int
    text: str
    left: float
    bottom: float
    kind: str


@dataclass(frozen=True)
class LevelCurve:
    """The curve of a level, as points of an SVG polyline."""

    level: int
    line: str


@dataclass(frozen=True)
class CornerRow:
    """A corner that was measured: its supply, the clock of each level, and how far the fit is off at most.

    Parameters
    ----------
    residual
        A dash where the corner is not on the curve.
    """

    name: str
    vdd_v: str
    temperature_c: str
    clocks: tuple[Figure, ...]
    residual: str


@dataclass(frozen=True)
class VoltageView:
    """The section.

    Parameters
    ----------
    corners
        What was measured.
    fit, warning
        What was fitted, and why it is to be taken with care; `warning` may be empty.
    details
        What the script shows at a voltage.
    """

    corners: tuple[CornerRow, ...]
    x: Axis
    y: Axis
    curves: tuple[LevelCurve, ...]
    marks: tuple[Mark, ...]
    fit: str
    warning: str
    details: dict[str, Any]


def voltage_view(result: Result) -> VoltageView | None:
    """Lay the curves out; None where there is one voltage only."""
    model = result.voltage
    if model is None or model.curve is None:
        return None
    low, high = float(model.vdd_v[0]), float(model.vdd_v[-1])
    sampled_v = np.linspace(low, high, _SAMPLES)
    freq_ghz = [
        [level_clock_ghz(result.cost_map, model, index, vdd) for vdd in sampled_v]
        for index in _levels(result)
    ]
    supplies = [corner.vdd_v for corner in result.corners]
    x = linear_axis(min(supplies), max(supplies), 6)
    y = linear_axis(
        0, max(clock for clocks in (*freq_ghz, *(c.freq_ghz for c in result.corners)) for clock in clocks)
    )
    marks = []
    for index, level in enumerate(result.cost_map.levels):
        for corner in result.corners:
            text = (
                f"level {index}, measured at {corner.name}: {fixed(corner.freq_ghz[index], 3)} GHz at "
                f"{fixed(corner.vdd_v, 3)} V, {fixed(corner.temperature_c)} °C"
            )
            kind = "" if corner.name in model.corners else "behind"
            marks.append(Mark(index, text, x.at(corner.vdd_v), y.at(corner.freq_ghz[index]), kind))
        text = f"level {index} runs at {fixed(level.freq_ghz, 3)} GHz and {fixed(level.vdd_v, 3)} V"
        marks.append(Mark(index, text, x.at(level.vdd_v), y.at(level.freq_ghz), "diamond"))
    about = model.summary()
    return VoltageView(
        corners=tuple(
            CornerRow(
                corner.name,
                fixed(corner.vdd_v, 2),
                fixed(corner.temperature_c),
                tuple(
                    result.figure(f"level:{index}__freq_ghz__corner:{corner.name}", 3)
                    for index in _levels(result)
                ),
                _residual(result, model, corner.vdd_v) if corner.name in model.corners else fixed(None),
            )
            for corner in result.corners
        ),
        x=x,
        y=y,
        curves=tuple(
            LevelCurve(
                index,
                " ".join(
                    f"{x.at(vdd):g},{round(100 - y.at(clock), 2):g}"
                    for vdd, clock in zip(sampled_v, freq_ghz[index], strict=True)
                ),
            )
            for index in _levels(result)
        ),
        marks=tuple(marks),
        fit=f"alpha-power law k V / (V - Vt)^α, {'k and Vt' if len(model.vdd_v) == 2 else 'k, Vt and α'} "
        f"fitted value by value: Vt {fixed(about['threshold_v'], 3)} V, α {fixed(about['alpha'], 2)} in the "
        "median",
        warning=_warning(model),
        details={
            "vdd_v": [round(float(vdd), 4) for vdd in sampled_v],
            "freq_ghz": [[round(clock, 4) for clock in clocks] for clocks in freq_ghz],
        },
    )


def _levels(result: Result) -> range:
    return range(len(result.cost_map.levels))


def _residual(result: Result, model: VoltageModel, vdd_v: float) -> str:
    """How far the fit is off a corner for the level where it is furthest off."""
    assert model.curve is not None
    chosen = [np.isin(result.cost_map.values, level.codebook) for level in result.cost_map.levels]
    fitted_ps, measured_ps = model.curve.at(vdd_v), model.at(vdd_v)
    off = [float(fitted_ps[values].max() / measured_ps[values].max() - 1) for values in chosen]
    return percent(max(off, key=abs))


def _warning(model: VoltageModel) -> str:
    points = len(model.vdd_v)
    if points == 2:
        return (
            "Two voltages and two parameters: the curve meets both points whatever the law is, and between "
            f"them it is taken on trust. Exponents of 1 and of 2 differ by {percent(model.spread())} at most."
        )
    if points == 3:
        return "Three voltages and three parameters: that the curve meets the points says nothing of the law."
    return ""

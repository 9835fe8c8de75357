"""What quantizing costs a language model, against how fast its weights then run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halo_timing.report.axis import Axis, linear_axis
from halo_timing.report.result import Figure, Result
from halo_timing.report.text import fixed

# As many series of points can be told apart.
_SERIES = 4


@dataclass(frozen=True)
class Point:
    """A method in the plot, in per cent of its axes; `on_front` if none of its series is better at both."""

    text: str
    left: float
    bottom: float
    on_front: bool


@dataclass(frozen=True)
class Series:
    """Methods of one cost map, or all others; the line joins those on the front."""

    name: str
    points: tuple[Point, ...]
    line: str


@dataclass(frozen=True)
class MethodRow:
    """A method in the table; figures are None where they do not apply."""

    name: str
    summary: str
    cost_map: str
    bits: Figure | None
    period_ps: Figure | None
    added_nll: Figure
    perplexity: Figure


@dataclass(frozen=True)
class EvaluationView:
    """The section; `uniform_at` names the MAC at whose slowest weight uniform grids are drawn."""

    model: str
    conditions: str
    uniform_at: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    rows: tuple[MethodRow, ...]


def evaluation_view(result: Result) -> EvaluationView | None:
    """Lay the evaluation out; None where there is none."""
    content = result.evaluation
    if content is None:
        return None
    best_ps = float(result.metrics["best__period_ps"]) if result.best else None
    placed = [(row, _period_ps(row, best_ps)) for row in content["methods"]]
    drawn = [(row, period_ps) for row, period_ps in placed if period_ps is not None]
    periods = [period_ps for _, period_ps in drawn] or [0.0, 1.0]
    losses = [float(row["added_nll"]) for row, _ in drawn]
    x, y = (
        linear_axis(min(periods), max(periods), 6),
        linear_axis(min(0.0, *losses, 0.0), max(0.01, *losses, 0.01)),
    )
    names = [*content["cost_maps"]][: _SERIES - 1]
    series = [_series(name, [item for item in drawn if item[0]["cost_map"] == name], x, y) for name in names]
    if result.best:
        uniform = [item for item in drawn if not item[0]["cost_map"]]
        series.append(_series(f"uniform grids on {result.best.name}", uniform, x, y))
    return EvaluationView(
        model=str(content["model"]),
        conditions=_conditions(content),
        uniform_at=result.best.name if result.best else "",
        x=x,
        y=y,
        series=tuple(each for each in series if each.points),
        rows=tuple(_row(result, row) for row in sorted(content["methods"], key=lambda row: row["added_nll"])),
    )


def _period_ps(row: Mapping[str, Any], best_ps: float | None) -> float | None:
    """Mean clock period of a weight; of uniform grids that of the best MAC, which takes any weight at it."""
    if row.get("mean_period_ps") is not None:
        return float(row["mean_period_ps"])
    return best_ps if "effective_bits" in row else None


def _series(name: str, members: Sequence[tuple[Mapping[str, Any], float]], x: Axis, y: Axis) -> Series:
    points, front = [], []
    least = float("inf")
    for row, period_ps in sorted(members, key=lambda item: (item[1], item[0]["added_nll"])):
        on_front = row["added_nll"] < least
        least = min(least, row["added_nll"])
        text = f"{row['name']}: {fixed(row['added_nll'], 4)} nats more at {fixed(period_ps, 1)} ps"
        point = Point(text, x.at(period_ps), y.at(row["added_nll"]), on_front)
        points.append(point)
        if on_front:
            front.append(point)
    return Series(name, tuple(points), " ".join(f"{point.left:g},{100 - point.bottom:g}" for point in front))


def _conditions(content: Mapping[str, Any]) -> str:
    activations = content["activations"]
    texts = ", ".join(str(text["name"]) for text in content.get("texts", ()))
    kept = "as they are" if activations == "float" else f"in 8 bits, {activations} scales"
    return (
        f"{content['windows']} windows of {content['window']} tokens{f' of {texts}' if texts else ''}, "
        f"activations {kept}; the model as it came: perplexity "
        f"{fixed(content['reference']['perplexity'], 3)}"
    )


def _row(result: Result, row: Mapping[str, Any]) -> MethodRow:
    def figure(name: str, digits: int) -> Figure | None:
        return None if row.get(name) is None else result.figure(f"evaluate__{row['name']}__{name}", digits)

    return MethodRow(
        name=str(row["name"]),
        summary=str(row.get("summary", "")),
        cost_map=str(row["cost_map"]),
        bits=figure("effective_bits", 3),
        period_ps=figure("mean_period_ps", 1),
        added_nll=result.figure(f"evaluate__{row['name']}__added_nll", 4),
        perplexity=result.figure(f"evaluate__{row['name']}__perplexity", 3),
    )

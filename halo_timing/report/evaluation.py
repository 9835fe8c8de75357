"""What quantizing costs a language model, against how fast its weights then run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halo_timing.evaluate.table import LOSSES
from halo_timing.report.axis import Axis, linear_axis
from halo_timing.report.result import Figure, Result
from halo_timing.report.text import fixed

# What is said of each loss: the axis, and the sentence that begins "What each way of quantizing costs".
_WORDS = {
    "added_nll": ("added NLL, nats a token", "nats a token more than the model as it came", "nats more"),
    "cosine_distance": (
        "1 - cosine",
        "distance of its embeddings (1 - cosine) from those of the model as it came",
        "off",
    ),
}
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
    """A method in the table; figures are None where they do not apply.

    Parameters
    ----------
    losses, energies
        In the order of the view's headings.
    """

    name: str
    summary: str
    cost_map: str
    bits: Figure | None
    period_ps: Figure | None
    losses: tuple[Figure | None, ...]
    energies: tuple[Figure | None, ...]


@dataclass(frozen=True)
class EvaluationView:
    """The section; `uniform_at` names the MAC at whose slowest weight uniform grids are drawn.

    Parameters
    ----------
    unit, sentence
        What the loss is, on the axis and in the text.
    headings
        Of the columns of losses and energies.
    """

    model: str
    unit: str
    sentence: str
    headings: tuple[str, ...]
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
    loss, rows = content["loss"], content["methods"]
    best_ps = float(result.metrics["best__period_ps"]) if result.best else None
    placed = [(row, period_ps) for row in rows if (period_ps := _period_ps(row, best_ps)) is not None]
    periods = [period_ps for _, period_ps in placed] or [0.0, 1.0]
    losses = [float(row[loss]) for row, _ in placed] or [1.0]
    x, y = linear_axis(min(periods), max(periods), 6), linear_axis(min(0.0, *losses), max(losses))
    kinds = {name: name for name in [*content["cost_maps"]][: _SERIES - 1]}
    if result.best:
        kinds[""] = f"uniform grids on {result.best.name}"
    series = [
        _series(name, loss, [item for item in placed if item[0]["cost_map"] == kind], x, y)
        for kind, name in kinds.items()
    ]
    unit, sentence, _ = _WORDS[loss]
    energies = [
        name for name in content["cost_maps"] if any(name in row.get("energy_fj", {}) for row in rows)
    ]
    return EvaluationView(
        model=str(content["model"]),
        unit=unit,
        sentence=sentence,
        headings=(
            *(f"{heading}, %" if form.endswith("%") else heading for heading, _, form in LOSSES[loss]),
            *(f"fJ on {name}" for name in energies),
        ),
        conditions=_conditions(content),
        uniform_at=result.best.name if result.best else "",
        x=x,
        y=y,
        series=tuple(each for each in series if each.points),
        rows=tuple(
            _row(result, row, loss, energies)
            for row in sorted(content["methods"], key=lambda row: float(row[loss]))
        ),
    )


def _period_ps(row: Mapping[str, Any], best_ps: float | None) -> float | None:
    """Mean clock period of a weight; of uniform grids that of the best MAC, which takes any weight at it."""
    if row.get("mean_period_ps") is not None:
        return float(row["mean_period_ps"])
    return best_ps if "effective_bits" in row else None


def _series(
    name: str, loss: str, members: Sequence[tuple[Mapping[str, Any], float]], x: Axis, y: Axis
) -> Series:
    digits = next(_digits(form) for _, key, form in LOSSES[loss] if key == loss)
    points, front = [], []
    least = float("inf")
    for row, period_ps in sorted(members, key=lambda item: (item[1], item[0][loss])):
        on_front = row[loss] < least
        least = min(least, row[loss])
        text = f"{row['name']}: {fixed(row[loss], digits)} {_WORDS[loss][2]} at {fixed(period_ps, 1)} ps"
        point = Point(text, x.at(period_ps), y.at(row[loss]), on_front)
        points.append(point)
        if on_front:
            front.append(point)
    return Series(name, tuple(points), " ".join(f"{point.left:g},{100 - point.bottom:g}" for point in front))


def _digits(form: str) -> int:
    """Decimals of a format such as ``+.4f``."""
    return int(form.strip("+.f%"))


def _conditions(content: Mapping[str, Any]) -> str:
    activations = content["activations"]
    texts = ", ".join(str(text["name"]) for text in content.get("texts", ()))
    kept = "as they are" if activations == "float" else f"in 8 bits, {activations} scales"
    came = content["reference"].get("perplexity")
    return (
        f"{content['windows']} windows of {content['window']} tokens{f' of {texts}' if texts else ''}, "
        f"activations {kept}"
        + ("" if came is None else f"; the model as it came: perplexity {fixed(came, 3)}")
    )


def _row(result: Result, row: Mapping[str, Any], loss: str, energies: Sequence[str]) -> MethodRow:
    def figure(name: str, digits: int, scale: float = 1) -> Figure | None:
        key = f"evaluate__{row['name']}__{name}"
        return None if result.metrics.get(key) is None else result.figure(key, digits, scale=scale)

    def loss_figure(name: str, form: str) -> Figure | None:
        return figure(name, _digits(form), 100 if form.endswith("%") else 1)

    return MethodRow(
        name=str(row["name"]),
        summary=str(row.get("summary", "")),
        cost_map=str(row["cost_map"]),
        bits=figure("effective_bits", 3),
        period_ps=figure("mean_period_ps", 1),
        losses=tuple(loss_figure(name, form) for _, name, form in LOSSES[loss]),
        energies=tuple(figure(f"energy_fj__{name}", 0) for name in energies),
    )

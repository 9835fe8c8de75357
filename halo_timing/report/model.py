"""The quantized model: signal kept for the bits spent, beside plain rounding, and what was left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halo_timing.quantize.quality import Quality
from halo_timing.quantize.report import HALO, QuantizationReport
from halo_timing.report.axis import Axis, linear_axis
from halo_timing.report.headline import metric_prefix
from halo_timing.report.result import Figure, Result
from halo_timing.report.text import fixed, percent, shape

# A table of every tensor of a very large model would outgrow the page; the file beside it has them all.
_ROWS = 512


@dataclass(frozen=True)
class Share:
    """Part of a bar, in per cent."""

    level: int
    left: float
    width: float
    text: str


@dataclass(frozen=True)
class MethodRow:
    """One way to quantize, over all quantized tensors."""

    name: str
    own: bool
    bits: Figure
    index_bits: Figure
    sqnr_db: Figure
    sparse: Figure
    sqnr_width: float


@dataclass(frozen=True)
class Point:
    """A method in the plot, in per cent of its axes.

    Parameters
    ----------
    text
        What is read of it.
    label
        Written beside it; empty where a neighbour has it.
    """

    name: str
    text: str
    label: str
    left: float
    bottom: float


@dataclass(frozen=True)
class Series:
    """Methods of one family, joined; `kind` says how they are drawn."""

    name: str
    kind: str
    points: tuple[Point, ...]
    line: str


@dataclass(frozen=True)
class SignalChart:
    """SQNR against effective bits."""

    bits: Axis
    sqnr_db: Axis
    series: tuple[Series, ...]


@dataclass(frozen=True)
class TensorRow:
    """A quantized tensor."""

    name: str
    shape: str
    bits: str
    sqnr_db: str
    sparse: str
    shares: tuple[Share, ...]


@dataclass(frozen=True)
class Reason:
    """Tensors that were copied as they are for one reason."""

    text: str
    count: int
    names: tuple[str, ...]
    more: int


@dataclass(frozen=True)
class ModelView:
    """Everything about the quantized model."""

    sources: str
    options: tuple[tuple[str, str], ...]
    weights: str
    tensor_count: int
    shares: tuple[Share, ...]
    methods: tuple[MethodRow, ...]
    chart: SignalChart | None
    tensors: tuple[TensorRow, ...]
    more_tensors: int
    left_out: tuple[Reason, ...]
    left_out_count: int


def model_view(result: Result, report: QuantizationReport) -> ModelView:
    """Lay out a quantization report."""
    totals = report.totals
    loudest = max((quality.sqnr_db or 0.0 for quality in totals.values()), default=0.0)
    return ModelView(
        sources=", ".join(map(str, report.description.get("source", ()))),
        options=tuple(
            (key, _option(value)) for key, value in sorted(report.description.get("options", {}).items())
        ),
        weights=fixed(totals[HALO].weights),
        tensor_count=len(report.tensors),
        shares=_shares(totals[HALO].level_shares),
        methods=tuple(_method(result, name, quality, loudest) for name, quality in totals.items()),
        chart=_chart(totals),
        tensors=tuple(
            TensorRow(
                name=tensor.name,
                shape=shape(tensor.shape),
                bits=fixed(tensor.quality[HALO].effective_bits, 2),
                sqnr_db=fixed(tensor.quality[HALO].sqnr_db, 1),
                sparse=percent(tensor.quality[HALO].sparse_weights / tensor.quality[HALO].weights),
                shares=_shares(tensor.quality[HALO].level_shares),
            )
            for tensor in report.tensors[:_ROWS]
        ),
        more_tensors=max(len(report.tensors) - _ROWS, 0),
        left_out=_reasons(report),
        left_out_count=len(report.left_out),
    )


def _method(result: Result, name: str, quality: Quality, loudest_db: float) -> MethodRow:
    prefix = metric_prefix(name)
    sqnr_db = max(quality.sqnr_db or 0.0, 0.0)
    return MethodRow(
        name=name,
        own=name == HALO,
        bits=result.figure(f"{prefix}effective_bits", 3),
        index_bits=result.figure(f"{prefix}index_bits", 3),
        sqnr_db=result.figure(f"{prefix}sqnr_db", 2),
        sparse=result.figure(f"{prefix}sparse_share", 2, scale=100),
        sqnr_width=round(100 * sqnr_db / loudest_db, 2) if loudest_db > 0 else 0,
    )


def _shares(shares: Sequence[float]) -> tuple[Share, ...]:
    parts, left = [], 0.0
    for level, share in enumerate(shares):
        parts.append(Share(level, round(100 * left, 3), round(100 * share, 3), percent(share)))
        left += share
    return tuple(parts)


def _chart(totals: dict[str, Quality]) -> SignalChart | None:
    """Plot of all methods that leave noise to measure; None for fewer than two."""
    measured = {
        name: (quality.effective_bits, quality.sqnr_db)
        for name, quality in totals.items()
        if quality.sqnr_db is not None
    }
    if len(measured) < 2:
        return None
    bits = linear_axis(0, max(point[0] for point in measured.values()), 5)
    sqnr_db = linear_axis(
        min(0.0, *(point[1] for point in measured.values())), max(p[1] for p in measured.values())
    )
    families: dict[str, list[tuple[str, str, float, float]]] = {}
    for name, (spent, kept) in sorted(measured.items(), key=lambda item: item[1]):
        # "INT4 searched" is the member INT4 of the family "searched".
        member, _, family = name.partition(" ")
        families.setdefault(family, []).append((name, member, bits.at(spent), sqnr_db.at(kept)))
    series, labelled = [], set[str]()
    for position, (family, members) in enumerate(sorted(families.items(), key=lambda item: -item[1][-1][3])):
        # Families share their members' bits: one label serves all points above each other.
        points = tuple(
            Point(
                name,
                f"{name}: {fixed(measured[name][1], 1)} dB at {fixed(measured[name][0], 2)} bits a weight",
                "" if member in labelled else member,
                left,
                bottom,
            )
            for name, member, left, bottom in members
        )
        labelled |= {member for _, member, _, _ in members}
        own = points[0].name == HALO
        line = " ".join(f"{point.left:g},{100 - point.bottom:g}" for point in points)
        name = HALO if own else f"plain rounding, {family}" if family else points[0].name
        series.append(Series(name, "own" if own else f"plain-{position % 2}", points, line))
    return SignalChart(bits, sqnr_db, tuple(series))


def _reasons(report: QuantizationReport) -> tuple[Reason, ...]:
    grouped: dict[str, list[str]] = {}
    for item in report.left_out:
        grouped.setdefault(item.reason, []).append(f"{item.name} ({shape(item.shape)}, {item.dtype})")
    return tuple(
        Reason(reason, len(names), tuple(names[:_ROWS]), max(len(names) - _ROWS, 0))
        for reason, names in sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))
    )


def _option(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "yes" if value else "no" if value is False else "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)

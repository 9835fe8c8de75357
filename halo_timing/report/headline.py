"""The three figures to read first, and what they are to be read against."""

from __future__ import annotations

from dataclasses import dataclass

from halo_timing.quantize.report import HALO, QuantizationReport
from halo_timing.report.result import Figure, MacResult, Result
from halo_timing.report.text import fixed


@dataclass(frozen=True)
class Clock:
    """One of the clocks that a ratio compares; `width` is in per cent of the faster one."""

    label: str
    freq_ghz: str
    period_ps: str
    width: float
    fast: bool


@dataclass(frozen=True)
class Ratio:
    """How much faster the fast level is than something, in one number and one sentence."""

    title: str
    figure: Figure
    sentence: str
    clocks: tuple[Clock, Clock]


@dataclass(frozen=True)
class Method:
    """Bits and signal of one way to quantize."""

    name: str
    bits: Figure
    sqnr: Figure


@dataclass(frozen=True)
class ModelFigures:
    """The quantized model in three numbers, beside the best plain rounding that takes no more bits."""

    method: Method
    fast_share: Figure
    rival: Method | None
    rival_wins: bool


@dataclass(frozen=True)
class Headline:
    """The cards; None where the run has nothing to say."""

    against_self: Ratio
    against_best: Ratio | None
    model: ModelFigures | None


def headline(result: Result) -> Headline:
    """Lay out the cards."""
    return Headline(
        against_self=_against_self(result),
        against_best=_against_best(result, result.best) if result.best else None,
        model=_model(result, result.model) if result.model else None,
    )


def metric_prefix(method: str) -> str:
    """Name of a quantizing method in the metrics."""
    return f"quantize__{method.lower().replace(' ', '_')}__"


def _against_self(result: Result) -> Ratio:
    figure = result.figure("ratio__self", 2)
    codebook = len(result.cost_map.levels[0].codebook)
    count = f"{codebook} of {len(result.cost_map.values)} weight values"
    if len(result.cost_map.levels) == 1:
        sentence = "There is one level only: every weight value runs at the same clock."
    elif result.cost_map.levels[-1].period_ps == result.cost_map.levels[0].period_ps:
        supplies = [fixed(level.vdd_v, 3) for level in result.cost_map.levels]
        sentence = (
            f"All levels run at one clock: {count} at {supplies[0]} V, the slowest at {supplies[-1]} V."
        )
    else:
        sentence = f"{count} may run this much faster than the slowest weight of the same MAC."
    return Ratio(
        title="Fast level against its own MAC",
        figure=figure,
        sentence=sentence,
        clocks=_clocks(result, "this MAC, slowest weight", result.metrics["self__period_ps"]),
    )


def _against_best(result: Result, best: MacResult) -> Ratio:
    figure = result.figure("ratio__best", 2)
    ratio = float(figure.value)
    if figure.text == "1.00":
        sentence = f"This fast class is level with the best conventional MAC, {best.name}."
    elif ratio < 1:
        sentence = (
            f"This fast class is still slower than the best conventional MAC, {best.name}, "
            "at whatever weight that one holds."
        )
    else:
        sentence = f"This fast class is faster than the best conventional MAC, {best.name}."
    return Ratio(
        title="Fast level against the best MAC",
        figure=figure,
        sentence=sentence,
        clocks=_clocks(result, f"{best.name}, slowest weight", result.metrics["best__period_ps"]),
    )


def _clocks(result: Result, label: str, period_ps: float) -> tuple[Clock, Clock]:
    fast_ps = result.cost_map.levels[0].period_ps
    shortest = min(fast_ps, period_ps)

    def clock(name: str, period: float, fast: bool) -> Clock:
        return Clock(name, fixed(1e3 / period, 3), fixed(period, 1), round(100 * shortest / period, 2), fast)

    return clock("fast level", fast_ps, True), clock(label, period_ps, False)


def _model(result: Result, report: QuantizationReport) -> ModelFigures:
    method = _method(result, HALO)
    rivals = [
        rival
        for rival in (_method(result, name) for name in report.totals if name != HALO)
        if _number(rival.bits) <= _number(method.bits)
    ]
    rival = max(rivals, key=lambda item: _number(item.sqnr), default=None)
    return ModelFigures(
        method=method,
        fast_share=result.figure(f"{metric_prefix(HALO)}level_shares", 1, index=0, scale=100),
        rival=rival,
        rival_wins=rival is not None and _number(rival.sqnr) > _number(method.sqnr),
    )


def _method(result: Result, name: str) -> Method:
    prefix = metric_prefix(name)
    return Method(name, result.figure(f"{prefix}effective_bits", 2), result.figure(f"{prefix}sqnr_db", 1))


def _number(figure: Figure) -> float:
    # An exact method has no noise to measure, and nothing keeps more.
    return float("inf") if figure.value == "null" else float(figure.value)

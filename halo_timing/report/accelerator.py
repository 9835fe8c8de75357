"""Time and energy of the model on an array, beside every baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halo_timing.accelerator.schemes import BEST, FP16, HALO, SELF
from halo_timing.report.result import Figure, Result
from halo_timing.report.text import fixed

_TITLES = {
    "prefill": ("Prefill", "all tokens of a prompt at once: the array is what limits"),
    "decode": ("Decode", "one token at a time: loading weights is what limits"),
}
_PARTS = {"mac": "MACs", "buffers": "buffers", "memory": "memory", "transitions": "changes of level"}
# What HALO's levels are held against; the names of the columns say what they are.
_AGAINST = {
    SELF: "self: the same codes at one clock on this MAC",
    BEST: "best: the same codes at one clock on {best}",
    "w8a8": "W8A8 on this MAC",
    "w8a8_best": "W8A8 on {best}",
    FP16: "FP16",
}


@dataclass(frozen=True)
class Part:
    """Part of an energy; `width` is in per cent of the largest energy."""

    name: str
    width: float
    text: str


@dataclass(frozen=True)
class SchemeRow:
    """One way to run the model; widths are in per cent of the longest bar.

    Parameters
    ----------
    clocks
        Clock of each level that is used, in GHz, with the supply where it is not the same for all.
    energy, parts
        None and empty where a part of the energy was not characterised.
    """

    label: str
    mac: str
    bits: str
    clocks: str
    own: bool
    time: Figure
    time_width: float
    energy: Figure | None
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Ratios:
    """How many times HALO's time, or its energy, each reference takes; None where it is not known."""

    title: str
    figures: tuple[Figure | None, ...]


@dataclass(frozen=True)
class PhaseView:
    """All schemes in one phase."""

    title: str
    lead: str
    vectors: int
    rows: tuple[SchemeRow, ...]


@dataclass(frozen=True)
class AcceleratorView:
    """The section; `float_is_unknown` where no floating-point MAC was characterised."""

    array: str
    best: str
    bandwidth_gb_s: float
    against: tuple[str, ...]
    ratios: tuple[Ratios, ...]
    parts: tuple[tuple[str, str], ...]
    phases: tuple[PhaseView, ...]
    float_is_unknown: bool


def accelerator_view(result: Result) -> AcceleratorView | None:
    """Lay the estimate out; None where there is none."""
    estimate = result.estimate
    if estimate is None:
        return None
    phases = [phase for phase in _TITLES if phase in estimate["phases"]]
    return AcceleratorView(
        array=f"{estimate['array']['rows']}x{estimate['array']['columns']}",
        best=estimate["best_mac"],
        bandwidth_gb_s=estimate["memory"]["bandwidth_gb_s"],
        against=tuple(name.format(best=estimate["best_mac"]) for name in _AGAINST.values()),
        ratios=tuple(
            Ratios(
                f"{_TITLES[phase][0]}, {what}",
                tuple(_ratio(result, f"estimate__{phase}__{metric}__{key}") for key in _AGAINST),
            )
            for phase in phases
            for what, metric in (("time", "speedup"), ("energy", "energy_ratio"))
        ),
        parts=tuple((name, text) for name, text in _PARTS.items() if name != "transitions"),
        phases=tuple(_phase(result, phase) for phase in phases),
        float_is_unknown=all(FP16 not in content["schemes"] for content in estimate["phases"].values()),
    )


def _ratio(result: Result, key: str) -> Figure | None:
    return None if result.metrics.get(key) is None else result.figure(key, 2)


def _phase(result: Result, phase: str) -> PhaseView:
    assert result.estimate is not None
    content = result.estimate["phases"][phase]
    schemes = content["schemes"]
    slowest = max(scheme["time_ms"] for scheme in schemes.values())
    dearest = max((scheme["energy_mj"]["total"] or 0.0 for scheme in schemes.values()), default=0.0)
    supplies = {point["vdd_v"] for scheme in schemes.values() for point in scheme["points"]}
    rows = []
    # Objects of JSON files are sorted by name; the comparison says in which order its schemes are to be read.
    for key in result.estimate["order"]:
        scheme = schemes[key]
        energy = scheme["energy_mj"]
        rows.append(
            SchemeRow(
                label=scheme["label"],
                mac=scheme["mac"],
                bits=fixed(scheme["weight_bits"], 2),
                clocks=_clocks(scheme, len(supplies) > 1),
                own=key == HALO,
                time=result.figure(f"estimate__{phase}__{key}__time_ms", _digits(slowest)),
                time_width=round(100 * scheme["time_ms"] / slowest, 2),
                energy=None
                if energy["total"] is None
                else result.figure(f"estimate__{phase}__{key}__energy_mj", _digits(dearest)),
                parts=()
                if energy["total"] is None
                else tuple(
                    Part(
                        name,
                        round(100 * energy[name] / dearest, 2),
                        f"{text} {fixed(energy[name], _digits(dearest))} mJ",
                    )
                    for name, text in _PARTS.items()
                ),
            )
        )
    title, lead = _TITLES[phase]
    return PhaseView(title, lead, content["vectors"], tuple(rows))


def _digits(largest: float) -> int:
    return 3 if largest < 10 else 2 if largest < 1000 else 1


def _clocks(scheme: Mapping[str, Any], with_supply: bool) -> str:
    """Clocks of the levels that any layer uses."""
    # Tiles may have fewer levels than the cost map.
    used = [any(cycles) for cycles in zip(*(layer["cycles"] for layer in scheme["layers"]), strict=True)]
    return " / ".join(
        fixed(1e3 / point["period_ps"], 2) + (f" at {fixed(point['vdd_v'], 2)} V" if with_supply else "")
        for point, is_used in zip(scheme["points"], used, strict=False)
        if is_used
    )

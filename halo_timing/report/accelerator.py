"""Time and energy of the model on an array, beside every baseline."""

from __future__ import annotations

from dataclasses import dataclass

from halo_timing.report.result import Figure, Result

_TITLES = {
    "prefill": ("Prefill", "all tokens of a prompt at once: the array is what limits"),
    "decode": ("Decode", "one token at a time: loading weights is what limits"),
}


@dataclass(frozen=True)
class SchemeRow:
    """One way to run the model; widths are in per cent of the longest bar.

    Parameters
    ----------
    energy, energy_width
        None where a part of the energy was not characterised.
    """

    label: str
    mac: str
    bits: str
    own: bool
    time: Figure
    time_width: float
    energy: Figure | None
    energy_width: float


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
    phases: tuple[PhaseView, ...]
    float_is_unknown: bool


def accelerator_view(result: Result) -> AcceleratorView | None:
    """Lay the estimate out; None where there is none."""
    estimate = result.estimate
    if estimate is None:
        return None
    return AcceleratorView(
        array=f"{estimate['array']['rows']}x{estimate['array']['columns']}",
        best=estimate["best_mac"],
        bandwidth_gb_s=estimate["memory"]["bandwidth_gb_s"],
        phases=tuple(_phase(result, phase) for phase in _TITLES if phase in estimate["phases"]),
        float_is_unknown=all("fp16" not in content["schemes"] for content in estimate["phases"].values()),
    )


def _phase(result: Result, phase: str) -> PhaseView:
    assert result.estimate is not None
    content = result.estimate["phases"][phase]
    schemes = content["schemes"]
    slowest = max(scheme["time_ms"] for scheme in schemes.values())
    dearest = max((scheme["energy_mj"]["total"] or 0.0 for scheme in schemes.values()), default=0.0)
    rows = []
    # Objects of JSON files are sorted by name; the comparison says in which order its schemes are to be read.
    for key in result.estimate["order"]:
        scheme = schemes[key]
        energy = scheme["energy_mj"]["total"]
        rows.append(
            SchemeRow(
                label=scheme["label"],
                mac=scheme["mac"],
                bits=f"{scheme['weight_bits']:.2f}",
                own=key == "halo",
                time=result.figure(f"estimate__{phase}__{key}__time_ms", 2),
                time_width=round(100 * scheme["time_ms"] / slowest, 2),
                energy=None if energy is None else result.figure(f"estimate__{phase}__{key}__energy_mj", 2),
                energy_width=0.0 if energy is None else round(100 * energy / dearest, 2),
            )
        )
    title, lead = _TITLES[phase]
    return PhaseView(title, lead, content["vectors"], tuple(rows))

"""Netlists: area, cells, the recipes that were tried, and the proof that each is its RTL."""

from __future__ import annotations

from dataclasses import dataclass

from halo_timing.report.result import MacResult, Result
from halo_timing.report.text import fixed


@dataclass(frozen=True)
class TrialRow:
    """One mapping recipe; widths are in per cent of the largest of all MACs."""

    recipe: str
    kept: bool
    period_ps: str
    period_width: float
    area_um2: str
    area_width: float
    cells: str


@dataclass(frozen=True)
class CellRow:
    """How often a library cell is used; `width` in per cent of the commonest of its MAC."""

    name: str
    count: int
    width: float


@dataclass(frozen=True)
class NetlistView:
    """The netlist of one MAC."""

    name: str
    role: str
    parameters: str
    area_um2: str
    cell_count: str
    recipe: str
    trials: tuple[TrialRow, ...]
    cells: tuple[CellRow, ...]
    exhaustive: str
    sat: int
    patterns: str


def netlist_views(result: Result) -> tuple[NetlistView, ...]:
    """Lay out the MAC and its references."""
    macs = [result.mac, *result.references]
    trials = [trial for mac in macs for trial in mac.synthesis["trials"]]
    longest = max((float(trial["worst_period_ps"]) for trial in trials), default=1.0) or 1.0
    largest = max((float(trial["area_um2"]) for trial in trials), default=1.0) or 1.0
    best = result.best
    roles = ["this MAC"] + [
        "best conventional MAC" if best and reference.folder == best.folder else "reference"
        for reference in result.references
    ]
    return tuple(_view(mac, role, longest, largest) for mac, role in zip(macs, roles, strict=True))


def _view(mac: MacResult, role: str, longest_ps: float, largest_um2: float) -> NetlistView:
    synthesis, proof = mac.synthesis, mac.synthesis["equivalence"]
    cells = sorted(synthesis["cells"].items(), key=lambda item: (-item[1], item[0]))
    commonest = cells[0][1] if cells else 1
    return NetlistView(
        name=mac.name,
        role=role,
        parameters=", ".join(
            f"{key} = {value}" for key, value in sorted(mac.tables.metadata["parameters"].items())
        ),
        area_um2=fixed(synthesis["area_um2"], 1),
        cell_count=fixed(synthesis["cell_count"]),
        recipe=str(synthesis["recipe"]),
        trials=tuple(
            TrialRow(
                recipe=str(trial["recipe"]),
                kept=trial["recipe"] == synthesis["recipe"],
                period_ps=fixed(trial["worst_period_ps"], 1),
                period_width=round(100 * trial["worst_period_ps"] / longest_ps, 2),
                area_um2=fixed(trial["area_um2"], 1),
                area_width=round(100 * trial["area_um2"] / largest_um2, 2),
                cells=fixed(trial["cells"]),
            )
            for trial in synthesis["trials"]
        ),
        cells=tuple(CellRow(name, count, round(100 * count / commonest, 2)) for name, count in cells),
        exhaustive=fixed(proof["exhaustive"]),
        sat=int(proof["sat"]),
        patterns=fixed(proof["patterns"]),
    )

"""What is known of each point so far, and the intervals that follow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from halo_timing.accelerator.mac_cost import MacUnit
from halo_timing.accelerator.systolic import Pipeline
from halo_timing.errors import CostMapError
from halo_timing.explore.objectives import Mix, Periods, Quality, Values, best_mix, fastest
from halo_timing.explore.prune import BASELINE, FAMILY, Candidate, Interval
from halo_timing.explore.space import WIDTH_NAMES, Goal, Point
from halo_timing.held_weight import operand_values
from halo_timing.rtl import family
from halo_timing.tables import Tables

# Clock edges to the sum, and whether it comes with carries that are still to be added.
_KINDS = {
    (3, False): "two_stage",
    (3, True): "high_radix",
    (2, False): "fused",
    (2, True): "carry_save",
}


@dataclass(frozen=True, order=True)
class Class:
    """MACs that can stand in for one another: the same cells, operands and cycles.

    The kind is read off the netlist (clock edges to the sum, and whether carries come with it), so that own
    Verilog is compared with its like.
    """

    pdk: str
    corner: str
    kind: str
    width: str
    signed: bool

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.pdk} {self.corner}, {self.kind} {self.width}{'' if self.signed else ' unsigned'}"

    @property
    def slug(self) -> str:
        """Part of a file's name."""
        sign = "" if self.signed else "-unsigned"
        return f"{self.pdk}-{self.corner}-{self.kind.replace(' ', '_')}-{self.width}{sign}"


@dataclass(frozen=True)
class MappedFacts:
    """Content of ``mapped.json``."""

    area_um2: float
    cells: int
    netlist_sha256: str
    worst_ps: float
    floor_ps: float
    probed: Mapping[int, float]
    latency: int
    kind: str
    width: str
    weight_width: int
    signed: bool

    @classmethod
    def read(cls, path: Path) -> MappedFacts:
        """Read the file.

        Raises
        ------
        CostMapError
            If it is damaged.
        """
        try:
            data: dict[str, Any] = json.loads(path.read_text())
            latency, carry = int(data["reference"]["latency"]), bool(data["carry_save"])
            alike = [
                float(period)
                for period, moved in zip(data["worst_ps"], data["moved_by_weight"], strict=True)
                if not moved
            ]
            return cls(
                area_um2=float(data["area_um2"]),
                cells=int(data["cells"]),
                netlist_sha256=str(data["netlist_sha256"]),
                worst_ps=max(map(float, data["worst_ps"])),
                floor_ps=max(alike, default=0.0),
                probed={int(value): float(period) for value, period in data["probed"].items()},
                latency=latency,
                kind=_KINDS.get((latency, carry), f"{latency} edges{', carry-save' if carry else ''}"),
                width=f"{data['weight_width']}x{data['activation_width']}+{data['sum_width']}",
                weight_width=int(data["weight_width"]),
                signed=bool(data["signed"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CostMapError(f"{path}: not what mapping a point leaves ({error})") from error


@dataclass
class State:
    """A point and everything found of it; `outputs` are files in the store by name."""

    point: Point
    outputs: dict[str, str] = field(default_factory=dict)
    mapped: MappedFacts | None = None
    tables: Tables | None = None
    failed: str = ""
    same_as: str = ""
    conventional: bool = False
    proved: bool = False
    simulated: frozenset[int] = frozenset()
    clocked: Mapping[str, Any] | None = None
    value_sets: Sequence[Mapping[str, Any]] | None = None

    @property
    def open(self) -> bool:
        """Whether anything can come of it."""
        return self.mapped is not None and not self.failed and not self.same_as

    @property
    def klass(self) -> Class:
        """Whom it competes with."""
        assert self.mapped is not None
        mapped = self.mapped
        return Class(self.point.pdk, self.point.corner, mapped.kind, mapped.width, mapped.signed)

    @cached_property
    def unit(self) -> MacUnit:
        """As the accelerator's model takes it; made from the tables when these are all there."""
        assert self.mapped is not None
        assert self.tables is not None
        tables = self.tables
        leakage = np.full(len(tables.values), np.nan, np.float32)
        if tables.dynamic is not None:
            leakage[np.searchsorted(tables.values, tables.dynamic.values)] = tables.dynamic.leakage_nw
        return MacUnit(
            name=self.point.name,
            pdk=self.point.pdk,
            corner=self.point.corner,
            area_um2=self.mapped.area_um2,
            pipeline=Pipeline(hop=1, latency=self.mapped.latency),
            values=tables.values,
            period_ps=tables.period_ps,
            cycle_fj=tables.energy_fj,
            leakage_nw=leakage,
            vdd_v=float(tables.metadata["vdd_v"]),
            netlist_sha256=self.mapped.netlist_sha256,
        )


@dataclass(frozen=True)
class Estimate:
    """What tables that are surely too fast, and surely too slow, say of a point; equal where all is known."""

    low: Mix | None
    high: Mix | None
    worst: Interval
    fast: Mapping[int, Interval]

    @property
    def time(self) -> Interval:
        """Mean period at the goal's quality; infinite where it cannot be kept."""
        return Interval(
            self.low.period_ps if self.low else np.inf, self.high.period_ps if self.high else np.inf
        )


def estimate(mapped: MappedFacts, tables: Tables | None, quality: Quality, goal: Goal) -> Estimate:
    """Estimate a point from its first look, or from the bounds of all weights."""
    if tables is not None:
        values = tables.values
        low = high = tables.period_ps
    else:
        values = operand_values(mapped.weight_width, mapped.signed).astype(np.int16)
        low, high = (
            np.array([mapped.probed.get(value, rest) for value in values.tolist()], np.float32)
            for rest in (mapped.floor_ps, mapped.worst_ps)
        )
    sizes = [size for size in goal.sizes if size <= len(values)]
    mixes = _mixes(values, low, high, quality, goal.min_sqnr_db)
    fast_low, fast_high = fastest(values, low, sizes), fastest(values, high, sizes)
    return Estimate(
        *mixes,
        worst=Interval(float(low.max()), float(high.max())),
        fast={size: Interval(fast_low[size], fast_high[size]) for size in sizes},
    )


def _mixes(
    values: Values, low: Periods, high: Periods, quality: Quality, min_sqnr_db: float
) -> tuple[Mix | None, Mix | None]:
    slow = best_mix(values, high, quality, min_sqnr_db)
    return (slow if low is high else best_mix(values, low, quality, min_sqnr_db)), slow


def energy_fj(state: State, mix: Mix) -> float | None:
    """Mean energy of a multiplication in a mix, leakage included; None where it was not simulated.

    Codes are those of normally distributed weights, as everywhere in the accelerator's model.
    """
    if state.tables is None or state.tables.dynamic is None:
        return None
    unit, total = state.unit, 0.0
    for part in mix.parts:
        point = unit.at_period(np.array(part.codebook), part.period_ps, unit.vdd_v)
        if point.energy_fj is None:
            return None
        total += part.share * point.energy_fj
    return total


def candidate(state: State, found: Estimate, goal: Goal) -> Candidate:
    """Put a point among those to be judged."""
    assert state.mapped is not None
    costs: dict[str, Interval] = {}
    for objective in goal.objectives:
        if objective == "time":
            costs[objective] = found.time
        elif objective == "area":
            costs[objective] = Interval(state.mapped.area_um2, state.mapped.area_um2)
        else:
            energy = energy_fj(state, found.high) if found.high and found.time.exact else None
            costs[objective] = Interval(0.0, np.inf) if energy is None else Interval(energy, energy)
    rivals_of = {BASELINE} if state.conventional else set()
    if is_named(state.point):
        rivals_of.add(FAMILY)
    return Candidate(state.point.name, costs, found.worst, found.fast, frozenset(rivals_of))


def is_named(point: Point) -> bool:
    """Whether a point is a conventional member of the family with its own adder, pipeline and recipes."""
    member = family().get(point.structure)
    if member is None or not member.conventional or point.recipe not in member.recipes:
        return False
    return all(
        value == member.parameters.get(name) or name in WIDTH_NAMES
        for name, value in point.mac.parameters.items()
    )

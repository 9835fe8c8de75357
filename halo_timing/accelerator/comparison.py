"""From result folders to a comparison: HALO's levels on a MAC against every honest baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from halo_timing.accelerator.components import Memory
from halo_timing.accelerator.estimate import REFERENCES, Estimate, energy_ratios, estimate, speedups
from halo_timing.accelerator.mac_cost import SAME_V, MacUnit, check_same_corner
from halo_timing.accelerator.schemes import FloatUnit, build_schemes
from halo_timing.accelerator.systolic import Array
from halo_timing.accelerator.tile_levels import QuantizedLevels, SharedLevels
from halo_timing.accelerator.workload import Workload
from halo_timing.costmap.model import CostMap
from halo_timing.errors import CostMapError, UsageError
from halo_timing.tables import Tables

SCHEMA_VERSION = 1
#: File of a comparison in a result folder.
ESTIMATE_NAME = "estimate.json"


@dataclass(frozen=True)
class Macs:
    """MACs of one PDK and corner.

    Parameters
    ----------
    unit, cost_map
        The one whose levels are used, and these levels.
    best
        The fastest conventional one.
    float_unit
        The floating-point one; None if it was not characterised.
    """

    unit: MacUnit
    cost_map: CostMap
    best: MacUnit
    float_unit: FloatUnit | None

    @classmethod
    def load(cls, result: Path, references: Sequence[Path] = (), float_folder: Path | None = None) -> Macs:
        """Read result folders.

        Parameters
        ----------
        result
            Folder with tables and cost map.
        references
            Folders of conventional MACs; none: those in ``reference`` within `result`.
        float_folder
            Folder of the floating-point MAC.

        Raises
        ------
        UsageError
            If there is no conventional MAC to compare with, one is of another PDK or corner, or one is not
            known at the supply of the levels.
        CostMapError
            If a folder is not a result.
        """
        cost_map = CostMap.load(result / "costmap.safetensors")
        # Everything is held against levels, so everything goes by the periods that they go by.
        basis: dict[str, Any] = {
            "period_from": str(cost_map.metadata["period_from"]),
            "margin": float(cost_map.metadata["margin"]),
        }
        unit = MacUnit.load(result, **basis)
        if cost_map.metadata.get("netlist_sha256") != unit.netlist_sha256:
            raise CostMapError(f"{result}: its cost map is of another netlist than its tables; make it again")
        folders = list(references) or sorted(
            path.parent for path in result.glob("reference/*/tables.safetensors")
        )
        if not folders:
            raise UsageError(
                f"{result}: there is no conventional MAC to compare with; name its result folder with --best "
                "(`halo-timing characterize --mac booth_stored --out FOLDER` makes one)"
            )
        others = {str(folder): MacUnit.load(folder, **basis) for folder in _usable(folders, **basis)}
        float_unit = FloatUnit.load(float_folder) if float_folder else None
        places = {str(result): (unit.pdk, unit.corner)}
        places |= {folder: (other.pdk, other.corner) for folder, other in others.items()}
        if float_unit:
            places[str(float_folder)] = (float_unit.pdk, float_unit.corner)
        check_same_corner(places)
        # Levels may run at several supplies; what is right for any weight runs at the highest of them.
        vdd_v = max(level.vdd_v for level in cost_map.levels)
        if float_unit and abs(float_unit.point.vdd_v - vdd_v) > SAME_V:
            raise UsageError(
                f"{float_folder} was characterised at {float_unit.point.vdd_v:g} V, and the levels run at up "
                f"to {vdd_v:g} V; make it at a corner of that supply, or leave it out"
            )
        best = min(
            (other.at_supply(vdd_v) for other in others.values()),
            key=lambda other: float(other.period_ps.max()),
        )
        return cls(unit.at_supply(vdd_v), cost_map, best, float_unit)


def _usable(folders: Sequence[Path], period_from: str, margin: float) -> list[Path]:
    """Folders of MACs whose periods are known: of those that were simulated, where levels go by simulation.

    `run` simulates the fastest reference alone; the others are slower by their bounds.
    """
    if period_from == "bound":
        return list(folders)
    simulated = [folder for folder in folders if Tables.load(folder).dynamic_ps is not None]
    # None at all: the first one's error says what is missing.
    return simulated or list(folders[:1])


@dataclass(frozen=True)
class Comparison:
    """Estimates of all schemes for each of some workloads of one model."""

    macs: Macs
    array: Array
    memory: Memory
    estimates: Mapping[Workload, tuple[Estimate, ...]]

    def to_json(self) -> dict[str, Any]:
        """Plain data: what was assumed, and the estimates by phase and scheme."""
        first = next(iter(self.estimates))
        return {
            "schema_version": SCHEMA_VERSION,
            "pdk": self.macs.unit.pdk,
            "corner": self.macs.unit.corner,
            "mac": self.macs.unit.name,
            "cost_map_sha256": self.macs.cost_map.digest,
            "best_mac": self.macs.best.name,
            "model": first.shape.name,
            "weights": first.shape.weights,
            "array": asdict(self.array),
            "memory": asdict(self.memory),
            "references": list(REFERENCES),
            "order": [item.scheme.key for item in self.estimates[first]],
            "phases": {
                workload.phase: {
                    "batch": workload.batch,
                    "sequence": workload.sequence,
                    "vectors": workload.vectors,
                    "macs": workload.macs,
                    "speedup": {
                        name: None if ratio is None else round(ratio, 4)
                        for name, ratio in speedups(items).items()
                    },
                    "energy_ratio": {
                        name: None if ratio is None else round(ratio, 4)
                        for name, ratio in energy_ratios(items).items()
                    },
                    "schemes": {item.scheme.key: item.to_json() for item in items},
                }
                for workload, items in self.estimates.items()
            },
        }


def compare(
    macs: Macs,
    tile_levels: SharedLevels | QuantizedLevels,
    workloads: Sequence[Workload],
    array: Array | None = None,
    memory: Memory | None = None,
) -> Comparison:
    """Estimate every scheme for every workload.

    Raises
    ------
    UsageError
        If `tile_levels` has more levels than the cost map.
    """
    array, memory = array or Array(), memory or Memory()
    levels = len(tile_levels.shares if isinstance(tile_levels, SharedLevels) else tile_levels.code_counts)
    if levels > len(macs.cost_map.levels):
        raise UsageError(f"tiles of {levels} levels, but the cost map has {len(macs.cost_map.levels)}")
    schemes = build_schemes(macs.unit, macs.cost_map, macs.best, tile_levels, macs.float_unit)
    return Comparison(
        macs=macs,
        array=array,
        memory=memory,
        estimates={
            workload: tuple(estimate(scheme, workload, array, memory) for scheme in schemes)
            for workload in workloads
        },
    )

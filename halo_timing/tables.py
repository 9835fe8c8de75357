"""Lookup tables: what each operand value of a MAC costs, as measured, with its provenance."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from halo_timing.dynamic_tables import FILE_NAME as DYNAMIC_NAME
from halo_timing.dynamic_tables import DynamicTables
from halo_timing.errors import CostMapError, UsageError
from halo_timing.files import canonical_json, write_bytes, write_json, write_text
from halo_timing.sta import Sweep

SCHEMA_VERSION = 1
# What tables of bounds and of simulations must agree in to be of one netlist at one corner.
SHARED = ("netlist_sha256", "delays_sha256", "corner", "liberty_sha256")
_ENERGY_COLUMNS = ("cycle_fj", "switching_fj", "internal_fj", "glitch_fj", "clock_fj", "leakage_nw")


@dataclass(frozen=True)
class Tables:
    """Cost of every weight value of one MAC at one corner.

    Parameters
    ----------
    values
        Operand values, ascending, shape ``(n,)``, int16.
    stage_bound_ps
        Sound bound per value and pipeline stage, launch and setup included, shape ``(n, stages)``, float32;
        0 where nothing can switch.
    stage_logic_ps
        The same without launch and setup: the delay of the logic alone.
    stages
        Names of the stages.
    worst_paths
        Slowest path of each value as plain data, n entries; None where nothing can switch.
    metadata
        MAC, corner, hashes, tools, stimulus and definitions; must be JSON.
    dynamic
        Dynamic timing and energy, where they were simulated.
    """

    values: NDArray[np.int16]
    stage_bound_ps: NDArray[np.float32]
    stage_logic_ps: NDArray[np.float32]
    stages: tuple[str, ...]
    worst_paths: tuple[Mapping[str, Any] | None, ...]
    metadata: Mapping[str, Any]
    dynamic: DynamicTables | None = None

    @classmethod
    def from_sweep(cls, sweep: Sweep, metadata: Mapping[str, Any]) -> Tables:
        """Tables of a case-analysis sweep."""
        return cls(
            values=sweep.values.astype(np.int16),
            stage_bound_ps=sweep.stage_bound_ps.astype(np.float32),
            stage_logic_ps=sweep.stage_logic_ps.astype(np.float32),
            stages=sweep.stages,
            worst_paths=tuple(_path_data(sweep, index) for index in range(len(sweep.values))),
            metadata=metadata,
        )

    @property
    def core_ps(self) -> NDArray[np.float32]:
        """Delay per value of the logic that the weight moves most (the multiplier), shape ``(n,)``."""
        return np.asarray(self.stage_logic_ps[:, int(np.argmax(np.ptp(self.stage_bound_ps, axis=0)))])

    @property
    def bound_ps(self) -> NDArray[np.float32]:
        """Sound bound per value: the largest over the stages, shape ``(n,)``."""
        return np.asarray(self.stage_bound_ps.max(axis=1))

    @property
    def period_ps(self) -> NDArray[np.float32]:
        """Shortest clock period per value, shape ``(n,)``: the bound."""
        return self.bound_ps

    @property
    def dynamic_ps(self) -> NDArray[np.float32] | None:
        """Longest period that a simulated transition needs, shape ``(n,)``; NaN for values left out.

        None where nothing was simulated.
        """
        return None if self.dynamic is None else self._per_value(self.dynamic.dynamic_ps)

    @property
    def energy_fj(self) -> NDArray[np.float32]:
        """Mean energy of a cycle without leakage, shape ``(n,)``; NaN where it was not simulated."""
        if self.dynamic is None:
            return np.full(len(self.values), np.nan, np.float32)
        return self._per_value(self.dynamic.cycle_fj)

    def energy(self, distribution: NDArray[Any] | None = None) -> NDArray[np.float32]:
        """See :meth:`halo_timing.dynamic_tables.DynamicTables.energy`; NaN for values left out.

        Raises
        ------
        UsageError
            If nothing was simulated, the full table was not kept, or the distribution does not fit.
        """
        if self.dynamic is None:
            raise UsageError("these tables hold static bounds alone; simulate with `characterize --dynamic`")
        return self._per_value(self.dynamic.energy(distribution))

    def _per_value(self, simulated: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self.dynamic is not None
        result = np.full(len(self.values), np.nan, np.float32)
        result[np.searchsorted(self.values, self.dynamic.values)] = simulated
        return result

    def save(self, folder: Path) -> None:
        """Write ``tables.safetensors`` and ``paths.json`` into `folder`; dynamic tables are saved apart."""
        arrays = {
            "value": self.values,
            "stage_bound_ps": self.stage_bound_ps,
            "stage_logic_ps": self.stage_logic_ps,
            "bound_ps": self.bound_ps,
        }
        metadata = {**self.metadata, "schema_version": SCHEMA_VERSION, "stages": list(self.stages)}
        write_bytes(
            folder / "tables.safetensors", save(arrays, metadata={"halo_timing": canonical_json(metadata)})
        )
        write_json(folder / "paths.json", list(self.worst_paths))

    def save_csv(self, folder: Path) -> None:
        """Write ``weights.csv`` into `folder`: one row a weight."""
        write_text(folder / "weights.csv", self._csv())

    @classmethod
    def load(cls, folder: Path, *, simulated: bool = True) -> Tables:
        """Read what :meth:`save` wrote and, if `simulated`, the dynamic tables beside it.

        Raises
        ------
        CostMapError
            If a file is missing, damaged, or of another schema version.
        """
        path = folder / "tables.safetensors"
        try:
            with safe_open(path, framework="numpy") as stream:
                metadata = json.loads((stream.metadata() or {})["halo_timing"])
                values, stage_bound_ps, stage_logic_ps = (
                    stream.get_tensor(name) for name in ("value", "stage_bound_ps", "stage_logic_ps")
                )
            if metadata["schema_version"] != SCHEMA_VERSION:
                raise CostMapError(
                    f"{path}: schema version {metadata['schema_version']}, "
                    f"this program reads {SCHEMA_VERSION}"
                )
            worst_paths = tuple(json.loads((folder / "paths.json").read_text()))
        except FileNotFoundError as error:
            raise CostMapError(
                f"{path}: no such table, or paths.json is missing; make it with `halo-timing characterize`"
            ) from error
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise CostMapError(f"{path}: not a table ({error}); make it again") from error
        stages = tuple(metadata["stages"])
        if stage_bound_ps.shape != (len(values), len(stages)) or len(worst_paths) != len(values):
            raise CostMapError(f"{path}: {len(values)} values do not fit {stage_bound_ps.shape} bounds")
        dynamic = DynamicTables.load(folder) if simulated and (folder / DYNAMIC_NAME).exists() else None
        # What an earlier run left there, of another netlist or corner, says nothing of this one.
        if dynamic is not None and any(dynamic.metadata.get(key) != metadata.get(key) for key in SHARED):
            dynamic = None
        return cls(values, stage_bound_ps, stage_logic_ps, stages, worst_paths, metadata, dynamic)

    def _csv(self) -> str:
        """One row a weight: value, bits, bounds, the slowest path's ends, and what was simulated."""
        width = int(self.metadata["weight_width"])
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        columns = ["value", "bits", "bound_ps", *(f"bound_ps[{stage}]" for stage in self.stages)]
        writer.writerow([*columns, "freq_ghz", "startpoint", "endpoint", "cells", *self._simulated_columns()])
        for index, (value, bound) in enumerate(zip(self.values, self.bound_ps.tolist(), strict=True)):
            path = self.worst_paths[index]
            bits = format(int(value) & ((1 << width) - 1), f"0{width}b")
            stages = [f"{float(stage):.3f}" for stage in self.stage_bound_ps[index]]
            ends = [path["startpoint"], path["endpoint"], len(path["points"])] if path else ["", "", 0]
            freq_ghz = f"{1e3 / bound if bound else 0:.6f}"
            simulated = self._simulated_row(int(value))
            writer.writerow([int(value), bits, f"{bound:.3f}", *stages, freq_ghz, *ends, *simulated])
        return stream.getvalue()

    def _simulated_columns(self) -> list[str]:
        if self.dynamic is None:
            return []
        stages = self.dynamic.stages
        periods = ["dynamic_ps", *(f"dynamic_ps[{stage}]" for stage in stages)]
        return [*periods, *(f"worst[{stage}]" for stage in stages), *_ENERGY_COLUMNS, "toggles"]

    def _simulated_row(self, value: int) -> list[str]:
        table = self.dynamic
        if table is None:
            return []
        row = int(np.searchsorted(table.values, value))
        if row == len(table.values) or table.values[row] != value:
            return [""] * len(self._simulated_columns())
        periods = [float(table.dynamic_ps[row]), *table.stage_period_ps[row].tolist()]
        worst = [f"{before}>{after}" for before, after in table.worst[row].tolist()]
        energies = [float(getattr(table, name)[row]) for name in _ENERGY_COLUMNS]
        numbers = [f"{energy:.4f}" for energy in (*energies, float(table.toggles[row]))]
        return [*(f"{period:.3f}" for period in periods), *worst, *numbers]


def _path_data(sweep: Sweep, index: int) -> dict[str, Any] | None:
    path = sweep.worst_path(index)
    if path is None:
        return None
    return {
        "value": int(sweep.values[index]),
        "startpoint": path.startpoint,
        "endpoint": path.endpoint,
        "launch_ps": path.launch_ps,
        "arrival_ps": path.arrival_ps,
        "setup_ps": path.setup_ps,
        "points": [list(point) for point in path.points],
    }

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

from halo_timing.errors import CostMapError
from halo_timing.files import canonical_json, write_bytes, write_json, write_text
from halo_timing.sta import Sweep

SCHEMA_VERSION = 1


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
    """

    values: NDArray[np.int16]
    stage_bound_ps: NDArray[np.float32]
    stage_logic_ps: NDArray[np.float32]
    stages: tuple[str, ...]
    worst_paths: tuple[Mapping[str, Any] | None, ...]
    metadata: Mapping[str, Any]

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

    def save(self, folder: Path) -> None:
        """Write ``tables.safetensors``, ``weights.csv`` and ``paths.json`` into `folder`."""
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
        write_text(folder / "weights.csv", self._csv())

    @classmethod
    def load(cls, folder: Path) -> Tables:
        """Read what :meth:`save` wrote.

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
        return cls(values, stage_bound_ps, stage_logic_ps, stages, worst_paths, metadata)

    def _csv(self) -> str:
        """One row a weight: value, bits, bound, bound per stage, ends and length of the slowest path."""
        width = int(self.metadata["weight_width"])
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        columns = ["value", "bits", "bound_ps", *(f"bound_ps[{stage}]" for stage in self.stages)]
        writer.writerow([*columns, "freq_ghz", "startpoint", "endpoint", "cells"])
        for index, (value, bound) in enumerate(zip(self.values, self.bound_ps.tolist(), strict=True)):
            path = self.worst_paths[index]
            bits = format(int(value) & ((1 << width) - 1), f"0{width}b")
            stages = [f"{float(stage):.3f}" for stage in self.stage_bound_ps[index]]
            ends = [path["startpoint"], path["endpoint"], len(path["points"])] if path else ["", "", 0]
            freq_ghz = f"{1e3 / bound if bound else 0:.6f}"
            writer.writerow([int(value), bits, f"{bound:.3f}", *stages, freq_ghz, *ends])
        return stream.getvalue()


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

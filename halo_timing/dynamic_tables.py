"""Lookup tables of dynamic timing and energy: what transitions need and cost, per weight value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from halo_timing.errors import CostMapError, UsageError
from halo_timing.files import canonical_json, write_bytes
from halo_timing.pdk.units import FJ_PER_NW_PS

SCHEMA_VERSION = 1
FILE_NAME = "dynamic.safetensors"
SETTLE_NAME = "settle.npy"
ENERGY_NAME = "energy.npy"


Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DynamicTables:
    """Dynamic timing and energy of every weight value of one MAC at one corner.

    Parameters
    ----------
    values
        Operand values that were simulated, ascending, shape ``(n,)``, int16.
    stages
        Names of the stages.
    stage_period_ps, stage_drawn_ps
        Longest period that a transition needs, and that of the drawn transitions alone before the directed
        search, shape ``(n, stages)``, float32; 0 where nothing moves. Equal in exhaustive stages.
    worst
        Activations before and after the slowest transition, shape ``(n, stages, 2)``, int16.
    histogram
        Transitions per bin of the period, shape ``(n, stages, bins)``, int64.
    toggles
        Mean number of toggles in a cycle, shape ``(n,)``, float32.
    switching_fj, internal_fj, glitch_fj, clock_fj, leakage_nw
        Mean energies of a cycle, see :class:`halo_timing.energy.WeightEnergies`; shape ``(n,)``, float32.
    metadata
        ``delays``, ``semantics``, ``stimulus`` and ``stage_stimulus``, ``bin_ps``, hashes; must be JSON.
    pairs
        How often each activation follows each in the means above, shape ``(activations, activations)`` =
        before, after; None where all pairs count alike.
    map_values, maps
        Periods of every transition of a few weights: the values, int16, shape ``(k,)``, and the periods in
        units of `settle_unit_ps`, uint16, shape ``(k, before, after)``; empty where no stage is exhaustive.
    folder
        Where the full tables lie, if they were kept.
    """

    values: NDArray[np.int16]
    stages: tuple[str, ...]
    stage_period_ps: Floats
    stage_drawn_ps: Floats
    worst: NDArray[np.int16]
    histogram: NDArray[np.int64]
    toggles: Floats
    switching_fj: Floats
    internal_fj: Floats
    glitch_fj: Floats
    clock_fj: Floats
    leakage_nw: Floats
    metadata: Mapping[str, Any]
    map_values: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    maps: NDArray[np.uint16] = field(default_factory=lambda: np.zeros((0, 0, 0), np.uint16))
    pairs: NDArray[np.float64] | None = None
    folder: Path | None = field(default=None, compare=False)

    @property
    def dynamic_ps(self) -> Floats:
        """Longest period over all stages, shape ``(n,)``."""
        return np.asarray(self.stage_period_ps.max(axis=1))

    @property
    def bin_ps(self) -> float:
        """Width of the histogram's bins."""
        return float(self.metadata["bin_ps"])

    @property
    def settle_unit_ps(self) -> float:
        """Unit of the full table of periods, and of the maps."""
        return float(self.metadata["settle_unit_ps"])

    @property
    def cycle_fj(self) -> Floats:
        """Mean energy of a cycle without leakage: switching, internal and clock, shape ``(n,)``."""
        return np.asarray(self.switching_fj + self.internal_fj + self.clock_fj)

    def leakage_fj(self, period_ps: float | Floats) -> Floats:
        """Leakage during a cycle of `period_ps`, shape ``(n,)``."""
        return np.asarray(self.leakage_nw * period_ps * FJ_PER_NW_PS, np.float32)

    def settle_ps(self) -> NDArray[np.uint16]:
        """Map the full table of periods in units of `settle_unit_ps`, shape ``(n, before, after)``.

        Raises
        ------
        UsageError
            If it was not kept.
        """
        return self._full(SETTLE_NAME)

    def transition_fj(self) -> Floats:
        """Map the full table of energies of the exhaustive stages, shape ``(n, before, after)``.

        Raises
        ------
        UsageError
            If it was not kept.
        """
        return self._full(ENERGY_NAME)

    def energy(self, distribution: NDArray[Any] | None = None) -> Floats:
        """Mean energy of a cycle without leakage, for another distribution of activations.

        Stages that were sampled, and the clock, keep the energy that they were given.

        Parameters
        ----------
        distribution
            How often each activation follows each, shape ``(activations, activations)`` = before, after,
            operand values ascending; or how often each comes, shape ``(activations,)``, one independent of
            the next. Need not add up to 1. None: the distribution that the tables were made for.

        Returns
        -------
        ndarray of float32, shape (n,)
            fJ.

        Raises
        ------
        UsageError
            If the full table was not kept, or the distribution does not fit it.
        """
        if distribution is None:
            return self.cycle_fj
        table = self.transition_fj()
        own = np.ones(table.shape[1:]) if self.pairs is None else self.pairs
        change = _shares(distribution, table.shape[1]) - _shares(own, table.shape[1])
        # A product with 16 million numbers: one pass through the file.
        moved = table.reshape(len(table), -1) @ change.ravel().astype(np.float32)
        return np.asarray(self.cycle_fj + moved, np.float32)

    def _full(self, name: str) -> NDArray[Any]:
        path = self.folder / name if self.folder else None
        if path is None or not path.exists():
            raise UsageError(
                f"{path or name}: the full tables were not kept; `halo-timing characterize --full` keeps them"
            )
        try:
            table: NDArray[Any] = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: not a full table ({error}); make it again") from error
        if table.ndim != 3 or len(table) != len(self.values):
            raise UsageError(f"{path}: shape {table.shape} is not that of {len(self.values)} weights")
        return table

    def save(self, folder: Path) -> None:
        """Write ``dynamic.safetensors`` into `folder`."""
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in _ARRAYS}
        if self.pairs is not None:
            arrays["pairs"] = self.pairs
        metadata = {**self.metadata, "schema_version": SCHEMA_VERSION, "stages": list(self.stages)}
        data = save(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()},
            metadata={"halo_timing": canonical_json(metadata)},
        )
        write_bytes(folder / FILE_NAME, data)

    @classmethod
    def load(cls, folder: Path) -> DynamicTables:
        """Read what :meth:`save` wrote.

        Raises
        ------
        CostMapError
            If the file is missing, damaged, or of another schema version.
        """
        path = folder / FILE_NAME
        try:
            with safe_open(path, framework="numpy") as stream:
                metadata = json.loads((stream.metadata() or {})["halo_timing"])
                arrays = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (no mapping)
            if metadata["schema_version"] != SCHEMA_VERSION:
                raise CostMapError(
                    f"{path}: schema version {metadata['schema_version']}, "
                    f"this program reads {SCHEMA_VERSION}"
                )
            return cls(
                **{name: arrays[name] for name in _ARRAYS},
                stages=tuple(metadata["stages"]),
                metadata=metadata,
                pairs=arrays.get("pairs"),
                folder=folder,
            )
        except FileNotFoundError as error:
            raise CostMapError(
                f"{path}: no such table; make it with `halo-timing characterize --dynamic`"
            ) from error
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise CostMapError(f"{path}: not a table of dynamic timing ({error}); make it again") from error


_ARRAYS = (
    "values",
    "stage_period_ps",
    "stage_drawn_ps",
    "worst",
    "histogram",
    "toggles",
    "switching_fj",
    "internal_fj",
    "glitch_fj",
    "clock_fj",
    "leakage_nw",
    "map_values",
    "maps",
)


def _shares(distribution: NDArray[Any], count: int) -> NDArray[np.float64]:
    given = np.asarray(distribution, np.float64)
    if given.shape == (count,):
        given = np.outer(given, given)
    total = given.sum()
    if given.shape != (count, count):
        raise UsageError(f"distribution: shape {given.shape}, expected ({count}, {count}) or ({count},)")
    if not np.isfinite(total) or total <= 0 or given.min() < 0:
        raise UsageError("distribution: finite counts are wanted, none negative, and not all 0")
    shares: NDArray[np.float64] = given / total
    return shares

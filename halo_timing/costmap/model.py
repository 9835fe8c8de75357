"""The cost map: what each operand value costs, and the levels that follow from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from halo_timing.errors import CostMapError
from halo_timing.files import canonical_json, write_bytes, write_json

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Level:
    """One operating point and the values that may be used at it.

    Parameters
    ----------
    codebook
        Allowed operand values, sorted, shape ``(size,)``, int16; 0 is always among them.
    period_ps
        Clock period at which every value of the codebook is right, margin included.
    vdd_v
        Supply voltage.
    value_period_ps
        Period of each value of the codebook at this voltage, margin not included, shape ``(size,)``, float32;
        None where it is that of the cost map.
    """

    codebook: NDArray[np.int16]
    period_ps: float
    vdd_v: float
    value_period_ps: NDArray[np.float32] | None = None

    @property
    def freq_ghz(self) -> float:
        """Clock frequency of the level."""
        return 1e3 / self.period_ps


@dataclass(frozen=True)
class CostMap:
    """Cost of each operand value and nested levels, fastest first.

    Parameters
    ----------
    values
        Every value that the operand can take, sorted, shape ``(n,)``, int16.
    period_ps
        Shortest period per value, shape ``(n,)``, float32.
    bound_ps
        The sound bound of static timing per value, shape ``(n,)``, float32.
    energy_fj
        Mean energy per cycle and value, shape ``(n,)``, float32; NaN where it was not characterised.
    levels
        Operating points, fastest first; each slower level allows every value of the faster ones.
    metadata
        Provenance and conventions (see ``docs/formats.md``); must be JSON.

    Raises
    ------
    CostMapError
        If shapes differ, levels do not nest, a codebook lacks 0, or a value is slower than its level.
    """

    values: NDArray[np.int16]
    period_ps: NDArray[np.float32]
    bound_ps: NDArray[np.float32]
    energy_fj: NDArray[np.float32]
    levels: tuple[Level, ...]
    metadata: Mapping[str, Any]

    def __post_init__(self) -> None:
        count = len(self.values)
        for name in ("period_ps", "bound_ps", "energy_fj"):
            if getattr(self, name).shape != (count,):
                raise CostMapError(
                    f"cost map: {name} has shape {getattr(self, name).shape}, expected ({count},)"
                )
        if count == 0 or np.any(np.diff(self.values) <= 0):
            raise CostMapError("cost map: values must be sorted, distinct and not empty")
        if not self.levels:
            raise CostMapError("cost map: there must be at least one level")
        _check_levels(self.values, self.period_ps, self.levels)

    @property
    def level_of_value(self) -> NDArray[np.uint8]:
        """Index of the fastest level that allows each value, shape ``(n,)``; 255 where none does."""
        result = np.full(len(self.values), 255, np.uint8)
        for index in reversed(range(len(self.levels))):
            result[np.isin(self.values, self.levels[index].codebook)] = index
        return result

    @property
    def width(self) -> int:
        """Operand width in bits."""
        return int(self.metadata["weight_width"])

    def periods_at(self, level: int) -> NDArray[np.float32]:
        """Period of each value of a level's codebook at its voltage, without margin, shape ``(size,)``."""
        own = self.levels[level].value_period_ps
        return self.period_ps[np.isin(self.values, self.levels[level].codebook)] if own is None else own

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the arrays, whatever the metadata says."""
        digest = hashlib.sha256()
        for name, array in sorted(self.to_arrays().items()):
            digest.update(canonical_json([name, str(array.dtype), array.shape]).encode() + array.tobytes())
        return digest.hexdigest()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays as they are stored in ``costmap.safetensors``."""
        dtype = np.int8 if self.values.min() >= -128 and self.values.max() <= 127 else np.int16
        arrays: dict[str, NDArray[Any]] = {
            "value": self.values,
            "period_ps": self.period_ps,
            "bound_ps": self.bound_ps,
            "energy_fj": self.energy_fj,
            "level": self.level_of_value,
        }
        for index, level in enumerate(self.levels):
            codebook = level.codebook.astype(dtype)
            size = 1 << max(1, (len(codebook) - 1).bit_length())
            # Consumers with full 2^b look-up tables pad with the last value: no new value appears.
            padded = np.concatenate([codebook, np.repeat(codebook[-1:], size - len(codebook))])
            arrays[f"codebook.{index}.values"] = codebook
            arrays[f"codebook.{index}.padded"] = padded
            arrays[f"codebook.{index}.freq_ghz"] = np.array([level.freq_ghz], np.float32)
            arrays[f"codebook.{index}.period_ps"] = np.array([level.period_ps])
            arrays[f"codebook.{index}.value_period_ps"] = self.periods_at(index)
            arrays[f"codebook.{index}.vdd"] = np.array([level.vdd_v], np.float32)
        return arrays

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write ``costmap.safetensors`` and ``costmap.json`` into `folder`; return both paths."""
        binary, text = folder / "costmap.safetensors", folder / "costmap.json"
        metadata = {**self.metadata, "schema_version": SCHEMA_VERSION, "levels": len(self.levels)}
        write_bytes(binary, save(self.to_arrays(), metadata={"halo_timing": canonical_json(metadata)}))
        write_json(text, {"metadata": metadata, "levels": [_level_json(level) for level in self.levels]})
        return binary, text

    @classmethod
    def load(cls, path: Path) -> CostMap:
        """Read ``costmap.safetensors``.

        Raises
        ------
        CostMapError
            If the file is missing, damaged, or of another schema version.
        """
        try:
            with safe_open(path, framework="numpy") as stream:
                metadata = json.loads((stream.metadata() or {})["halo_timing"])
                arrays = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (no mapping)
            if not isinstance(metadata["weight_width"], int):
                raise CostMapError(f"{path}: metadata has no weight_width; make the cost map again")
            if metadata["schema_version"] != SCHEMA_VERSION:
                raise CostMapError(
                    f"{path}: schema version {metadata['schema_version']}, "
                    f"this program reads {SCHEMA_VERSION}"
                )
            levels = tuple(
                Level(
                    codebook=arrays[f"codebook.{index}.values"].astype(np.int16),
                    period_ps=float(arrays[f"codebook.{index}.period_ps"][0]),
                    vdd_v=float(arrays[f"codebook.{index}.vdd"][0]),
                    value_period_ps=arrays[f"codebook.{index}.value_period_ps"],
                )
                for index in range(metadata["levels"])
            )
            return cls(
                values=arrays["value"],
                period_ps=arrays["period_ps"],
                bound_ps=arrays["bound_ps"],
                energy_fj=arrays["energy_fj"],
                levels=levels,
                metadata=metadata,
            )
        except FileNotFoundError as error:
            raise CostMapError(f"{path}: no such cost map; make one with `halo-timing costmap`") from error
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, IndexError) as error:
            raise CostMapError(f"{path}: not a cost map ({error})") from error


def _level_json(level: Level) -> dict[str, Any]:
    return {
        "codebook": [int(value) for value in level.codebook],
        "freq_ghz": round(level.freq_ghz, 6),
        "period_ps": round(level.period_ps, 6),
        "vdd_v": level.vdd_v,
    }


def _check_levels(values: NDArray[np.int16], period_ps: NDArray[np.float32], levels: Sequence[Level]) -> None:
    faster: NDArray[np.int16] = np.zeros(1, np.int16)
    for index, level in enumerate(levels):
        codebook = level.codebook
        if np.any(np.diff(codebook) <= 0) or not np.isin(codebook, values).all():
            raise CostMapError(f"cost map: codebook {index} must be sorted, distinct operand values")
        if not np.isin(faster, codebook).all():
            raise CostMapError(f"cost map: codebook {index} must hold 0 and every value of the faster levels")
        own = level.value_period_ps
        if own is not None and own.shape != codebook.shape:
            raise CostMapError(f"cost map: level {index} has {len(codebook)} values, but {len(own)} periods")
        slowest = float((period_ps[np.isin(values, codebook)] if own is None else own).max())
        if slowest > level.period_ps * (1 + 1e-6):
            raise CostMapError(
                f"cost map: level {index} runs at {level.period_ps:.1f} ps, "
                f"but one of its values needs {slowest:.1f} ps"
            )
        if index and level.period_ps < levels[index - 1].period_ps:
            raise CostMapError("cost map: levels must be ordered from the fastest to the slowest")
        faster = codebook

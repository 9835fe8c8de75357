"""What quantizing a checkpoint came to: the content of ``quantization.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from halo_timing.errors import CheckpointError
from halo_timing.files import write_json
from halo_timing.quantize.quality import Quality

SCHEMA_VERSION = 1
#: Name of the method among the rows of a report; the others are plain rounding.
HALO = "HALO"


@dataclass(frozen=True)
class TensorReport:
    """A quantized tensor: its quality by method."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    quality: Mapping[str, Quality]


@dataclass(frozen=True)
class LeftOut:
    """A tensor that was copied as it is, and why."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class QuantizationReport:
    """Result of quantizing a checkpoint.

    Parameters
    ----------
    tensors
        Quantized tensors, in the order of the checkpoint.
    left_out
        Tensors copied as they are.
    description
        Options, levels and digest of the cost map; JSON.
    files
        Files of the result, relative to its folder.
    """

    tensors: tuple[TensorReport, ...]
    left_out: tuple[LeftOut, ...]
    description: Mapping[str, Any]
    files: tuple[str, ...]

    @property
    def totals(self) -> dict[str, Quality]:
        """Quality over all quantized tensors by method, :data:`HALO` first."""
        methods = self.tensors[0].quality
        return {
            method: reduce(add, (tensor.quality[method] for tensor in self.tensors)) for method in methods
        }

    def to_json(self) -> dict[str, Any]:
        """Content of ``quantization.json``."""
        return {
            "schema_version": SCHEMA_VERSION,
            **self.description,
            "files": list(self.files),
            "methods": list(self.totals),
            "left_out": [{**vars(item), "shape": list(item.shape)} for item in self.left_out],
            "tensors": [
                {
                    "name": item.name,
                    "dtype": item.dtype,
                    "shape": list(item.shape),
                    "sums": {method: quality.to_json() for method, quality in item.quality.items()},
                }
                for item in self.tensors
            ],
            "totals": {method: quality.figures() for method, quality in self.totals.items()},
        }

    def save(self, path: Path) -> None:
        """Write ``quantization.json``."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> QuantizationReport:
        """Read ``quantization.json``.

        Raises
        ------
        CheckpointError
            If the file is missing, damaged, or of another schema version.
        """
        try:
            value = json.loads(path.read_bytes())
            if value["schema_version"] != SCHEMA_VERSION:
                raise CheckpointError(
                    f"{path}: schema version {value['schema_version']}, this program reads {SCHEMA_VERSION}"
                )
            own = ("schema_version", "files", "methods", "left_out", "tensors", "totals")
            return cls(
                tensors=tuple(
                    TensorReport(
                        item["name"],
                        item["dtype"],
                        tuple(item["shape"]),
                        {name: Quality.from_json(item["sums"][name]) for name in value["methods"]},
                    )
                    for item in value["tensors"]
                ),
                left_out=tuple(
                    LeftOut(item["name"], item["dtype"], tuple(item["shape"]), item["reason"])
                    for item in value["left_out"]
                ),
                description={key: item for key, item in value.items() if key not in own},
                files=tuple(value["files"]),
            )
        except OSError as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error.strerror}); quantize the model again"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: is not a report of a quantization ({error!r})") from error

"""What a calibration tells of each layer, and the file that holds it.

One safetensors file, in which layers that read the same tensor (such as query, key and value) share the
arrays of their input: ``input.<I>.mean_square``, ``.largest``, ``.hessian`` and ``.joint``, where I is the
name of the first weight that reads it; and of each weight W ``weight.<W>.gradient_square``, ``.hessian`` and,
where it was asked for, ``.fisher``. Its metadata ``halo_timing`` is a JSON text with what was read and which
weight reads which input. ``docs/formats.md`` says what each array holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError, UsageError
from halo_timing.quantize.tensor_file import TensorFile

SCHEMA_VERSION = 1
#: Key of the metadata.
METADATA_KEY = "halo_timing"


@dataclass(frozen=True)
class LayerStatistics:
    """Statistics of one linear layer; what was not collected is None.

    Parameters
    ----------
    mean_square
        ``E[x²]`` of each input, float32, shape ``(in,)``.
    hessian
        ``E[x xᵀ]``, float32, shape ``(in, in)``.
    gradient_square
        ``E[g²]`` of each output, g the gradient of the loss, float32, shape ``(out,)``.
    fisher
        ``E[g² x²]`` of each weight, float32, shape ``(out, in)``.
    """

    mean_square: NDArray[np.float32] | None = None
    hessian: NDArray[np.float32] | None = None
    gradient_square: NDArray[np.float32] | None = None
    fisher: NDArray[np.float32] | None = None

    def check(self, shape: tuple[int, int]) -> LayerStatistics:
        """Return the statistics, refused unless they belong to a weight of this shape.

        Raises
        ------
        UsageError
            If a shape differs, or a number is NaN, infinite or (but for the Hessian) negative.
        """
        rows, columns = shape
        wanted = {
            "mean_square": (columns,),
            "hessian": (columns, columns),
            "gradient_square": (rows,),
            "fisher": (rows, columns),
        }
        for name, expected in wanted.items():
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != expected:
                raise UsageError(
                    f"statistics: {name} has shape {array.shape}, but a weight of shape {shape} needs "
                    f"{expected}; calibrate the model that is quantized"
                )
            if not np.isfinite(array).all() or (name != "hessian" and array.min() < 0):
                raise UsageError(f"statistics: {name} must be finite and nowhere negative; calibrate again")
        return self


@dataclass(frozen=True)
class CalibrationFile:
    """An opened calibration; arrays are read when asked for."""

    file: TensorFile
    description: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> CalibrationFile:
        """Open a calibration.

        Raises
        ------
        CheckpointError
            If it is missing, damaged, or not of this form and version.
        """
        file = TensorFile.open(path)
        try:
            description = json.loads(file.metadata[METADATA_KEY])
            version, inputs = description["schema_version"], description["inputs"]
            if not all(isinstance(name, str) for pair in inputs.items() for name in pair):
                raise TypeError
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"{path}: is not a calibration; make one with `halo-timing calibrate`"
            ) from error
        if version != SCHEMA_VERSION:
            raise CheckpointError(f"{path}: schema version {version}, this program reads {SCHEMA_VERSION}")
        return cls(file, description)

    @property
    def names(self) -> tuple[str, ...]:
        """Weights that it knows, sorted."""
        return tuple(sorted(self.description["inputs"]))

    @property
    def has_fisher(self) -> bool:
        """Whether it has a Fisher diagonal of every weight."""
        return all(f"weight.{name}.fisher" in self.file.entries for name in self.names)

    def layer(self, name: str, loss_weighted: bool = False) -> LayerStatistics:
        """Statistics of the layer with this weight.

        Parameters
        ----------
        name
            The weight.
        loss_weighted
            Take means over tokens weighted by the mean squared gradient of the layer's outputs, where the
            calibration has gradients: tokens that the loss hardly depends on, such as the first of a window
            with its huge activations, then count for little. Otherwise all tokens count alike. It lowered the
            loss of GPTQ by a third where it was measured (SmolLM2-135M), but raised that of codebooks with a
            sparse part, which keeps the weights of huge inputs apart anyway.

        Raises
        ------
        CheckpointError
            If it does not know the weight.
        """
        source = self._input(name)
        hessian = self._read(f"weight.{name}.hessian") if loss_weighted else None
        if hessian is None:
            mean_square = self._read(f"input.{source}.mean_square")
            hessian = self._read(f"input.{source}.hessian")
        else:
            mean_square = hessian.diagonal().copy()
        return LayerStatistics(
            mean_square=mean_square,
            hessian=hessian,
            gradient_square=self._read(f"weight.{name}.gradient_square"),
            fisher=self._read(f"weight.{name}.fisher"),
        )

    def joint(self, name: str) -> NDArray[np.uint64]:
        """How often each pair of activation codes followed each other, shape ``(256, 256)``.

        Index = code + 128; the row is the code before, the column the code after it.

        Raises
        ------
        CheckpointError
            If it does not know the weight.
        """
        return self.file.read(f"input.{self._input(name)}.joint")

    def largest_input(self, name: str) -> float:
        """Largest magnitude of the layer's inputs."""
        return float(self.file.read(f"input.{self._input(name)}.largest").max())

    def _input(self, name: str) -> str:
        try:
            return str(self.description["inputs"][name])
        except KeyError as error:
            raise CheckpointError(
                f"{self.file.path}: knows no weight {name!r}; calibrate the model that is quantized"
            ) from error

    def _read(self, key: str) -> NDArray[np.float32] | None:
        return self.file.read(key) if key in self.file.entries else None

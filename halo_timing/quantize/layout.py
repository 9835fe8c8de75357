"""Which way round a checkpoint stores a weight matrix.

Linear layers of PyTorch store ``(out, in)``, which is what quantizers take. GPT-2 and its kin use a layer
called Conv1D that stores ``(in, out)``; their tensors look the same, so the model type decides.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError
from halo_timing.quantize.checkpoint import WeightFile
from halo_timing.quantize.estimator import check_weight
from halo_timing.quantize.tensor_file import TensorEntry

#: Model types of `transformers` whose linear layers are Conv1D, and the names of those layers.
CONV1D_MODELS = frozenset({"decision_transformer", "gpt2", "imagegpt", "openai-gpt"})
_CONV1D_LAYER = re.compile(r"(^|\.)(c_attn|c_fc|c_proj|q_attn)\.weight$")


@dataclass(frozen=True)
class Weight:
    """A weight matrix in a file.

    Parameters
    ----------
    file, entry
        Where it is.
    transposed
        Whether it is stored as ``(in, out)``.
    """

    file: WeightFile
    entry: TensorEntry
    transposed: bool

    @property
    def name(self) -> str:
        """Name of the tensor."""
        return self.entry.name

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.entry.shape)

    def read(self) -> NDArray[np.float32]:
        """Read the matrix, shape ``(out, in)``.

        Raises
        ------
        CheckpointError
            If it cannot be read, or holds NaN or infinities.
        """
        try:
            stored = self.file.read_float32(self.name)
            return check_weight(stored.T if self.transposed else stored)
        except CheckpointError as error:
            where = f"{self.file.path}: "
            message = str(error).removeprefix(where)
            raise CheckpointError(
                f"{where}{message}"
                if message.startswith("tensor ")
                else f"{where}tensor {self.name!r}: {message}"
            ) from error


def read_config(folder: Path) -> dict[str, Any]:
    """Content of the ``config.json`` of a model folder; empty where there is none.

    Raises
    ------
    CheckpointError
        If it is not a JSON object.
    """
    path = folder / "config.json"
    try:
        value = json.loads(path.read_bytes()) if path.exists() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not a readable configuration ({error})") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: is not a configuration, but a JSON {type(value).__name__}")
    return value


def is_transposed(file: WeightFile, entry: TensorEntry, config: dict[str, Any]) -> bool:
    """Whether a matrix is stored as ``(in, out)``.

    Parameters
    ----------
    file
        Where the tensor is; its neighbours tell too, for a layer has one bias for each output.
    entry
        A matrix.
    config
        The model's ``config.json``, as far as there is one.

    Raises
    ------
    CheckpointError
        If the bias contradicts what the model type says: wrong scales would follow, and no error.
    """
    transposed = config.get("model_type") in CONV1D_MODELS and bool(_CONV1D_LAYER.search(entry.name))
    bias = file.entries.get(entry.name.removesuffix("weight") + "bias")
    outputs, inputs = reversed(entry.shape) if transposed else entry.shape
    if bias is not None and bias.shape == (inputs,) != (outputs,) and entry.name.endswith(".weight"):
        raise CheckpointError(
            f"{file.path}: tensor {entry.name!r} has shape {list(entry.shape)}, but the layer has "
            f"{list(bias.shape)} biases, one for each output: it seems to be stored as (in, out). "
            f"That is known of model types {', '.join(sorted(CONV1D_MODELS))}, named in config.json beside "
            "the weights; leave the tensor out with --exclude otherwise"
        )
    return transposed

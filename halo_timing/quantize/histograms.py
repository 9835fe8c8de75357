"""How often each value is held, in each layer and at each level of a quantized model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from halo_timing.errors import CheckpointError


def code_histograms(model: Path, values: NDArray[np.int16]) -> dict[tuple[str, int], NDArray[np.int64]]:
    """Count the codes of a quantized model, tensor by tensor.

    Parameters
    ----------
    model
        Folder that ``halo-timing quantize`` made.
    values
        Operand values to count, ascending, shape ``(n,)``.

    Returns
    -------
    dict
        For each layer and level, counts of shape ``(n,)``; weights kept apart count as 0, which the dense
        part holds in their place.

    Raises
    ------
    CheckpointError
        If the folder has no codes, or they are not those of this operand.
    """
    path = model / "native" / "model.safetensors"
    counts: dict[tuple[str, int], NDArray[np.int64]] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            height, width = json.loads(file.metadata()["halo_timing"])["tile"]
            names = sorted(name.removesuffix(".codes") for name in file.keys() if name.endswith(".codes"))  # noqa: SIM118 (no mapping)
            for name in names:
                codes = file.get_tensor(f"{name}.codes")
                tile_levels = file.get_tensor(f"{name}.tile_levels")
                rows = np.arange(codes.shape[0]) // height
                columns = np.arange(codes.shape[1]) // width
                level_of = tile_levels[rows[:, None], columns[None, :]]
                for level in np.unique(tile_levels).tolist():
                    held, times = np.unique(codes[level_of == level], return_counts=True)
                    if not np.isin(held, values).all():
                        raise CheckpointError(f"{path}: {name} holds values that the cost map does not have")
                    counts[name, level] = np.zeros(len(values), np.int64)
                    counts[name, level][np.searchsorted(values, held)] = times
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no such file; name a folder that `halo-timing quantize` made"
        ) from error
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path}: not the codes of a quantized model ({error})") from error
    return counts

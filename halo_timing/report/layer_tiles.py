"""The tiles of a quantized model's layers, as its native form has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.quantize.native import NativeFile
from halo_timing.quantize.result_folder import NATIVE_NAME


@dataclass(frozen=True)
class LayerTiles:
    """Tiles of one layer, row by row.

    Parameters
    ----------
    name
        Of its tensor.
    outputs, inputs
        Shape of its weight.
    levels
        Level of each tile, shape ``(tile rows, tile columns)``.
    sparse
        Weights of each tile that are kept apart, same shape.
    """

    name: str
    outputs: int
    inputs: int
    levels: NDArray[np.uint8]
    sparse: NDArray[np.int64]


@dataclass(frozen=True)
class ModelTiles:
    """Tiles of all layers, in the order of their numbers; `tile` is outputs and inputs of a full one."""

    tile: tuple[int, int]
    layers: tuple[LayerTiles, ...]


def load_tiles(model: Path) -> ModelTiles | None:
    """Read the tiles of a model.

    Parameters
    ----------
    model
        Folder of the quantized model.

    Returns
    -------
    ModelTiles or None
        None where the native form, which has the levels, was not asked for.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    """
    path = model / NATIVE_NAME
    if not path.is_file():
        return None
    native = NativeFile.open(path)
    height, width = native.description["tile"]
    layers = []
    for name in sorted(native.names, key=_natural):
        outputs, inputs = native.file.entries[f"{name}.codes"].shape
        levels = native.file.read(f"{name}.tile_levels")
        places = native.file.read(f"{name}.sparse_indices").astype(np.int64)
        tiles = places // inputs // height * levels.shape[1] + places % inputs // width
        sparse = np.bincount(tiles, minlength=levels.size).reshape(levels.shape)
        layers.append(LayerTiles(name, outputs, inputs, levels, sparse))
    return ModelTiles((height, width), tuple(layers))


def _natural(name: str) -> list[tuple[int, str]]:
    """Key that puts layer 10 after layer 9."""
    parts = re.split(r"(\d+)", name)
    return [(int(part) if part.isdigit() else 0, part) for part in parts]

"""Maps of the tiles of every quantized layer: level of each, and how many of its weights are kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.quantize.report import HALO, QuantizationReport
from halo_timing.report.layer_tiles import LayerTiles, ModelTiles
from halo_timing.report.levels import Ink
from halo_timing.report.text import fixed

# A tile takes about four bytes of the page, which is to stay under 5 MB. Llama 2 of 7 B has 395 264 of them.
_MOST_TILES = 500_000
# A level is written as one character, from this on.
_FIRST_CHARACTER = "0"


@dataclass(frozen=True)
class TileView:
    """The map of the first layer, and in `details` those of all that a reader can choose.

    Parameters
    ----------
    tile
        Outputs and inputs of a full tile.
    names
        Layers that can be chosen.
    more
        How many others are left to the file.
    rows, columns, inks
        The first layer: its tiles in a box of that size, by level.
    """

    tile: tuple[int, int]
    names: tuple[str, ...]
    more: int
    rows: int
    columns: int
    inks: tuple[Ink, ...]
    details: dict[str, Any]


def tile_view(tiles: ModelTiles, report: QuantizationReport, level_count: int) -> TileView:
    """Lay out the maps of as many layers as the page has room for."""
    shown: list[LayerTiles] = []
    for layer in tiles.layers:
        if shown and sum(other.levels.size for other in (*shown, layer)) > _MOST_TILES:
            break
        shown.append(layer)
    quality = {tensor.name: tensor.quality[HALO] for tensor in report.tensors}
    first = shown[0]
    return TileView(
        tile=tiles.tile,
        names=tuple(layer.name for layer in shown),
        more=len(tiles.layers) - len(shown),
        rows=first.levels.shape[0],
        columns=first.levels.shape[1],
        inks=tuple(Ink(level, _squares(first.levels == level)) for level in range(level_count)),
        details={
            "tile": list(tiles.tile),
            "layers": [
                {
                    "shape": [layer.outputs, layer.inputs],
                    "levels": "".join(
                        chr(ord(_FIRST_CHARACTER) + level) for level in layer.levels.ravel().tolist()
                    ),
                    "sparse": layer.sparse.ravel().tolist(),
                    "facts": f"{fixed(quality[layer.name].effective_bits, 2)} bits a weight, "
                    f"{fixed(quality[layer.name].sqnr_db, 1)} dB SQNR",
                }
                for layer in shown
            ],
        },
    )


def _squares(chosen: NDArray[np.bool_]) -> str:
    return "".join(f"M{column} {row}h1v1h-1z" for row, column in np.argwhere(chosen).tolist())

"""Cycles of a weight-stationary systolic array, tile by tile.

Rows hold inputs, columns outputs; a tile is what the array holds at a time. Activations enter from the left,
row r behind row r - 1 by the cycles that a partial sum takes from element to element; sums leave at the
bottom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from halo_timing.errors import UsageError

WeightLoad = Literal["skewed", "chain", "stall"]
WEIGHT_LOADS: tuple[WeightLoad, ...] = get_args(WeightLoad)


@dataclass(frozen=True)
class Pipeline:
    """How long a MAC takes, in cycles.

    Parameters
    ----------
    hop
        From an incoming partial sum to the outgoing one.
    latency
        From an activation at the input to its outgoing sum.
    """

    hop: int = 1
    latency: int = 1


@dataclass(frozen=True)
class Array:
    """A weight-stationary array.

    Parameters
    ----------
    rows, columns
        Elements along inputs and outputs.
    weight_load
        How the next tile's weights come in. ``"stall"``: while the array stands, elements have one weight
        register. With a second one, they come in while the array works: ``"skewed"``, a row a cycle behind
        the wave in which elements change over; ``"chain"``, as ``rtl/systolic_array.v`` does it, which begins
        when the last element has changed over.
    sparse_lanes
        MACs of the engine for weights that are kept apart, which works beside the array; None: two for each
        column, so that half a per cent of the weights does not hold the array up at twice their clock.
    """

    rows: int = 128
    columns: int = 128
    weight_load: WeightLoad = "skewed"
    sparse_lanes: int | None = None

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise UsageError(f"--array {self.rows}x{self.columns}: at least 1x1 is wanted")
        if self.sparse_lanes is not None and self.sparse_lanes < 1:
            raise UsageError(f"--sparse-lanes {self.sparse_lanes}: at least 1 is wanted")

    @property
    def elements(self) -> int:
        """MACs in the array."""
        return self.rows * self.columns

    @property
    def lanes(self) -> int:
        """MACs of the sparse engine."""
        return 2 * self.columns if self.sparse_lanes is None else self.sparse_lanes

    def tiles(self, inputs: int, outputs: int) -> tuple[int, int]:
        """Tiles along outputs and inputs that cover a layer."""
        return -(-outputs // self.columns), -(-inputs // self.rows)


def run_cycles(array: Array, tiles: int, vectors: int, pipeline: Pipeline) -> int:
    """Cycles of `tiles` tiles one after another at one clock, `vectors` activations each.

    The first tile's weights take a cycle a row. The last activation then needs ``columns - 1`` cycles to
    reach the last column, ``(rows - 1) * hop`` down it, and the MAC's latency. Where the array stands while
    weights load, every tile takes all of this, which is what SCALE-Sim counts (``2 rows + columns + vectors
    - 2`` with hop and latency 1). Otherwise tile follows tile without a gap, or as fast as weights come in.

    Returns
    -------
    int
        0 without tiles.
    """
    if tiles == 0:
        return 0
    drain = (array.rows - 1) * pipeline.hop + (array.columns - 1) + pipeline.latency - 1
    if array.weight_load == "stall":
        return tiles * (array.rows + vectors + drain)
    change_over = array.rows + array.columns if array.weight_load == "chain" else 0
    interval = max(vectors, change_over + array.rows)
    return array.rows + (tiles - 1) * interval + vectors + drain


def level_order(tiles: Sequence[int], current: int | None) -> list[int]:
    """Levels that have tiles, in an order that begins where the array stands if it can.

    Parameters
    ----------
    tiles
        Tiles of each level.
    current
        Level at which the array runs now, None if it may begin at any.
    """
    used = [level for level, count in enumerate(tiles) if count]
    return sorted(used, key=lambda level: (level != current, level))

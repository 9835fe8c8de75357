"""Cycles of the array: against SCALE-Sim, and against an array that is simulated register by register."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalesim.compute.systolic_compute_ws import systolic_compute_ws
from scalesim.scale_config import scale_config

from halo_timing.accelerator.shapes import LinearLayer
from halo_timing.accelerator.systolic import Array, Pipeline, level_order, run_cycles

# Tokens, inputs, outputs of products; layers of small transformers, and sizes that fill no tile.
GEMMS = (
    *((1, 16, 16), (1, 64, 32), (4, 64, 64), (7, 33, 17), (16, 16, 16), (16, 48, 16), (16, 16, 48)),
    *((31, 65, 31), (32, 64, 64), (32, 72, 192), (40, 72, 24), (48, 100, 10), (64, 96, 96), (64, 32, 128)),
    *((64, 128, 32), (100, 20, 20), (128, 16, 16), (128, 64, 64), (200, 48, 24), (256, 32, 32), (3, 5, 2)),
    (17, 16, 15),
)
ARRAYS = ((16, 16), (8, 32), (32, 8))


def scale_sim_cycles(rows: int, columns: int, m: int, k: int, n: int) -> int:
    """Cycles in SCALE-Sim's trace of a product: its dataflow module, without the model of memory behind it.

    (That model, in version 3.0.0, stops on numpy 2.4; with an older one its report says the same less one.)
    """
    config = scale_config()
    config.array_rows, config.array_cols, config.df = rows, columns, "ws"
    config.valid_conf_flag = True
    simulator = systolic_compute_ws()
    operands = (np.arange(np.prod(size), dtype=float).reshape(size) for size in ((m, k), (m, n), (k, n)))
    simulator.set_params(config, *operands)
    return len(simulator.get_demand_matrices()[0])


@pytest.mark.parametrize(("rows", "columns"), ARRAYS)
def test_cycles_are_those_of_scale_sim(rows: int, columns: int) -> None:
    array = Array(rows, columns, "stall")
    ours, theirs = [], []
    for m, k, n in GEMMS:
        along_outputs, along_inputs = array.tiles(k, n)
        ours.append(run_cycles(array, along_outputs * along_inputs, m, Pipeline()))
        theirs.append(scale_sim_cycles(rows, columns, m, k, n))
    assert ours == theirs


class _Registers:
    """An array with all its registers, which multiplies matrices; knows no formula for its cycles.

    Element (r, c) adds ``weight * activation`` to what comes from above. An activation moves right each
    cycle; a sum takes `hop` cycles down, so that row r gets its activations ``r * hop`` cycles later.
    """

    def __init__(self, rows: int, columns: int, hop: int, latency: int) -> None:
        self.rows, self.columns, self.hop, self.latency = rows, columns, hop, latency

    def run(self, tiles: np.ndarray, vectors: np.ndarray, starts: list[int]) -> tuple[np.ndarray, int]:
        """Results of all tiles, shape (tiles, vectors, columns), and the cycle after the last of them.

        Tile i changes over in element (r, c) when the first of its activations, which enters at
        ``starts[i]``, gets there.
        """
        rows, columns, hop = self.rows, self.columns, self.hop
        count = len(vectors)
        results = np.zeros((len(tiles), count, columns), np.int64)
        last = 0
        # Sums on their way: (row, column, cycle in which the element takes it in) -> value.
        sums: dict[tuple[int, int, int], int] = {}
        horizon = starts[-1] + count + rows * hop + columns
        for cycle in range(horizon):
            for r in range(rows):
                for c in range(columns):
                    entered = cycle - r * hop - c
                    tile = max((i for i, start in enumerate(starts) if start <= entered), default=None)
                    if tile is None or entered - starts[tile] >= count:
                        continue
                    vector = entered - starts[tile]
                    total = sums.pop((r, c, cycle), 0) + int(tiles[tile, r, c]) * int(vectors[vector, r])
                    if r + 1 < rows:
                        sums[r + 1, c, cycle + hop] = total
                    else:
                        results[tile, vector, c] = total
                        last = max(last, cycle + self.latency)
        assert not sums, "a sum met no element: the skew is wrong"
        return results, last


@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    hop=st.integers(1, 3),
    extra=st.integers(0, 4),
    tiles=st.integers(1, 4),
    count=st.integers(1, 9),
)
@settings(max_examples=60, deadline=None)
def test_waves_of_tiles_compute_products_in_the_cycles_counted(
    rows: int, columns: int, hop: int, extra: int, tiles: int, count: int
) -> None:
    rng = np.random.default_rng(rows * 1000 + count)
    weights = rng.integers(-9, 9, (tiles, rows, columns))
    vectors = rng.integers(-9, 9, (count, rows))
    # Weights of the next tile come in a row a cycle, from the cycle on in which the first row changes over.
    starts = [rows + index * max(count, rows) for index in range(tiles)]
    results, last = _Registers(rows, columns, hop, hop + extra).run(weights, vectors, starts)
    np.testing.assert_array_equal(results, np.einsum("vr,trc->tvc", vectors, weights))
    assert run_cycles(Array(rows, columns), tiles, count, Pipeline(hop, hop + extra)) == last


def test_array_in_verilog_takes_its_documented_cycles() -> None:
    # rtl/systolic_array.v: ROWS + COLUMNS + 1 edges from a vector to its result with a two-stage MAC; tiles
    # follow each other after the change-over (ROWS + COLUMNS) and the ROWS rows of the next one.
    array, mac = Array(6, 4, "chain"), Pipeline(hop=1, latency=3)
    assert run_cycles(array, 1, 1, mac) - array.rows == 6 + 4 + 1
    assert run_cycles(array, 2, 1, mac) - run_cycles(array, 1, 1, mac) == 6 + 4 + 6
    assert run_cycles(array, 0, 5, mac) == 0


def test_ways_to_load_weights_are_ordered() -> None:
    stall, chain, skewed = (
        run_cycles(Array(16, 16, load), 9, 40, Pipeline()) for load in ("stall", "chain", "skewed")
    )
    assert skewed < chain < stall


def test_levels_begin_where_the_array_stands() -> None:
    assert level_order((3, 0, 2), None) == [0, 2]
    assert level_order((3, 0, 2), 2) == [2, 0]
    assert level_order((3, 0, 2), 1) == [0, 2]


def test_tiles_cover_a_layer() -> None:
    layer = LinearLayer("x", inputs=257, outputs=128)
    assert Array(128, 64).tiles(layer.inputs, layer.outputs) == (2, 3)

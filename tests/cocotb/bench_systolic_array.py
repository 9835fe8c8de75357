"""Bench of ``systolic_array.v``: real matrix products, streamed, with the next tile's weights coming in."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from halo_timing.mac_model import BenchOptions

OPTIONS = BenchOptions.from_environment()
CONFIG = OPTIONS.config
ROWS, COLUMNS = OPTIONS.rows, OPTIONS.columns

Matrix = npt.NDArray[np.int64]


def pack(values: npt.NDArray[np.int64], width: int) -> int:
    """Bits of a vector, element 0 lowest."""
    mask = (1 << width) - 1
    return sum((int(value) & mask) << (width * place) for place, value in enumerate(values))


def limits(width: int) -> tuple[int, int]:
    """Smallest and largest operand of a width."""
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if CONFIG.signed else (0, (1 << width) - 1)


def random_matrix(rng: np.random.Generator, shape: tuple[int, int], width: int) -> Matrix:
    """Operands of which a tenth are the smallest and a tenth the largest."""
    low, high = limits(width)
    values = rng.integers(low, high + 1, shape)
    extreme = rng.random(shape)
    values[extreme < 0.1] = low
    values[extreme > 0.9] = high
    return values


class Driver:
    """Feeds vectors and weights, and collects results, one cycle at a time."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.results: list[list[int]] = []

    async def start(self) -> None:
        """Start the clock and reset."""
        Clock(self.dut.clk, OPTIONS.period_ps, unit="ps").start()
        self.dut.rst_n.value = 0
        await self.cycle()
        await self.cycle()
        self.dut.rst_n.value = 1
        self.results.clear()

    async def cycle(
        self,
        *,
        vector: npt.NDArray[np.int64] | None = None,
        load: bool = False,
        weights: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """One clock cycle: perhaps a vector, perhaps the order to load, perhaps a row of waiting weights."""
        dut = self.dut
        dut.activation_valid.value = int(vector is not None)
        dut.activation_in.value = 0 if vector is None else pack(vector, CONFIG.activation_width)
        dut.weight_load.value = int(load)
        dut.weight_shift.value = int(weights is not None)
        dut.weight_in.value = 0 if weights is None else pack(weights, CONFIG.weight_width)
        await FallingEdge(dut.clk)
        if dut.result_valid.value == 1:
            bits = int(dut.result.value)
            width = CONFIG.accumulator_width
            self.results.append([CONFIG.wrap(bits >> (width * column)) for column in range(COLUMNS)])

    async def multiply(self, tiles: list[tuple[Matrix, Matrix]]) -> list[Matrix]:
        """Stream tiles of (weights, vectors); while one computes, the next one's weights are shifted in."""
        settle = ROWS + COLUMNS
        for row in reversed(range(ROWS)):
            await self.cycle(weights=tiles[0][0][row])
        for index, (_, vectors) in enumerate(tiles):
            following = list(tiles[index + 1][0][::-1]) if index + 1 < len(tiles) else []
            for position in range(max(len(vectors), settle + len(following))):
                shifted = (
                    following[position - settle] if settle <= position < settle + len(following) else None
                )
                await self.cycle(
                    vector=vectors[position] if position < len(vectors) else None,
                    load=position == 0,
                    weights=shifted,
                )
        for _ in range(ROWS + COLUMNS + 4):
            await self.cycle()
        sizes = np.cumsum([len(vectors) for _, vectors in tiles])
        assert len(self.results) == sizes[-1], f"{len(self.results)} results for {sizes[-1]} vectors"
        return np.split(np.array(self.results, dtype=np.int64), sizes[:-1])


def wrapped(product: Matrix) -> Matrix:
    """A product in the accumulator's width, as bits."""
    return product & ((1 << CONFIG.accumulator_width) - 1)


@cocotb.test()
async def streamed_tiles(dut: Any) -> None:
    """Tiles of several lengths back to back, each with its own weights."""
    rng = np.random.default_rng(OPTIONS.seed)
    driver = Driver(dut)
    await driver.start()
    tiles = [
        (
            random_matrix(rng, (ROWS, COLUMNS), CONFIG.weight_width),
            random_matrix(rng, (length, ROWS), CONFIG.activation_width),
        )
        for length in (1, 5, 3 * (ROWS + COLUMNS), 2)
    ]
    for (weights, vectors), result in zip(tiles, await driver.multiply(tiles), strict=True):
        np.testing.assert_array_equal(result, wrapped(vectors @ weights))


@cocotb.test()
async def matrix_larger_than_the_array(dut: Any) -> None:
    """A matrix product cut into tiles both ways; tiles along the inner dimension are added outside."""
    rng = np.random.default_rng(OPTIONS.seed + 1)
    inner, outer, length = 2 * ROWS + 1, COLUMNS + 1, 6
    weights = random_matrix(rng, (inner, outer), CONFIG.weight_width)
    vectors = random_matrix(rng, (length, inner), CONFIG.activation_width)
    padded_weights = np.zeros((3 * ROWS, 2 * COLUMNS), dtype=np.int64)
    padded_weights[:inner, :outer] = weights
    padded_vectors = np.zeros((length, 3 * ROWS), dtype=np.int64)
    padded_vectors[:, :inner] = vectors

    driver = Driver(dut)
    await driver.start()
    places = [(k, n) for n in range(2) for k in range(3)]
    tiles = [
        (
            padded_weights[k * ROWS : (k + 1) * ROWS, n * COLUMNS : (n + 1) * COLUMNS],
            padded_vectors[:, k * ROWS : (k + 1) * ROWS],
        )
        for k, n in places
    ]
    total = np.zeros((length, 2 * COLUMNS), dtype=np.int64)
    for (_, n), result in zip(places, await driver.multiply(tiles), strict=True):
        total[:, n * COLUMNS : (n + 1) * COLUMNS] += result
    np.testing.assert_array_equal(wrapped(total)[:, :outer], wrapped(vectors @ weights))


@cocotb.test()
async def shifting_too_far_keeps_the_bias(dut: Any) -> None:
    """Weights that leave the chain again take their constant along."""
    rng = np.random.default_rng(OPTIONS.seed + 2)
    driver = Driver(dut)
    await driver.start()
    for row in random_matrix(rng, (ROWS + 3, COLUMNS), CONFIG.weight_width):
        await driver.cycle(weights=row)
    weights = random_matrix(rng, (ROWS, COLUMNS), CONFIG.weight_width)
    vectors = random_matrix(rng, (4, ROWS), CONFIG.activation_width)
    (result,) = await driver.multiply([(weights, vectors)])
    np.testing.assert_array_equal(result, wrapped(vectors @ weights))


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Reset drops the vectors in flight and all weights; the next tile is right."""
    rng = np.random.default_rng(OPTIONS.seed + 3)
    driver = Driver(dut)
    await driver.start()
    for row in random_matrix(rng, (ROWS, COLUMNS), CONFIG.weight_width):
        await driver.cycle(weights=row)
    for position, vector in enumerate(random_matrix(rng, (ROWS, ROWS), CONFIG.activation_width)):
        await driver.cycle(vector=vector, load=position == 0)
    dut.rst_n.value = 0
    await driver.cycle()
    dut.rst_n.value = 1
    driver.results.clear()
    weights = random_matrix(rng, (ROWS, COLUMNS), CONFIG.weight_width)
    vectors = random_matrix(rng, (5, ROWS), CONFIG.activation_width)
    (result,) = await driver.multiply([(weights, vectors)])
    np.testing.assert_array_equal(result, wrapped(vectors @ weights))

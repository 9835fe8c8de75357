"""Bench of ``fp_mac.v``, for its RTL and for any netlist of it: only the ports are used.

A new weight, activation and sum go in with every clock edge, and every result is held against numpy. Inputs
change at the falling clock edge, outputs are read at the next one.
"""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge
from numpy.typing import NDArray

from halo_timing.float_mac import latency, multiply_add
from halo_timing.mac_model import BenchOptions

OPTIONS = BenchOptions.from_environment()
Bits = NDArray[np.int64]
# Edges from an operand to the adder: its sum has to come in so much later.
_BEFORE_ADDER = latency(0)
_MOST_STAGES = 5
_ONE_HALF, _ONE_SINGLE = 0x3C00, 0x3F800000


def half_corners() -> Bits:
    """Half-precision patterns at which something changes: zeros, subnormal, normal, infinite, NaN."""
    positive = [0x0000, 0x0001, 0x0002, 0x0155, 0x0200, 0x02AA, 0x03FE, 0x03FF, 0x0400, 0x0401, 0x07FF]
    positive += [
        0x3BFF,
        0x3C00,
        0x3C01,
        0x3E00,
        0x3FFF,
        0x4000,
        0x5555,
        0x7BFE,
        0x7BFF,
        0x7C00,
        0x7C01,
        0x7E00,
    ]
    return np.array(positive + [value | 0x8000 for value in positive], np.int64)


def single_corners() -> Bits:
    """Single-precision patterns of the same kind, and all those that half-precision products can meet."""
    exponents = [0, 1, 2, 24, 78, 79, 80, 100, 103, 126, 127, 128, 150, 157, 158, 159, 182, 230, 254]
    fractions = [0, 1, 2, 0x2AAAAA, 0x3FFFFF, 0x400000, 0x555555, 0x7FFFFE, 0x7FFFFF]
    positive = [exponent << 23 | fraction for exponent in exponents for fraction in fractions]
    positive += [0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF]
    return np.array(positive + [value | 0x80000000 for value in positive], np.int64)


def near_sums(rng: np.random.Generator, weight: Bits, activation: Bits) -> Bits:
    """Sums whose exponents lie up to 28 around that of the product: what shifts, cancels and ties."""
    product = multiply_add(weight, activation, np.zeros_like(weight))
    exponent = np.clip((product >> 23 & 0xFF) + rng.integers(-28, 29, len(weight)), 0, 254)
    fraction = rng.integers(0, 1 << 23, len(weight))
    # Few ones make ties likely; a neighbour of the product makes everything cancel.
    fraction = np.where(rng.random(len(weight)) < 0.3, fraction & -fraction, fraction)
    near = (rng.integers(0, 2, len(weight)) << 31) | (exponent << 23) | fraction
    cancelling = (product ^ 0x80000000) + rng.integers(-2, 3, len(weight))
    return np.where(rng.random(len(weight)) < 0.2, cancelling, near) & 0xFFFFFFFF


async def start(dut: Any) -> int:
    """Start the clock, reset, and return the latency, found with 1 * 1 + 0 after zeros."""
    Clock(dut.clk, OPTIONS.period_ps, unit="ps").start()
    edge = FallingEdge(dut.clk)
    for port in (dut.rst_n, dut.weight_load, dut.weight_in, dut.activation_in, dut.psum_in):
        port.value = 0
    for _ in range(_BEFORE_ADDER + _MOST_STAGES + 1):
        await edge
    assert int(dut.psum_out.value) == 0
    dut.rst_n.value = 1
    dut.weight_load.value = 1
    dut.weight_in.value = dut.activation_in.value = _ONE_HALF
    for edges in range(1, _BEFORE_ADDER + _MOST_STAGES + 1):
        await edge
        dut.activation_in.value = 0
        if int(dut.psum_out.value) == _ONE_SINGLE:
            return edges
    raise AssertionError("1 * 1 + 0 never came out")


async def stream(dut: Any, weight: Bits, activation: Bits, partial_sum: Bits) -> None:
    """Send operands in, one set a cycle, and hold every result against numpy."""
    edges = await start(dut)
    edge = FallingEdge(dut.clk)
    expected = multiply_add(weight, activation, partial_sum)
    count = len(weight)
    for cycle in range(count + edges):
        if cycle < count:
            dut.weight_in.value = int(weight[cycle])
            dut.activation_in.value = int(activation[cycle])
        if 0 <= cycle - _BEFORE_ADDER < count:
            dut.psum_in.value = int(partial_sum[cycle - _BEFORE_ADDER])
        await edge
        if cycle < count:
            assert int(dut.activation_out.value) == activation[cycle]
        done = cycle + 1 - edges
        if 0 <= done < count:
            found = int(dut.psum_out.value)
            assert found == expected[done], (
                f"{weight[done]:04x} * {activation[done]:04x} + {partial_sum[done]:08x} = {found:08x}, "
                f"expected {expected[done]:08x}"
            )


@cocotb.test()
async def corners(dut: Any) -> None:
    """Every class of operands with every other; all of them, or a random part where little is asked for."""
    grid = np.meshgrid(half_corners(), half_corners(), single_corners(), indexing="ij")
    operands = np.stack([axis.ravel() for axis in grid])
    if OPTIONS.exhaustive_bits < 16:
        chosen = np.random.default_rng(OPTIONS.seed).choice(
            operands.shape[1], OPTIONS.random_steps, replace=False
        )
        operands = operands[:, chosen]
    await stream(dut, *operands)


@cocotb.test()
async def near(dut: Any) -> None:
    """Random operands, and sums in the neighbourhood of their products."""
    rng = np.random.default_rng(OPTIONS.seed)
    weight, activation = rng.integers(0, 1 << 16, (2, OPTIONS.random_steps))
    await stream(dut, weight, activation, near_sums(rng, weight, activation))


@cocotb.test()
async def uniform(dut: Any) -> None:
    """Random bits."""
    rng = np.random.default_rng(OPTIONS.seed + 1)
    weight, activation = rng.integers(0, 1 << 16, (2, OPTIONS.random_steps))
    await stream(dut, weight, activation, rng.integers(0, 1 << 32, OPTIONS.random_steps))


@cocotb.test()
async def holding_the_weight(dut: Any) -> None:
    """A weight stays until another one is loaded, whatever comes by; sums go round as in a column."""
    edges = await start(dut)
    edge = FallingEdge(dut.clk)
    rng = np.random.default_rng(OPTIONS.seed + 2)
    for _ in range(20):
        weight, activation = (int(value) for value in rng.integers(0, 0x7C00, 2))
        dut.weight_load.value, dut.weight_in.value = 1, weight
        dut.psum_in.value = 0
        await edge
        dut.weight_load.value = 0
        dut.activation_in.value = activation
        for _ in range(edges + 2):
            dut.weight_in.value = int(rng.integers(0, 1 << 16))
            await edge
        one = np.ones(1, np.int64)
        expected = int(multiply_add(one * weight, one * activation, one * 0)[0])
        assert int(dut.psum_out.value) == expected

"""Bench of ``mac.v``, for its RTL and for any netlist of it: only the ports are used.

Inputs change at the falling clock edge, outputs are read at the next one, so that annotated delays of up to
half a period leave room on both sides.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from halo_timing.mac_model import BenchOptions, MacConfig, MacModel, Step

OPTIONS = BenchOptions.from_environment()
CONFIG = OPTIONS.config


class Bench:
    """Drives a MAC and holds it against the model, cycle by cycle."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.model = MacModel(CONFIG)
        self.edge = FallingEdge(dut.clk)
        self.has_carry = CONFIG.carry_mask != 0
        self.cycle = 0

    async def start(self) -> None:
        """Start the clock and reset."""
        Clock(self.dut.clk, OPTIONS.period_ps, unit="ps").start()
        await self.edge
        self.drive(Step(reset=True))
        await self.edge
        await self.edge
        self.model.edge(Step(reset=True))

    def drive(self, step: Step) -> None:
        """Set the inputs."""
        dut = self.dut
        dut.rst_n.value = 0 if step.reset else 1
        dut.weight_load.value = int(step.weight_load)
        dut.weight_in.value = step.weight
        dut.activation_in.value = step.activation
        dut.psum_in.value = step.psum
        dut.psum_carry_in.value = step.psum_carry

    def result(self) -> int:
        """The sum at the outputs; an unknown bit raises ValueError."""
        total = int(self.dut.psum_out.value)
        if self.has_carry:
            total += int(self.dut.psum_carry_out.value)
        return CONFIG.wrap(total)

    async def run(self, steps: Iterable[Step]) -> None:
        """Apply one step per cycle and check every output after every edge."""
        for step in steps:
            await self.step(step)

    async def step(self, step: Step) -> None:
        """Apply one step and check the outputs after its edge."""
        before = (self.model.weight, self.model.activation, self.model.product)
        self.drive(step)
        await self.edge
        self.model.edge(step)
        self.cycle += 1
        try:
            found = (self.result(), int(self.dut.activation_out.value))
        except ValueError as error:
            raise AssertionError(f"cycle {self.cycle}: unknown output after {step}: {error}") from error
        expected = (self.model.psum, self.model.activation)
        assert found == expected, (
            f"cycle {self.cycle}: (psum_out, activation_out) = {found}, expected {expected}; "
            f"inputs {step}, (weight_q, activation_q, product) before the edge {before}"
        )


def corners(width: int, signed: bool) -> list[int]:
    """Bit patterns at which carries and signs change."""
    top = (1 << width) - 1
    middle = 1 << (width - 1)
    alternating = int("01" * width, 2)
    patterns = {
        0,
        1,
        2,
        3,
        top,
        top - 1,
        middle,
        middle - 1,
        middle + 1,
        alternating & top,
        alternating >> 1 & top,
    }
    patterns |= {1 << bit for bit in range(width)}
    if signed:
        patterns |= {-(1 << bit) & top for bit in range(width)}
    return sorted(pattern & top for pattern in patterns)


def random_steps(rng: random.Random, config: MacConfig, count: int, load_rate: float = 0.3) -> Iterator[Step]:
    """Uncorrelated inputs; weight_in moves whether it is loaded or not."""
    for _ in range(count):
        yield Step(
            weight=rng.getrandbits(config.weight_width),
            weight_load=rng.random() < load_rate,
            activation=rng.getrandbits(config.activation_width),
            psum=rng.getrandbits(config.accumulator_width),
            psum_carry=rng.getrandbits(config.accumulator_width) if config.carry_mask else 0,
        )


@cocotb.test()
async def every_product(dut: Any) -> None:
    """All operand pairs, or corners and random pairs of wide operands, one per cycle."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(OPTIONS.seed)
    config = CONFIG

    def steps() -> Iterator[Step]:
        if config.weight_width + config.activation_width <= OPTIONS.exhaustive_bits:
            weights: Iterable[int] = range(1 << config.weight_width)
            activations: Iterable[int] = range(1 << config.activation_width)
        else:
            weights = corners(config.weight_width, config.signed)
            activations = corners(config.activation_width, config.signed)
        for weight in weights:
            load = True
            for activation in activations:
                yield Step(weight, load, activation, rng.getrandbits(config.accumulator_width))
                load = False

    await bench.run(steps())
    await bench.run(random_steps(rng, config, OPTIONS.random_steps, load_rate=0.9))


@cocotb.test()
async def weight_reload_while_running(dut: Any) -> None:
    """A load takes effect with the activation beside it; weight_in without a load changes nothing."""
    bench = Bench(dut)
    await bench.start()
    await bench.run(random_steps(random.Random(OPTIONS.seed + 1), CONFIG, OPTIONS.random_steps))


@cocotb.test()
async def accumulation_wraps(dut: Any) -> None:
    """Chains in which the sum is fed back run over the ends of the accumulator in both directions."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(OPTIONS.seed + 2)
    config = CONFIG
    top = (1 << config.accumulator_width) - 1
    smallest, largest = (1 << (config.weight_width - 1), (1 << (config.weight_width - 1)) - 1)
    if not config.signed:
        smallest, largest = 0, (1 << config.weight_width) - 1
    low, high = (1 << (config.activation_width - 1), (1 << (config.activation_width - 1)) - 1)
    if not config.signed:
        low, high = 0, (1 << config.activation_width) - 1
    wraps = 0
    for start in (0, top, top >> 1, (top >> 1) + 1):
        for weight, activation in ((smallest, low), (smallest, high), (largest, high), (largest, low)):
            await bench.step(Step(weight, True, activation, start))
            for _ in range(12):
                before = bench.result()
                await bench.step(Step(weight, False, activation, before))
                # Half the range in one step is a wrap: no product of this MAC is so large.
                wraps += abs(bench.result() - before) > top >> 1
    for step in random_steps(rng, config, OPTIONS.random_steps, load_rate=0.1):
        await bench.step(Step(step.weight, step.weight_load, step.activation, bench.result()))
    assert wraps > 0 or not _wraps_surely(config), "no chain ran over the end of the accumulator"


def _wraps_surely(config: MacConfig) -> bool:
    """Whether products are small beside the accumulator, so that a wrap can be told from an addition."""
    return config.accumulator_width >= config.weight_width + config.activation_width + 2


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """Reset clears every register, the weight too, and work goes on after it."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(OPTIONS.seed + 3)
    for cycles in (1, 2, 3, 7):
        await bench.run(random_steps(rng, CONFIG, 20))
        for step in random_steps(rng, CONFIG, cycles, load_rate=0.5):
            await bench.step(Step(step.weight, step.weight_load, step.activation, step.psum, reset=True))
            assert bench.result() == 0
        await bench.run(random_steps(rng, CONFIG, 5, load_rate=0.0))
        # With the weight cleared, sums pass unchanged.
        assert bench.model.weight == 0
        await bench.run(random_steps(rng, CONFIG, 20))

"""Bench of the whole family at once: ``mac_family.v`` compares, this module chooses the weights."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from halo_timing.mac_model import BenchOptions, MacConfig

OPTIONS = BenchOptions.from_environment()
CONFIG = OPTIONS.config

MULTIPLIERS = (
    "array", "wallace", "dadda", "booth", "booth_stored", "split", "sign_magnitude", "one_digit", "two_row",
)  # fmt: skip
ADDERS = ("kogge_stone", "brent_kung", "sklansky", "ripple")
PIPELINES = ("two_stage", "fused", "carry_save", "high_radix")


def weights() -> list[int]:
    """All weights, or ``random_steps`` of them, of which the first are corners."""
    count = 1 << CONFIG.weight_width
    if CONFIG.weight_width + CONFIG.activation_width <= OPTIONS.exhaustive_bits:
        return list(range(count))
    corners = [count >> 1, count - 1, (count >> 1) - 1, count * 2 // 3]
    others = [weight for weight in range(count) if weight not in corners]
    random.Random(OPTIONS.seed).shuffle(others)
    return [*corners, *others][: OPTIONS.random_steps]


@cocotb.test()
async def every_mac_against_the_product(dut: Any) -> None:
    """No MAC of the family differs from the behavioural product at any operands."""
    folded = MacConfig(
        weight_width=CONFIG.weight_width,
        activation_width=CONFIG.activation_width,
        signed=CONFIG.signed,
        multiplier="booth_stored",
    )
    edge = FallingEdge(dut.clk)
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst_n.value = 0
    dut.start.value = 0
    dut.weight.value = 0
    dut.constant.value = 0
    await edge
    await edge
    dut.rst_n.value = 1
    for weight in weights():
        dut.weight.value = weight
        dut.constant.value = CONFIG.wrap(folded.constant(folded.weight_value(weight)))
        dut.start.value = 1
        await edge
        await dut.busy.value_change
        dut.start.value = 0
        await dut.busy.value_change
    multipliers = _range(MULTIPLIERS, dut.FIRST_MULTIPLIER, dut.MULTIPLIERS)
    adders = _range(ADDERS, dut.FIRST_ADDER, dut.ADDERS)
    pipelines = _range(PIPELINES, dut.FIRST_PIPELINE, dut.PIPELINES)
    names = [f"{m} {a} {p}" for m in multipliers for a in adders for p in pipelines]
    failed = int(dut.failed.value)
    assert failed == 0, "; ".join(
        f"{name}: wrong at weight "
        f"{CONFIG.weight_value(_field(dut.failed_weight, number, CONFIG.weight_width))}, activation "
        f"{CONFIG.activation_value(_field(dut.failed_activation, number, CONFIG.activation_width))}"
        for number, name in enumerate(names)
        if failed >> number & 1
    )


def _range(names: tuple[str, ...], first: Any, count: Any) -> tuple[str, ...]:
    return names[int(first.value) : int(first.value) + int(count.value)]


def _field(vector: Any, number: int, width: int) -> int:
    return int(vector.value[(number + 1) * width - 1 : number * width].to_unsigned())

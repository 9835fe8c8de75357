"""Bench of ``mac.v`` at the clock of a level: weights of one codebook are held, and every sum must be right.

Made for netlists with annotated delays. Inputs change as late after the clock edge as those of an element in
a larger array do; outputs are read at the next edge. Nothing is given a second cycle.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from bench_mac import CONFIG, OPTIONS, random_steps
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from halo_timing.mac_model import MacModel, Step

# A weight may take longer to load than the level's period: it is given these cycles, and the sums as many to
# forget what came out meanwhile.
_LOAD_CYCLES = 8
_FLUSH_CYCLES = 4
_SETTLE_PERIODS = 10


class Driver:
    """Drives a MAC edge by edge, and holds what it shows against the model."""

    def __init__(self, dut: Any, arrivals_ps: dict[str, float]) -> None:
        self.dut = dut
        self.model = MacModel(CONFIG)
        late = {name: math.ceil(arrivals_ps.get(name, 0.0)) for name in ("activation_in", "psum_in")}
        if CONFIG.carry_mask:
            late["psum_carry_in"] = math.ceil(arrivals_ps.get("psum_carry_in", 0.0))
        self.late = sorted(late.items(), key=lambda item: item[1])
        self.cycles = 0

    async def step(self, step: Step, check: bool) -> None:
        """Set the inputs for the next edge, wait for it, and check what the edge before has left."""
        dut = self.dut
        dut.rst_n.value = 0 if step.reset else 1
        dut.weight_load.value = int(step.weight_load)
        dut.weight_in.value = step.weight
        values = {
            "activation_in": step.activation,
            "psum_in": step.psum,
            "psum_carry_in": step.psum_carry,
        }
        now = 0
        for name, late in self.late:
            if late > now:
                await Timer(late - now, "ps")
                now = late
            getattr(dut, name).value = values[name]
        await RisingEdge(dut.clk)
        if check:
            total = int(dut.psum_out.value)
            if CONFIG.carry_mask:
                total += int(dut.psum_carry_out.value)
            found = CONFIG.wrap(total)
            assert found == self.model.psum, (
                f"weight {CONFIG.weight_value(self.model.weight)}: psum_out = {found}, expected "
                f"{self.model.psum}, before activation {CONFIG.activation_value(step.activation)}"
            )
            self.cycles += 1
        self.model.edge(step)


def transitions(rng: random.Random, slowest: list[list[int]], weight: int) -> Iterator[Step]:
    """The slowest transitions, there and back, with sums that carry far, and random ones."""
    top = (1 << CONFIG.accumulator_width) - 1
    mask = (1 << CONFIG.activation_width) - 1
    for before, after in slowest:
        for sums in ((0, 0), (0, top), (top, 0), (top, 1), (rng.getrandbits(24), rng.getrandbits(24))):
            for activation, psum in zip((before, after, before, after), sums * 2, strict=True):
                carries = rng.choice((0, top)) if CONFIG.carry_mask else 0
                yield Step(weight, False, activation & mask, psum & top, carries)
    for step in random_steps(rng, CONFIG, OPTIONS.random_steps, load_rate=0.0):
        yield Step(weight, False, step.activation, step.psum, step.psum_carry)


@cocotb.test()
async def held_weights(dut: Any) -> None:
    """Hold each weight of ``stimulus.json`` in the working folder; ``held.json`` says what was tried."""
    stimulus = json.loads(Path("stimulus.json").read_text())
    driver = Driver(dut, stimulus["arrivals_ps"])
    rng = random.Random(OPTIONS.seed)
    # No unknown may reach a register: cells that look their output up would never forget it.
    for name in ("clk", "rst_n", "weight_load", "weight_in", "activation_in", "psum_in", "psum_carry_in"):
        getattr(dut, name).value = 0
    await Timer(_SETTLE_PERIODS * OPTIONS.period_ps, "ps")
    Clock(dut.clk, OPTIONS.period_ps, unit="ps").start()
    await RisingEdge(dut.clk)
    for _ in range(_LOAD_CYCLES):
        await driver.step(Step(reset=True), check=False)
    for value in stimulus["codebook"]:
        weight = value & ((1 << CONFIG.weight_width) - 1)
        for cycle in range(_LOAD_CYCLES + _FLUSH_CYCLES):
            await driver.step(Step(weight, cycle < _LOAD_CYCLES), check=False)
        for step in transitions(rng, stimulus["slowest"].get(str(value), []), weight):
            await driver.step(step, check=True)
    assert driver.cycles > 0, "nothing was tried"
    report = {"codebook": stimulus["codebook"], "cycles": driver.cycles}
    Path("held.json").write_text(json.dumps(report))

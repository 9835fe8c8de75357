"""What ``mac.v`` and ``systolic_array.v`` compute, in plain integers: the oracle of the benches.

Nothing here knows how a multiplier is built, except for the constant that folded ones leave out by design.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

FOLDED = frozenset({"booth_stored", "split", "one_digit", "two_row"})
# Bits of a part of the sum between two carries that are kept.
HIGH_RADIX_BITS = 4
BENCH_VARIABLE = "HALO_TIMING_BENCH"


@dataclass(frozen=True)
class MacConfig:
    """The parameters of ``mac.v`` that change what it computes."""

    weight_width: int = 8
    activation_width: int = 8
    accumulator_width: int = 24
    signed: bool = True
    multiplier: str = "array"
    pipeline: str = "two_stage"

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, int | str]) -> MacConfig:
        """Take the parameters of ``mac.v`` by their Verilog names; missing ones keep their defaults."""
        names = {name.upper(): value for name, value in asdict(cls()).items()}
        known = {name.lower(): parameters.get(name, default) for name, default in names.items()}
        return cls(**{**known, "signed": bool(known["signed"])})

    @property
    def latency(self) -> int:
        """Clock edges from ``activation_in`` to ``psum_out``."""
        return 3 if self.has_product_register else 2

    @property
    def has_product_register(self) -> bool:
        """Whether the product waits in a register before it is added."""
        return self.pipeline in ("two_stage", "high_radix")

    @property
    def carry_mask(self) -> int:
        """Bits of ``psum_carry_in`` that count: all, none, or the lowest of each part but the first."""
        every = (1 << self.accumulator_width) - 1
        kept = sum(1 << bit for bit in range(HIGH_RADIX_BITS, self.accumulator_width, HIGH_RADIX_BITS))
        return {"carry_save": every, "high_radix": kept}.get(self.pipeline, 0)

    def weight_value(self, bits: int) -> int:
        """Value of a weight's bits."""
        return _value(bits, self.weight_width, self.signed)

    def activation_value(self, bits: int) -> int:
        """Value of an activation's bits."""
        return _value(bits, self.activation_width, self.signed)

    def wrap(self, total: int) -> int:
        """Bits of a sum in the accumulator."""
        return total & ((1 << self.accumulator_width) - 1)

    def constant(self, weight: int) -> int:
        """Constant that a folded multiplier leaves out of the product with a weight (0 for the others).

        The magnitude of a negative digit multiplies ``2^A - 1 - x`` instead of ``-x``, and ``x`` is the
        activation plus ``2^(A-1)`` when signed.
        """
        if self.multiplier not in FOLDED:
            return 0
        digits = fewest_digits(weight, self.weight_width, signed=self.signed)
        negative = sum(-digit << (2 * place) for place, digit in enumerate(digits) if digit < 0)
        shift = weight << (self.activation_width - 1) if self.signed else 0
        return -negative * ((1 << self.activation_width) - 1) - shift

    def product(self, weight: int, activation: int) -> int:
        """Term that the MAC adds to the partial sum."""
        return weight * activation - self.constant(weight)


def _value(bits: int, width: int, signed: bool) -> int:
    return bits - (1 << width) if signed and bits >> (width - 1) else bits


def fewest_digits(weight: int, width: int, *, signed: bool) -> list[int]:
    """Radix-4 digits -2 … 2 of a weight, least significant first, as ``booth_digits.v`` chooses them.

    A remainder of 2 becomes -2 when the next bit of the weight is set, and a remainder of 3 becomes -1;
    the last digit takes what is left.
    """
    count = (width + 1) // 2 if signed else width // 2 + 1
    digits = []
    rest, bits = weight, weight
    for _ in range(count - 1):
        remainder = rest % 4
        up = remainder == 3 or (remainder == 2 and (bits >> 2) % 2 == 1)
        digits.append(remainder - 4 if up else remainder)
        rest = (rest - digits[-1]) // 4
        bits >>= 2
    return [*digits, rest]


@dataclass(frozen=True)
class Step:
    """The inputs of a MAC during one clock cycle, as bits."""

    weight: int = 0
    weight_load: bool = False
    activation: int = 0
    psum: int = 0
    psum_carry: int = 0
    reset: bool = False


class MacModel:
    """A MAC, one clock edge at a time; `psum` and `activation` are what its outputs show after the edge."""

    def __init__(self, config: MacConfig) -> None:
        self.config = config
        self.weight = self.activation = self.product = self.psum = 0

    def edge(self, step: Step) -> None:
        """Take the inputs over at a clock edge."""
        config = self.config
        if step.reset:
            self.weight = self.activation = self.product = self.psum = 0
            return
        product = config.product(config.weight_value(self.weight), config.activation_value(self.activation))
        added = self.product if config.has_product_register else product
        self.psum = config.wrap(step.psum + (step.psum_carry & config.carry_mask) + added)
        self.product = product
        self.activation = step.activation
        if step.weight_load:
            self.weight = step.weight


@dataclass(frozen=True)
class BenchOptions:
    """What a bench is told through the environment.

    Attributes
    ----------
    config
        The MAC under test.
    period_ps
        Clock period.
    exhaustive_bits
        Operands of at most so many bits together are tried in full, wider ones at corners and at random.
    random_steps
        Number of random cycles of each kind.
    seed
        Of all random numbers.
    rows, columns
        Shape of the systolic array, for its bench.
    """

    config: MacConfig
    period_ps: int = 10_000
    exhaustive_bits: int = 16
    random_steps: int = 1000
    seed: int = 1
    rows: int = 4
    columns: int = 4

    def to_environment(self) -> dict[str, str]:
        """Environment variable that carries the options into the simulator."""
        return {BENCH_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> BenchOptions:
        """Read the options inside the simulator."""
        values = json.loads(os.environ[BENCH_VARIABLE])
        return cls(**{**values, "config": MacConfig(**values["config"])})

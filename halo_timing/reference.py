"""Does a netlist compute what its ports are said to mean? Checked before anything is measured on it.

All inputs are held until the result stands still; then it must be what the reference says. A MAC that adds
into a register of its own never stands still: there the step of the result from one cycle to the next counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import RtlError
from halo_timing.held_weight import HeldWeight, bit_words, operand_values, unpack_words
from halo_timing.interface import Interface
from halo_timing.netlist import Netlist, Words

Integers = NDArray[np.int64]
#: Result for weight, activation and partial sum, arrays of one shape; taken modulo the width of the result.
Reference = Callable[[Integers, Integers, Integers], Integers]

# Pipelines deeper than this are not MACs any more.
_MAX_CYCLES = 16
_SAMPLED_PAIRS = 1 << 16
_EXHAUSTIVE_BITS = 16


@dataclass(frozen=True)
class ReferenceCheck:
    """What was found.

    Parameters
    ----------
    kind
        ``"settles"``: the result stands still under constant inputs; ``"accumulates"``: it grows each cycle.
    latency
        Clock edges until the result is right.
    patterns, exhaustive
        Operand pairs tried, and whether they are all there are.
    """

    kind: Literal["settles", "accumulates"]
    latency: int
    patterns: int
    exhaustive: bool


def product_and_sum(weight: Integers, activation: Integers, partial_sum: Integers) -> Integers:
    """Return the reference of a plain MAC or multiplier."""
    return weight * activation + partial_sum


def check_reference(
    netlist: Netlist,
    interface: Interface,
    held: HeldWeight,
    reference: Reference = product_and_sum,
    *,
    weight_constant: bool = False,
    seed: int = 0,
) -> ReferenceCheck:
    """Compare a netlist with a reference over all operand pairs, or 65 536 of them where there are more.

    Parameters
    ----------
    reference
        What the result should be.
    weight_constant
        Whether the result may differ by a constant that depends on the weight alone (folded multipliers leave
        one to the column's bias).
    seed
        Of the sampled pairs and partial sums.

    Raises
    ------
    RtlError
        If it differs; names the operands.
    """
    bench = _Bench.prepare(netlist, interface, held, seed)
    modulus = 1 << len(netlist.port(interface.result).nets)
    results = bench.run(_MAX_CYCLES)
    wanted = reference(bench.weight, bench.activation, bench.partial_sum) % modulus

    def differs(found: Integers) -> NDArray[np.bool_]:
        error = (found - wanted) % modulus
        if weight_constant:
            # Patterns come grouped by weight, so that each group's first one gives its constant.
            error = (error - error[bench.first_of_weight]) % modulus
        return np.asarray(error != 0)

    steps = [(later - earlier) % modulus for earlier, later in pairwise(results)]
    for kind, candidates in (("settles", results), ("accumulates", steps)):
        right = [not differs(found).any() for found in candidates]
        # Right once is chance, right from some cycle on is a latency.
        if right and right[-1]:
            latency = len(right) - right[::-1].index(False) if False in right else 0
            return ReferenceCheck(kind, latency, len(bench.weight), bench.exhaustive)  # type: ignore[arg-type]
    pattern = int(np.flatnonzero(differs(results[-1]))[0])
    raise RtlError(
        f"{netlist.name}: {interface.result} is {int(results[-1][pattern])} at {interface.weight} = "
        f"{int(bench.weight[pattern])}, {interface.activation} = {int(bench.activation[pattern])}"
        + (f", {interface.partial_sum} = {int(bench.partial_sum[pattern])}" if interface.partial_sum else "")
        + f"; {int(wanted[pattern])} is expected. Are signedness, port roles and controls right?"
    )


@dataclass(frozen=True)
class _Bench:
    """Operands, 64 patterns a word, and the netlist that they are applied to."""

    netlist: Netlist
    interface: Interface
    held: HeldWeight
    weight: Integers
    activation: Integers
    partial_sum: Integers
    first_of_weight: NDArray[np.int64]
    exhaustive: bool

    @classmethod
    def prepare(cls, netlist: Netlist, interface: Interface, held: HeldWeight, seed: int) -> _Bench:
        weights = held.values.astype(np.int64)
        activations = operand_values(len(netlist.port(interface.activation).nets), interface.signed).astype(
            np.int64
        )
        exhaustive = len(weights) * len(activations) <= 1 << _EXHAUSTIVE_BITS
        rng = np.random.default_rng(seed)
        if exhaustive:
            weight, activation = (grid.ravel() for grid in np.meshgrid(weights, activations, indexing="ij"))
        else:
            corners = np.concatenate([activations[:2], activations[-2:], [0]])
            drawn = rng.choice(activations, _SAMPLED_PAIRS - len(corners))
            weight = np.sort(rng.choice(weights, _SAMPLED_PAIRS))
            activation = rng.permutation(np.concatenate([corners, drawn]))
        sums = np.zeros(len(weight), np.int64)
        if interface.partial_sum:
            bits = len(netlist.port(interface.partial_sum).nets)
            sums = rng.integers(0, 1 << bits, len(weight), dtype=np.int64)
        _, first, inverse = np.unique(weight, return_index=True, return_inverse=True)
        return cls(netlist, interface, held, weight, activation, sums, first[inverse], exhaustive)

    def run(self, cycles: int) -> list[Integers]:
        """Return the result before and after each of `cycles` clock edges under constant inputs, unsigned."""
        netlist, interface = self.netlist, self.interface
        given = {interface.weight: self.weight, interface.activation: self.activation}
        if interface.partial_sum:
            given[interface.partial_sum] = self.partial_sum
        given |= {name: np.full(len(self.weight), value, np.int64) for name, value in interface.hold.items()}
        inputs = {
            net: bit_words(given.get(port.name, np.zeros(len(self.weight), np.int64)), bit)
            for port in netlist.ports
            if port.direction == "input"
            for bit, net in enumerate(port.nets)
        }
        state = self._initial_state(next(iter(inputs.values())).shape)
        results = []
        for _ in range(cycles + 1 if netlist.registers else 1):
            sources = dict(inputs)
            for register in netlist.registers:
                sources |= netlist.state_values(register, state[register.instance])
            values = netlist.evaluate(sources)
            results.append(self._number(values))
            state = {
                register.instance: netlist.next_state(register, values) for register in netlist.registers
            }
        return results

    def _initial_state(self, shape: tuple[int, ...]) -> dict[int, Words]:
        state = {register.instance: np.zeros(shape, np.uint64) for register in self.netlist.registers}
        position = np.searchsorted(self.held.values, self.weight)
        for register, contents in zip(self.held.registers, self.held.contents, strict=True):
            state[register.instance] = bit_words(contents[position].astype(np.int64), 0)
        return state

    def _number(self, values: Mapping[int, Words]) -> Integers:
        result = np.zeros(len(self.weight), np.int64)
        for name in filter(None, (self.interface.result, self.interface.result_carry)):
            for bit, net in enumerate(self.netlist.port(name).nets):
                result += unpack_words(values[net], len(self.weight)).astype(np.int64) << bit
        return result % (1 << len(self.netlist.port(self.interface.result).nets))

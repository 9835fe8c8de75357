"""The clock cycles that decide one transition, and what the sources of the logic do in it.

A transition is given by what arrives at the inputs in a few consecutive cycles, the last two of which are
before and after the clock edge in question, and by the contents of registers that feed themselves (an
accumulator of the MAC's own) at the start. Register contents in between follow from the netlist, so they fit
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.element import Element, Integers, NetWords
from halo_timing.held_weight import bit_words
from halo_timing.netlist import Words

#: Bits of each input in each cycle, and of each register that feeds itself (where cycle 0 counts), shape
#: ``(weights, cycles, transitions)``; the first axis is 1 where all weights have the same.
Transitions = Mapping[str, Integers]


class Window:
    """Cycles that decide what given nets, inputs or outputs of registers, do at a clock edge.

    Parameters
    ----------
    element
        The MAC.
    nets
        Sources of the logic to be simulated.

    Attributes
    ----------
    cycles
        How many cycles there are.
    lags
        How many edges before it shows at the nets each input counts.
    memory
        Registers that feed themselves: group → instances, lowest bit first.
    """

    def __init__(self, element: Element, nets: Iterable[int]) -> None:
        self.element = element
        self.nets = tuple(nets)
        edges = element.edges_to(self.nets)
        self.cycles = edges + 2
        self.lags = self._lags(edges)
        self.memory: dict[str, list[int]] = {}
        kept = element.feedback(self.nets)
        for register in element.registers:
            if register.instance in kept:
                self.memory.setdefault(register.group, []).append(register.instance)

    def _lags(self, edges: int) -> dict[str, tuple[int, ...]]:
        element = self.element
        found: dict[str, set[int]] = {}
        input_of = {net: name for name, nets in element.inputs.items() for net in nets}
        reached = set(self.nets)
        for lag in range(edges + 1):
            registers = set()
            for net in reached:
                if net in input_of:
                    found.setdefault(input_of[net], set()).add(lag)
                elif net in element.register_of:
                    registers.add(element.register_of[net])
            reached = set()
            for register in registers:
                reached |= element.netlist.support(element.data_nets(register))
        return {name: tuple(sorted(lags)) for name, lags in found.items()}

    def width(self, name: str) -> int:
        """Bits of an input or a memory."""
        return len(self.element.inputs[name] if name in self.element.inputs else self.memory[name])

    def moments(self, name: str) -> list[tuple[int, int]]:
        """Cycles of an input whose bits decide a source before and after the edge; of a memory, the first."""
        if name in self.memory:
            return [(0, 0)]
        return [(self.cycles - 2 - lag, self.cycles - 1 - lag) for lag in self.lags.get(name, ())]

    def launch(self, held: NetWords, transitions: Transitions) -> tuple[dict[int, Words], dict[int, Words]]:
        """Words of all sources before and after the edge."""
        element = self.element
        state = element.cleared()
        for name, instances in self.memory.items():
            for bit, instance in enumerate(instances):
                state[instance] = bit_words(transitions[name][:, 0], bit)
        before: dict[int, Words] = {}
        for cycle in range(self.cycles):
            inputs: dict[int, Words] = {}
            for name in element.inputs:
                inputs |= element.input_words(name, transitions[name][:, cycle])
            sources = {**inputs, **element.sources(state)}
            if cycle == self.cycles - 1:
                return before, sources
            before = sources
            _, state = element.cycle(held, inputs, state)
        raise AssertionError("a window has at least two cycles")

    def select(self, transitions: Transitions, weight: int, index: int) -> dict[str, NDArray[np.int64]]:
        """One transition of one weight: bits per cycle, by name."""
        return {name: bits[min(weight, len(bits) - 1), :, index] for name, bits in transitions.items()}

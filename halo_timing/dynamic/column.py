"""Transitions of a MAC that stands in a column of equal ones.

Every pattern is a column of its own, with weights that are drawn, the weight under test in a row that is
drawn, and every row's own stream of activations. The sums that reach that row before and after the clock edge
are what the rows above make of two activations that follow one another. A MAC that adds into a register of
its own adds up a number of terms that is drawn, instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.element import Element, Integers
from halo_timing.dynamic.stimulus import Stimulus
from halo_timing.dynamic.window import Window
from halo_timing.held_weight import bit_words, unpack_words
from halo_timing.netlist import Words


class Column:
    """Draws the transitions of a window.

    Parameters
    ----------
    window
        The cycles to fill.
    stimulus
        What is drawn.
    values
        Weight values, ascending.
    """

    def __init__(self, window: Window, stimulus: Stimulus, values: NDArray[np.int32]) -> None:
        self.window, self.stimulus, self.values = window, stimulus, values
        self.element: Element = window.element
        interface = self.element.interface
        self.bits = len(self.element.inputs[interface.activation])
        rng = np.random.default_rng([stimulus.seed, 2])
        count = stimulus.samples
        #: Row of the weight under test, per pattern.
        self.row: Integers = rng.integers(0, stimulus.rows, count)
        #: Weights of all rows, as positions in `values`; that of the row under test is replaced.
        self.weights = stimulus.draw_weights(values, count)
        streams = (self.window.cycles, stimulus.rows, count)
        #: Activations of all rows, shape ``(cycles, rows, patterns)``.
        self.activations = stimulus.draw_activations(self.bits, interface.signed, streams)

    @cached_property
    def chains(self) -> dict[str, tuple[int, ...]]:
        """Inputs that the element above feeds, and the nets of its outputs that do."""
        netlist, interface = self.element.netlist, self.element.interface
        chains = {target: output for output, target in interface.chains.items()}
        if interface.partial_sum:
            chains.setdefault(interface.partial_sum, interface.result)
        result = {
            name: netlist.port(chains[name]).nets
            for name in self.element.inputs
            if name in chains and name != interface.activation
        }
        # A MAC that keeps the sum to itself hands nothing down that settles.
        return {} if self.element.feedback(netlist.port(interface.result).nets) else result

    @property
    def carries_pair(self) -> bool:
        """Whether a sum goes down the column as several vectors, which only together mean a number."""
        return len(self.chains) > 1

    @cached_property
    def constants(self) -> Integers:
        """What the column adds once for each weight value (position), because folded MACs leave it out."""
        interface = self.element.interface
        if interface.partial_sum not in self.chains:
            return np.zeros(len(self.values), np.int64)
        return -self.terms(np.arange(len(self.values))[None, :], np.zeros((1, len(self.values)), np.int64))

    def terms(self, weights: Integers, activations: Integers) -> Integers:
        """Work out what MACs add to a sum of 0, modulo the width of the result.

        Parameters
        ----------
        weights
            Positions among the values, shape ``(1, n)``: one for each activation.
        activations
            Bit patterns, shape ``(1, n)``.
        """
        element, interface = self.element, self.element.interface
        inputs = {net: np.zeros((1, 1), np.uint64) for nets in element.inputs.values() for net in nets}
        inputs |= element.input_words(interface.activation, activations)
        result = element.netlist.port(interface.result).nets
        carry = element.netlist.port(interface.result_carry).nets if interface.result_carry else ()
        values = element.settle(element.hold_each(weights), inputs, element.edges_to((*result, *carry)))
        count = weights.shape[-1]
        total = element.number(result, values, count)
        total = total + (element.number(carry, values, count) if carry else 0)
        return np.asarray(total[0] & ((1 << len(result)) - 1))

    def draw(self, weights: Integers) -> dict[str, Integers]:
        """Transitions for some weights (positions), see :data:`Transitions`."""
        element, stimulus = self.element, self.stimulus
        cycles, count = self.window.cycles, stimulus.samples
        rng = np.random.default_rng([stimulus.seed, 3])
        patterns = np.arange(count)
        own = self.activations[:, self.row, patterns]
        drawn = {element.interface.activation: own[None]}
        for name, nets in element.inputs.items():
            if name != element.interface.activation and name not in self.chains:
                drawn[name] = rng.integers(0, 1 << len(nets), (1, cycles, count))
        if not any(name in self.window.lags for name in self.chains):
            drawn |= {name: np.zeros((1, cycles, count), np.int64) for name in self.chains}
        elif self.carries_pair and self.constants.any():
            # The first row's bias holds the constant of the weight under test, and shapes the pair.
            drawn |= self._sums(self._bias + self.constants[weights][:, None])
        else:
            drawn |= self._plain_sums
            if self.constants.any():
                (name,) = self.chains
                sums = drawn[name] + self.constants[weights][:, None, None]
                drawn[name] = sums & ((1 << len(element.inputs[name])) - 1)
        return drawn | self._histories(weights)

    def _sums(self, bias: Integers) -> dict[str, Integers]:
        """Let the rows above the one under test add up.

        Parameters
        ----------
        bias
            Bits of what enters the first row, shape ``(weights, patterns)``.

        Returns
        -------
        dict
            Bits of each input that the element above feeds, shape ``(weights, cycles, patterns)``.
        """
        element, interface = self.element, self.element.interface
        cycles = self.window.cycles
        edges = element.edges_to([net for nets in self.chains.values() for net in nets])
        zero = np.zeros((1, 1), np.uint64)
        # Along the last axis all patterns of cycle 0, then those of cycle 1, and so on.
        inputs = {net: zero for nets in element.inputs.values() for net in nets}
        for place, net in enumerate(element.inputs.get(interface.partial_sum, ())):
            inputs[net] = np.tile(bit_words(bias, place), cycles)
        reached = {net: zero for name in self.chains for net in element.inputs[name]}
        last = int(self.row.max())
        for row in range(last + 1):
            here = np.tile(bit_words((self.row == row).astype(np.int64)[None], 0), cycles)
            reached = {net: words | inputs[net] & here for net, words in reached.items()}
            if row == last:
                break
            own = element.input_words(interface.activation, self.activations[None, :, row])
            inputs |= {net: words.reshape(1, -1) for net, words in own.items()}
            held = element.hold_each(self.weights[row][None])
            values = element.settle(
                {net: np.tile(words, cycles) for net, words in held.items()}, inputs, edges
            )
            for name, outputs in self.chains.items():
                sums = (values[net] for net in outputs)
                inputs |= dict(zip(element.inputs[name], sums, strict=False))
        return {name: self._unpacked([reached[net] for net in element.inputs[name]]) for name in self.chains}

    @cached_property
    def _bias(self) -> Integers:
        """What enters the first row for all weights but the one under test, shape ``(1, patterns)``."""
        own = self.constants[self.weights[self.row, np.arange(self.stimulus.samples)]]
        return np.asarray((self.constants[self.weights].sum(axis=0) - own)[None])

    @cached_property
    def _plain_sums(self) -> dict[str, Integers]:
        """Sums at the row under test without the constant of its weight, the same for all weights."""
        return self._sums(self._bias)

    def _unpacked(self, words: Sequence[Words]) -> Integers:
        """Integers of shape ``(weights, cycles, patterns)`` from the words of their bits."""
        cycles, count = self.window.cycles, self.stimulus.samples
        size = -(-count // 64)
        result = np.zeros((1, cycles, count), np.int64)
        for place, word in enumerate(words):
            apart = np.broadcast_to(word, (len(word), cycles * size)).reshape(-1, cycles, size)
            result = result + (unpack_words(apart, count).astype(np.int64) << place)
        return result

    def _histories(self, weights: Integers) -> dict[str, Integers]:
        """Contents of registers that feed themselves after a drawn number of terms, in `memory`'s form."""
        element, window, count = self.element, self.window, self.stimulus.samples
        if not window.memory:
            return {}
        instances = [instance for group in window.memory.values() for instance in group]
        held, state = element.hold(weights), element.cleared()
        reached = {instance: np.zeros((1, 1), np.uint64) for instance in instances}
        inputs = {net: np.zeros((1, 1), np.uint64) for nets in element.inputs.values() for net in nets}
        for step in range(int(self.row.max()) + 1):
            here = bit_words((self.row == step).astype(np.int64)[None], 0)
            reached = {key: words | state[key] & here for key, words in reached.items()}
            inputs |= element.input_words(element.interface.activation, self.activations[None, 0, step])
            _, state = element.cycle(held, inputs, state)
        size = -(-count // 64)
        return {
            name: sum(
                (
                    unpack_words(np.broadcast_to(reached[key], (len(reached[key]), size)), count).astype(
                        np.int64
                    )
                    << place
                    for place, key in enumerate(group)
                ),
                np.zeros((1, count), np.int64),
            )[:, None]
            for name, group in window.memory.items()
        }

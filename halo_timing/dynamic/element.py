"""What one MAC of a column computes, clock edge by clock edge, for many patterns at once.

The netlist itself is evaluated, so that every pipeline and every form of the partial sum is right by
construction. Words carry 64 patterns; their shape is ``(weights, words)``, where either may be 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from halo_timing.held_weight import HeldWeight, bit_words, unpack_words
from halo_timing.interface import Interface
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Netlist, Register, Words

Integers = NDArray[np.int64]
#: Words of nets, and the contents of registers by their instance.
NetWords = Mapping[int, Words]


class Element:
    """A MAC under any weight.

    Parameters
    ----------
    netlist, interface, held
        The MAC, its roles, and what holds its weight.
    fixed
        Nets that hold still under a weight: :attr:`ActivationNets.held`.
    """

    def __init__(
        self,
        netlist: Netlist,
        interface: Interface,
        held: HeldWeight,
        fixed: Mapping[int, NDArray[np.uint32]],
    ) -> None:
        self.netlist, self.interface, self.fixed = netlist, interface, fixed
        weight = {register.instance for register in held.registers}
        self.registers = tuple(register for register in netlist.registers if register.instance not in weight)
        still = {interface.weight, interface.clock, *interface.hold}
        self.inputs = {
            port.name: port.nets
            for port in netlist.ports
            if port.direction == "input" and port.name not in still
        }

    @cached_property
    def register_of(self) -> Mapping[int, Register]:
        """Register that drives each net, weight registers apart."""
        pins = self.netlist.instances
        return {
            pins[register.instance].pins[pin]: register
            for register in self.registers
            for pin in register.state_pins
        }

    @cached_property
    def graph(self) -> nx.DiGraph[int]:
        """Registers, by instance; an edge leads from one to another whose next state depends on it."""
        graph: nx.DiGraph[int] = nx.DiGraph()
        for register in self.registers:
            graph.add_node(register.instance)
            for net in self.netlist.support(self.data_nets(register)):
                if net in self.register_of:
                    graph.add_edge(self.register_of[net].instance, register.instance)
        return graph

    def data_nets(self, register: Register) -> list[int]:
        """Nets at the data pins of a register."""
        pins = self.netlist.instances[register.instance].pins
        return [pins[pin] for pin in register.data_pins]

    def before(self, nets: Iterable[int]) -> nx.DiGraph[int]:
        """Part of the graph that decides `nets` once the logic has settled."""
        ends = {
            self.register_of[net].instance for net in self.netlist.support(nets) if net in self.register_of
        }
        kept = set(ends)
        for end in ends:
            kept |= nx.ancestors(self.graph, end)
        return self.graph.subgraph(kept)

    def edges_to(self, nets: Iterable[int]) -> int:
        """Clock edges after which `nets` depend on nothing but the inputs since (feedback counted once)."""
        chain = nx.condensation(self.before(nets))
        return int(nx.dag_longest_path_length(chain)) + 1 if len(chain) else 0

    def feedback(self, nets: Iterable[int]) -> frozenset[int]:
        """Find the registers before `nets` whose next state depends on their own content."""
        graph = self.before(nets)
        return frozenset(
            node
            for part in nx.strongly_connected_components(graph)
            for node in part
            if len(part) > 1 or graph.has_edge(node, node)
        )

    def hold(self, weights: Integers) -> dict[int, Words]:
        """Words of the nets that hold still: one weight (position among all values) a row."""
        return {net: -values[weights].astype(np.uint64)[:, None] for net, values in self.fixed.items()}

    def hold_each(self, weights: Integers) -> dict[int, Words]:
        """Words of the nets that hold still: a weight of its own for every pattern, along the last axis."""
        return {net: bit_words(values[weights].astype(np.int64), 0) for net, values in self.fixed.items()}

    def cleared(self) -> dict[int, Words]:
        """Contents of the registers after a reset."""
        return {register.instance: np.zeros((1, 1), np.uint64) for register in self.registers}

    def cycle(
        self, held: NetWords, inputs: NetWords, state: NetWords
    ) -> tuple[dict[int, Words], dict[int, Words]]:
        """Settled value of every net in a clock cycle, and what the registers hold in the next."""
        values = self.netlist.evaluate({**held, **inputs, **self.sources(state)})
        return values, {
            register.instance: self.netlist.next_state(register, values) for register in self.registers
        }

    def sources(self, state: NetWords) -> dict[int, Words]:
        """Words of the outputs of the registers."""
        words: dict[int, Words] = {}
        for register in self.registers:
            words |= self.netlist.state_values(register, state[register.instance])
        return words

    def settle(self, held: NetWords, inputs: NetWords, edges: int) -> dict[int, Words]:
        """Value of every net when the inputs stay for so many clock edges."""
        state = self.cleared()
        for _ in range(edges):
            _, state = self.cycle(held, inputs, state)
        return self.cycle(held, inputs, state)[0]

    def input_words(self, name: str, bits: Integers) -> dict[int, Words]:
        """Words of the nets of an input, from its bits along the last axis."""
        return {net: bit_words(bits, place) for place, net in enumerate(self.inputs[name])}

    def number(self, nets: Sequence[int], values: NetWords, patterns: int) -> Integers:
        """Bits of a port as integers, shape ``(weights, patterns)``."""
        result = np.zeros((1, patterns), np.int64)
        for place, net in enumerate(nets):
            if net in (CONSTANT_0, CONSTANT_1):
                result = result + (int(net == CONSTANT_1) << place)
            else:
                words = np.broadcast_to(values[net], (len(values[net]), -(-patterns // 64)))
                result = result + (unpack_words(words, patterns).astype(np.int64) << place)
        return result

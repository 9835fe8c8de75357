"""Which nets the activation alone decides, how many clock edges later, and their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.held_weight import HeldWeight, bit_words, unpack_words
from halo_timing.interface import Interface
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Netlist, Words


@dataclass(frozen=True, eq=False)
class ActivationNets:
    """Nets that hold still under a weight, and sources that follow the activation.

    Parameters
    ----------
    bits
        Width of the activation.
    held
        Value of each net that holds still, per weight, shape ``(weights,)``, uint32.
    depth
        Clock edges between the activation port and each source net (register output or port bit) that
        nothing else moves: 0 for the port itself.
    values
        Value of each such net per weight and activation bit pattern, shape ``(weights, 2**bits)``, uint32;
        empty if they were not asked for.
    """

    bits: int
    held: Mapping[int, NDArray[np.uint32]]
    depth: Mapping[int, int]
    values: Mapping[int, NDArray[np.uint32]]


def find_activation_nets(
    netlist: Netlist, interface: Interface, held: HeldWeight, *, with_values: bool = True
) -> ActivationNets:
    """Follow the activation through the registers, for every weight at once.

    A register counts if its next state depends on nothing but held nets and sources of one same depth; its
    content for each activation is what it holds when that activation stays. These contents are worked out
    unless `with_values` is false: wide operands have too many.
    """
    weights = len(held.values)
    fixed = _held_nets(netlist, interface, held)
    port = netlist.port(interface.activation)
    depth = dict.fromkeys(port.nets, 0)
    skipped = {register.instance for register in held.registers}
    while True:
        found: dict[int, int] = {}
        for register in netlist.registers:
            nets = netlist.instances[register.instance].pins
            if register.instance in skipped or any(nets[pin] in depth for pin in register.state_pins):
                continue
            support = netlist.support(nets[pin] for pin in register.data_pins) - fixed.keys()
            depths = {depth.get(net) for net in support}
            if len(depths) == 1 and (common := depths.pop()) is not None:
                found |= {nets[pin]: common + 1 for pin in register.state_pins}
        if not found:
            break
        depth |= found
    values = _settle(netlist, interface, fixed, depth, weights) if with_values else {}
    return ActivationNets(len(port.nets), fixed, depth, values)


def _held_nets(netlist: Netlist, interface: Interface, held: HeldWeight) -> dict[int, NDArray[np.uint32]]:
    count = len(held.values)
    fixed = {CONSTANT_0: np.zeros(count, np.uint32), CONSTANT_1: np.ones(count, np.uint32)}
    for bit, net in enumerate(netlist.port(interface.weight).nets):
        fixed[net] = (held.values >> bit & 1).astype(np.uint32)
    for name, value in interface.hold.items():
        for bit, net in enumerate(netlist.port(name).nets):
            fixed[net] = np.full(count, value >> bit & 1, np.uint32)
    for register, row in zip(held.registers, held.contents, strict=True):
        for pin, same in register.state_pins.items():
            fixed[netlist.instances[register.instance].pins[pin]] = (row ^ (not same)).astype(np.uint32)
    return fixed


def _settle(
    netlist: Netlist,
    interface: Interface,
    fixed: Mapping[int, NDArray[np.uint32]],
    depth: Mapping[int, int],
    weights: int,
) -> dict[int, NDArray[np.uint32]]:
    """Values of the nets in `depth` once the activation has come through, per weight and bit pattern."""
    nets = netlist.port(interface.activation).nets
    patterns = np.arange(1 << len(nets), dtype=np.int32)
    shape = (weights, len(bit_words(patterns, 0)))
    registers = [
        register
        for register in netlist.registers
        if any(netlist.instances[register.instance].pins[pin] in depth for pin in register.state_pins)
    ]
    sources: dict[int, Words] = {
        net: np.zeros(shape, np.uint64)
        for port in netlist.ports
        if port.direction == "input"
        for net in port.nets
    }
    for register in netlist.registers:
        sources |= netlist.state_values(register, np.zeros(shape, np.uint64))
    sources |= {net: np.broadcast_to(bit_words(patterns, bit), shape) for bit, net in enumerate(nets)}
    sources |= {net: np.broadcast_to(-row.astype(np.uint64)[:, None], shape) for net, row in fixed.items()}
    for _ in range(max(depth.values())):
        settled = netlist.evaluate(sources)
        for register in registers:
            sources |= netlist.state_values(register, netlist.next_state(register, settled))
    return {
        net: np.array([unpack_words(row, len(patterns)) for row in sources[net]], np.uint32) for net in depth
    }

"""What holds the weight in a netlist, and its content for every operand value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import RtlError
from halo_timing.interface import Interface
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Netlist, Register, Words


def operand_values(width: int, signed: bool) -> NDArray[np.int32]:
    """Every value of an operand of `width` bits, ascending, shape ``(2**width,)``."""
    start = -(1 << (width - 1)) if signed else 0
    return np.arange(start, start + (1 << width), dtype=np.int32)


def bit_words(values: NDArray[np.signedinteger[Any]], bit: int) -> Words:
    """Pack one bit of each value into words along the last axis: 64 patterns a word, pattern 0 lowest."""
    bits = ((values >> bit) & 1).astype(np.uint8)
    padding = np.zeros((*bits.shape[:-1], -bits.shape[-1] % 64), np.uint8)
    padded = np.concatenate([bits, padding], axis=-1)
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


def unpack_words(words: Words, count: int) -> NDArray[np.uint8]:
    """Undo :func:`bit_words`: the first `count` patterns along the last axis as 0/1."""
    octets = np.ascontiguousarray(words, "<u8").view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little")[..., :count]


@dataclass(frozen=True)
class HeldWeight:
    """What holds the weight in a netlist, and its content for every operand value.

    Parameters
    ----------
    values
        Operand values, ascending, shape ``(n,)``.
    registers
        Flip-flops whose content follows from the weight alone.
    contents
        One row of 0/1 per register, shape ``(registers, n)``, uint8.
    """

    values: NDArray[np.int32]
    registers: tuple[Register, ...]
    contents: NDArray[np.uint8]

    def case(self, netlist: Netlist, interface: Interface, index: int) -> list[tuple[str, int]]:
        """Constants that hold the weight `values[index]`: (port bit or instance/pin, value)."""
        value = int(self.values[index])
        port = netlist.port(interface.weight)
        constants = [(netlist.net_names[net], (value >> bit) & 1) for bit, net in enumerate(port.nets)]
        for register, row in zip(self.registers, self.contents, strict=True):
            name = netlist.instances[register.instance].name
            for pin, same in register.state_pins.items():
                constants.append((f"{name}/{pin}", int(row[index]) ^ (not same)))
        return constants


def find_held_weight(netlist: Netlist, interface: Interface) -> HeldWeight:
    """Load every weight value into the netlist and read what its weight registers then hold.

    A register belongs to the weight if, through any number of other registers, its next state depends on
    nothing but the weight port and the control inputs. This finds plain weight registers as well as weights
    that are stored recoded.

    Raises
    ------
    RtlError
        If the weight registers do not settle to a content that the hold controls keep.
    """
    weight_nets = netlist.port(interface.weight).nets
    controls = {net: 0 for name in (*interface.load, *interface.hold) for net in netlist.port(name).nets}
    registers = _weight_registers(netlist, set(weight_nets) | set(controls))
    values = operand_values(len(weight_nets), interface.signed)

    words = {net: bit_words(values, bit) for bit, net in enumerate(weight_nets)}
    shape = words[weight_nets[0]].shape
    inputs = {
        net: np.zeros(shape, np.uint64)
        for port in netlist.ports
        if port.direction == "input"
        for net in port.nets
    }
    state = {register.instance: np.zeros(shape, np.uint64) for register in netlist.registers}

    def step(control: Mapping[str, int], weight: Mapping[int, Words]) -> None:
        sources = {**inputs, **weight, **_control_words(netlist, control, shape)}
        for register in netlist.registers:
            sources |= netlist.state_values(register, state[register.instance])
        settled = netlist.evaluate(sources)
        state.update({register.instance: netlist.next_state(register, settled) for register in registers})

    for _ in range(len(registers) + 1):
        before = {index: word.copy() for index, word in state.items()}
        step(interface.load, words)
        if all(np.array_equal(before[index], state[index]) for index in state):
            break
    held = {register.instance: state[register.instance].copy() for register in registers}
    # Without controls the weight is held at its port.
    step(interface.hold, words if interface.hold == interface.load else {})
    if any(not np.array_equal(held[index], state[index]) for index in held):
        raise RtlError(
            f"{netlist.name}: the weight is lost when {dict(interface.hold)} holds it; "
            "name the control inputs that load and hold the weight"
        )
    contents = [unpack_words(held[register.instance], len(values)) for register in registers]
    return HeldWeight(values, registers, np.array(contents, np.uint8).reshape(len(registers), len(values)))


def _control_words(netlist: Netlist, control: Mapping[str, int], shape: tuple[int, ...]) -> dict[int, Words]:
    constants = (np.zeros(shape, np.uint64), np.full(shape, ~np.uint64(0)))
    return {
        net: constants[(value >> bit) & 1]
        for name, value in control.items()
        for bit, net in enumerate(netlist.port(name).nets)
    }


def _weight_registers(netlist: Netlist, allowed: set[int]) -> tuple[Register, ...]:
    """Drop registers whose inputs leave `allowed` and the remaining registers' outputs, until none does."""
    support = {
        register: netlist.support(
            netlist.instances[register.instance].pins[pin] for pin in register.data_pins
        )
        for register in netlist.registers
    }
    kept = dict(support)
    while True:
        outputs = {
            netlist.instances[register.instance].pins[pin] for register in kept for pin in register.state_pins
        }
        stays = {
            register: nets
            for register, nets in kept.items()
            if nets - {CONSTANT_0, CONSTANT_1} <= allowed | outputs
        }
        if len(stays) == len(kept):
            break
        kept = stays
    return tuple(kept)

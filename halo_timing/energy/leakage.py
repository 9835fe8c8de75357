"""Leakage of a netlist in the states that it rests in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from halo_timing.netlist import Instance, Netlist, Words
from halo_timing.pdk.table import Floats


def leakage_nw(netlist: Netlist, sources: Mapping[int, Words], patterns: int) -> Floats:
    """Mean leakage over patterns.

    A cell leaks what its library says for its state, and its state-independent value in states that the
    library does not tell. The clock spends half of the time at 0 and half at 1.

    Parameters
    ----------
    sources
        Words of each input port bit and register output, of one shape ``(..., words)``.
    patterns
        How many bits of the words count along the last axis, from the first.

    Returns
    -------
    ndarray of float64
        nW, of the shape of the leading axes.
    """
    values = netlist.evaluate(sources)
    clocks = {netlist.instances[register.instance].pins[register.clock_pin] for register in netlist.registers}
    shape = next(iter(sources.values())).shape
    phases = (np.zeros(shape, np.uint64), np.full(shape, ~np.uint64(0)))
    total = np.zeros(shape[:-1])
    for instance in netlist.instances:
        clocked = not clocks.isdisjoint(instance.pins.values())
        for phase in phases if clocked else phases[:1]:
            words = _pin_words(netlist, instance, {**values, **dict.fromkeys(clocks, phase)})
            total += _cell_nw(netlist, instance, words, shape, patterns) / (2 if clocked else 1)
    return total


def _cell_nw(
    netlist: Netlist, instance: Instance, words: Mapping[str, Words], shape: tuple[int, ...], patterns: int
) -> Floats:
    cell = netlist.cell_of(instance)
    total = np.zeros(shape[:-1])
    told = np.zeros(shape, np.uint64)
    for when, state_nw in cell.leakage_states:
        if all(name in words for name in when.inputs):
            holds = np.broadcast_to(when.evaluate(words), shape)
            told |= holds
            total += state_nw * _share(holds, patterns)
    return total + cell.leakage_nw * (1 - _share(told, patterns))


def _pin_words(netlist: Netlist, instance: Instance, values: Mapping[int, Words]) -> dict[str, Words]:
    """Words of every pin of an instance, its unconnected outputs included."""
    cell = netlist.cell_of(instance)
    words = {name: values[net] for name, net in instance.pins.items() if net in values}
    if cell.flip_flop is not None:
        for pin in cell.outputs:
            if pin.name in words and pin.function is not None:
                (name,) = pin.function.inputs
                own = words[pin.name] if pin.function(**{name: True}) else ~words[pin.name]
                states = cell.flip_flop.state, cell.flip_flop.inverted_state
                words |= dict.fromkeys(states, ~own) | {name: own}
                break
    for pin in cell.outputs:
        function = pin.function
        if pin.name not in words and function and all(name in words for name in function.inputs):
            words[pin.name] = function.evaluate(words)
    return words


def _share(words: Words, patterns: int) -> Floats:
    """How many of the patterns are 1, relative, along the last axis."""
    bits: NDArray[np.uint8] = np.unpackbits(
        np.ascontiguousarray(words, "<u8").view(np.uint8), axis=-1, count=patterns, bitorder="little"
    )
    return np.asarray(bits.mean(axis=-1, dtype=np.float64))

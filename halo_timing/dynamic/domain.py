"""Which transitions a run covers, and how the memo of each net is indexed.

A net depends on some of the activation's bits (its support, a bit mask). Its memo has one entry per pair
(bits before, bits after) of that support: a net of k bits has 4^k entries however many bits there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.uint32]
Values = NDArray[np.uint32]


class Domain(Protocol):
    """Set of transitions."""

    @property
    def most_entries(self) -> int:
        """Number of entries of a net that depends on everything."""

    def grid(self, before: Values, after: Values) -> tuple[Values, Values]:
        """Values of a source before and after the edge per entry, shape ``(highs, lows)``."""

    def maps(self, support: int, inputs: Sequence[int]) -> tuple[Indices, Indices]:
        """Lead from a gate's low and high index to its inputs' entries, shapes ``(inputs, extent)``."""

    def states(self, support: int, inputs: Sequence[int], before: Sequence[Values]) -> Values:
        """Gate's state before the edge, along the index that decides it."""

    def parts(self, state: Values) -> tuple[Values, Values]:
        """Such a state as two arrays, per low and per high index, of which one is 0."""


@dataclass(frozen=True)
class Exhaustive:
    """Every pair of activation bit patterns: low index = before, high index = after."""

    bits: int

    @property
    def most_entries(self) -> int:
        """See :class:`Domain`."""
        return int(4**self.bits)

    def grid(self, before: Values, after: Values) -> tuple[Values, Values]:
        """See :class:`Domain`."""
        grid = np.broadcast_arrays(before[None, :], after[:, None])
        return grid[0], grid[1]

    def maps(self, support: int, inputs: Sequence[int]) -> tuple[Indices, Indices]:
        """See :class:`Domain`."""
        return _pair_maps(support, tuple(inputs))

    def states(self, support: int, inputs: Sequence[int], before: Sequence[Values]) -> Values:
        """See :class:`Domain`."""
        low_map, _ = _pair_maps(support, tuple(inputs))
        state: Values = before[0][low_map[0]]
        for pin in range(1, len(before)):
            state = state | before[pin][low_map[pin]] << np.uint32(pin)
        return state

    def parts(self, state: Values) -> tuple[Values, Values]:
        """See :class:`Domain`."""
        return state, np.zeros_like(state)

    def source(self, values: Values) -> tuple[int, Values]:
        """Support of a net, and its values over that, from its value per bit pattern."""
        support = 0
        patterns = np.arange(1 << self.bits)
        for bit in range(self.bits):
            if (values != values[patterns ^ (1 << bit)]).any():
                support |= 1 << bit
        return support, values[_spread(support)]


@dataclass(frozen=True)
class Sampled:
    """A list of `count` transitions; every net that moves has one entry for each."""

    count: int

    @property
    def most_entries(self) -> int:
        """See :class:`Domain`."""
        return self.count

    def grid(self, before: Values, after: Values) -> tuple[Values, Values]:
        """See :class:`Domain`."""
        return before[:, None], after[:, None]

    def maps(self, support: int, inputs: Sequence[int]) -> tuple[Indices, Indices]:
        """See :class:`Domain`."""
        return _list_maps(self.count, len(inputs))

    def states(self, support: int, inputs: Sequence[int], before: Sequence[Values]) -> Values:
        """See :class:`Domain`."""
        state: Values = before[0]
        for pin in range(1, len(before)):
            state = state | before[pin] << np.uint32(pin)
        return state

    def parts(self, state: Values) -> tuple[Values, Values]:
        """See :class:`Domain`."""
        return np.zeros(1, np.uint32), state


@lru_cache(maxsize=1 << 16)
def _pair_maps(support: int, inputs: tuple[int, ...]) -> tuple[Indices, Indices]:
    own = [bit for bit in range(support.bit_length()) if support >> bit & 1]
    index = np.arange(1 << len(own), dtype=np.uint32)
    low = np.zeros((len(inputs), len(index)), np.uint32)
    for row, part in enumerate(inputs):
        position = 0
        for place, bit in enumerate(own):
            if part >> bit & 1:
                low[row] |= (index >> place & 1) << position
                position += 1
    high = low << np.array([[part.bit_count()] for part in inputs], np.uint32)
    return low, high


@lru_cache(maxsize=64)
def _list_maps(count: int, inputs: int) -> tuple[Indices, Indices]:
    return np.zeros((inputs, 1), np.uint32), np.tile(np.arange(count, dtype=np.uint32), (inputs, 1))


@lru_cache(maxsize=1 << 12)
def _spread(support: int) -> NDArray[np.int64]:
    """Bit pattern of every index over a support, the other bits 0."""
    result = np.zeros(1 << support.bit_count(), np.int64)
    place = 0
    for bit in range(support.bit_length()):
        if support >> bit & 1:
            result |= (np.arange(len(result)) >> place & 1) << bit
            place += 1
    return result

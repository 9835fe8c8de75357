"""Search for slower transitions than those that were drawn: from the slowest ones, by small steps.

The steps are single bits flipped and powers of two added, in the cycle before the edge, after it, or both, in
every input that counts; and the halves of two good transitions joined. It starts from the slowest samples and
from sums that make an adder's carry run: a total of all ones, and of 0. Nothing is drawn, so equal input
gives equal output. What is found is possible for one MAC whose neighbours are free: activations may follow
one another as they like, and sums be any that so many rows can reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.column import Column
from halo_timing.dynamic.element import Integers
from halo_timing.dynamic.window import Transitions

#: Transitions per stage that a round starts from.
BEST_KEPT = 4
#: Slowest samples whose activations the carry patterns use.
PATTERN_SAMPLES = 8

#: Times that transitions of some weights need: rows of the weights, transitions → fs, shape
#: ``(weights, stages, transitions)``.
Measure = Callable[[Integers, Transitions], NDArray[np.int32]]


class Search:
    """Directed search over the transitions of one column."""

    def __init__(self, column: Column) -> None:
        self.column, self.window = column, column.window
        self.interface = column.element.interface

    def run(
        self, weights: Integers, drawn: Transitions, required: NDArray[np.int32], measure: Measure
    ) -> tuple[NDArray[np.int32], dict[str, Integers]]:
        """Search for some weights at a time.

        Parameters
        ----------
        weights
            Positions among the values.
        drawn, required
            The samples and what they need, shape ``(weights, stages, transitions)``.
        measure
            Simulates.

        Returns
        -------
        required, transitions
            The largest that was found, shape ``(weights, stages)``, and the transition that needs it, shape
            ``(weights, cycles, stages)``; never less than the largest sample.
        """
        full = {name: _rows(bits, len(weights)) for name, bits in drawn.items()}
        start = self._carry_patterns(weights, full, required)
        pool, times = full, required
        if start:
            extra = self._allowed(start, full)
            pool = _joined(full, extra)
            times = np.concatenate([required, measure(np.arange(len(weights)), extra)], axis=2)
        pool, times = _best(pool, times)
        active = np.arange(len(weights))
        for _ in range(self.column.stimulus.search_rounds):
            if not len(active):
                break
            parents = {name: bits[active] for name, bits in pool.items()}
            steps = self._allowed(self._steps(parents), parents)
            found = np.concatenate([times[active], measure(active, steps)], axis=2)
            risen = (found.max(axis=2) > times[active].max(axis=2)).any(axis=1)
            better, better_times = _best(_joined(parents, steps), found)
            for name, bits in better.items():
                pool[name][active] = bits
            times[active] = better_times
            active = active[risen]
        stages = np.arange(times.shape[1])
        place = times.argmax(axis=2)
        rows = np.arange(len(weights))[:, None]
        worst = {name: np.moveaxis(bits[rows, :, place], 2, 1) for name, bits in pool.items()}
        return times[rows, stages[None], place], worst

    @cached_property
    def moves(self) -> list[tuple[str, Integers, Integers]]:
        """Steps: name, mask to be flipped and number to be added, per cycle."""
        moves = []
        sums = {*self.column.chains, *self.window.memory}
        for name in (*self.window.lags, *self.window.memory):
            lowest = self.column.stimulus.shift if name in sums else 0
            cycles = 1 if name in self.window.memory else self.window.cycles
            nothing = np.zeros(cycles, np.int64)
            for before, after in self.window.moments(name):
                for where in ([before], [after], [before, after])[: 1 if before == after else 3]:
                    for bit in range(lowest, self.window.width(name)):
                        unit = nothing.copy()
                        unit[where] = 1 << bit
                        moves += [(name, unit, nothing), (name, nothing, unit), (name, nothing, -unit)]
        return moves

    def _steps(self, parents: Transitions) -> dict[str, Integers]:
        """All steps from all parents, and every joint of two."""
        kept = next(iter(parents.values())).shape[2]
        pairs = list(permutations(range(kept), 2))
        result = {}
        for name, bits in parents.items():
            flip = np.zeros((len(self.moves), bits.shape[1]), np.int64)
            add = flip.copy()
            for place, (moved, mask, number) in enumerate(self.moves):
                if moved == name:
                    flip[place], add[place] = mask, number
            changed = (bits[..., None] ^ flip.T[None, :, None]) + add.T[None, :, None]
            changed &= (1 << self.window.width(name)) - 1
            # Sums of one transition with the operands of another.
            giver = 1 if name == self.interface.activation else 0
            joints = bits[:, :, [pair[giver] for pair in pairs]]
            result[name] = np.concatenate([changed.reshape(*bits.shape[:2], -1), joints], axis=2)
        return result

    def _carry_patterns(
        self, weights: Integers, drawn: Transitions, required: NDArray[np.int32]
    ) -> dict[str, Integers]:
        """Complete the terms before and after the edge to totals of all ones and of 0."""
        column, partial = self.column, self.interface.partial_sum
        if (
            not column.stimulus.search_rounds
            or not {partial} <= column.chains.keys() & self.window.lags.keys()
        ):
            return {}
        activation = self.interface.activation
        slow = required.max(axis=1).argsort(axis=1)[:, : -PATTERN_SAMPLES - 1 : -1]
        (first, *_) = self.window.moments(activation) or [(0, 1)]
        pairs = drawn[activation][np.arange(len(weights))[:, None], :, slow][:, :, list(first)]
        top = 1 << (column.bits - 1)
        corners = list(permutations({0, 1, top - 1, top, 2 * top - 1}, 2))
        pairs = np.concatenate([pairs, np.broadcast_to(corners, (len(weights), len(corners), 2))], axis=1)
        count = pairs.shape[1]
        each = np.repeat(weights, 2 * count)[None]
        terms = column.terms(each, pairs.reshape(1, -1)).reshape(pairs.shape)
        unit = 1 << column.stimulus.shift
        wanted = [(-unit, 0), (0, -unit), (-unit, -unit), (0, 0), (-unit, unit), (unit, -unit)]
        mask = (1 << self.window.width(partial)) - 1
        sums = np.concatenate([(np.array(total) - terms) & mask for total in wanted], axis=1)
        still = np.concatenate(
            [np.broadcast_to(sums[:, :, side, None], sums.shape) for side in (0, 1)], axis=1
        )
        sums = np.concatenate([sums, still], axis=1)
        pairs = np.tile(pairs, (1, 3 * len(wanted), 1))
        result = {
            name: np.zeros((len(weights), bits.shape[1], pairs.shape[1]), np.int64)
            for name, bits in drawn.items()
        }
        for name, ends in ((activation, pairs), (partial, sums)):
            for before, after in self.window.moments(name):
                result[name][:, before], result[name][:, after] = ends[..., 0], ends[..., 1]
        return result

    @cached_property
    def reach(self) -> int | None:
        """Largest magnitude of a sum from the rows above; None where a pair of vectors carries it."""
        column, interface = self.column, self.interface
        if interface.partial_sum not in column.chains or column.carries_pair:
            return None
        width = self.window.width(interface.partial_sum)
        step = 1 << column.stimulus.shift
        weights = np.flatnonzero(column.values % step == 0)
        ends = np.array([0, (1 << (column.bits - 1)) - 1, 1 << (column.bits - 1), (1 << column.bits) - 1])
        terms = column.terms(np.repeat(weights, len(ends))[None], np.tile(ends, len(weights))[None])
        products = _signed(terms + np.repeat(column.constants[weights], len(ends)), width)
        constants = _signed(column.constants[weights], width)
        rows = column.stimulus.rows
        return int((rows - 1) * np.abs(products).max() + rows * np.abs(constants).max())

    def _allowed(self, steps: Transitions, parents: Transitions) -> dict[str, Integers]:
        """Put the first parent where a sum is out of reach."""
        partial = self.interface.partial_sum
        result = dict(steps)
        if self.reach is None:
            return result
        width = self.window.width(partial)
        sums = steps[partial]
        if self.interface.signed or self.column.constants.any():
            sums = np.abs(_signed(sums, width))
        outside = np.any(sums > self.reach, axis=1, keepdims=True)
        return {name: np.where(outside, parents[name][:, :, :1], bits) for name, bits in result.items()}


def _signed(bits: Integers, width: int) -> Integers:
    bits = bits & ((1 << width) - 1)
    return bits - ((bits >> (width - 1)) << width)


def _rows(bits: Integers, count: int) -> Integers:
    return np.broadcast_to(bits, (count, *bits.shape[1:]))


def _joined(one: Transitions, other: Transitions) -> dict[str, Integers]:
    return {name: np.concatenate([bits, other[name]], axis=2) for name, bits in one.items()}


def _best(
    pool: Mapping[str, Integers], times: NDArray[np.int32]
) -> tuple[dict[str, Integers], NDArray[np.int32]]:
    """Keep the slowest few of each stage; of those that need the same time, the first."""
    rows = []
    for needs in times:
        chosen: list[int] = []
        for stage in needs:
            _, first = np.unique(-stage, return_index=True)
            chosen += first[:BEST_KEPT].tolist()
            chosen += [int(first[0])] * (BEST_KEPT - len(first))
        rows.append(chosen)
    places = np.array(rows)
    kept = {name: np.take_along_axis(bits, places[:, None], axis=2) for name, bits in pool.items()}
    return kept, np.take_along_axis(times, places[:, None], axis=2)

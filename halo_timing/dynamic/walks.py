"""Toggles of every net in chosen sequences of activations: what is compared with other simulators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.activation import ActivationNets
from halo_timing.dynamic.domain import Sampled
from halo_timing.dynamic.kernels import NEVER
from halo_timing.dynamic.model import Model
from halo_timing.dynamic.run import Motion, Runner, Semantics, Waveforms


@dataclass(frozen=True)
class Walk:
    """A weight (its index among the held values) and the activation bit patterns that follow one another."""

    weight_index: int
    activations: Sequence[int]

    @property
    def transitions(self) -> int:
        """Number of steps from one activation to the next."""
        return len(self.activations) - 1


@dataclass(frozen=True, eq=False)
class Toggles:
    """Every toggle of some nets, ordered by net, transition and time.

    Parameters
    ----------
    net, transition
        Which net toggles in which transition, int64, shape ``(toggles,)``; transitions are numbered through
        all walks, in their order.
    time_fs
        When, after the clock edge, int64.
    """

    net: NDArray[np.int64]
    transition: NDArray[np.int64]
    time_fs: NDArray[np.int64]

    @classmethod
    def ordered(
        cls, net: NDArray[np.int64], transition: NDArray[np.int64], time_fs: NDArray[np.int64]
    ) -> Toggles:
        """Toggles given in any order."""
        order = np.lexsort((time_fs, transition, net))
        return cls(net[order], transition[order], time_fs[order])

    def __eq__(self, other: object) -> bool:
        """Whether both are the same toggles at the same times."""
        if not isinstance(other, Toggles):
            return NotImplemented
        return all(
            np.array_equal(mine, theirs)
            for mine, theirs in (
                (self.net, other.net),
                (self.transition, other.transition),
                (self.time_fs, other.time_fs),
            )
        )

    def __len__(self) -> int:
        return len(self.net)


def full_walk(bits: int) -> list[int]:
    """Bit patterns of a closed walk that takes every transition between two different patterns once.

    There are ``2**bits * (2**bits - 1)`` of them: an Eulerian circuit of the complete directed graph, by
    Hierholzer's algorithm.
    """
    count = 1 << bits
    pending = [[after for after in range(count) if after != before] for before in range(count)]
    stack, walk = [0], []
    while stack:
        if pending[stack[-1]]:
            stack.append(pending[stack[-1]].pop())
        else:
            walk.append(stack.pop())
    return walk[::-1]


def simulate_walks(
    model: Model, nets: ActivationNets, walks: Sequence[Walk], semantics: Semantics
) -> tuple[Toggles, NDArray[np.float64]]:
    """Simulate walks one after another.

    Parameters
    ----------
    model
        Stages whose sources the activation alone decides.
    nets
        Of the same netlist.

    Returns
    -------
    toggles
        Of all sources and gates of the model.
    energy_fj
        Per transition; columns net switching, internal, and glitches' part of both, shape
        ``(transitions, 3)``.
    """
    found: list[tuple[NDArray[np.int64], ...]] = []
    energies = []
    runners: dict[int, Runner] = {}
    first = 0
    for walk in walks:
        held, motions = _motions(model, nets, walk)

        def observe(wave: Waveforms, first: int = first) -> None:
            toggles = wave.toggles
            times = wave.times
            times = times[times != NEVER]
            transition = first + np.repeat(np.arange(len(toggles)), toggles)
            found.append((np.full(len(times), wave.net), transition, times))

        if walk.transitions not in runners:
            runners[walk.transitions] = Runner(model, Sampled(walk.transitions), semantics)
        spent = runners[walk.transitions].run(held, motions, observe)
        energies.append(sum(spent.values(), np.zeros((3, walk.transitions), np.float64)).T)
        first += walk.transitions
    empty = np.empty(0, np.int64)
    columns = [np.concatenate(parts) for parts in zip((empty, empty, empty), *found, strict=True)]
    return Toggles.ordered(*columns), np.concatenate(energies)


def _motions(model: Model, nets: ActivationNets, walk: Walk) -> tuple[Mapping[int, int], dict[int, Motion]]:
    held = {net: int(values[walk.weight_index]) for net, values in nets.held.items()}
    steps = np.asarray(walk.activations)
    motions = {}
    for source in model.sources:
        if source.net in nets.values:
            values = nets.values[source.net][walk.weight_index][steps]
            motions[source.net] = Motion(1, values[:-1], values[1:])
    return held, motions

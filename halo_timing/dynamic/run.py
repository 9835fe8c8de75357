"""Running a model under one weight: gate by gate, each net's waveforms for all transitions at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic import general_kernels, kernels
from halo_timing.dynamic.domain import Domain, Indices, Values
from halo_timing.dynamic.model import Gate, Model
from halo_timing.errors import NetlistError

Semantics = Literal["inertial", "icarus"]

_EVENTS_PER_ENTRY = 4


@dataclass(frozen=True, eq=False)
class Motion:
    """How a source net moves: its support, and its values before and after the edge per low and high index.

    Parameters
    ----------
    support
        Activation bits that it depends on; any non-zero mask in a sampled run.
    before, after
        Values; along the low and the high index in an exhaustive run, both along the high one in a sampled.
    """

    support: int
    before: Values
    after: Values


@dataclass(frozen=True, eq=False)
class Waveforms:
    """What a net does in every entry of its memo; valid only while the observer that gets it runs.

    Parameters
    ----------
    net
        The net.
    support, before
        See :class:`Motion`.
    times, starts
        Toggle times and where each entry begins, see :mod:`halo_timing.dynamic.kernels`.
    spent
        Energies of all nets with this support so far, for observers to add to; rows as in
        :meth:`Runner.run`.
    """

    net: int
    support: int
    before: Values
    times: NDArray[np.int32]
    starts: Indices
    spent: NDArray[np.float32]

    @property
    def toggles(self) -> NDArray[np.int64]:
        """Number of toggles per entry."""
        starts = self.starts.astype(np.int64)
        return starts[1:] - starts[:-1] - 1

    @property
    def settled_fs(self) -> NDArray[np.int64]:
        """Time of the last toggle per entry, -1 where there is none."""
        last = self.times[np.maximum(self.starts[1:].astype(np.int64) - 2, 0)]
        return np.where(self.toggles > 0, last, -1)


@dataclass(eq=False)
class _Live:
    slot: int
    support: int
    before: Values
    uses: int


@dataclass(frozen=True, eq=False)
class _Reduced:
    """A gate whose constant inputs are folded in."""

    inputs: tuple[int, ...]
    constant: int | None
    value: Values
    delay_fs: NDArray[np.int32]
    energy_fj: NDArray[np.float32]


class Runner:
    """Simulates one model again and again; one for each thread, because it owns the pool of waveforms."""

    def __init__(self, model: Model, domain: Domain, semantics: Semantics) -> None:
        self.model, self.domain, self.semantics = model, domain, semantics
        self.uses: dict[int, int] = {}
        for gate in model.gates:
            for net in set(gate.inputs):
                self.uses[net] = self.uses.get(net, 0) + 1
        self.reduced: dict[tuple[int, int, int], _Reduced] = {}
        rows = self._most_live() + 1
        self.times: NDArray[np.int32] = np.empty((rows, domain.most_entries * _EVENTS_PER_ENTRY), np.int32)
        self.starts: NDArray[np.uint32] = np.empty((rows, domain.most_entries + 1), np.uint32)
        self.free: list[int] = []

    def _most_live(self) -> int:
        """Count the nets whose waveforms are needed at one time, when none is constant."""
        pending = dict(self.uses)
        live = {source.net for source in self.model.sources}
        most = len(live)
        for gate in self.model.gates:
            live.add(gate.net)
            most = max(most, len(live))
            for net in set(gate.inputs):
                pending[net] -= 1
                if not pending[net]:
                    live.discard(net)
            if gate.net not in pending:
                live.discard(gate.net)
        return most

    def run(
        self,
        constants: Mapping[int, int],
        motions: Mapping[int, Motion],
        observe: Callable[[Waveforms], None],
    ) -> dict[int, NDArray[np.float32]]:
        """Simulate all transitions.

        Parameters
        ----------
        constants
            Value of each net that holds still.
        motions
            What the sources do.
        observe
            Called with the waveforms of every net that moves.

        Returns
        -------
        dict
            Energy per support and entry, rows net switching, internal, and glitches' part of both, fJ.

        Raises
        ------
        NetlistError
            If a net that a gate reads is neither constant nor driven.
        """
        constants = dict(constants)
        live: dict[int, _Live] = {}
        spent: dict[int, NDArray[np.float32]] = {}
        self.free = list(range(len(self.times)))
        for source in self.model.sources:
            motion = motions.get(source.net)
            if motion is not None:
                live[source.net] = self._launch(source.net, motion, source.launch_fs, spent, observe)
        for index, gate in enumerate(self.model.gates):
            reduced = self._reduce(index, gate, constants)
            if reduced.constant is None:
                live[gate.net] = self._simulate(gate, reduced, live, spent, observe)
            else:
                constants[gate.net] = reduced.constant
                if reduced.inputs and reduced.energy_fj[1].any():
                    # The output stays, but the inputs' own edges cost energy.
                    self.free.append(self._simulate(gate, reduced, live, spent, lambda _wave: None).slot)
            for net in set(gate.inputs):
                self._release(live, net)
            if gate.net in live and not live[gate.net].uses:
                self.free.append(live.pop(gate.net).slot)
        return spent

    def _release(self, live: dict[int, _Live], net: int) -> None:
        wave = live.get(net)
        if wave is not None:
            wave.uses -= 1
            if not wave.uses:
                self.free.append(live.pop(net).slot)

    def _reduce(self, index: int, gate: Gate, constants: Mapping[int, int]) -> _Reduced:
        held = tied = 0
        for position, net in enumerate(gate.inputs):
            value = constants.get(net)
            if value is not None:
                held |= 1 << position
                tied |= value << position
        key = index, held, tied
        if key not in self.reduced:
            self.reduced[key] = _fold(gate, held, tied)
        return self.reduced[key]

    def _launch(
        self,
        net: int,
        motion: Motion,
        launch_fs: tuple[int, int],
        spent: dict[int, NDArray[np.float32]],
        observe: Callable[[Waveforms], None],
    ) -> _Live:
        before, after = self.domain.grid(motion.before, motion.after)
        launch = np.array(launch_fs, np.int32)[(before > after).astype(np.intp)]
        moves = (before != after).ravel()
        starts = np.zeros(len(moves) + 1, np.uint32)
        np.cumsum(moves + 1, out=starts[1:])
        slot = self.free.pop()
        while starts[-1] > self.times.shape[1]:
            self._grow()
        self.starts[slot, : len(starts)] = starts
        times = self.times[slot]
        times[: starts[-1]] = kernels.NEVER
        times[starts[:-1][moves]] = launch.ravel()[moves]
        wave = _Live(slot, motion.support, motion.before, self.uses.get(net, 0))
        energies = spent.setdefault(wave.support, np.zeros((3, len(moves)), np.float32))
        observe(Waveforms(net, wave.support, wave.before, times, self.starts[slot, : len(starts)], energies))
        return wave

    def _simulate(
        self,
        gate: Gate,
        reduced: _Reduced,
        live: Mapping[int, _Live],
        spent: dict[int, NDArray[np.float32]],
        observe: Callable[[Waveforms], None],
    ) -> _Live:
        try:
            inputs = [live[net] for net in reduced.inputs]
        except KeyError as error:
            name = self.model.netlist.net_names[int(error.args[0])]
            raise NetlistError(
                f"{gate.name}: net {name} is neither held, nor launched, nor driven"
            ) from error
        support = 0
        for wave in inputs:
            support |= wave.support
        supports = [wave.support for wave in inputs]
        low_map, high_map = self.domain.maps(support, supports)
        state = self.domain.states(support, supports, [wave.before for wave in inputs])
        low_state, high_state = self.domain.parts(state)
        entries = low_map.shape[1] * high_map.shape[1]
        if support not in spent:
            spent[support] = np.zeros((3, entries), np.float32)
        slot = self.free.pop()
        slots = np.array([*(wave.slot for wave in inputs), slot], np.uint32)
        kernel = _kernel(self.semantics, len(inputs))
        toggle_fj = np.array(self.model.toggle_fj.get(gate.net, (0.0, 0.0)), np.float32)
        done = 0
        while True:
            done = kernel(
                self.times,
                self.starts,
                slots,
                low_map,
                high_map,
                low_state,
                high_state,
                reduced.value,
                reduced.delay_fs,
                reduced.energy_fj,
                toggle_fj,
                spent[support],
                done,
            )
            if done == entries:
                break
            self._grow()
        before = reduced.value[state]
        wave = _Live(slot, support, before, self.uses.get(gate.net, 0))
        starts = self.starts[slot, : entries + 1]
        observe(Waveforms(gate.net, support, before, self.times[slot], starts, spent[support]))
        return wave

    def _grow(self) -> None:
        larger = np.empty((self.times.shape[0], 2 * self.times.shape[1]), np.int32)
        larger[:, : self.times.shape[1]] = self.times
        self.times = larger


def _kernel(semantics: Semantics, inputs: int) -> Callable[..., int]:
    if semantics == "icarus":
        return general_kernels.icarus_n
    special = {1: kernels.inertial_1, 2: kernels.inertial_2, 3: kernels.inertial_3}
    return special.get(inputs, general_kernels.inertial_n)


def _fold(gate: Gate, held: int, tied: int) -> _Reduced:
    """Fold held inputs into a gate."""
    live = [position for position in range(len(gate.inputs)) if not held >> position & 1]
    states = np.full(1 << len(live), tied)
    for place, position in enumerate(live):
        states |= (np.arange(len(states)) >> place & 1) << position
    value = np.ascontiguousarray(gate.value[states])
    grid = np.ix_(states, states)
    return _Reduced(
        tuple(gate.inputs[position] for position in live),
        int(value[0]) if (value == value[0]).all() else None,
        value,
        np.ascontiguousarray(gate.delay_fs[grid]),
        np.ascontiguousarray(gate.energy_fj[:, grid[0], grid[1]]),
    )

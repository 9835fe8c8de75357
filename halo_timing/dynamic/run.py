"""Running a model under one weight: gate by gate, each net's waveforms for all transitions at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic import general_kernels, kernels, slew_kernels
from halo_timing.dynamic.domain import Domain, Indices, Values
from halo_timing.dynamic.model import Gate, Model, Source
from halo_timing.errors import NetlistError, UsageError

Semantics = Literal["inertial", "icarus"]

_EVENTS_PER_ENTRY = 4
_FIXED = {1: kernels.inertial_1, 2: kernels.inertial_2, 3: kernels.inertial_3}
_WITH_SLEWS = {1: slew_kernels.inertial_1, 2: slew_kernels.inertial_2, 3: slew_kernels.inertial_3}


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
    events, starts
        Toggle times, or times and slews packed (:mod:`halo_timing.dynamic.slew_kernels`), and where each
        entry begins, see :mod:`halo_timing.dynamic.kernels`.
    spent
        Energies of all nets with this support so far, for observers to add to; rows as in
        :meth:`Runner.run`.
    """

    net: int
    support: int
    before: Values
    events: NDArray[np.int32] | NDArray[np.int64]
    starts: Indices
    spent: NDArray[np.float32]

    @property
    def slew_bits(self) -> int:
        """How many of an event's lowest bits are its slew."""
        return 32 if self.events.dtype == np.int64 else 0

    @property
    def times(self) -> NDArray[np.int64]:
        """Toggle times in fs, entries end to end, each ended by :data:`halo_timing.dynamic.kernels.NEVER`."""
        return self.events[: int(self.starts[-1])].astype(np.int64) >> self.slew_bits

    @property
    def slews_fs(self) -> NDArray[np.int64]:
        """Slews of the same toggles in fs; 0 where delays are fixed."""
        return self.events[: int(self.starts[-1])].astype(np.int64) & ((1 << self.slew_bits) - 1)

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
    tables: tuple[Any, ...]
    has_edges: bool


class Runner:
    """Simulates one model again and again; one for each thread, because it owns the pool of waveforms.

    Raises
    ------
    UsageError
        If Icarus' semantics are asked of delays that depend on slews, which Icarus does not know.
    """

    def __init__(self, model: Model, domain: Domain, semantics: Semantics) -> None:
        if semantics == "icarus" and model.has_slews:
            raise UsageError("icarus semantics need fixed delays: take those of an SDF file")
        self.model, self.domain, self.semantics = model, domain, semantics
        self.uses: dict[int, int] = {}
        self.read = [sorted(set(gate.inputs)) for gate in model.gates]
        for read in self.read:
            for net in read:
                self.uses[net] = self.uses.get(net, 0) + 1
        self.reduced: dict[tuple[int, int, int], _Reduced] = {}
        rows = self._most_live() + 1
        dtype = np.int64 if model.has_slews else np.int32
        self.events: NDArray[Any] = np.empty((rows, domain.most_entries * _EVENTS_PER_ENTRY), dtype)
        self.starts: NDArray[np.uint32] = np.empty((rows, domain.most_entries + 1), np.uint32)
        self.longest: NDArray[np.uint32] = np.zeros(rows, np.uint32)
        self.counts = any(any(pair) for pair in model.toggle_fj.values()) or any(map(_costs, model.gates))
        self.free: list[int] = []

    def _most_live(self) -> int:
        """Count the nets whose waveforms are needed at one time, when none is constant."""
        pending = dict(self.uses)
        live = {source.net for source in self.model.sources}
        most = len(live)
        for gate, read in zip(self.model.gates, self.read, strict=True):
            live.add(gate.net)
            most = max(most, len(live))
            for net in read:
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
        self.free = list(range(len(self.events)))
        for source in self.model.sources:
            motion = motions.get(source.net)
            if motion is not None:
                live[source.net] = self._launch(source, motion, spent, observe)
        for index, gate in enumerate(self.model.gates):
            reduced = self._reduce(index, gate, constants)
            if reduced.constant is None:
                live[gate.net] = self._simulate(gate, reduced, live, spent, observe)
            else:
                constants[gate.net] = reduced.constant
                if reduced.inputs and reduced.has_edges and self.counts:
                    # The output stays, but the inputs' own edges cost energy.
                    self.free.append(self._simulate(gate, reduced, live, spent, lambda _wave: None).slot)
            for net in self.read[index]:
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
            self.reduced[key] = _fold(gate, held, tied, self.model.toggle_fj.get(gate.net, (0.0, 0.0)))
        return self.reduced[key]

    def _launch(
        self,
        source: Source,
        motion: Motion,
        spent: dict[int, NDArray[np.float32]],
        observe: Callable[[Waveforms], None],
    ) -> _Live:
        before, after = self.domain.grid(motion.before, motion.after)
        launch = np.array(source.launch_fs, self.events.dtype)
        never = self.events.dtype.type(kernels.NEVER)
        if self.model.has_slews:
            launch, never = launch << 32 | np.array(source.slew_fs), never << 32
        launch = launch[(before > after).astype(np.intp)]
        moves = (before != after).ravel()
        starts = np.zeros(len(moves) + 1, np.uint32)
        np.cumsum(moves + 1, out=starts[1:])
        slot = self.free.pop()
        while starts[-1] > self.events.shape[1]:
            self._grow()
        self.starts[slot, : len(starts)] = starts
        self.longest[slot] = 1
        events = self.events[slot]
        events[: starts[-1]] = never
        events[starts[:-1][moves]] = launch.ravel()[moves]
        net = source.net
        wave = _Live(slot, motion.support, motion.before, self.uses.get(net, 0))
        energies = spent.setdefault(wave.support, np.zeros((3, len(moves)), np.float32))
        observe(Waveforms(net, wave.support, wave.before, events, self.starts[slot, : len(starts)], energies))
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
        kernel = self._kernel(len(inputs))
        done = 0
        while True:
            done = kernel(
                self.events,
                self.starts,
                slots,
                low_map,
                high_map,
                low_state,
                high_state,
                reduced.value,
                *reduced.tables,
                spent[support],
                self.counts,
                self.longest,
                done,
            )
            if done == entries:
                break
            self._grow()
        before = reduced.value[state]
        wave = _Live(slot, support, before, self.uses.get(gate.net, 0))
        starts = self.starts[slot, : entries + 1]
        observe(Waveforms(gate.net, support, before, self.events[slot], starts, spent[support]))
        return wave

    def _grow(self) -> None:
        larger = np.empty((self.events.shape[0], 2 * self.events.shape[1]), self.events.dtype)
        larger[:, : self.events.shape[1]] = self.events
        self.events = larger

    def _kernel(self, inputs: int) -> Callable[..., int]:
        if self.semantics == "icarus":
            return general_kernels.icarus_n
        if self.model.has_slews:
            return _WITH_SLEWS.get(inputs, slew_kernels.inertial_n)
        return _FIXED.get(inputs, general_kernels.inertial_n)


def _costs(gate: Gate) -> bool:
    """Whether any step of a gate costs energy."""
    table = gate.energy_fj if gate.steps is None else gate.steps.line[:, :, 4:]
    return bool(table.any())


def _fold(gate: Gate, held: int, tied: int, toggle_fj: tuple[float, float]) -> _Reduced:
    """Fold held inputs into a gate."""
    live = np.array([place for place in range(len(gate.inputs)) if not held >> place & 1], np.int64)
    states = np.full(1 << len(live), tied)
    for place, position in enumerate(live.tolist()):
        states |= (np.arange(len(states)) >> place & 1) << position
    value = np.ascontiguousarray(gate.value[states])
    tables: tuple[Any, ...]
    if gate.steps is not None:
        steps = gate.steps.kept(live, states)
        has_edges = steps.has_edges
        tables = (steps.record, steps.knots_fs, steps.line, has_edges)
    else:
        grid = np.ix_(states, states)
        energy_fj = np.ascontiguousarray(gate.energy_fj[:, grid[0], grid[1]])
        has_edges = bool(energy_fj[1].any())
        tables = (np.ascontiguousarray(gate.delay_fs[grid]), energy_fj)
    inputs = tuple(gate.inputs[position] for position in live.tolist())
    constant = int(value[0]) if (value == value[0]).all() else None
    return _Reduced(inputs, constant, value, (*tables, np.array(toggle_fj, np.float32)), has_edges)

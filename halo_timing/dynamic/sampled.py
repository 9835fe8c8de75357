"""Sampled dynamic timing: stages that partial sums move, or operands too wide to try all.

Periods found so are lower estimates: the largest of the transitions that were drawn, and of those that a
directed search found from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.activation import ActivationNets
from halo_timing.dynamic.capture import required_times
from halo_timing.dynamic.column import Column
from halo_timing.dynamic.directed import Search
from halo_timing.dynamic.domain import Sampled
from halo_timing.dynamic.element import Element, Integers
from halo_timing.dynamic.model import Endpoint, Model
from halo_timing.dynamic.result import DynamicResult
from halo_timing.dynamic.run import Motion, Runner, Semantics, Waveforms
from halo_timing.dynamic.stimulus import Stimulus
from halo_timing.dynamic.window import Transitions, Window
from halo_timing.held_weight import HeldWeight, unpack_words
from halo_timing.interface import Interface
from halo_timing.netlist import Netlist, Words

#: Transitions simulated at a time; the waveforms of all nets that are alive should fit the cache.
BATCH = 1024
#: Weights whose register contents are worked out at a time.
WEIGHTS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Launches:
    """What the sources of a model do in some transitions, packed 64 a word, per weight."""

    held: Mapping[int, NDArray[np.uint32]]
    before: Mapping[int, Words]
    after: Mapping[int, Words]
    count: int

    def motions(
        self, model: Model, row: int, index: int, part: slice
    ) -> tuple[dict[int, int], dict[int, Motion]]:
        """Nets that stay and those that move, for the weight `index` whose words are in `row`."""
        constants = {net: int(values[index]) for net, values in self.held.items()}
        motions = {}
        for source in model.sources:
            if source.net in constants or source.net not in self.before:
                continue
            before, after = (
                self._bits(words[source.net], row)[part].astype(np.uint32)
                for words in (self.before, self.after)
            )
            first = int(before[0])
            if (before == first).all() and (after == first).all():
                constants[source.net] = first
            else:
                motions[source.net] = Motion(1, before, after)
        return constants, motions

    def _bits(self, words: Words, row: int) -> NDArray[np.uint8]:
        """Bits of a weight; fewer rows or words than there are mean the same for all."""
        own = words[min(row, len(words) - 1)]
        return unpack_words(np.broadcast_to(own, (-(-self.count // 64),)), self.count)


@dataclass(frozen=True, eq=False)
class Measured:
    """What transitions of one weight need.

    Parameters
    ----------
    required_fs
        Launch to last toggle and setup, -1 where nothing moves, shape ``(stages, transitions)``.
    toggles
        Of all nets, all transitions together.
    energy_fj
        Net switching, internal, glitches' part; all transitions together, shape ``(3,)``.
    """

    required_fs: NDArray[np.int32]
    toggles: float
    energy_fj: NDArray[np.float64]


class Worker:
    """One thread's simulation of a model whose endpoints' `stage` is the position in the list of stages."""

    def __init__(self, model: Model, semantics: Semantics, stages: int) -> None:
        self.model, self.semantics, self.stages = model, semantics, stages
        self.runners: dict[int, Runner] = {}
        self.ends: dict[int, list[Endpoint]] = {}
        for end in model.endpoints:
            self.ends.setdefault(end.net, []).append(end)
        self.required = np.empty((stages, 0), np.int32)
        self.toggles = 0.0

    def run(self, launches: Launches, row: int, index: int) -> Measured:
        """Simulate all transitions of one weight, :data:`BATCH` at a time."""
        parts = []
        energy_fj = np.zeros(3)
        self.toggles = 0.0
        for start in range(0, launches.count, BATCH):
            part = slice(start, min(start + BATCH, launches.count))
            size = part.stop - part.start
            self.required = np.full((self.stages, size), -1, np.int32)
            if size not in self.runners:
                self.runners[size] = Runner(self.model, Sampled(size), self.semantics)
            constants, motions = launches.motions(self.model, row, index, part)
            spent = self.runners[size].run(constants, motions, self._observe)
            for spent_fj in spent.values():
                energy_fj += spent_fj.sum(axis=1, dtype=np.float64)
            parts.append(self.required)
        return Measured(np.concatenate(parts, axis=1), self.toggles, energy_fj)

    def _observe(self, wave: Waveforms) -> None:
        entries = len(wave.starts) - 1
        self.toggles += int(wave.starts[-1]) - entries
        for end in self.ends.get(wave.net, ()):
            stage = self.required[int(end.stage)]
            np.maximum(stage, required_times(wave, end), out=stage)


class Sampler:
    """Sampled stages of one netlist, ready to be simulated.

    Parameters
    ----------
    netlist, interface, held, nets
        The MAC.
    model
        Its sampled stages; the endpoints' `stage` is the position in `stages`.
    stages
        Their names.
    """

    def __init__(
        self,
        netlist: Netlist,
        interface: Interface,
        held: HeldWeight,
        nets: ActivationNets,
        model: Model,
        stages: Sequence[str],
        stimulus: Stimulus,
        semantics: Semantics,
    ) -> None:
        self.held, self.nets, self.model, self.stages = held, nets, model, tuple(stages)
        self.stimulus, self.semantics = stimulus, semantics
        self.element = Element(netlist, interface, held, nets.held)
        self.window = Window(self.element, [source.net for source in model.sources])
        self.column = Column(self.window, stimulus, held.values)
        self.local = threading.local()

    def launches(self, indices: Integers, transitions: Transitions) -> Launches:
        """Work out what the sources do under some weights."""
        count = next(iter(transitions.values())).shape[2]
        before, after = self.window.launch(self.element.hold(indices), transitions)
        return Launches(self.nets.held, before, after, count)

    def worker(self) -> Worker:
        """Return the simulation of the calling thread."""
        if not hasattr(self.local, "worker"):
            self.local.worker = Worker(self.model, self.semantics, len(self.stages))
        worker: Worker = self.local.worker
        return worker

    def measure(
        self, pool: ThreadPoolExecutor, indices: Integers, transitions: Transitions
    ) -> list[Measured]:
        """Simulate transitions of some weights."""
        launches = self.launches(indices, transitions)

        def run(row: int) -> Measured:
            return self.worker().run(launches, row, int(indices[row]))

        return list(pool.map(run, range(len(indices))))


def simulate_sampled(
    sampler: Sampler,
    indices: Sequence[int],
    *,
    with_energies: bool,
    bin_ps: float = 5.0,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> DynamicResult:
    """Simulate drawn transitions of each weight, and search for slower ones.

    Parameters
    ----------
    sampler
        What is simulated.
    with_energies
        Whether the model has energies.
    indices, bin_ps, jobs, progress
        As in :func:`halo_timing.dynamic.exhaustive.simulate_exhaustive`.

    Raises
    ------
    UsageError
        If the stimulus does not fit the MAC.
    """
    stimulus, held, window = sampler.stimulus, sampler.held, sampler.window
    chosen = np.asarray(indices, np.int64)
    stages = len(sampler.stages)
    names = [*sampler.element.inputs, *window.memory]
    result = DynamicResult(
        values=held.values[chosen],
        stages=sampler.stages,
        semantics=sampler.semantics,
        stimulus=stimulus.describe(),
        period_ps=np.zeros((len(chosen), stages)),
        worst=np.zeros((len(chosen), stages, 2), np.int32),
        bin_ps=bin_ps,
        histogram=np.zeros(
            (len(chosen), stages, int(sampler.model.longest_fs / 1000 / bin_ps) + 1), np.int64
        ),
        toggles=np.zeros(len(chosen)),
        energy_fj=np.full((len(chosen), 3), 0.0 if with_energies else np.nan),
        stage_stimulus=(stimulus.describe(),) * stages,
        drawn_ps=np.zeros((len(chosen), stages)),
        worst_inputs={
            name: np.zeros((len(chosen), stages, 1 if name in window.memory else window.cycles), np.int64)
            for name in names
        },
    )
    search = Search(sampler.column)
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        for start in range(0, len(chosen), WEIGHTS_AT_ONCE):
            rows = np.arange(start, min(start + WEIGHTS_AT_ONCE, len(chosen)))
            _run_block(sampler, search, pool, chosen[rows], rows, result)
            if progress:
                progress(len(rows))
    return result


def _run_block(
    sampler: Sampler,
    search: Search,
    pool: ThreadPoolExecutor,
    weights: Integers,
    rows: NDArray[np.intp],
    result: DynamicResult,
) -> None:
    drawn = sampler.column.draw(weights)
    measured = sampler.measure(pool, weights, drawn)
    required = np.stack([found.required_fs for found in measured])

    def measure(places: Integers, transitions: Transitions) -> NDArray[np.int32]:
        found = sampler.measure(pool, weights[places], transitions)
        return np.stack([one.required_fs for one in found])

    assert result.drawn_ps is not None
    assert result.worst_inputs is not None
    slowest, worst = search.run(weights, drawn, required, measure)
    result.drawn_ps[rows] = np.maximum(required.max(axis=2), 0) / 1000
    result.period_ps[rows] = np.maximum(slowest, 0) / 1000
    for name, bits in worst.items():
        result.worst_inputs[name][rows] = np.moveaxis(bits, 1, 2)
    activation = sampler.element.interface.activation
    result.worst[rows] = _operands(sampler, np.moveaxis(worst[activation], 1, 2)[..., :2])
    bins = np.maximum(required, 0) // round(result.bin_ps * 1000)
    for place, row in enumerate(rows):
        count = sampler.stimulus.samples
        result.toggles[row] = measured[place].toggles / count
        result.energy_fj[row] += measured[place].energy_fj / count
        for stage, numbers in enumerate(bins[place]):
            result.histogram[row, stage] = np.bincount(numbers, minlength=result.histogram.shape[2])


def _operands(sampler: Sampler, patterns: Integers) -> Integers:
    """Values of activations from their bit patterns."""
    half = 1 << (sampler.nets.bits - 1)
    return (patterns ^ half) - half if sampler.element.interface.signed else patterns

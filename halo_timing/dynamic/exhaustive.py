"""Exhaustive dynamic timing: every weight value, every pair of activations around the clock edge."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic import capture_kernels
from halo_timing.dynamic.activation import ActivationNets, find_activation_nets
from halo_timing.dynamic.capture import required_times
from halo_timing.dynamic.domain import Exhaustive
from halo_timing.dynamic.model import Delays, Endpoint, EnergySource, Model, build_model
from halo_timing.dynamic.result import DynamicResult
from halo_timing.dynamic.run import Motion, Runner, Semantics, Waveforms
from halo_timing.dynamic.stages import Launch, Stage, find_stages, launch_times
from halo_timing.errors import UsageError
from halo_timing.files import atomic_path
from halo_timing.held_weight import HeldWeight, operand_values
from halo_timing.interface import Interface
from halo_timing.netlist import Netlist

MAX_EXHAUSTIVE_BITS = 10
SETTLE_UNIT_PS = 0.1

Number = TypeVar("Number", np.int32, np.float32)


@dataclass(frozen=True, eq=False)
class Group:
    """Stages whose sources lie equally far behind the activation port: one model.

    Its endpoints' `stage` is the position in the list of stages, as text.
    """

    depth: int
    model: Model
    stages: tuple[int, ...]


def simulate_exhaustive(
    netlist: Netlist,
    interface: Interface,
    held: HeldWeight,
    delays: Delays,
    *,
    arrivals_ps: Mapping[str, float],
    nets: ActivationNets | None = None,
    semantics: Semantics = "inertial",
    energies: EnergySource | None = None,
    pairs: NDArray[np.float64] | None = None,
    indices: Sequence[int] | None = None,
    bin_ps: float = 5.0,
    settle_path: Path | None = None,
    energy_path: Path | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> DynamicResult:
    """Simulate every stage that the activation alone moves, over all its transitions.

    Parameters
    ----------
    netlist, interface, held, delays
        The MAC, its roles, what holds its weight, and its delays.
    arrivals_ps
        When input ports arrive, see :func:`halo_timing.sta.write_delays`.
    nets
        What :func:`halo_timing.dynamic.activation.find_activation_nets` says, if that is known already.
    semantics
        ``"inertial"``, or ``"icarus"`` to be equal to Icarus Verilog.
    energies
        Energies of cells and nets; without them, energies are 0.
    pairs
        How often each activation follows each in the mean energy, shape ``(activations, activations)`` =
        before, after, operand values ascending; all alike if None. Periods are those of every pair.
    indices
        Which of ``held.values``; all by default.
    bin_ps
        Width of the histogram's bins.
    settle_path
        Where to write the period of every transition as ``.npy``: uint16 in units of the result's
        `settle_unit_ps`, rounded up, shape ``(n, activations, activations)`` = weight, before, after, operand
        values ascending; 0 where nothing moves.
    energy_path
        Where to write the energy of every transition in fJ as ``.npy``: float32, of the same shape.
    jobs
        Threads; the result does not depend on it.
    progress
        Called with the number of weights done since the last call.

    Raises
    ------
    UsageError
        If no stage can be simulated exhaustively.
    """
    nets = nets or find_activation_nets(netlist, interface, held)
    stages = [stage for stage in find_stages(netlist, interface, held, nets) if stage.depth is not None]
    if not stages:
        raise UsageError(
            f"{netlist.name}: other inputs than the activation move every stage; sample it instead"
        )
    if nets.bits > MAX_EXHAUSTIVE_BITS:
        raise UsageError(
            f"{netlist.name}: {nets.bits} activation bits make {4**nets.bits:.1e} transitions a weight; "
            f"sample them (exhaustive up to {MAX_EXHAUSTIVE_BITS} bits)"
        )
    groups = group_stages(netlist, delays, stages, launch_times(netlist, delays, arrivals_ps), energies)
    longest_ps = max(group.model.longest_fs for group in groups) / 1000
    chosen = list(range(len(held.values)) if indices is None else indices)
    patterns = 1 << nets.bits
    activations = operand_values(nets.bits, interface.signed)
    by_pattern = None if pairs is None else _shares(pairs, activations)
    stimulus = f"exhaustive: all {patterns**2} pairs of {nets.bits}-bit activations"
    result = DynamicResult(
        values=held.values[chosen],
        stages=tuple(stage.name for stage in stages),
        semantics=semantics,
        stimulus=stimulus,
        period_ps=np.zeros((len(chosen), len(stages))),
        worst=np.zeros((len(chosen), len(stages), 2), np.int32),
        bin_ps=bin_ps,
        histogram=np.zeros((len(chosen), len(stages), int(longest_ps / bin_ps) + 1), np.int64),
        toggles=np.zeros(len(chosen)),
        energy_fj=np.full((len(chosen), 3), np.nan if energies is None else 0.0),
        settle_path=settle_path,
        energy_path=energy_path,
        stage_stimulus=(stimulus,) * len(stages),
        settle_unit_ps=_settle_unit_ps(longest_ps),
    )
    with ExitStack() as stack:
        shape = (len(chosen), patterns, patterns)
        settle_table = _table(stack, settle_path, shape, np.uint16)
        energy_table = _table(stack, energy_path, shape, np.float32)
        local = threading.local()

        def run(row: int) -> None:
            if not hasattr(local, "workers"):
                local.workers = [_Worker(group, nets, semantics, by_pattern) for group in groups]
            _run_weight(local.workers, chosen[row], row, activations, result, settle_table, energy_table)
            if progress:
                progress(1)

        with ThreadPoolExecutor(max(jobs, 1)) as pool:
            for _ in pool.map(run, range(len(chosen))):
                pass
    return result


def group_stages(
    netlist: Netlist,
    delays: Delays,
    stages: Sequence[Stage],
    launch: Mapping[int, Launch],
    energies: EnergySource | None,
) -> list[Group]:
    """Build a model for the stages of each depth; stages without one are left out."""
    groups = []
    for depth in sorted({stage.depth for stage in stages if stage.depth is not None}):
        members = tuple(index for index, stage in enumerate(stages) if stage.depth == depth)
        endpoints = [(str(index), name) for index in members for name in stages[index].endpoints]
        model = build_model(netlist, delays, endpoints, launch, energies)
        groups.append(Group(depth, model, members))
    return groups


def _settle_unit_ps(longest_ps: float) -> float:
    """Finest unit of periods in which the longest fits 16 bits."""
    unit_ps = SETTLE_UNIT_PS
    while longest_ps > unit_ps * 65535:
        unit_ps *= 2
    return unit_ps


def _table(
    stack: ExitStack, path: Path | None, shape: tuple[int, ...], dtype: type[np.generic]
) -> NDArray[np.generic] | None:
    if path is None:
        return None
    part = stack.enter_context(atomic_path(path))
    table: NDArray[np.generic] = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape)
    return table


class _Worker:
    """One thread's simulation of one group."""

    def __init__(
        self,
        group: Group,
        nets: ActivationNets,
        semantics: Semantics,
        by_pattern: NDArray[np.float64] | None,
    ) -> None:
        self.group, self.nets = group, nets
        self.domain = Exhaustive(nets.bits)
        self.runner = Runner(group.model, self.domain, semantics)
        self.ends: dict[int, list[Endpoint]] = {}
        for end in group.model.endpoints:
            self.ends.setdefault(end.net, []).append(end)
        patterns = 1 << nets.bits
        self.everything = patterns - 1
        self.required = {stage: np.empty((patterns, patterns), np.int32) for stage in group.stages}
        self.toggles = 0.0
        self.by_pattern = by_pattern
        self.shares: dict[int, NDArray[np.float64]] = {}

    def mean(self, support: int, parts: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean of energies over the transitions, as often as they come; shape ``(3,)``."""
        if self.by_pattern is None:
            return np.asarray(parts.mean(axis=1, dtype=np.float64))
        if support not in self.shares:
            low_map, high_map = self.domain.maps(self.everything, [support])
            entry = (high_map[0][:, None] + low_map[0][None, :]).ravel()
            shares = np.bincount(entry, self.by_pattern.T.ravel(), parts.shape[1])
            self.shares[support] = shares.astype(np.float64)
        return np.asarray(parts.astype(np.float64) @ self.shares[support])

    def run(self, index: int) -> dict[int, NDArray[np.float32]]:
        """Simulate a weight; leaves the time each transition needs in `required`, returns energies."""
        self.toggles = 0.0
        for required in self.required.values():
            required.fill(-1)
        held = {net: int(values[index]) for net, values in self.nets.held.items()}
        motions = {}
        for source in self.group.model.sources:
            if source.net in self.nets.values:
                values = self.nets.values[source.net][index]
                support, values = self.domain.source(values)
                if support:
                    motions[source.net] = Motion(support, values, values)
                else:
                    held[source.net] = int(values[0])
        return self.runner.run(held, motions, self._observe)

    def _observe(self, wave: Waveforms) -> None:
        entries = len(wave.starts) - 1
        self.toggles += (int(wave.starts[-1]) - entries) / entries
        for end in self.ends.get(wave.net, ()):
            required = required_times(wave, end)
            low_map, high_map = self.domain.maps(self.everything, [wave.support])
            capture_kernels.raise_to(self.required[int(end.stage)], required, low_map[0], high_map[0])


def _run_weight(
    workers: Sequence[_Worker],
    index: int,
    row: int,
    activations: NDArray[np.int32],
    result: DynamicResult,
    settle_table: NDArray[np.generic] | None,
    energy_table: NDArray[np.generic] | None,
) -> None:
    patterns = len(activations)
    energy = np.zeros((patterns, patterns), np.float32)
    slowest = np.zeros((patterns, patterns), np.int32)
    for worker in workers:
        spent = worker.run(index)
        result.toggles[row] += worker.toggles
        for support, parts in spent.items():
            result.energy_fj[row] += worker.mean(support, parts)
            if energy_table is not None:
                low_map, high_map = worker.domain.maps(worker.everything, [support])
                energy += (parts[0] + parts[1])[high_map[0][:, None] + low_map[0][None, :]]
        for stage, required in worker.required.items():
            ordered = _by_value(required, activations)
            worst = int(ordered.argmax())
            result.period_ps[row, stage] = max(int(ordered.flat[worst]), 0) / 1000
            result.worst[row, stage] = activations[list(divmod(worst, patterns))]
            bins = np.maximum(required, 0).ravel() // round(result.bin_ps * 1000)
            result.histogram[row, stage] = np.bincount(bins, minlength=result.histogram.shape[2])
            np.maximum(slowest, required, out=slowest)
    if settle_table is not None:
        unit_fs = round(result.settle_unit_ps * 1000)
        settle_table[row] = _by_value(-(-slowest // unit_fs), activations)
    if energy_table is not None:
        energy_table[row] = _by_value(energy, activations)


def _shares(pairs: NDArray[np.float64], activations: NDArray[np.int32]) -> NDArray[np.float64]:
    """Share of each pair of bit patterns [before, after].

    Raises
    ------
    UsageError
        If the counts are of another width.
    """
    count = len(activations)
    if pairs.shape != (count, count):
        raise UsageError(f"activation pairs: shape {pairs.shape}; ({count}, {count}) is needed")
    order = np.argsort(activations & (count - 1))
    shares: NDArray[np.float64] = pairs[np.ix_(order, order)] / pairs.sum()
    return shares


def _by_value(table: NDArray[Number], activations: NDArray[np.int32]) -> NDArray[Number]:
    """From [pattern after, pattern before] to [value before, value after], values ascending."""
    pattern = activations & (len(activations) - 1)
    ordered: NDArray[Number] = table.T[np.ix_(pattern, pattern)]
    return ordered

"""Dynamic timing of a whole MAC: each stage exhaustively where that is possible, by samples where not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.activation import ActivationNets, find_activation_nets
from halo_timing.dynamic.exhaustive import MAX_EXHAUSTIVE_BITS, group_stages, simulate_exhaustive
from halo_timing.dynamic.model import Delays, EnergySource, Model, build_model
from halo_timing.dynamic.plan import Part, Plan, predict_seconds
from halo_timing.dynamic.result import DynamicResult
from halo_timing.dynamic.run import Semantics
from halo_timing.dynamic.sampled import Sampler, simulate_sampled
from halo_timing.dynamic.stages import Stage, find_stages, launch_times
from halo_timing.dynamic.stimulus import Stimulus
from halo_timing.errors import UsageError
from halo_timing.held_weight import HeldWeight
from halo_timing.interface import Interface
from halo_timing.netlist import Instance, Netlist
from halo_timing.pdk.line import Line

#: ``auto`` tries every transition where a stage and its width allow, ``sampled`` draws everywhere.
Coverage = Literal["auto", "sampled"]


@dataclass(frozen=True, eq=False)
class Simulation:
    """One MAC with its delays, ready to be planned and run.

    Parameters
    ----------
    netlist, interface, held, delays, arrivals_ps, energies, semantics
        As in :func:`halo_timing.dynamic.exhaustive.simulate_exhaustive`.
    stimulus
        What sampled stages see.
    coverage
        Which stages are sampled.
    """

    netlist: Netlist
    interface: Interface
    held: HeldWeight
    delays: Delays
    arrivals_ps: Mapping[str, float]
    stimulus: Stimulus
    coverage: Coverage = "auto"
    semantics: Semantics = "inertial"
    energies: EnergySource | None = None

    @cached_property
    def nets(self) -> ActivationNets:
        """Nets that the weight or the activation decides."""
        bits = len(self.netlist.port(self.interface.activation).nets)
        with_values = self.coverage == "auto" and bits <= MAX_EXHAUSTIVE_BITS
        return find_activation_nets(self.netlist, self.interface, self.held, with_values=with_values)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages of the MAC."""
        return find_stages(self.netlist, self.interface, self.held, self.nets)

    @property
    def exhaustive(self) -> list[Stage]:
        """Stages of which every transition is simulated."""
        return [stage for stage in self.stages if self.nets.values and stage.depth is not None]

    @property
    def sampled(self) -> list[Stage]:
        """Stages of which transitions are drawn."""
        return [stage for stage in self.stages if not self.nets.values or stage.depth is None]

    @cached_property
    def sampler(self) -> Sampler | None:
        """What simulates the sampled stages; gates that exhaustive ones share cost no energy here."""
        if not self.sampled:
            return None
        launch = launch_times(self.netlist, self.delays, self.arrivals_ps)
        energies = self.energies
        if energies is not None and self.exhaustive:
            groups = group_stages(self.netlist, self.delays, self.exhaustive, launch, None)
            energies = _Elsewhere(energies, [group.model for group in groups])
        endpoints = [
            (str(index), name) for index, stage in enumerate(self.sampled) for name in stage.endpoints
        ]
        model = build_model(self.netlist, self.delays, endpoints, launch, energies)
        names = [stage.name for stage in self.sampled]
        return Sampler(
            self.netlist,
            self.interface,
            self.held,
            self.nets,
            model,
            names,
            self.stimulus,
            self.semantics,
        )

    def chosen(self, indices: Sequence[int] | None) -> list[int]:
        """Weights (positions) to simulate: by default all that the tile fact allows.

        Raises
        ------
        UsageError
            If the tile fact excludes one that is asked for.
        """
        step = 1 << self.stimulus.shift
        if indices is None:
            return [int(index) for index in np.flatnonzero(self.held.values % step == 0)]
        for index in indices:
            if self.held.values[index] % step:
                raise UsageError(
                    f"weight {self.held.values[index]}: no multiple of {step}, which the tile fact (shift "
                    f"{self.stimulus.shift}) says of every weight; leave it out"
                )
        return list(indices)

    def plan(self, *, indices: Sequence[int] | None = None, jobs: int = 1, calibrate: bool = True) -> Plan:
        """Say what will be done, and how long it will take if `calibrate`: measured on a few weights.

        Raises
        ------
        UsageError
            If the stimulus does not fit the MAC.
        """
        chosen = self.chosen(indices)
        parts = []
        if self.exhaustive:
            names = tuple(stage.name for stage in self.exhaustive)
            seconds = (
                predict_seconds(lambda few: self.exhaustively(few, jobs=jobs), chosen, jobs)
                if calibrate
                else None
            )
            transitions = 4**self.nets.bits
            parts.append(Part("exhaustive", names, transitions, "exhaustive", seconds))
        if self.sampled:
            names = tuple(stage.name for stage in self.sampled)
            seconds = (
                predict_seconds(lambda few: self._sampled(few, jobs=jobs), chosen, jobs)
                if calibrate
                else None
            )
            parts.append(Part("sampled", names, self.stimulus.samples, self.stimulus.describe(), seconds))
        return Plan(len(chosen), tuple(parts))

    def run(
        self,
        *,
        indices: Sequence[int] | None = None,
        bin_ps: float = 5.0,
        settle_path: Path | None = None,
        energy_path: Path | None = None,
        jobs: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> DynamicResult:
        """Simulate all stages; parameters as in :func:`halo_timing.dynamic.exhaustive.simulate_exhaustive`.

        Full tables hold the exhaustive stages.

        Raises
        ------
        UsageError
            If the stimulus does not fit the MAC, or full tables are asked for where no stage is exhaustive.
        """
        chosen = self.chosen(indices)
        if (settle_path or energy_path) and not self.exhaustive:
            raise UsageError(
                f"{self.netlist.name}: no stage is exhaustive, so there is no full table to write"
            )
        results = []
        if self.exhaustive:
            results.append(
                self.exhaustively(
                    chosen,
                    bin_ps=bin_ps,
                    settle_path=settle_path,
                    energy_path=energy_path,
                    jobs=jobs,
                    progress=progress,
                )
            )
        if self.sampled:
            results.append(self._sampled(chosen, bin_ps=bin_ps, jobs=jobs, progress=progress))
        return DynamicResult.merged(results, [stage.name for stage in self.stages])

    def exhaustively(
        self,
        chosen: Sequence[int],
        *,
        jobs: int,
        bin_ps: float = 5.0,
        settle_path: Path | None = None,
        energy_path: Path | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> DynamicResult:
        """Simulate the exhaustive stages of some weights; parameters as in :meth:`run`."""
        return simulate_exhaustive(
            self.netlist,
            self.interface,
            self.held,
            self.delays,
            arrivals_ps=self.arrivals_ps,
            nets=self.nets,
            semantics=self.semantics,
            energies=self.energies,
            pairs=self.stimulus.pairs,
            indices=chosen,
            bin_ps=bin_ps,
            settle_path=settle_path,
            energy_path=energy_path,
            jobs=jobs,
            progress=progress,
        )

    def _sampled(
        self,
        chosen: Sequence[int],
        *,
        jobs: int,
        bin_ps: float = 5.0,
        progress: Callable[[int], None] | None = None,
    ) -> DynamicResult:
        assert self.sampler is not None
        return simulate_sampled(
            self.sampler,
            chosen,
            with_energies=self.energies is not None,
            bin_ps=bin_ps,
            jobs=jobs,
            progress=progress,
        )


class _Elsewhere(EnergySource):
    """Energies without the gates that other models count already."""

    def __init__(self, energies: EnergySource, models: Iterable[Model]) -> None:
        self.energies, self.nothing = energies, EnergySource()
        self.nets = {gate.net for model in models for gate in model.gates}

    def _of(self, net: int) -> EnergySource:
        return self.nothing if net in self.nets else self.energies

    def gate_fj(self, instance: Instance, pin: str, inputs: Sequence[str]) -> NDArray[np.float32]:
        return self._of(instance.pins[pin]).gate_fj(instance, pin, inputs)

    def toggle_lines(
        self, instance: Instance, pin: str, inputs: Sequence[str]
    ) -> tuple[Sequence[Line], NDArray[np.int64]]:
        return self._of(instance.pins[pin]).toggle_lines(instance, pin, inputs)

    def edge_lines(
        self, instance: Instance, pin: str, inputs: Sequence[str]
    ) -> tuple[Sequence[Line], NDArray[np.int64]]:
        return self._of(instance.pins[pin]).edge_lines(instance, pin, inputs)

    def toggle_fj(self, net: int) -> tuple[float, float]:
        return self._of(net).toggle_fj(net)

    def capture_fj(self, instance: Instance, pin: str) -> tuple[tuple[float, float], tuple[float, float]]:
        return self.energies.capture_fj(instance, pin)

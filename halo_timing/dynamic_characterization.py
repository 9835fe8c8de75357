"""One mapped MAC: dynamic timing and energy of every weight value."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from halo_timing.delay_calculation import net_loads_ff, worst_slews_ps
from halo_timing.dynamic.result import DynamicResult
from halo_timing.dynamic.simulation import Coverage, Simulation
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.dynamic.stimulus import Stimulus
from halo_timing.dynamic_tables import ENERGY_NAME, SETTLE_NAME, DynamicTables
from halo_timing.energy import CellEnergies, weight_energies
from halo_timing.held_weight import find_held_weight
from halo_timing.netlist import Netlist
from halo_timing.rtl import Mac
from halo_timing.sdf import read_sdf
from halo_timing.sta import TimingConditions

DelayModel = Literal["nldm", "sdf"]

# Wider operands have more transitions than a picture has points.
MAX_MAP_BITS = 8
# Weights whose delays HALO (Juneja et al., AAAI 2026) shows one by one.
HALO_EXAMPLES = (64, -127)


@dataclass(frozen=True)
class DynamicOptions:
    """How dynamic timing is simulated.

    Parameters
    ----------
    delays
        ``nldm``: from the library's tables, each event with its own slew. ``sdf``: fixed, of each net's worst
        slew.
    stimulus
        What stages see that other inputs than the activation move, and how often activations follow each
        other.
    coverage
        Whether all stages are sampled, or only those for which there is no other way.
    full
        Keep the full tables: period and energy of every transition of every weight.
    bin_ps
        Width of the histogram's bins.
    """

    delays: DelayModel = "nldm"
    stimulus: Stimulus = field(default_factory=Stimulus)
    coverage: Coverage = "auto"
    full: bool = False
    bin_ps: float = 5.0

    def as_json(self) -> dict[str, Any]:
        """Everything that results depend on, as plain data."""
        stimulus = vars(self.stimulus).copy()
        for name in ("weights", "pairs"):
            if isinstance(stimulus[name], np.ndarray):
                stimulus[name] = hashlib.sha256(np.ascontiguousarray(stimulus[name]).tobytes()).hexdigest()
        return {
            "delays": self.delays,
            "stimulus_options": stimulus,
            "coverage": self.coverage,
            "full": self.full,
            "bin_ps": self.bin_ps,
        }


def simulation_of(
    mac: Mac,
    netlist: Netlist,
    conditions: TimingConditions,
    arrivals_ps: Mapping[str, float],
    sdf_path: Path,
    options: DynamicOptions,
) -> Simulation:
    """Prepare the simulation of a mapped MAC.

    Parameters
    ----------
    arrivals_ps, sdf_path
        What :func:`halo_timing.sta.write_delays` gave.

    Raises
    ------
    NetlistError
        If the SDF or the library lacks a delay.
    """
    load_ff = net_loads_ff(netlist, conditions.output_load_ff)
    slew_ps = worst_slews_ps(netlist, load_ff, conditions.input_slew_ps)
    nldm = NldmDelays(netlist, conditions.output_load_ff, conditions.input_slew_ps)
    return Simulation(
        netlist,
        mac.interface,
        find_held_weight(netlist, mac.interface),
        nldm if options.delays == "nldm" else read_sdf(sdf_path),
        arrivals_ps,
        options.stimulus,
        coverage=options.coverage,
        energies=CellEnergies(netlist, load_ff, slew_ps),
    )


def characterize_dynamics(
    simulation: Simulation,
    options: DynamicOptions,
    folder: Path,
    *,
    provenance: Mapping[str, Any],
    result: DynamicResult | None = None,
    indices: Sequence[int] | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> DynamicTables:
    """Simulate all stages for every weight; with ``options.full``, write the full tables into `folder`.

    Parameters
    ----------
    provenance
        What to record beside the simulation's own facts.
    result
        What :meth:`Simulation.run` gave for all weights, where it was done before.
    indices
        Weights (positions) to simulate; by default all that the tile fact allows.
    progress
        Called with the number of weights done since the last call; each part of the plan counts every weight.

    Raises
    ------
    UsageError
        If the stimulus does not fit the MAC, or full tables are asked for where no stage is exhaustive.
    """
    if result is None:
        result = simulation.run(
            indices=indices,
            bin_ps=options.bin_ps,
            settle_path=folder / SETTLE_NAME if options.full else None,
            energy_path=folder / ENERGY_NAME if options.full else None,
            jobs=jobs,
            progress=progress,
        )
    assert isinstance(simulation.energies, CellEnergies)
    energies = weight_energies(simulation.energies, simulation.held, simulation.nets, result)
    map_values, maps = _maps(simulation, result)
    drawn_ps = result.period_ps if result.drawn_ps is None else result.drawn_ps
    return DynamicTables(
        values=result.values.astype(np.int16),
        stages=result.stages,
        stage_period_ps=result.period_ps.astype(np.float32),
        stage_drawn_ps=drawn_ps.astype(np.float32),
        worst=result.worst.astype(np.int16),
        histogram=result.histogram,
        toggles=result.toggles.astype(np.float32),
        switching_fj=energies.switching_fj.astype(np.float32),
        internal_fj=energies.internal_fj.astype(np.float32),
        glitch_fj=energies.glitch_fj.astype(np.float32),
        clock_fj=energies.clock_fj.astype(np.float32),
        leakage_nw=energies.leakage_nw.astype(np.float32),
        metadata={
            **provenance,
            **options.as_json(),
            "semantics": result.semantics,
            "settle_unit_ps": result.settle_unit_ps,
            "stimulus": result.stimulus,
            "stage_stimulus": list(result.stage_stimulus),
            "definition": "period = launch + last change at a capturing pin + setup, the largest seen",
        },
        map_values=map_values,
        maps=maps,
        pairs=options.stimulus.pairs,
        folder=folder,
    )


def _maps(simulation: Simulation, result: DynamicResult) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Simulate a few weights again, for the period of each transition: fastest, slowest, HALO's two."""
    if not simulation.exhaustive or simulation.nets.bits > MAX_MAP_BITS:
        return np.zeros(0, np.int16), np.zeros((0, 0, 0), np.uint16)
    period_ps = result.dynamic_ps
    moving = np.flatnonzero((period_ps > 0) & (result.values != 0))
    chosen = [int(moving[np.argmin(period_ps[moving])]), int(np.argmax(period_ps))] if len(moving) else []
    chosen += np.flatnonzero(np.isin(result.values, HALO_EXAMPLES)).tolist()
    values = result.values[list(dict.fromkeys(chosen))]
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        path = Path(name) / SETTLE_NAME
        indices = np.searchsorted(simulation.held.values, values).tolist()
        simulation.exhaustively(indices, jobs=1, settle_path=path)
        return values.astype(np.int16), np.load(path)

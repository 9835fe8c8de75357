"""What dynamic timing found, stage by stage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from halo_timing.dynamic.run import Semantics
from halo_timing.errors import UsageError
from halo_timing.files import canonical_json, write_bytes

ENERGY_PARTS = ("switching", "internal", "glitch")


@dataclass(frozen=True, eq=False)
class DynamicResult:
    """Periods and energies of weights over a stated set of transitions.

    Parameters
    ----------
    values
        Weight values, shape ``(n,)``, int32.
    stages
        Names of the stages.
    semantics
        How pulses shorter than a gate's delay are treated, see :mod:`halo_timing.dynamic.kernels`.
    stimulus
        Which transitions were simulated, for people; ``exhaustive`` periods are exact for the delay model,
        sampled ones are lower estimates.
    period_ps
        Per weight and stage: launch, last toggle at any capturing pin and its setup time, the largest over
        all transitions, float64, shape ``(n, stages)``; 0 where nothing ever moves.
    worst
        Activation before and after the edge of the first transition that takes so long, int32, shape
        ``(n, stages, 2)``.
    bin_ps, histogram
        Width of the bins, and number of transitions per weight, stage and bin of the period, int64, shape
        ``(n, stages, bins)``; bin 0 also holds the transitions in which nothing moves.
    toggles
        Mean number of toggles of all nets in a transition, float64, shape ``(n,)``.
    energy_fj
        Mean energy of a transition per weight, as often as the stimulus says that each comes, columns
        :data:`ENERGY_PARTS`, float64, shape ``(n, 3)``: net switching, internal, and the part of both that
        glitches cause. Clock and leakage are not in it. NaN where no energies were given.
    settle_path, energy_path
        Files of the full tables, where they were asked for.
    stage_stimulus
        Which transitions were simulated, stage by stage.
    drawn_ps
        What the drawn transitions alone need at most, before the directed search, of the shape of
        `period_ps`; equal to that in exhaustive stages. None if no stage was sampled.
    worst_inputs
        For sampled stages: bits of each input in the clock cycles that decide the worst transition, the last
        two before and after the edge, and contents of registers that feed themselves at the start; int64,
        shape ``(n, stages, cycles)``, -1 in exhaustive stages. `worst` then shows the first two activations,
        which are the ones that have come furthest.
    settle_unit_ps
        Unit of the full table of periods: 0.1, or doubled until the longest fits 16 bits.
    """

    values: NDArray[np.int32]
    stages: tuple[str, ...]
    semantics: Semantics
    stimulus: str
    period_ps: NDArray[np.float64]
    worst: NDArray[np.int32]
    bin_ps: float
    histogram: NDArray[np.int64]
    toggles: NDArray[np.float64]
    energy_fj: NDArray[np.float64]
    settle_path: Path | None = None
    energy_path: Path | None = None
    stage_stimulus: tuple[str, ...] = ()
    drawn_ps: NDArray[np.float64] | None = None
    worst_inputs: Mapping[str, NDArray[np.int64]] | None = None
    settle_unit_ps: float = 0.1

    @property
    def dynamic_ps(self) -> NDArray[np.float64]:
        """Period per weight, the largest over the stages, shape ``(n,)``."""
        return np.asarray(self.period_ps.max(axis=1))

    @classmethod
    def merged(cls, results: Sequence[DynamicResult], order: Sequence[str]) -> DynamicResult:
        """Join results of different stages of the same weights into one.

        Parameters
        ----------
        results
            At least one.
        order
            Names of all stages, in the order that is wanted.
        """
        stages = [stage for result in results for stage in result.stages]
        places = [stages.index(name) for name in order]
        bins = max(result.histogram.shape[2] for result in results)
        stimuli = [text for result in results for text in result.stage_stimulus]
        inputs = {
            name: bits.shape for result in results for name, bits in (result.worst_inputs or {}).items()
        }
        worst_inputs = {}
        for name, (_, _, cycles) in inputs.items():
            parts = []
            for result in results:
                missing = np.full((*result.period_ps.shape, cycles), -1, np.int64)
                parts.append((result.worst_inputs or {}).get(name, missing))
            worst_inputs[name] = np.concatenate(parts, axis=1)[:, places]
        drawn = [result.period_ps if result.drawn_ps is None else result.drawn_ps for result in results]
        sampled = any(result.drawn_ps is not None for result in results)
        histograms = [
            np.pad(result.histogram, ((0, 0), (0, 0), (0, bins - result.histogram.shape[2])))
            for result in results
        ]
        return replace(
            results[0],
            stages=tuple(order),
            stimulus="; ".join(f"{', '.join(result.stages)}: {result.stimulus}" for result in results),
            period_ps=np.concatenate([result.period_ps for result in results], axis=1)[:, places],
            worst=np.concatenate([result.worst for result in results], axis=1)[:, places],
            histogram=np.concatenate(histograms, axis=1)[:, places],
            toggles=np.sum([result.toggles for result in results], axis=0),
            energy_fj=np.sum([result.energy_fj for result in results], axis=0),
            stage_stimulus=tuple(stimuli[place] for place in places),
            drawn_ps=np.concatenate(drawn, axis=1)[:, places] if sampled else None,
            worst_inputs=worst_inputs if sampled else None,
        )

    @classmethod
    def stacked(cls, blocks: Sequence[DynamicResult]) -> DynamicResult:
        """Join results of different weights of the same stages into one, in the order given."""
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(block, name) for block in blocks])
            for name in _PER_WEIGHT
            if getattr(blocks[0], name) is not None
        }
        return replace(blocks[0], **joined, settle_path=None, energy_path=None, worst_inputs=None)

    def save(self, path: Path) -> None:
        """Write everything but full tables and `worst_inputs` to a safetensors file."""
        arrays = {name: array for name in _PER_WEIGHT if (array := getattr(self, name)) is not None}
        facts = canonical_json({name: getattr(self, name) for name in _FACTS})
        data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {"result": facts})
        write_bytes(path, data)

    @classmethod
    def load(cls, path: Path) -> DynamicResult:
        """Read what :meth:`save` wrote.

        Raises
        ------
        UsageError
            If the file is missing or of another form.
        """
        try:
            with safe_open(path, framework="numpy") as stream:
                facts: dict[str, Any] = json.loads((stream.metadata() or {})["result"])
                arrays = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (no mapping)
            facts |= {name: tuple(facts[name]) for name in ("stages", "stage_stimulus")}
            return cls(**facts, **arrays)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path}: no result of a simulation ({error}); make it again") from error


_PER_WEIGHT = ("values", "period_ps", "worst", "histogram", "toggles", "energy_fj", "drawn_ps")
_FACTS = ("stages", "semantics", "stimulus", "bin_ps", "stage_stimulus", "settle_unit_ps")

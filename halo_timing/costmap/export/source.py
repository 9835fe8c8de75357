"""What an export is made from, and the means over a level that several formats share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.distributions import Distribution, fit_codebook, magnitudes, named_distribution
from halo_timing.costmap.model import CostMap
from halo_timing.errors import UsageError


@dataclass(frozen=True)
class Source:
    """A cost map, and what else an export may need.

    Parameters
    ----------
    cost_map
        What is exported.
    base
        The user's own file that an export starts from, where the format has one.
    histograms
        For each layer and level, how often each value of the cost map is held, shape ``(n,)``; empty where
        no model was quantized.
    """

    cost_map: CostMap
    base: Path | None = None
    histograms: Mapping[tuple[str, int], NDArray[np.int64]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """MAC, PDK and corner in one line."""
        about = self.cost_map.metadata
        return " ".join(str(about[key]) for key in ("mac", "pdk", "corner") if key in about)

    def base_text(self, wanted: str) -> str:
        """Text of the user's file.

        Raises
        ------
        UsageError
            If none was given, or it cannot be read; `wanted` says what it should be.
        """
        if self.base is None:
            raise UsageError(f"this format starts from a file of yours; name {wanted} with --base")
        try:
            return self.base.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--base {self.base}: cannot be read ({error}); name {wanted}") from error

    def level_energy_fj(self, level: int) -> float:
        """Mean energy a cycle of the values of a level, as often as weights round to each.

        Raises
        ------
        UsageError
            If energies were not characterised.
        """
        codebook = self.cost_map.levels[level].codebook
        shares = shares_of(codebook, self._distribution())
        return float(shares @ self._known_energy()[np.isin(self.cost_map.values, codebook)])

    def layer_energies_fj(self) -> dict[tuple[str, int], float]:
        """Mean energy a cycle for each layer and level of the quantized model."""
        energy = self._known_energy()
        return {
            key: float(counts @ np.where(counts > 0, energy, 0)) / float(counts.sum())
            for key, counts in self.histograms.items()
            if counts.sum()
        }

    def _distribution(self) -> Distribution:
        rule = self.cost_map.metadata.get("level_rule", {})
        name = str(rule.get("distribution", "gaussian"))
        known = named_distribution(name.strip("|"))
        return magnitudes(known) if name.startswith("|") else known

    def _known_energy(self) -> NDArray[np.float64]:
        energy = self.cost_map.energy_fj.astype(np.float64)
        if np.isnan(energy).all():
            raise UsageError(
                "this cost map holds no energies, and a model of energy made of nothing would mislead; "
                "characterise with energies first"
            )
        return energy


def shares_of(codebook: NDArray[np.int16], distribution: Distribution) -> NDArray[np.float64]:
    """How often weights of a distribution round to each value of a codebook at its best scale."""
    points = codebook.astype(np.float64) * fit_codebook(codebook, distribution).scale
    ordered = np.sort(points)
    middles = (ordered[1:] + ordered[:-1]) / 2
    edges = distribution.partial_moments(np.concatenate([[-np.inf], middles, [np.inf]]))[0]
    shares = np.diff(edges)
    return np.asarray(shares if points[0] <= points[-1] else shares[::-1])

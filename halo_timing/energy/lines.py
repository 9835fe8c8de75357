"""Energies of edges against the slew of the input that causes them, at one load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.pdk.line import Line
from halo_timing.pdk.table import Floats

NONE = -1


@dataclass(frozen=True, eq=False)
class EdgeEnergies:
    """For each input position and state after a step, the line of the energy of one edge.

    Parameters
    ----------
    lines
        The lines, each once; fJ over ps.
    index
        Index into `lines` of the edge that input p's change to state s causes, or of input p's own edge:
        ``index[p, s]``, :data:`NONE` where there is no table, int64, shape ``(inputs, 2**inputs)``. Bit p of
        s tells whether input p has risen.
    fits
        Whether the library describes that very state, bool, of the same shape; elsewhere, the mean over the
        states that it describes for that input stands in.
    """

    lines: tuple[Line, ...]
    index: NDArray[np.int64]
    fits: NDArray[np.bool_]

    def at(self, slew_ps: Sequence[tuple[float, float]]) -> Floats:
        """Energies in fJ at slews of (rise, fall) per input, of the shape of `index`; 0 without a table."""
        energy = np.zeros(self.index.shape)
        states = np.arange(self.index.shape[1])
        for position, slews in enumerate(slew_ps):
            for number in set(self.index[position].tolist()) - {NONE}:
                at_rise, at_fall = self.lines[number].at(slews)
                edge = np.where(states >> position & 1, at_rise, at_fall)
                energy[position] = np.where(self.index[position] == number, edge, energy[position])
        return energy

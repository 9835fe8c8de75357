"""Energies of edges against the slew of the input that causes them, at one load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halo_timing.pdk.table import INPUT_SLEW, LOAD, Floats, Table

NONE = -1


@dataclass(frozen=True, eq=False)
class EnergyLine:
    """Energy over slew, straight between the knots and straight on beyond them, as Liberty interpolates.

    Parameters
    ----------
    slew_ps, energy_fj
        Knots, slews ascending, float64, shape ``(n,)``; one knot means that the slew does not matter.
    """

    slew_ps: Floats
    energy_fj: Floats

    def at(self, slew_ps: ArrayLike) -> Floats:
        """Energy in fJ at slews in ps; of their shape."""
        table = Table(INPUT_SLEW, LOAD, self.slew_ps, np.zeros(1), self.energy_fj[:, None])
        return table.at(slew_ps, 0.0)

    @classmethod
    def mixed(cls, parts: Sequence[tuple[EnergyLine, float]]) -> EnergyLine:
        """Weighted sum of lines; exact, because every knot of each is a knot of the sum."""
        if len(parts) == 1:
            ((line, weight),) = parts
            return cls(line.slew_ps, weight * line.energy_fj)
        # A line of one knot bends nowhere, so its knot is none of the sum's, unless no line bends.
        bends = [line.slew_ps for line, _ in parts if len(line.slew_ps) > 1]
        knots = np.unique(np.concatenate(bends)) if bends else np.zeros(1)
        energy = sum((weight * line.at(knots) for line, weight in parts), np.zeros(len(knots)))
        return cls(knots, energy)


@dataclass(frozen=True, eq=False)
class EdgeEnergies:
    """For each input position and state after a step, the line of the energy of one edge.

    Parameters
    ----------
    lines
        The lines, each once.
    index
        Index into `lines` of the edge that input p's change to state s causes, or of input p's own edge:
        ``index[p, s]``, :data:`NONE` where there is no table, int32, shape ``(inputs, 2**inputs)``. Bit p of
        s tells whether input p has risen.
    fits
        Whether the library describes that very state, bool, of the same shape; elsewhere, the mean over the
        states that it describes for that input stands in.
    """

    lines: tuple[EnergyLine, ...]
    index: NDArray[np.int32]
    fits: NDArray[np.bool_]

    def at(self, slew_ps: Sequence[tuple[float, float]]) -> Floats:
        """Energies in fJ at slews of (rise, fall) per input, of the shape of `index`; 0 without a table."""
        energy = np.zeros(self.index.shape)
        rises = np.arange(self.index.shape[1])
        for position, (rise_ps, fall_ps) in enumerate(slew_ps):
            for number in set(self.index[position]) - {NONE}:
                at_rise, at_fall = self.lines[number].at([rise_ps, fall_ps])
                edge = np.where(rises >> position & 1, at_rise, at_fall)
                energy[position] = np.where(self.index[position] == number, edge, energy[position])
        return energy

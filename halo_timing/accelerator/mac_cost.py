"""Clocks, area and energy of a characterised MAC, as the accelerator's model needs them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.accelerator.systolic import Pipeline
from halo_timing.costmap.levels import periods_from
from halo_timing.costmap.voltage import VoltageModel, comparable, load_corners
from halo_timing.errors import CostMapError, UsageError
from halo_timing.tables import Tables

# Weights that share a scale, and how far the largest of them lies out in a normal distribution (its mean).
_GROUP, _GROUP_MAXIMUM_SIGMA = 128, 2.86
# nW x ps = 1e-21 J.
_FJ_PER_NW_PS = 1e-6
#: Supplies closer than this are the same.
SAME_V = 1e-4


@dataclass(frozen=True)
class OperatingPoint:
    """A clock and what a MAC costs at it.

    Parameters
    ----------
    period_ps, vdd_v
        Clock period and supply.
    energy_fj
        Mean energy of a MAC in a cycle, its leakage included; None where it was not characterised.
    values
        Number of weight values that may be used.
    """

    period_ps: float
    vdd_v: float
    energy_fj: float | None
    values: int


@dataclass(frozen=True)
class Supplies:
    """What a MAC costs at each supply at which it was characterised.

    Parameters
    ----------
    voltage
        Its periods.
    cycle_fj, leakage_nw
        As in :class:`MacUnit`, by rising supply, shape ``(k, n)``.
    """

    voltage: VoltageModel
    cycle_fj: NDArray[np.float32]
    leakage_nw: NDArray[np.float32]


@dataclass(frozen=True)
class MacUnit:
    """A characterised integer MAC.

    Parameters
    ----------
    name, pdk, corner
        What was characterised.
    area_um2
        Area of its cells.
    pipeline
        Cycles that it takes.
    values, period_ps, cycle_fj, leakage_nw
        Weight values, shortest period, mean energy of a cycle without leakage, and leakage of each, shape
        ``(n,)``; NaN where they are not known.
    vdd_v
        Supply of these figures.
    netlist_sha256
        Digest of its netlist.
    supplies
        What it costs at other supplies; None where it was characterised at one.
    """

    name: str
    pdk: str
    corner: str
    area_um2: float
    pipeline: Pipeline
    values: NDArray[np.int16]
    period_ps: NDArray[np.float32]
    cycle_fj: NDArray[np.float32]
    leakage_nw: NDArray[np.float32]
    vdd_v: float
    netlist_sha256: str
    supplies: Supplies | None = None

    @classmethod
    def load(cls, folder: Path, *, period_from: str = "bound", margin: float = 0.0) -> MacUnit:
        """Read a result folder of ``halo-timing characterize``.

        Parameters
        ----------
        period_from, margin
            Periods to go by and the share added to them, as the levels of a cost map have them.

        Raises
        ------
        CostMapError
            If tables or synthesis.json are missing or damaged.
        UsageError
            If periods are asked for that were not simulated.
        """
        corners = comparable(load_corners(folder))
        tables = corners[0]
        synthesis = read_synthesis(folder)
        periods = [periods_from(each, period_from) * np.float32(1 + margin) for each in corners]
        supplies = None
        if len(corners) > 1:
            rising = sorted(corners, key=lambda each: float(each.metadata["vdd_v"]))
            supplies = Supplies(
                VoltageModel.through(corners, periods),
                np.stack([each.energy_fj for each in rising]),
                np.stack([_leakage_nw(each) for each in rising]),
            )
        return cls(
            name=str(tables.metadata["mac"]),
            pdk=str(tables.metadata["pdk"]),
            corner=str(tables.metadata["corner"]),
            area_um2=float(synthesis["area_um2"]),
            pipeline=Pipeline(hop=1, latency=int(synthesis["reference"]["latency"])),
            values=tables.values,
            period_ps=periods[0],
            cycle_fj=tables.energy_fj,
            leakage_nw=_leakage_nw(tables),
            vdd_v=float(tables.metadata["vdd_v"]),
            netlist_sha256=str(tables.metadata["netlist_sha256"]),
            supplies=supplies,
        )

    def at_supply(self, vdd_v: float) -> MacUnit:
        """Return the same MAC at another supply.

        Periods are those of :meth:`VoltageModel.at`. Energies and leakage lie straight between those of the
        characterised supplies against their squares (C V^2 / 2). Where one of these was not simulated,
        energies go with the square, and leakage is taken as it is.

        Raises
        ------
        UsageError
            If the MAC was not characterised at a supply on either side.
        """
        if abs(vdd_v - self.vdd_v) < SAME_V:
            return self
        if self.supplies is None:
            raise UsageError(
                f"{self.name} was characterised at {self.vdd_v:g} V alone and is to run at {vdd_v:g} V; make "
                "its folder with `halo-timing characterize --corners`"
            )
        there, squares = self.supplies, self.supplies.voltage.vdd_v**2
        if np.isfinite(there.cycle_fj).all():
            cycle_fj, leakage_nw = (
                _between(squares, figures, vdd_v**2) for figures in (there.cycle_fj, there.leakage_nw)
            )
        else:
            cycle_fj, leakage_nw = self.cycle_fj * np.float32((vdd_v / self.vdd_v) ** 2), self.leakage_nw
        return replace(
            self,
            period_ps=there.voltage.at(vdd_v).astype(np.float32),
            cycle_fj=cycle_fj,
            leakage_nw=leakage_nw,
            vdd_v=vdd_v,
        )

    def worst(self, codes: NDArray[np.floating] | None = None) -> OperatingPoint:
        """Operating point that is right for every value, as a designer signs it off.

        Parameters
        ----------
        codes
            How often each of :attr:`values` occurs, for the mean energy; None: :func:`normal_codes` of all.
        """
        return self.at_period(self.values, float(self.period_ps.max()), self.vdd_v, codes)

    def grid(self, bits: int) -> NDArray[np.int16]:
        """Values of a symmetric grid of `bits` bits as they are stored without a shift."""
        span = 1 << (bits - 1)
        return self.values[(self.values >= -span) & (self.values < span)]

    def at_period(
        self,
        codebook: NDArray[np.integer],
        period_ps: float,
        vdd_v: float,
        codes: NDArray[np.floating] | None = None,
    ) -> OperatingPoint:
        """Operating point of a codebook at a given clock and supply."""
        there = self.at_supply(vdd_v)
        frequency = normal_codes(self.values, codebook) if codes is None else codes
        used = frequency > 0
        cycle_fj = there.cycle_fj[used] + there.leakage_nw[used] * period_ps * _FJ_PER_NW_PS
        energy = float(np.dot(cycle_fj, frequency[used]) / frequency[used].sum())
        return OperatingPoint(period_ps, vdd_v, None if math.isnan(energy) else energy, len(codebook))

    def fastest_shift(self, bits: int) -> tuple[int, float]:
        """Shift that lets a grid of `bits` bits run fastest in this MAC, and the period it then has.

        A grid of few bits may be stored anywhere in a wider register: shifting it left is free, as the scale
        takes it up. In a MAC whose delay shows trailing zeros this alone is a faster class.
        """
        grid = self.grid(bits).astype(np.int64)
        width = len(self.values).bit_length() - 1
        periods = {
            shift: float(self.period_ps[np.isin(self.values, grid << shift)].max())
            for shift in range(max(width - bits, 0) + 1)
        }
        best = min(periods, key=lambda shift: (periods[shift], shift))
        return best, periods[best]


def _leakage_nw(tables: Tables) -> NDArray[np.float32]:
    leakage_nw = np.full(len(tables.values), np.nan, np.float32)
    if tables.dynamic is not None:
        leakage_nw[np.searchsorted(tables.values, tables.dynamic.values)] = tables.dynamic.leakage_nw
    return leakage_nw


def _between(x: NDArray[np.float64], figures: NDArray[np.float32], at: float) -> NDArray[np.float32]:
    """Interpolate each column of `figures`, whose rows are at ascending `x`."""
    upper = int(np.clip(np.searchsorted(x, at), 1, len(x) - 1))
    share = (at - x[upper - 1]) / (x[upper] - x[upper - 1])
    return np.asarray((1 - share) * figures[upper - 1] + share * figures[upper], np.float32)


def read_synthesis(folder: Path) -> Mapping[str, Any]:
    """Read ``synthesis.json`` of a result folder.

    Raises
    ------
    CostMapError
        If it is missing or damaged.
    """
    path = folder / "synthesis.json"
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CostMapError(
            f"{path}: is not there or damaged; make it with `halo-timing characterize`"
        ) from error
    if not isinstance(content, dict) or not {"area_um2", "worst_period_ps"} <= content.keys():
        raise CostMapError(f"{path}: lacks area_um2 or worst_period_ps; make the folder again")
    return content


def check_same_corner(units: Mapping[str, tuple[str, str]]) -> None:
    """Refuse to compare figures of different cells.

    Parameters
    ----------
    units
        Folder → PDK and corner.

    Raises
    ------
    UsageError
        If they differ.
    """
    first = next(iter(units))
    for folder, place in units.items():
        if place != units[first]:
            raise UsageError(
                f"{folder} was characterised on {' '.join(place)}, {first} on {' '.join(units[first])}: "
                "only MACs of one PDK and corner can be compared"
            )


def normal_codes(values: NDArray[np.integer], codebook: NDArray[np.integer]) -> NDArray[np.float64]:
    """How often each of `values` occurs when normally distributed weights are rounded to `codebook`.

    The scale is that of absmax in groups of 128, whose largest member is at 2.86 sigma in the mean. It stands
    in for the codes of a real model where only its shape is known.

    Returns
    -------
    ndarray of float64, shape of `values`
        Sums to 1; 0 outside the codebook.
    """
    book = np.sort(np.asarray(codebook, np.float64))
    sigma = float(np.abs(book).max()) / _GROUP_MAXIMUM_SIGMA or 1.0
    edges = (book[1:] + book[:-1]) / 2
    below = np.array([0.5 * (1 + math.erf(edge / sigma / math.sqrt(2))) for edge in edges])
    shares = np.diff(np.concatenate([[0.0], below, [1.0]]))
    result = np.zeros(len(values))
    result[np.searchsorted(values, np.sort(codebook))] = shares
    return result

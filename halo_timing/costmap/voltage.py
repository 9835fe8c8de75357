"""Delay against supply voltage, from a PDK's own corners, and levels at voltages between them.

Delays follow the alpha-power law ``d = k V / (V - Vt)^alpha`` (Sakurai and Newton, 1990), fitted value by
value through corners that differ in voltage alone. Nothing is extrapolated: outside the PDK's voltages there
is no answer, and at them the tables are used as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.corner_index import INDEX_FILE, read_index
from halo_timing.costmap.distributions import Floats
from halo_timing.errors import CostMapError, UsageError
from halo_timing.tables import Tables

#: Exponent where two voltages are all there is; 1 is full velocity saturation, 2 none.
ALPHA_OF_TWO = 1.3
_ALPHAS = (1.0, 2.0)
_THRESHOLDS = 400
# Voltages are set in steps of a millivolt.
_STEP_V = 1e-3


@dataclass(frozen=True)
class Curve:
    """Fitted law of each value.

    Parameters
    ----------
    factor, threshold_v, alpha
        The law's k, Vt and alpha, shape ``(n,)`` each.
    """

    factor: Floats
    threshold_v: Floats
    alpha: Floats

    def at(self, vdd_v: float) -> Floats:
        """Delay of each value at a voltage, shape ``(n,)``."""
        return np.asarray(self.factor * vdd_v / (vdd_v - self.threshold_v) ** self.alpha)


def fit_curve(vdd_v: Floats, delay_ps: Floats, alpha: float = ALPHA_OF_TWO) -> Curve:
    """Fit the law through delays at two voltages or more.

    Parameters
    ----------
    vdd_v
        Voltages, ascending, shape ``(k,)``.
    delay_ps
        Delays, shape ``(k, n)``; 0 where nothing moves.
    alpha
        Exponent that is taken as given where there are two voltages: then the curve goes through both points
        whatever it is, and residuals say nothing. With three or more it is fitted, for least squares of the
        logarithms.

    Raises
    ------
    CostMapError
        If delays do not fall as the voltage rises.
    """
    moving = delay_ps[0] > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        # log(d / V) = log k - alpha log(V - Vt)
        log_delay = np.log(delay_ps / vdd_v[:, None])
    if np.any(np.diff(delay_ps[:, moving], axis=0) >= 0):
        raise CostMapError(
            "delays do not fall as the voltage rises; these corners differ in more than voltage"
        )
    count = delay_ps.shape[1]
    threshold, exponent, log_factor = np.zeros(count), np.full(count, alpha), np.full(count, -np.inf)
    if len(vdd_v) == 2:
        ratio = np.exp((log_delay[0] - log_delay[1])[moving] / alpha)
        threshold[moving] = (ratio * vdd_v[0] - vdd_v[1]) / (ratio - 1)
        log_factor[moving] = log_delay[0, moving] + alpha * np.log(vdd_v[0] - threshold[moving])
    else:
        best = np.full(count, np.inf)
        # Where nothing moves, the logarithm is no number to fit.
        log_delay = np.where(moving, log_delay, 0)
        for candidate in np.linspace(0, 0.98 * vdd_v[0], _THRESHOLDS):
            x = np.log(vdd_v - candidate)
            slope = -((x - x.mean()) @ (log_delay - log_delay.mean(axis=0))) / ((x - x.mean()) ** 2).sum()
            level = log_delay.mean(axis=0) + slope * x.mean()
            error = ((log_delay - level + slope * x[:, None]) ** 2).sum(axis=0)
            better = moving & (error < best)
            best[better], threshold[better] = error[better], candidate
            exponent[better], log_factor[better] = slope[better], level[better]
    return Curve(np.exp(log_factor), threshold, exponent)


@dataclass(frozen=True)
class VoltageModel:
    """Periods of each value between a PDK's voltages, at one process and temperature.

    Parameters
    ----------
    corners
        Names of the corners, by rising voltage.
    vdd_v
        Their voltages, shape ``(k,)``.
    period_ps
        Their periods, shape ``(k, n)``.
    curve
        The fit; None for a single voltage.
    """

    corners: tuple[str, ...]
    vdd_v: Floats
    period_ps: Floats
    curve: Curve | None

    @classmethod
    def through(cls, tables: Sequence[Tables], periods: Sequence[NDArray[np.float32]]) -> VoltageModel:
        """Fit the tables of corners that differ in voltage alone, given the periods to go by of each."""
        order = np.argsort([float(each.metadata["vdd_v"]) for each in tables])
        vdd_v = np.array([float(tables[index].metadata["vdd_v"]) for index in order])
        period_ps = np.stack([np.asarray(periods[index], np.float64) for index in order])
        names = tuple(str(tables[index].metadata["corner"]) for index in order)
        return cls(names, vdd_v, period_ps, fit_curve(vdd_v, period_ps) if len(vdd_v) > 1 else None)

    @property
    def residuals(self) -> Floats:
        """Fitted over measured, less 1, shape ``(k, n)``; 0 where nothing moves."""
        if self.curve is None:
            return np.zeros_like(self.period_ps)
        fitted = np.stack([self.curve.at(vdd) for vdd in self.vdd_v])
        return np.where(self.period_ps > 0, fitted / np.where(self.period_ps > 0, self.period_ps, 1) - 1, 0)

    def at(self, vdd_v: float) -> Floats:
        """Period of each value at a voltage, shape ``(n,)``: measured at the PDK's voltages, fitted between.

        What is fitted is lengthened by as much as the fit falls short of any measured period.

        Raises
        ------
        UsageError
            If the voltage is outside the PDK's.
        """
        known = np.flatnonzero(np.abs(self.vdd_v - vdd_v) < _STEP_V / 2)
        if len(known):
            return np.asarray(self.period_ps[known[0]])
        if self.curve is None or not self.vdd_v[0] < vdd_v < self.vdd_v[-1]:
            raise UsageError(
                f"{vdd_v:g} V: the PDK was timed from {self.vdd_v[0]:g} to {self.vdd_v[-1]:g} V at this "
                "process and temperature, and delays are not extrapolated"
            )
        return self.curve.at(vdd_v) * (1 - min(float(self.residuals.min()), 0.0))

    def lowest_vdd(self, chosen: NDArray[np.bool_], period_ps: float) -> float | None:
        """Lowest voltage, in millivolts, at which chosen values are right; None if there is none."""
        low, high = round(self.vdd_v[0] / _STEP_V), round(self.vdd_v[-1] / _STEP_V)

        def right(millivolts: int) -> bool:
            return bool(self.at(millivolts * _STEP_V)[chosen].max() <= period_ps)

        # The lengthening of a fit makes small steps at the PDK's voltages, so each span is searched apart.
        edges = sorted({low, high, *(round(vdd / _STEP_V) for vdd in self.vdd_v)})
        for start, end in zip([low, *edges[:-1]], edges, strict=True):
            if not right(end):
                continue
            while end - start > 1:
                middle = (start + end) // 2
                start, end = (start, middle) if right(middle) else (middle, end)
            return float(end * _STEP_V)
        return None

    def spread(self) -> float:
        """How far curves of alpha 1 and 2 through the same two voltages differ between them; 0 otherwise."""
        if len(self.vdd_v) != 2:
            return 0.0
        one, other = (fit_curve(self.vdd_v, self.period_ps, alpha) for alpha in _ALPHAS)
        moving = self.period_ps[0] > 0
        between = np.linspace(self.vdd_v[0], self.vdd_v[1], 21)
        return float(max(np.abs(one.at(v)[moving] / other.at(v)[moving] - 1).max() for v in between))

    def summary(self) -> dict[str, Any]:
        """Say in JSON what was fitted, and how well."""
        points = len(self.vdd_v)
        if self.curve is None:
            return {"corners": list(self.corners), "vdd_v": self.vdd_v.tolist(), "fit": "none: one voltage"}
        free = "k and Vt, alpha given" if points == 2 else "k, Vt and alpha"
        judged = points > (2 if points == 2 else 3)
        return {
            "corners": list(self.corners),
            "vdd_v": self.vdd_v.tolist(),
            "fit": f"alpha-power law, {free}",
            "residuals": "as many points as parameters: they say nothing"
            if not judged
            else "of fitted periods",
            "largest_residual": round(float(np.abs(self.residuals).max()), 6),
            "alpha": round(float(np.median(self.curve.alpha)), 4),
            "threshold_v": round(float(np.median(self.curve.threshold_v)), 4),
            "spread_of_alpha_1_to_2": round(self.spread(), 6),
        }


def load_corners(folder: Path) -> list[Tables]:
    """Tables of a result folder, that of the folder itself first, and those that its index names.

    Raises
    ------
    CostMapError
        If the index or a table is damaged.
    """
    if not (folder / INDEX_FILE).exists():
        return [Tables.load(folder)]
    return [Tables.load(folder / entry.folder) for entry in read_index(folder)]


def comparable(tables: Sequence[Tables]) -> list[Tables]:
    """Those that differ from the first in voltage alone: same process, temperature and netlist.

    Raises
    ------
    CostMapError
        If two corners are of different netlists: a curve through them would fit the mapper's noise.
    """
    home = tables[0].metadata
    alike = [
        each
        for each in tables
        if each.metadata["temperature_c"] == home["temperature_c"]
        and process_of(str(each.metadata["corner"])) == process_of(str(home["corner"]))
    ]
    for each in alike:
        if each.metadata.get("netlist_sha256") != home.get("netlist_sha256"):
            raise CostMapError(
                f"corners {home['corner']} and {each.metadata['corner']} are of different netlists; make "
                "them with `halo-timing characterize --corners`, which times one netlist at all"
            )
    return alike


def process_of(corner: str) -> str:
    """Take voltage and temperature off a corner's name: ``typ_1p20V_25C`` is of process ``typ``."""
    words = re.split(r"[_\-.]+", corner.lower())
    return "_".join(word for word in words if not re.fullmatch(r"[mn]?\d+(p\d+)?[vc]?|v\d.*|\d+v\d+", word))

"""Where to cut the order of values by delay: the cuts of least mean period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.codebooks import MOST_VALUES, allowed_values
from halo_timing.costmap.distributions import Distribution, Floats, fit_codebook
from halo_timing.errors import UsageError

#: One level more must lower the mean period by this share to be worth a clock of its own.
WORTHWHILE = 0.01
MOST_LEVELS = 16
# An automatic choice stops here at the latest: each level costs a point of operation to be closed and tested.
_MOST_AUTOMATIC = 6
# Limits on the period that are tried; errors of thousands of values take their time.
_MOST_LIMITS = 256
_MOST_LIMITS_OF_WIDE = 48


@dataclass(frozen=True)
class Frontier:
    """What each limit on the period allows: codebooks that grow with it, and what they are good for.

    Parameters
    ----------
    codebooks
        Values allowed at each limit, each a subset of the next.
    period_ps
        Slowest value of each, ascending.
    sqnr_db
        Expected signal to quantization noise of each at its best scale, not descending.
    """

    codebooks: tuple[NDArray[np.int16], ...]
    period_ps: Floats
    sqnr_db: Floats


@dataclass(frozen=True)
class Cuts:
    """Chosen codebooks, fastest first, and the mean period that they were chosen for."""

    codebooks: tuple[NDArray[np.int16], ...]
    mean_period_ps: float


def frontier(
    values: NDArray[np.int16],
    period_ps: NDArray[np.floating],
    distribution: Distribution,
    *,
    min_size: int = 1,
    symmetric: bool = False,
) -> Frontier:
    """Every codebook of at least `min_size` values that takes all values up to some period.

    Of operands with more periods than can be tried, limits at sizes in even ratios.

    Parameters
    ----------
    symmetric
        Whether values without their negative are left out.
    """
    limits = np.unique(period_ps)
    most = _MOST_LIMITS if len(values) <= MOST_VALUES else _MOST_LIMITS_OF_WIDE
    if len(limits) > most:
        # Sizes in even ratios: where one value more or less matters, all are kept.
        limits = limits[np.unique(np.geomspace(1, len(limits), most).astype(int)) - 1]
    codebooks: list[NDArray[np.int16]] = []
    slowest: list[float] = []
    for limit in limits.tolist():
        book = allowed_values(values, period_ps, limit).astype(np.int16)
        if symmetric:
            book = symmetric_part(book)
        longest = float(period_ps[np.isin(values, book)].max())
        # Values behind which nothing moves have period 0, which is no clock to run at.
        if len(book) < min_size or longest <= 0 or (codebooks and len(book) == len(codebooks[-1])):
            continue
        codebooks.append(book)
        slowest.append(longest)
    sqnr_db = [min(fit_codebook(book, distribution).sqnr_db, 1e3) for book in codebooks]
    # More values cannot fit worse; the search for the scale may differ in the last digits.
    return Frontier(tuple(codebooks), np.array(slowest), np.maximum.accumulate(np.array(sqnr_db)))


def symmetric_part(codebook: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the values whose negative is there too."""
    return codebook[np.isin(-codebook.astype(np.int64), codebook)]


def best_cuts(
    candidates: Frontier, levels: int | None, min_sqnr_db: float, enough_sqnr_db: float = np.inf
) -> Cuts:
    """Choose the codebooks of least mean period.

    Parameters
    ----------
    levels
        Levels wanted; fewer come back where there are not as many that differ. None adds levels as long as
        each lowers the mean period by :data:`WORTHWHILE`.
    min_sqnr_db
        What the fastest level must reach.
    enough_sqnr_db
        What no tile needs more than.

    Raises
    ------
    UsageError
        If not even all values reach the first, or the second is not larger.

    Notes
    -----
    The mean is that over tiles of weights whose needs are spread evenly, in decibels, from `min_sqnr_db` to
    `enough_sqnr_db` (or what all values reach, if that is less); each tile runs at the fastest level that
    meets its need. Level k then holds the share of the decibels between its codebook and the one before. This
    is the area under a staircase over the frontier, and the best staircase of a given number of steps follows
    by dynamic programming.
    """
    reach = candidates.sqnr_db
    if levels == 1 and len(reach):
        return Cuts(candidates.codebooks[-1:], float(candidates.period_ps[-1]))
    if not len(reach) or reach[-1] < min_sqnr_db:
        found = f"{reach[-1]:.1f} dB with all values" if len(reach) else "no clock at all"
        raise UsageError(f"--min-sqnr {min_sqnr_db:g}: this operand reaches {found}; ask for less")
    if not enough_sqnr_db > min_sqnr_db:
        raise UsageError(
            f"--enough-sqnr {enough_sqnr_db:g}: must be more than --min-sqnr, which is {min_sqnr_db:g}"
        )
    reach = np.minimum(reach, enough_sqnr_db)
    wanted = levels or _MOST_AUTOMATIC
    period, last = candidates.period_ps, len(reach) - 1
    # area[j]: least area of a staircase whose slowest step so far is j.
    area = np.where(reach >= min_sqnr_db, (reach - min_sqnr_db) * period, np.inf)
    before: list[NDArray[np.intp]] = []
    totals = [float(area[last])]
    rise = reach[None, :] - reach[:, None]
    step = np.where(rise > 0, rise * period[None, :], np.inf)
    # The slowest level takes all values, even where no tile needs them: single weights may.
    step[:last, last] = rise[:last, last] * period[last]
    for _ in range(wanted - 1):
        through = area[:, None] + step
        before.append(np.argmin(through, axis=0))
        area = through.min(axis=0)
        if not np.isfinite(area[last]) or (levels is None and area[last] > totals[-1] * (1 - WORTHWHILE)):
            before.pop()
            break
        totals.append(float(area[last]))
    path = [last]
    for back in reversed(before):
        path.append(int(back[path[-1]]))
    span = float(reach[last]) - min_sqnr_db
    mean = totals[-1] / span if span > 0 else float(period[last])
    return Cuts(tuple(candidates.codebooks[index] for index in reversed(path)), mean)

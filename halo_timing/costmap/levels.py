"""From tables to a cost map: which periods count, where levels are cut, and how much is added to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.cuts import best_cuts, frontier
from halo_timing.costmap.distributions import Distribution, fit_codebook, magnitudes, named_distribution
from halo_timing.costmap.level_spec import given_codebooks, parse_count
from halo_timing.costmap.model import CostMap, Level
from halo_timing.errors import UsageError
from halo_timing.tables import Tables

DEFAULT_LEVELS = 3
# A codebook of fewer than eight values is less than a three-bit grid: no quantizer keeps a model with it.
DEFAULT_MIN_SIZE = 8
# Of Gaussian weights, a two-bit grid keeps 9 dB and a three-bit one 14.
DEFAULT_MIN_SQNR_DB = 10.0
# A four-bit grid keeps 19; models rounded to that, weights alone, lose next to nothing.
DEFAULT_ENOUGH_SQNR_DB = 20.0
#: What periods can be taken from.
SOURCES = ("bound", "dynamic")


def build_cost_map(
    tables: Tables,
    *,
    levels: int | str = DEFAULT_LEVELS,
    source: str = "bound",
    margin: float | None = None,
    min_size: int = DEFAULT_MIN_SIZE,
    min_sqnr_db: float = DEFAULT_MIN_SQNR_DB,
    enough_sqnr_db: float = DEFAULT_ENOUGH_SQNR_DB,
    distribution: Distribution | str = "gaussian",
    symmetric: bool = False,
) -> CostMap:
    """Cost map with levels that are found, or given.

    Parameters
    ----------
    levels
        Number of levels, found by :func:`halo_timing.costmap.cuts.best_cuts`; ``auto`` finds the number too;
        or levels that are given, in the forms of :data:`halo_timing.costmap.level_spec.FORMS`.
    source
        Periods to go by: ``bound``, or ``dynamic`` where the tables have it.
    margin
        Share added to each level's period, such as 0.05. None is 0 for the bound; a dynamic period needs one
        that is stated, be it 0.
    min_size
        Smallest codebook of levels that are found.
    min_sqnr_db
        What the fastest level must reach, likewise.
    enough_sqnr_db
        What no tile of weights needs more than, likewise.
    distribution
        Weights that errors are expected over; their magnitudes, where the operand has no sign.
    symmetric
        Whether codebooks leave out values without their negative.

    Raises
    ------
    UsageError
        If an option is out of range, or the tables have no periods of this source.
    """
    if isinstance(distribution, str):
        distribution = named_distribution(distribution)
    if tables.values.min() >= 0:
        distribution = magnitudes(distribution)
    period_ps = periods_from(tables, source)
    margin = _checked_margin(margin, source)
    if not 1 <= min_size <= len(tables.values):
        raise UsageError(f"--min-size {min_size}: the operand has {len(tables.values)} values")
    codebooks, rule = choose_codebooks(
        tables.values,
        period_ps,
        levels=levels,
        min_size=min_size,
        min_sqnr_db=min_sqnr_db,
        enough_sqnr_db=enough_sqnr_db,
        distribution=distribution,
        symmetric=symmetric,
    )
    vdd_v = float(tables.metadata["vdd_v"])
    slowest_ps = [float(period_ps[np.isin(tables.values, book)].max()) for book in codebooks]
    return CostMap(
        values=tables.values,
        period_ps=period_ps,
        bound_ps=tables.bound_ps,
        energy_fj=tables.energy_fj,
        levels=tuple(
            Level(book, slowest * (1 + margin), vdd_v)
            for book, slowest in zip(codebooks, slowest_ps, strict=True)
        ),
        metadata={
            **tables.metadata,
            "level_rule": rule,
            "margin": margin,
            "period_from": source,
            "units": {"period_ps": "ps", "energy_fj": "fJ", "freq_ghz": "GHz", "vdd": "V"},
            "zero_point": "symmetric: 0 is code 0",
        },
    )


def periods_from(tables: Tables, source: str) -> NDArray[np.float32]:
    """Period per value from the source that is asked for.

    Raises
    ------
    UsageError
        If there is no such source, or the tables do not have it.
    """
    if source not in SOURCES:
        raise UsageError(f"--from {source}: one of {', '.join(SOURCES)} is wanted")
    if source == "bound":
        return tables.bound_ps
    dynamic_ps = tables.dynamic_ps
    if dynamic_ps is None:
        raise UsageError("--from dynamic: these tables hold static bounds alone; use --from bound")
    if missing := int(np.isnan(dynamic_ps).sum()):
        raise UsageError(f"--from dynamic: {missing} values were not simulated; use --from bound")
    return dynamic_ps


def choose_codebooks(
    values: NDArray[np.int16],
    period_ps: NDArray[np.float32],
    *,
    levels: int | str,
    min_size: int,
    min_sqnr_db: float,
    enough_sqnr_db: float,
    distribution: Distribution,
    symmetric: bool,
) -> tuple[tuple[NDArray[np.int16], ...], dict[str, Any]]:
    """Codebooks, fastest first, and the rule that chose them, as JSON."""
    rule: dict[str, Any] = {"distribution": distribution.name, "symmetric": symmetric}
    count = parse_count(levels)
    if isinstance(count, str):
        books = given_codebooks(count, values, period_ps, distribution, symmetric=symmetric)
        rule["given"] = count
    else:
        candidates = frontier(values, period_ps, distribution, min_size=min_size, symmetric=symmetric)
        cuts = best_cuts(candidates, count, min_sqnr_db, enough_sqnr_db)
        books = cuts.codebooks
        rule |= {
            "objective": "mean period of tiles whose needed SQNR is spread evenly",
            "levels": count or "auto",
            "min_size": min_size,
            "min_sqnr_db": min_sqnr_db,
            "enough_sqnr_db": enough_sqnr_db,
            "mean_period_ps": round(cuts.mean_period_ps, 3),
        }
    rule["sqnr_db"] = [round(min(fit_codebook(book, distribution).sqnr_db, 1e3), 3) for book in books]
    return books, rule


def _checked_margin(margin: float | None, source: str) -> float:
    if margin is None:
        if source != "bound":
            raise UsageError(f"--from {source}: its periods have no room in them; state a --margin, be it 0")
        return 0.0
    if not 0 <= margin <= 1:
        raise UsageError(f"--margin {margin:g}: a share between 0 and 1, such as 0.05, is wanted")
    return margin

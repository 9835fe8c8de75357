"""Choosing codebooks: of the values that are fast enough, those that represent weights best."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halo_timing.costmap.distributions import Distribution, Floats, fit_codebook, named_distribution
from halo_timing.errors import UsageError

#: Values among which a codebook can be chosen; beyond, the tables of the search outgrow their use.
MOST_VALUES = 1024
# Largest allowed magnitude in root mean squares of the weights: first these, then finer about the best.
_COARSE = np.geomspace(0.5, 48, 64)
_FINE = np.geomspace(0.94, 1.064, 13)


def choose_codebook(
    values: ArrayLike,
    period_ps: ArrayLike,
    limit_ps: float,
    size: int,
    distribution: Distribution | str = "gaussian",
    symmetric: bool = False,
) -> NDArray[np.int16]:
    """Choose a codebook of `size` values, none slower than `limit_ps`, with the least expected error.

    Parameters
    ----------
    values
        Operand values, shape ``(n,)``; 0 is one of them.
    period_ps
        Period of each, shape ``(n,)``.
    limit_ps
        Longest period allowed. 0 belongs to every codebook, whatever its own period is.
    size
        Values wanted, 0 included.
    distribution
        Weights to be represented: a name (``gaussian``, ``student-t5``, ``laplace``, ``uniform``), or one
        made by :func:`halo_timing.costmap.distributions.empirical`.
    symmetric
        Whether with each value its negative must be there; the size is then odd, and one less than an even
        `size`.

    Returns
    -------
    ndarray of int16, shape (size,)
        Sorted, distinct, 0 among them; fewer where not as many values are fast enough.

    Raises
    ------
    UsageError
        If the size is less than 1, 0 is no value, shapes differ, or more than :data:`MOST_VALUES` values are
        fast enough.

    Notes
    -----
    At a given scale the best subset is a shortest path of `size` nodes through the values in their order,
    where a step from one value to the next costs the expected squared error of the weights between them
    (Bruce 1965; Wu 1991): exact, in ``O(size n²)``. That is repeated over scales in steps of 1 % about the
    best, so what comes back is the best set of all, up to that step.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.arange(-8, 8)
    >>> period_ps = np.where(values % 2 == 0, 100.0, 200.0)
    >>> choose_codebook(values, period_ps, limit_ps=150, size=4).tolist()
    [-8, -4, 0, 6]
    """
    if isinstance(distribution, str):
        distribution = named_distribution(distribution)
    allowed = allowed_values(values, period_ps, limit_ps)
    if size < 1:
        raise UsageError(f"codebook size {size}: at least 1 value is needed, which is 0")
    if symmetric:
        allowed = allowed[np.isin(-allowed, allowed)]
        size -= 1 - size % 2
    if len(allowed) <= size:
        return allowed.astype(np.int16)
    if len(allowed) > MOST_VALUES:
        raise UsageError(
            f"{len(allowed)} values are fast enough; a codebook is chosen among at most {MOST_VALUES}"
        )
    best, best_error = allowed[:0], np.inf
    for sign in (1,) if symmetric or distribution.symmetric else (1, -1):
        nodes = np.sort(sign * allowed)
        reach = _best_reach(nodes, size, distribution, symmetric)
        for factor in _FINE:
            chosen = sign * nodes[_best_path(nodes, size, reach * factor, distribution, symmetric)[1]]
            error = fit_codebook(chosen, distribution).error
            if error < best_error:
                best, best_error = np.sort(chosen), error
    return best.astype(np.int16)


def allowed_values(values: ArrayLike, period_ps: ArrayLike, limit_ps: float) -> NDArray[np.int64]:
    """Return the values that are no slower than `limit_ps`, and 0, sorted.

    Raises
    ------
    UsageError
        If shapes differ, or 0 is no value.
    """
    numbers, periods = np.asarray(values, np.int64), np.asarray(period_ps, np.float64)
    if numbers.ndim != 1 or numbers.shape != periods.shape:
        raise UsageError(f"values of shape {numbers.shape} do not go with periods of shape {periods.shape}")
    if 0 not in numbers:
        raise UsageError("0 is not among the operand's values, and a codebook needs it")
    return np.unique(numbers[(periods <= limit_ps) | (numbers == 0)])


def _best_reach(nodes: NDArray[np.int64], size: int, distribution: Distribution, symmetric: bool) -> float:
    errors = [_best_path(nodes, size, reach, distribution, symmetric)[0] for reach in _COARSE]
    return float(_COARSE[int(np.argmin(errors))])


def _best_path(
    nodes: NDArray[np.int64], size: int, reach: float, distribution: Distribution, symmetric: bool
) -> tuple[float, NDArray[np.intp]]:
    """Least error of `size` of the nodes with the largest magnitude on `reach`, and their positions."""
    first, step, last = _costs(nodes, reach / float(np.abs(nodes).max()), distribution)
    zero = int(np.searchsorted(nodes, 0))
    if symmetric:
        # Fold the negative half on the positive one: a step costs what it does on both sides together.
        mirrored = step[: zero + 1, : zero + 1][::-1, ::-1].T
        folded = step[zero:, zero:] + mirrored
        error, path = _shortest(None, folded, last[zero:] + first[zero::-1], (size + 1) // 2)
        return error, np.concatenate([zero - path[:0:-1], zero + path])
    # 0 may not be stepped over, nor may a path begin after it or end before it.
    step[:zero, zero + 1 :] = np.inf
    first[zero + 1 :] = np.inf
    last[:zero] = np.inf
    return _shortest(first, step, last, size)


def _costs(
    nodes: NDArray[np.int64], scale: float, distribution: Distribution
) -> tuple[Floats, Floats, Floats]:
    """Return the expected error below each node as the first, between two neighbours, and above the last."""
    points: Floats = np.asarray(nodes * scale, np.float64)
    # Midpoints lie on half steps of the codes, of which there are far fewer than pairs.
    halves = distribution.partial_moments(np.arange(2 * nodes[0], 2 * nodes[-1] + 1) * (scale / 2))
    at = nodes[:, None] + nodes[None, :] - 2 * nodes[0]

    def up_to(moments: Floats, codes: Floats) -> Floats:
        return np.asarray(moments[2] - 2 * codes * moments[1] + codes**2 * moments[0])

    own = up_to(halves[:, np.diagonal(at)], points)
    middle = halves[:, at]
    step = up_to(middle, points[:, None]) - own[:, None] + own[None, :] - up_to(middle, points[None, :])
    step[np.tril_indices(len(nodes))] = np.inf
    return own.copy(), step, up_to(distribution.totals[:, None], points) - own


def _shortest(first: Floats | None, step: Floats, last: Floats, size: int) -> tuple[float, NDArray[np.intp]]:
    """Cheapest path of `size` nodes, from node 0 where `first` is None."""
    if first is None:
        first = np.full(len(last), np.inf)
        first[0] = 0
    cost, before = first, []
    for _ in range(size - 1):
        through = cost[:, None] + step
        before.append(np.argmin(through, axis=0))
        cost = through.min(axis=0)
    ending = cost + last
    path = [int(np.argmin(ending))]
    for back in reversed(before):
        path.append(int(back[path[-1]]))
    return float(ending[path[0]]), np.array(path[::-1], np.intp)

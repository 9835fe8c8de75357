"""Pareto fronts: what nothing else beats in everything at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `one` is nowhere worse (larger) than `other`, and somewhere better."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def front(costs: Mapping[str, Sequence[float]]) -> list[str]:
    """Names that no other dominates, by their costs in ascending order; equal costs stay side by side.

    Examples
    --------
    >>> front({"a": (1, 4), "b": (2, 2), "c": (2, 3), "d": (3, 1)})
    ['a', 'b', 'd']
    """
    kept: list[str] = []
    # In lexicographic order whatever dominates comes first.
    for name in sorted(costs, key=lambda name: (tuple(costs[name]), name)):
        if not any(dominates(costs[other], costs[name]) for other in kept):
            kept.append(name)
    return kept

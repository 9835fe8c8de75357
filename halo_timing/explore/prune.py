"""Which points may still win: everything is judged by intervals that are sure to hold the truth.

A point is dropped only if another is at least as good in every objective even when the other's figures are
taken from their worse ends and its own from their better ends, and better in one. What is dropped is
therefore beaten for certain, and so is everything that it would beat. The intervals come from static timing:

- without case analysis on the weight no period is exceeded by any weight, so the worst of all stages is the
  upper end for every weight that was not timed;
- into a stage that no path from the weight leads to, every weight takes the same time: the slowest of these
  stages is the lower end;
- weights that were timed one by one are exact; mean periods and the periods of sets do not fall when a
  weight's period rises.

Verdicts are worked out anew from what is known, so a point that turns out to be wrong drags nothing with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from halo_timing.explore.pareto import dominates

TIME = "time"
FRONT = "front"
BASELINE = "baseline"
FAMILY = "family"
LEVELS = "levels"


@dataclass(frozen=True)
class Interval:
    """The true figure is between both ends."""

    low: float
    high: float

    @property
    def exact(self) -> bool:
        """Whether nothing is open."""
        return self.low == self.high


@dataclass(frozen=True)
class Candidate:
    """What is known of a point.

    Parameters
    ----------
    costs
        Interval per objective.
    worst
        Period of its slowest weight.
    fast
        Period of its fastest values, by size.
    rivals_of
        Races that are for the least worst period: ``baseline``, of all conventional MACs, and ``family``, of
        those that are as their name says.
    """

    name: str
    costs: Mapping[str, Interval]
    worst: Interval
    fast: Mapping[int, Interval]
    rivals_of: frozenset[str]


@dataclass(frozen=True)
class Verdict:
    """What a point may still be, and who has beaten it where that is nothing.

    Parameters
    ----------
    kept_for
        ``front``; ``baseline`` and ``family``: the fastest conventional MAC of all, and of those as named;
        ``levels``: the fastest conventional MAC if it has levels of its own; ``fast N``: the fastest set of N
        values.
    beaten_by
        The point that beats it on the front; "" where it is kept for that.
    """

    kept_for: tuple[str, ...]
    beaten_by: str = ""

    @property
    def kept(self) -> bool:
        """Whether it is worth further work."""
        return bool(self.kept_for)


def judge(candidates: Sequence[Candidate]) -> dict[str, Verdict]:
    """Judge candidates of one class."""
    beaten = _beaten(candidates)
    races = {
        race: _contenders({each.name: each.worst for each in candidates if race in each.rivals_of})
        for race in (BASELINE, FAMILY)
    }
    races[LEVELS] = _contenders(
        {each.name: each.costs[TIME] for each in candidates if BASELINE in each.rivals_of}
    )
    sizes = {size for each in candidates for size in each.fast}
    for size in sorted(sizes):
        intervals = {each.name: each.fast[size] for each in candidates if size in each.fast}
        races[f"fast {size}"] = _contenders(intervals)
    verdicts = {}
    for each in candidates:
        winner = beaten.get(each.name, "")
        kept = [] if winner else [FRONT]
        kept += [race for race, names in races.items() if each.name in names]
        verdicts[each.name] = Verdict(tuple(kept), winner)
    return verdicts


def _beaten(candidates: Sequence[Candidate]) -> dict[str, str]:
    """For each that is surely beaten, the first that does so: the one of least time, then name."""
    names = list(candidates[0].costs) if candidates else []
    rivals = sorted(candidates, key=lambda each: (*(each.costs[name].high for name in names), each.name))
    beaten = {}
    for each in candidates:
        best_case = [each.costs[name].low for name in names]
        for rival in rivals:
            if rival.name != each.name and dominates([rival.costs[name].high for name in names], best_case):
                beaten[each.name] = rival.name
                break
    return beaten


def _contenders(intervals: Mapping[str, Interval]) -> set[str]:
    """Names that may have the least; of those that surely have it, the first by name."""
    if not intervals:
        return set()
    least = min(interval.high for interval in intervals.values())
    open_ones = {name for name, interval in intervals.items() if interval.low < least}
    sure = sorted(name for name, interval in intervals.items() if interval.high == least)
    return open_ones | set(sure[:1])

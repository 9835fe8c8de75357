"""Mixes, fronts and pruning against brute force: nothing that could win is ever dropped."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_timing.costmap.codebooks import choose_codebook
from halo_timing.costmap.distributions import GAUSSIAN, fit_codebook
from halo_timing.explore.objectives import MIN_CODEBOOK, Quality, best_mix, value_sets
from halo_timing.explore.pareto import dominates, front
from halo_timing.explore.prune import BASELINE, FAMILY, LEVELS, Candidate, Interval, judge
from halo_timing.study import fast_class_ps

VALUES = np.arange(-8, 8, dtype=np.int16)
QUALITY = Quality(GAUSSIAN)
# Few different figures, so that ties are common.
FIGURES = st.integers(1, 6).map(float)


@st.composite
def uncertain(draw: st.DrawFn) -> tuple[list[Candidate], dict[str, tuple[float, float, float, float]]]:
    """Points of which intervals are known, and their true figures: time, area, worst, fast."""
    candidates, truths = [], {}
    for index in range(draw(st.integers(1, 9))):
        name = f"p{index}"
        truth = tuple(draw(FIGURES) for _ in range(4))
        truths[name] = truth

        def around(figure: float) -> Interval:
            below, above = draw(st.integers(0, 3)), draw(st.integers(0, 3))
            return Interval(figure - below, figure + above)

        costs = {"time": around(truth[0]), "area": Interval(truth[1], truth[1])}
        races = draw(st.sets(st.sampled_from([BASELINE, FAMILY])))
        candidates.append(Candidate(name, costs, around(truth[2]), {8: around(truth[3])}, frozenset(races)))
    return candidates, truths  # type: ignore[return-value]


@settings(max_examples=400, deadline=None)
@given(uncertain())
def test_what_may_win_is_kept(
    case: tuple[list[Candidate], dict[str, tuple[float, float, float, float]]],
) -> None:
    candidates, truths = case
    verdicts = judge(candidates)
    best = {
        name for name in truths if not any(dominates(truths[other][:2], truths[name][:2]) for other in truths)
    }
    assert best <= {name for name, verdict in verdicts.items() if "front" in verdict.kept_for}
    for race, column in ((BASELINE, 2), (FAMILY, 2), (LEVELS, 0), ("fast 8", 3)):
        runs_in = BASELINE if race == LEVELS else race
        runners = [each for each in candidates if race == "fast 8" or runs_in in each.rivals_of]
        kept = [each.name for each in runners if race in verdicts[each.name].kept_for]
        least = min((truths[each.name][column] for each in runners), default=None)
        # Ties apart, the true winner is among those that are kept.
        assert min((truths[name][column] for name in kept), default=None) == least
    for name, verdict in verdicts.items():
        if verdict.beaten_by:
            assert dominates(truths[verdict.beaten_by][:2], truths[name][:2])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.tuples(FIGURES, FIGURES, FIGURES)))
def test_fronts_by_definition(costs: dict[str, tuple[float, ...]]) -> None:
    wanted = {
        name
        for name, own in costs.items()
        if not any(
            all(a <= b for a, b in zip(other, own, strict=True)) and other != own for other in costs.values()
        )
    }
    assert set(front(costs)) == wanted


def mean_period(period_ps: np.ndarray, min_sqnr_db: float) -> float:
    """Least mean period over all pairs of allowed sets and a grid of shares."""
    allowed = 10 ** (-min_sqnr_db / 10)
    books = []
    for limit in np.unique(period_ps):
        book = VALUES[period_ps <= limit]
        if len(book) >= MIN_CODEBOOK and 0 in book:
            books.append((fit_codebook(book, GAUSSIAN).error, float(limit)))
    means = [limit for noise, limit in books if noise <= allowed]
    for one, other in combinations(books, 2):
        means += [
            share * one[1] + (1 - share) * other[1]
            for share in np.linspace(0, 1, 101)
            if share * one[0] + (1 - share) * other[0] <= allowed
        ]
    return min(means, default=np.inf)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=16, max_size=16), st.sampled_from([8.0, 12.0, 15.0, 18.0, 30.0]))
def test_the_best_mix_is_the_best_and_keeps_the_quality(steps: list[int], min_sqnr_db: float) -> None:
    period_ps = np.array(steps, np.float32) * 100
    mix = best_mix(VALUES, period_ps, QUALITY, min_sqnr_db)
    least = mean_period(period_ps, min_sqnr_db)
    if mix is None:
        assert least == np.inf
        return
    assert mix.period_ps <= least + 1e-6
    # The grid of shares misses the best by a step of it at most.
    assert mix.period_ps >= least - 5.0
    assert sum(part.share for part in mix.parts) == pytest.approx(1)
    assert mix.period_ps == pytest.approx(sum(part.share * part.period_ps for part in mix.parts))
    noise = sum(part.share * fit_codebook(np.array(part.codebook), GAUSSIAN).error for part in mix.parts)
    assert noise <= 10 ** (-min_sqnr_db / 10) * (1 + 1e-3)
    for part in mix.parts:
        assert period_ps[np.isin(VALUES, part.codebook)].max() == part.period_ps


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=16, max_size=16))
def test_slower_weights_never_make_a_mix_faster(steps: list[tuple[int, int]]) -> None:
    low = np.array([step for step, _ in steps], np.float32) * 100
    high = low + np.array([more for _, more in steps], np.float32) * 50
    fast, slow = (best_mix(VALUES, period, QUALITY, 12.0) for period in (low, high))
    assert fast is not None
    assert slow is not None
    assert fast.period_ps <= slow.period_ps * (1 + 1e-9)
    assert fast_class_ps(VALUES, low, 8) <= fast_class_ps(VALUES, high, 8)


def test_sets_of_values_grow_better_with_the_period() -> None:
    period_ps = np.where(VALUES % 4 == 0, 100, np.where(VALUES % 2 == 0, 150, 200)).astype(np.float32)
    found = value_sets(VALUES, period_ps, [4, 8], GAUSSIAN)
    for size in (4, 8):
        rows = [each for each in found if each.size == size]
        assert [each.period_ps for each in rows] == sorted(each.period_ps for each in rows)
        assert [each.sqnr_db for each in rows] == sorted(each.sqnr_db for each in rows)
        assert all(len(each.values) == size for each in rows)
        best = choose_codebook(VALUES, period_ps, np.inf, size)
        assert rows[-1].sqnr_db == pytest.approx(fit_codebook(best).sqnr_db, abs=0.02)
    assert next(each for each in found if each.size == 4).values == (-8, -4, 0, 4)

"""Distributions and chosen codebooks, against sampling, enumeration and figures from the literature."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_timing.costmap.codebooks import allowed_values, choose_codebook
from halo_timing.costmap.distributions import (
    DISTRIBUTIONS,
    GAUSSIAN,
    LAPLACE,
    STUDENT_T5,
    Distribution,
    empirical,
    fit_codebook,
    magnitudes,
)
from halo_timing.errors import UsageError

WEIGHTS = {
    "gaussian": lambda rng, n: rng.standard_normal(n),
    "student-t5": lambda rng, n: rng.standard_t(5, n) * np.sqrt(3 / 5),
    "laplace": lambda rng, n: rng.laplace(0, np.sqrt(0.5), n),
    "uniform": lambda rng, n: rng.uniform(-np.sqrt(3), np.sqrt(3), n),
}
POT16 = sorted({0, -128, *(sign * 2**k for k in range(7) for sign in (1, -1))})


def sampled_error(codebook: np.ndarray, weights: np.ndarray, scale: float) -> float:
    """Mean squared error over given weights, one distance at a time: nothing shared with the formulas."""
    distance = np.abs(weights[:, None] - scale * np.asarray(codebook)[None, :]).min(axis=1)
    return float(np.mean(distance**2))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_partial_moments_are_integrals_of_samples(name: str) -> None:
    distribution = DISTRIBUTIONS[name]
    weights = WEIGHTS[name](np.random.default_rng(0), 400_000)
    points = np.array([-np.inf, -2.5, -1.0, -0.2, 0.0, 0.7, 1.5, 3.0, np.inf])
    moments = distribution.partial_moments(points)
    for index, point in enumerate(points):
        below = weights[weights <= point]
        expected = [len(below), below.sum(), (below**2).sum()]
        np.testing.assert_allclose(moments[:, index], np.array(expected) / len(weights), atol=0.02)
    np.testing.assert_allclose(distribution.totals, [1, 0, 1], atol=1e-12)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_moments_derive_from_one_density(name: str) -> None:
    """The increments of the three are in the ratio 1 : w : w², to second order of the step."""
    points = np.linspace(-4, 4, 8001)
    # The uniform density ends within a step.
    inner = np.abs(np.abs(points[1:]) - np.sqrt(3)) > 2e-3
    moments = np.diff(DISTRIBUTIONS[name].partial_moments(points), axis=1)[:, inner]
    middle = ((points[1:] + points[:-1]) / 2)[inner]
    np.testing.assert_allclose(moments[1], middle * moments[0], atol=1e-8)
    np.testing.assert_allclose(moments[2], middle**2 * moments[0], atol=1e-8)
    assert (moments[0] >= -1e-15).all()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("codebook", [np.arange(-4, 4), np.arange(-8, 8), np.array(POT16)], ids=len)
def test_expected_errors_are_those_of_samples(name: str, codebook: np.ndarray) -> None:
    weights = WEIGHTS[name](np.random.default_rng(1), 100_000)
    fit = fit_codebook(codebook, DISTRIBUTIONS[name])
    assert sampled_error(codebook, weights, fit.scale) == pytest.approx(fit.error, rel=0.06)
    # No scale of a fine grid is better.
    scales = np.geomspace(fit.scale / 8, fit.scale * 8, 60)
    least = min(sampled_error(codebook, weights[:20_000], scale) for scale in scales)
    assert fit.error <= least * 1.05


def test_optimal_quantizers_of_the_literature() -> None:
    """Max (1960), table II: equally spaced outputs for a Gaussian, best mean squared errors."""
    for size, error in ((3, 0.1902), (9, 0.03069), (15, 0.01294)):
        assert fit_codebook(np.arange(size) - size // 2, GAUSSIAN).error == pytest.approx(error, rel=5e-3)
    # Table I: any spacing. Values of a fine operand come as near as its steps allow.
    fine = np.arange(-120, 121)
    for size, error in ((3, 0.1902), (9, 0.02785), (15, 0.01073)):
        chosen = choose_codebook(fine, np.ones(241), 1, size, symmetric=True)
        assert fit_codebook(chosen, GAUSSIAN).error == pytest.approx(error, rel=5e-3)


def test_grids_of_three_and_four_bits() -> None:
    assert fit_codebook(np.arange(-4, 4), GAUSSIAN).sqnr_db == pytest.approx(13.9, abs=0.05)
    assert fit_codebook(np.arange(-8, 8), GAUSSIAN).sqnr_db == pytest.approx(19.2, abs=0.1)
    assert fit_codebook(np.array(POT16), GAUSSIAN).sqnr_db == pytest.approx(14.2, abs=0.05)
    assert fit_codebook(np.arange(-4, 4), STUDENT_T5).sqnr_db == pytest.approx(10.7, abs=0.1)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_magnitudes_are_those_of_samples(name: str) -> None:
    weights = np.abs(WEIGHTS[name](np.random.default_rng(2), 100_000))
    folded = magnitudes(DISTRIBUTIONS[name])
    codebook = np.arange(16)
    fit = fit_codebook(codebook, folded)
    assert sampled_error(codebook, weights, fit.scale) == pytest.approx(fit.error, rel=0.06)
    assert folded.totals == pytest.approx([1, weights.mean(), 1], abs=0.01)


@given(st.lists(st.integers(-127, 127), min_size=1, max_size=9), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_fits_do_not_depend_on_scale_sign_or_order(codebook: list[int], factor: int) -> None:
    fit = fit_codebook(codebook, STUDENT_T5)
    assert 0 <= fit.error <= 1
    for other in (np.array(codebook) * factor, -np.array(codebook), codebook[::-1]):
        assert fit_codebook(other, STUDENT_T5).error == pytest.approx(fit.error, rel=1e-6, abs=1e-9)
    assert fit_codebook([*codebook, 200], STUDENT_T5).error <= fit.error * (1 + 1e-3)


def test_the_sign_of_the_scale_follows_lopsided_weights() -> None:
    rng = np.random.default_rng(0)
    weights = np.abs(rng.standard_normal(20_000))
    fit = fit_codebook([-3, -2, -1, 0], empirical(weights))
    assert fit.scale < 0
    assert fit.error == pytest.approx(fit_codebook([0, 1, 2, 3], empirical(weights)).error, rel=1e-6)


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, np.nan], [np.inf]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="finite"):
        empirical(weights)


SKEWED = empirical(np.random.default_rng(5).standard_gamma(2, 4000) - 1.5, "skewed")


@given(
    st.lists(st.integers(10, 60), min_size=16, max_size=16),
    st.integers(10, 60),
    st.integers(1, 9),
    st.booleans(),
    st.sampled_from([GAUSSIAN, LAPLACE, STUDENT_T5, SKEWED]),
)
@settings(max_examples=25, deadline=None)
def test_chosen_codebooks_are_the_best_of_all(
    period_ps: list[int], limit_ps: int, size: int, symmetric: bool, distribution: Distribution
) -> None:
    """Oracle: every subset of a four-bit operand, each at its best scale."""
    values = np.arange(-8, 8)
    chosen = choose_codebook(values, period_ps, limit_ps, size, distribution, symmetric).tolist()
    fast = {v for v, p in zip(range(-8, 8), period_ps, strict=True) if p <= limit_ps or v == 0}
    assert chosen == sorted(set(chosen))
    assert {0} <= set(chosen) <= fast
    if symmetric:
        pairs = [v for v in fast if v > 0 and -v in fast]
        count = min((size - 1) // 2, len(pairs))
        assert sorted(-v for v in chosen) == chosen
        assert len(chosen) == 2 * count + 1
        every = [(0, *half, *(-v for v in half)) for half in combinations(pairs, count)]
    else:
        assert len(chosen) == min(size, len(fast))
        every = [(0, *rest) for rest in combinations(sorted(fast - {0}), len(chosen) - 1)]
    every = every if len(every) <= 200 else every[:: len(every) // 200]
    best = min(fit_codebook(codebook, distribution).error for codebook in every)
    assert fit_codebook(chosen, distribution).error <= best * (1 + 2e-3) + 1e-12


def test_more_values_are_never_worse() -> None:
    values, period_ps = np.arange(-128, 128), np.ones(256)
    errors = [fit_codebook(choose_codebook(values, period_ps, 1, size)).error for size in (2, 8, 9, 32)]
    assert errors == sorted(errors, reverse=True)


def test_zero_is_there_although_it_is_slow() -> None:
    values = np.arange(-4, 4)
    period_ps = np.where(values == 0, 900.0, 100.0)
    assert 0 in choose_codebook(values, period_ps, 100, 3)
    assert choose_codebook(values, period_ps, 1, 8).tolist() == [0]
    assert allowed_values(values, period_ps, 100).tolist() == list(range(-4, 4))


def test_wrong_questions_are_refused() -> None:
    values = np.arange(-4, 4)
    with pytest.raises(UsageError, match="size 0"):
        choose_codebook(values, np.ones(8), 1, 0)
    with pytest.raises(UsageError, match="shape"):
        choose_codebook(values, np.ones(7), 1, 2)
    with pytest.raises(UsageError, match="0 is not among"):
        choose_codebook(values[:4], np.ones(4), 1, 2)
    with pytest.raises(UsageError, match="cauchy"):
        choose_codebook(values, np.ones(8), 1, 2, "cauchy")
    with pytest.raises(UsageError, match="at most"):
        choose_codebook(np.arange(-1000, 1000), np.ones(2000), 1, 8)

"""Rounding to codebooks and the search for scales, against exhaustive search."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from halo_timing.errors import CostMapError
from halo_timing.quantize.codebook import Codebook
from halo_timing.quantize.precision import store_scales
from halo_timing.quantize.scales import fit_scales, group_errors, group_weights, round_groups

BOOKS = {
    "multiples of 32": Codebook(range(-128, 128, 32)),
    "multiples of 16": Codebook(range(-128, 128, 16)),
    "powers of two": Codebook([0, -128, *(sign * 1 << bit for bit in range(7) for sign in (1, -1))]),
    "int3": Codebook(range(-4, 4)),
    "symmetric": Codebook([-64, -32, 0, 32, 64]),
    "one-sided": Codebook([0, 32, 64, 96]),
    "uneven": Codebook([-128, -64, -32, 0, 16, 32, 64, 112]),
}
FLOATS = st.floats(-300, 300, width=32)


@given(st.lists(st.integers(-128, 127), max_size=12), st.lists(FLOATS, min_size=1, max_size=40))
def test_rounding_finds_a_nearest_value(values: list[int], scaled: list[float]) -> None:
    book = Codebook([0, *values])
    assert book.values.tolist() == sorted({0, *values})
    found = book.round_codes(np.float32(scaled) / np.float32(book.unit)).astype(np.float64)
    exact = (np.float32(scaled) / np.float32(book.unit)).astype(np.float64) * book.unit
    best = np.abs(exact[:, None] - book.values).min(axis=1)
    assert set(found.tolist()) <= set(book.values.tolist())
    np.testing.assert_array_equal(np.abs(exact - found), best)


def test_rounding_in_place() -> None:
    for book in BOOKS.values():
        scaled = np.linspace(-5, 5, 101, dtype=np.float32)
        expected = book.round_units(scaled)
        assert book.round_units(scaled, out=scaled) is scaled
        np.testing.assert_array_equal(scaled, expected)


def test_codebook_facts() -> None:
    book = BOOKS["multiples of 32"]
    assert (book.unit, book.low, book.high, book.reach, len(book), book.symmetric) == (32, -4, 3, 3, 8, False)
    assert BOOKS["symmetric"].symmetric
    assert BOOKS["one-sided"].reach == 3
    only_zero = Codebook([0])
    assert only_zero.round_codes(np.float32([-5, 5])).tolist() == [0, 0]


@pytest.mark.parametrize(("values", "sentence"), [([1, 2], "must hold 0"), ([0, 128], "-128"), ([], "-128")])
def test_unusable_codebooks(values: list[int], sentence: str) -> None:
    with pytest.raises(CostMapError, match=sentence):
        Codebook(values)


def least_error(weights: NDArray[np.float64], importance: NDArray[np.float64], book: Codebook) -> float:
    """Least error over all code words and all scales: every assignment of values, each at its best scale."""
    codes = np.array(list(product(book.values.astype(np.float64), repeat=len(weights))))
    along = codes @ (importance * weights)
    square = codes**2 @ importance
    gain = np.divide(along**2, square, out=np.zeros_like(along), where=square > 0)
    return float(importance @ weights**2 - gain.max())


@pytest.mark.parametrize("name", BOOKS)
@pytest.mark.parametrize("weighted", [False, True])
def test_search_comes_near_the_exact_optimum(name: str, weighted: bool) -> None:
    book = BOOKS[name]
    rng = np.random.default_rng(7)
    groups = rng.standard_t(5, (24, 1, 4)).astype(np.float32)
    importance = rng.exponential(size=(24, 1, 4)).astype(np.float32)
    weights = importance if weighted else np.ones_like(importance)
    optimum = [least_error(groups[i, 0].astype(float), weights[i, 0].astype(float), book) for i in range(24)]
    given_importance = importance if weighted else None
    scales = fit_scales(groups, book, given_importance)
    errors = group_errors(groups, scales, book, given_importance)[:, 0]
    absmax = fit_scales(groups, book, given_importance, search=False)
    plain = group_errors(groups, absmax, book, given_importance)[:, 0]
    energy = (weights * groups**2).sum(axis=(1, 2))
    assert (errors >= np.array(optimum) - 1e-6 * energy).all()
    assert errors.sum() <= 1.25 * sum(optimum) + 1e-6 * energy.sum()
    assert errors.sum() <= plain.sum()


def optimum_by_breakpoints(weights: NDArray[np.float64], book: Codebook) -> float:
    """Least error of a long group: codes change only where a weight crosses a midpoint of the codebook."""
    units = book.values / book.unit
    midpoints = (units[1:] + units[:-1]) / 2
    best = 0.0
    for sign in (1, -1):
        inverses = (midpoints[:, None] / (sign * weights)).ravel()
        inverses = np.sort(inverses[np.isfinite(inverses) & (inverses > 0)])
        for inverse in (inverses[1:] + inverses[:-1]) / 2:
            codes = units[np.searchsorted(midpoints, sign * weights * inverse)]
            if codes.any():
                best = max(best, float((codes @ weights) ** 2 / (codes @ codes)))
    return float(weights @ weights) - best


@pytest.mark.parametrize("name", ["multiples of 32", "powers of two"])
def test_search_on_groups_of_128_is_within_half_a_percent(name: str) -> None:
    book = BOOKS[name]
    groups = np.random.default_rng(3).standard_t(4, (6, 1, 128)).astype(np.float32)
    errors = group_errors(groups, fit_scales(groups, book), book).sum()
    optimum = sum(optimum_by_breakpoints(group[0].astype(float), book) for group in groups)
    assert optimum * (1 - 1e-6) <= errors <= optimum * 1.005


def test_sign_of_the_scale_is_free() -> None:
    # One weight needs the far end of an asymmetric codebook; its sign decides the scale's.
    book = BOOKS["multiples of 32"]
    groups = np.float32([[[4, -3, 2, 1]], [[-4, 3, -2, -1]]])
    scales = fit_scales(groups, book)
    np.testing.assert_allclose(scales[:, 0], [-1 / 32, 1 / 32], rtol=1e-6)
    assert round_groups(groups, scales, book)[:, 0].tolist() == [[-128, 96, -64, -32]] * 2


def test_scale_follows_the_weights_at_any_magnitude() -> None:
    groups = np.random.default_rng(0).standard_normal((4, 3, 16)).astype(np.float32)
    book = BOOKS["multiples of 16"]
    reference = round_groups(groups, fit_scales(groups, book), book)
    for exponent in (-100, -30, 30, 100):
        scaled = np.ldexp(groups, exponent)
        np.testing.assert_array_equal(round_groups(scaled, fit_scales(scaled, book), book), reference)


def test_groups_of_nothing_get_scale_zero() -> None:
    groups = np.zeros((2, 2, 4), np.float32)
    groups[1, 1] = [1, 2, 3, 3]
    for search in (True, False):
        scales = fit_scales(groups, BOOKS["int3"], search=search)
        assert scales[0].tolist() == [0, 0]
        assert scales[1, 1] != 0
        assert not round_groups(groups, scales, BOOKS["int3"])[0].any()
        assert not group_errors(groups, scales, BOOKS["int3"])[0].any()


def test_weights_without_importance_do_not_count() -> None:
    groups = np.float32([[[3, -3, 2, 1000]]])
    importance = np.float32([[1, 1, 1, 0]])
    scales = fit_scales(groups, BOOKS["int3"], importance)
    assert group_errors(groups, scales, BOOKS["int3"], importance)[0, 0] < 1e-9
    nothing = fit_scales(groups, BOOKS["int3"], np.zeros((1, 4), np.float32))
    assert np.isfinite(nothing).all()


def test_importance_per_weight_and_per_input_agree() -> None:
    rng = np.random.default_rng(1)
    groups = rng.standard_normal((500, 3, 128)).astype(np.float32)  # several chunks of rows
    shared = rng.exponential(size=(3, 128)).astype(np.float32)
    book = BOOKS["multiples of 32"]
    full = np.broadcast_to(shared, groups.shape).copy()
    scales = fit_scales(groups, book, shared)
    np.testing.assert_allclose(scales, fit_scales(groups, book, full), rtol=1e-5)
    np.testing.assert_allclose(
        group_errors(groups, scales, book, shared), group_errors(groups, scales, book, full), rtol=1e-5
    )


def test_padding_of_the_last_group() -> None:
    weight = np.arange(1, 11, dtype=np.float32).reshape(2, 5)
    groups = group_weights(weight, 3)
    assert groups.shape == (2, 2, 3)
    assert groups[:, 1, 2].tolist() == [0, 0]
    assert group_weights(weight[0], 5).shape == (1, 5)


@settings(max_examples=50)
@given(st.integers(-40, 30))
def test_scales_are_stored_in_16_bits_where_that_is_enough(exponent: int) -> None:
    scales = np.ldexp(np.random.default_rng(0).uniform(1, 2, (8, 8)), exponent).astype(np.float32)
    energy = np.full((8, 8), 100.0)
    stored = store_scales(scales, energy, error=1.0)
    relative = np.abs(stored.astype(np.float64) / scales - 1)
    assert (relative**2 * energy).sum() <= 0.02
    if -13 <= exponent <= 14:
        assert stored.dtype == np.float16
    if exponent <= -24 or exponent >= 16:
        assert stored.dtype == np.float32


def test_a_dead_group_does_not_force_wide_scales() -> None:
    scales, energy = np.float32([1e-3, 1e-12]), np.array([1.0, 1e-18])
    assert store_scales(scales, energy, error=1e-3).dtype == np.float16
    assert store_scales(scales, energy[::-1], error=1e-3).dtype == np.float32

"""Error feedback, descent and scales against textbook forms of them, and the plan over a model."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from halo_timing.errors import UsageError
from halo_timing.quantize import GptqQuantizer, HaloQuantizer, RtnQuantizer
from halo_timing.quantize.allocation import allocate_tiles, cumulated_costs
from halo_timing.quantize.calibration import LayerStatistics
from halo_timing.quantize.codebook import Codebook
from halo_timing.quantize.estimator import Quantizer, Weighing
from halo_timing.quantize.feedback import (
    CodeSpace,
    descend,
    factor_hessian,
    refit_scales,
    round_with_feedback,
)
from halo_timing.quantize.outliers import find_published, rounding_errors
from halo_timing.quantize.plan import plan_model
from halo_timing.quantize.solve import solve
from halo_timing.quantize.tensor import QuantizedTensor
from tests.quantize_maps import array_cost_map

MAP = array_cost_map((32, 16, 1))
BOOKS = (
    Codebook(range(-128, 128, 32)),
    Codebook([-128, -64, -32, 0, 16, 32, 64, 112]),
    Codebook(range(-128, 128)),
)


def correlated(inputs: int, seed: int = 0) -> NDArray[np.float32]:
    """Hessian of inputs that go together, some far larger than others."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((inputs, inputs)) * np.exp(-np.arange(inputs) / (inputs / 4))[:, None]
    samples = rng.standard_normal((8 * inputs, inputs)) @ mixing
    return (samples.T @ samples / len(samples)).astype(np.float32)


def statistics(weight: NDArray[np.float32], seed: int = 0) -> LayerStatistics:
    rng = np.random.default_rng(seed)
    hessian = correlated(weight.shape[1], seed)
    gradient = rng.exponential(size=weight.shape[0]).astype(np.float32)
    fisher = (gradient[:, None] * hessian.diagonal() * rng.exponential(size=weight.shape)).astype(np.float32)
    return LayerStatistics(hessian.diagonal().copy(), hessian, gradient, fisher)


def some_weight(rows: int, columns: int, seed: int = 0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_t(4, (rows, columns)) * 0.02).astype(np.float32)


def output_error(
    weight: NDArray[np.float32], other: NDArray[np.float32], hessian: NDArray[np.float32]
) -> float:
    error = weight.astype(np.float64) - other
    return float(np.einsum("ri,ij,rj->", error, hessian.astype(np.float64), error))


def random_space(
    rows: int, columns: int, width: int, sparse: bool, seed: int
) -> tuple[CodeSpace, NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    groups = -(-columns // width)
    levels = rng.integers(0, 2, (rows, groups)).astype(np.uint8)
    apart = rng.random((rows, columns)) < 0.1 if sparse else None
    scales = (rng.uniform(0.5, 1.5, (rows, groups)) * rng.choice([-1, 1], (rows, groups)) * 4e-4).astype(
        np.float32
    )
    return CodeSpace(BOOKS, levels, width, apart), scales, np.full(rows, 1e-3, np.float32)


def allowed(space: CodeSpace, row: int, column: int) -> NDArray[np.int8]:
    if space.apart.shape[1] and space.apart[row, column]:
        return BOOKS[-1].values
    return BOOKS[space.levels[row, column // space.width]].values


def step(space: CodeSpace, scales: NDArray, apart_scales: NDArray, row: int, column: int) -> float:
    if space.apart.shape[1] and space.apart[row, column]:
        return float(apart_scales[row])
    return float(scales[row, column // space.width])


def textbook_gptq(
    weight: NDArray[np.float32],
    hessian: NDArray[np.float32],
    space: CodeSpace,
    scales: NDArray[np.float32],
    apart_scales: NDArray[np.float32],
) -> NDArray[np.int64]:
    """GPTQ as its paper has it: Cholesky factor of the inverse, errors pushed on to later inputs."""
    upper = np.linalg.cholesky(np.linalg.inv(hessian.astype(np.float64))).T
    left = weight.astype(np.float64).copy()
    codes = np.zeros(weight.shape, np.int64)
    for row, column in product(range(weight.shape[0]), range(weight.shape[1])):
        book, scale = (
            allowed(space, row, column).astype(np.int64),
            step(space, scales, apart_scales, row, column),
        )
        codes[row, column] = book[np.abs(left[row, column] - book * scale).argmin()]
        error = (left[row, column] - codes[row, column] * scale) / upper[column, column]
        left[row, column + 1 :] -= error * upper[column, column + 1 :]
    return codes


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 40),
    width=st.integers(1, 45),
    sparse=st.booleans(),
    seed=st.integers(0, 10),
)
def test_feedback_is_gptq(rows: int, columns: int, width: int, sparse: bool, seed: int) -> None:
    weight = some_weight(rows, columns, seed)
    factors = factor_hessian(correlated(columns, seed))
    space, scales, apart_scales = random_space(rows, columns, width, sparse, seed)
    codes, errors = round_with_feedback(weight, factors, space, scales, apart_scales)
    expected = textbook_gptq(weight, factors.hessian, space, scales, apart_scales)
    # A weight half way between two codes may go either way in float32, and then so may all after it.
    same = (codes == expected).all(axis=1)
    assert same.sum() >= rows - 1
    stand_for = [
        [int(codes[r, c]) * step(space, scales, apart_scales, r, c) for c in range(columns)]
        for r in range(rows)
    ]
    np.testing.assert_allclose(errors, weight - np.array(stand_for), atol=1e-8)


def test_factors() -> None:
    hessian = correlated(300)
    hessian[7] = hessian[:, 7] = 0
    factors = factor_hessian(hessian, 0.02)
    unit = factors.feedback + np.eye(300)
    np.testing.assert_allclose(
        (unit * factors.conditional) @ unit.T, factors.hessian, atol=1e-4 * hessian.max()
    )
    assert not np.tril(factors.feedback).any()
    np.testing.assert_allclose(
        factors.hessian - hessian, np.eye(300) * 0.02 * hessian.diagonal().mean(), atol=1e-5 * hessian.max()
    )
    zero = factor_hessian(np.zeros((3, 3)))
    assert zero.feedback.tolist() == np.zeros((3, 3)).tolist()


@pytest.mark.parametrize(
    ("hessian", "sentence"),
    [
        (np.ones((2, 3)), "square"),
        (np.full((2, 2), np.nan), "finite"),
        (np.array([[1.0, 3.0], [3.0, 1.0]]), "not positive definite"),
    ],
)
def test_unusable_hessians(hessian: NDArray[np.float64], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        factor_hessian(hessian)


@settings(max_examples=25, deadline=None)
@given(columns=st.integers(1, 30), width=st.integers(1, 35), sparse=st.booleans(), seed=st.integers(0, 10))
def test_descent_ends_where_no_single_change_helps(columns: int, width: int, sparse: bool, seed: int) -> None:
    weight = some_weight(3, columns, seed)
    hessian = factor_hessian(correlated(columns, seed)).hessian
    space, scales, apart_scales = random_space(3, columns, width, sparse, seed)
    codes, errors = round_with_feedback(weight, factor_hessian(hessian, 0), space, scales, apart_scales)
    gradient = errors @ hessian
    before = output_error(errors, np.zeros_like(errors), hessian)
    for _ in range(200):
        changed = descend(codes, errors, gradient, hessian, space, scales, apart_scales)
        after = output_error(errors, np.zeros_like(errors), hessian)
        assert after <= before * (1 + 1e-5)
        before = after
        if not changed:
            break
    assert changed == 0
    np.testing.assert_allclose(
        gradient, errors @ hessian, atol=1e-4 * np.abs(hessian).max() * np.abs(weight).max()
    )
    for row, column in product(range(3), range(columns)):
        scale = step(space, scales, apart_scales, row, column)
        for value in allowed(space, row, column):
            other = errors[row].astype(np.float64)
            other[column] += (int(codes[row, column]) - int(value)) * scale
            worse = other @ hessian @ other - errors[row].astype(np.float64) @ hessian @ errors[row]
            assert worse >= -1e-4 * before / 3 - 1e-12


def test_refitted_scales_solve_the_least_squares_problem() -> None:
    weight, hessian = some_weight(4, 50), factor_hessian(correlated(50)).hessian
    space, scales, apart_scales = random_space(4, 50, 16, True, 3)
    codes, errors = round_with_feedback(weight, factor_hessian(hessian, 0), space, scales, apart_scales)
    better = refit_scales(codes, errors, errors @ hessian, hessian, space, scales)
    root = np.linalg.cholesky(hessian.astype(np.float64)).T
    for row in range(4):
        dense = np.where(space.apart[row], 0, codes[row]).astype(np.float64)
        columns = np.zeros((50, 4))
        for column in range(50):
            columns[column, column // 16] = dense[column]
        target = weight[row] - np.where(space.apart[row], codes[row] * apart_scales[row], 0)
        expected = np.linalg.lstsq(root @ columns, root @ target, rcond=None)[0]
        np.testing.assert_allclose(better[row], expected, rtol=1e-3)


def test_each_step_lowers_the_error() -> None:
    weight = some_weight(40, 256)
    known = statistics(weight)
    hessian = known.hessian

    def error(quantizer: Quantizer) -> float:
        return output_error(weight, quantizer.fit_quantize(weight, known).dequantize(), hessian)

    plain = error(RtnQuantizer(4, 64))
    once = error(GptqQuantizer(4, 64))
    swept = error(GptqQuantizer(4, 64, sweeps=1))
    assert error(GptqQuantizer(4, 64, sweeps=3)) < swept < once < 0.6 * plain
    options = {"tile": 64, "outlier_sigma": None, "fast_share": 0.5}
    rounds = [error(HaloQuantizer(MAP, **options, sweeps=count)) for count in (0, 1, 3)]
    assert error(HaloQuantizer(MAP, **options, plain=True)) > rounds[0] > rounds[1] > rounds[2]
    assert error(GptqQuantizer(3, None)) > error(GptqQuantizer(3, 64))


def test_weights_kept_apart_are_those_that_would_hurt_most() -> None:
    weight = some_weight(40, 256)
    known = replace(statistics(weight), hessian=None)

    def error(**options: object) -> float:
        tensor = HaloQuantizer(MAP, tile=64, fast_share=1.0, **options).fit_quantize(weight, known)  # type: ignore[arg-type]
        squared = (tensor.dequantize() - weight).astype(np.float64) ** 2
        return float((squared * known.mean_square * known.gradient_square[:, None]).sum())

    share = HaloQuantizer(MAP, tile=64).fit_quantize(weight, known).sparse_share
    assert error(sparse_share=share) < error(outlier_sigma=3.0) < error(outlier_sigma=None)


def test_solution_is_consistent() -> None:
    weight = some_weight(20, 70)
    tensor = HaloQuantizer(MAP, tile=(8, 32), sparse_share=0.02).fit_quantize(weight, statistics(weight))
    assert len(tensor.sparse_values) == int(0.02 * weight.size)
    assert not tensor.codes.ravel()[tensor.sparse_indices].any()
    assert tensor.scales.dtype == np.float16
    for row, column in product(range(20), range(70)):
        assert tensor.codes[row, column] in tensor.codebooks[tensor.tile_levels[row // 8, column // 32]]
    space = CodeSpace(BOOKS[:1], np.zeros((20, 3), np.uint8), 32, None)
    scales = np.full((20, 3), 1e-3, np.float32)
    solution = solve(weight, factor_hessian(correlated(70)), space, scales, np.zeros(20, np.float32), 2)
    stands_for = solution.codes * np.repeat(solution.scales, 32, axis=1)[:, :70]
    np.testing.assert_allclose(solution.errors, weight - stands_for, atol=1e-7)


@pytest.mark.parametrize("quantizer", [GptqQuantizer(3, 16), HaloQuantizer(MAP, tile=16)])
def test_layers_that_no_text_reaches(quantizer: Quantizer) -> None:
    weight = some_weight(6, 32)
    weight[2] = 0
    known = LayerStatistics(np.zeros(32, np.float32), np.zeros((32, 32), np.float32), np.zeros(6, np.float32))
    tensor = quantizer.fit_quantize(weight, known)
    assert np.isfinite(tensor.dequantize()).all()
    assert not tensor.dequantize()[2].any()
    assert np.square(tensor.dequantize() - weight).sum() < 0.5 * np.square(weight).sum()


def test_statistics_of_another_layer() -> None:
    weight = some_weight(6, 32)
    known = statistics(weight)
    for name, array in vars(known).items():
        broken = LayerStatistics(**{**vars(known), name: array[:-1]})
        with pytest.raises(UsageError, match=f"{name} has shape"):
            RtnQuantizer().fit(weight, broken)
        spoilt = array.copy()
        spoilt.ravel()[0] = np.nan
        with pytest.raises(UsageError, match=f"{name} must be finite"):
            HaloQuantizer(MAP).fit(weight, LayerStatistics(**{**vars(known), name: spoilt}))
    with pytest.raises(UsageError, match="needs the layer's Hessian"):
        GptqQuantizer().fit(weight)
    for options in ({"allocation": "fisher"}, {"salient_share": 0.001}):
        with pytest.raises(UsageError, match="Fisher"):
            HaloQuantizer(MAP, **options).fit(weight)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sparse_share": 1.5}, "sparse share 1.5"),
        ({"salient_share": -0.1}, "salient share -0.1"),
        ({"sweeps": -1}, "sweeps -1"),
        ({"damping": float("nan")}, "damping nan"),
        ({"allocation": "random"}, "allocation 'random'"),
        ({"tile_levels": np.zeros((2, 2), np.uint8)}, "tile levels of shape"),
        ({"tile_levels": np.full((1, 1), 2, np.uint8)}, "tile levels of shape"),
    ],
)
def test_unusable_options(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        HaloQuantizer(MAP, **options).fit(some_weight(4, 4))  # type: ignore[arg-type]


def test_published_sparse_part_by_hand() -> None:
    weight = np.zeros((10, 100), np.float32)
    weight[:, ::2], weight[:, 1::2] = 0.01, -0.01
    weight[0, :6] = (1, -2, 3, -4, 5, 6)
    salience = np.zeros_like(weight)
    salience[9, 99], salience[0, 5] = 2, 1
    assert find_published(weight, 3.0, salience, 0.002, 0.005).tolist() == [2, 3, 4, 5, 999]
    assert find_published(weight, 3.0, salience, 0.001, 0.003).tolist() == [4, 5, 999]


def test_cumulated_costs_follow_the_published_rule() -> None:
    scores = np.array([5.0, 40.0, 30.0, 25.0])
    costs = cumulated_costs(scores, np.full(4, 10))
    assert (costs / 10).tolist() == pytest.approx([0.05, 1.0, 0.6, 0.3])
    levels = allocate_tiles(
        np.stack([costs, costs * 0]), np.full(4, 10), np.array([3.0, 5.0]), fast_share=0.5
    )
    # The tiles that hold the first 70 % of the sensitivity are fine.
    assert levels.tolist() == [0, 1, 1, 0]


def test_rounding_errors_are_those_of_the_best_scales() -> None:
    weight = some_weight(6, 40)
    known = statistics(weight)
    weighing = Weighing.of(known, (6, 40))
    errors = rounding_errors(weight, BOOKS[0], 16, weighing) * weighing.unit
    tensor = HaloQuantizer(array_cost_map((32,)), tile=(6, 16), outlier_sigma=None, plain=True).fit_quantize(
        weight, known
    )
    squared = (tensor.dequantize() - weight).astype(np.float64) ** 2
    expected = 0.5 * squared * known.mean_square * known.gradient_square[:, None]
    np.testing.assert_allclose(errors.sum(), expected.sum(), rtol=5e-3)


def test_plan_gives_slow_tiles_where_they_help_most() -> None:
    weights = {name: some_weight(64, 96, seed) for seed, name in enumerate("abc")}
    known = {name: statistics(weight, 5) for name, weight in weights.items()}
    quiet = known["b"]
    # A layer that the loss hardly depends on runs fast before the others do.
    known["b"] = LayerStatistics(quiet.mean_square, quiet.hessian, quiet.gradient_square * np.float32(1e-4))
    base = HaloQuantizer(MAP, tile=32, sparse_share=0.01, fast_share=0.4)
    calls: list[tuple[str, int, int]] = []
    plan = plan_model(
        list(weights), weights.__getitem__, base, known.__getitem__, lambda *call: calls.append(call)
    )
    assert not plan.tile_levels["b"].any()
    shares = [np.mean(plan.tile_levels[name] == 0) for name in "abc"]
    assert np.mean(shares) == pytest.approx(0.4, abs=0.06)
    assert [call[1] for call in calls] == list(range(6))
    tensors: dict[str, QuantizedTensor] = {}
    for name in "abc":
        quantizer = plan.quantizer(name)
        tensors[name] = quantizer.fit_quantize(weights[name], known[name])
        np.testing.assert_array_equal(tensors[name].tile_levels, plan.tile_levels[name])
    kept = sum(len(tensor.sparse_values) for tensor in tensors.values())
    assert 0.0085 * 3 * 64 * 96 < kept <= 0.01 * 3 * 64 * 96
    assert len(tensors["b"].sparse_values) < 5
    assert plan.key("a") != plan.key("b")


def test_plan_by_fisher_and_budget() -> None:
    weights = {name: some_weight(64, 64, seed) for seed, name in enumerate("ab")}
    known = {name: statistics(weight, seed) for seed, (name, weight) in enumerate(weights.items())}

    def plan(**options: object) -> float:
        base = HaloQuantizer(MAP, tile=16, **options)  # type: ignore[arg-type]
        made = plan_model(list(weights), weights.__getitem__, base, known.__getitem__)
        return float(np.mean([made.tile_levels[name] == 0 for name in "ab"]))

    assert plan(allocation="fisher", salient_share=0.0005) == pytest.approx(0.5, abs=0.05)
    assert plan(noise_budget=1.0) == 1
    assert plan(noise_budget=0.0) == 0

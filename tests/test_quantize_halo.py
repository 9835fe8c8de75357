"""One weight matrix: tiles, levels, outliers, bits, and the rules of an estimator."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError, CostMapError, UsageError
from halo_timing.quantize import HaloQuantizer, NotFittedError, QuantizedTensor, RtnQuantizer
from halo_timing.quantize.allocation import allocate_tiles
from halo_timing.quantize.tensor import tile_sizes
from tests.quantize_maps import array_cost_map

MAP = array_cost_map()


def heavy_tailed(rows: int, columns: int, seed: int = 0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_t(5, (rows, columns)) * 0.02).astype(np.float32)


def by_hand(tensor: QuantizedTensor) -> NDArray[np.float64]:
    """Weights that a tensor stands for, element by element from the definitions."""
    rows, columns = tensor.shape
    result = np.zeros((rows, columns))
    for row, column in product(range(rows), range(columns)):
        scale = tensor.scales[row, column // tensor.tile[1]]
        result[row, column] = float(tensor.codes[row, column]) * float(scale)
    for index, value in zip(tensor.sparse_indices, tensor.sparse_values, strict=True):
        row, column = divmod(int(index), columns)
        result[row, column] += float(value) * float(tensor.sparse_scales[row])
    return result


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    tile=st.one_of(st.integers(1, 15), st.tuples(st.integers(1, 15), st.integers(1, 15))),
    share=st.floats(0, 1),
    sigma=st.sampled_from([None, 1.0, 3.0]),
    weighted=st.booleans(),
    seed=st.integers(0, 5),
)
def test_invariants(
    shape: tuple[int, int],
    tile: int | tuple[int, int],
    share: float,
    sigma: float | None,
    weighted: bool,
    seed: int,
) -> None:
    weight = heavy_tailed(*shape, seed)
    importance = np.random.default_rng(seed).exponential(size=shape[1]) if weighted else None
    quantizer = HaloQuantizer(MAP, tile=tile, fast_share=share, outlier_sigma=sigma)
    tensor = quantizer.fit_quantize(weight, importance)
    np.testing.assert_array_equal(tensor.dequantize(), by_hand(tensor).astype(np.float32))
    height, width = (tile, tile) if isinstance(tile, int) else tile
    np.testing.assert_array_equal(tensor.dequantize(1, 3), tensor.dequantize()[1:3])
    for row, column in product(range(shape[0]), range(shape[1])):
        book = tensor.codebooks[tensor.tile_levels[row // height, column // width]]
        assert tensor.codes[row, column] in book
    assert not tensor.codes.ravel()[tensor.sparse_indices].any()
    assert np.isin(tensor.sparse_values, tensor.codebooks[-1]).all()
    assert tensor.tile_sizes.sum() == weight.size
    assert tensor.level_shares.sum() == pytest.approx(1)
    # The share is reached, and would not be without the last tile.
    fast = tensor.level_shares[0]
    assert fast >= share - 1e-6
    assert fast - tensor.tile_sizes.max() / weight.size < share + 1e-6
    again = HaloQuantizer(**quantizer.get_params()).fit_quantize(weight.copy(), importance)
    for name in ("codes", "scales", "tile_levels", "sparse_indices", "sparse_values", "sparse_scales"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tensor, name))


def test_codes_are_the_best_for_their_scale() -> None:
    weight = heavy_tailed(40, 70)
    tensor = HaloQuantizer(MAP, tile=(16, 32)).fit_quantize(weight)
    dense = weight.copy().ravel()
    dense[tensor.sparse_indices] = 0
    dense = dense.reshape(weight.shape).astype(np.float64)
    for row, column in product(range(40), range(70)):
        book = tensor.codebooks[tensor.tile_levels[row // 16, column // 32]].astype(np.float64)
        scale = float(tensor.scales[row, column // 32])
        best = np.abs(dense[row, column] - book * scale).min()
        own = abs(dense[row, column] - float(tensor.codes[row, column]) * scale)
        assert own <= best * (1 + 1e-6) + 1e-12


def test_errors_are_those_of_the_result() -> None:
    weight = heavy_tailed(60, 50)
    importance = np.random.default_rng(1).exponential(size=50)
    for level in (0, 1):
        quantizer = HaloQuantizer(MAP, tile=(32, 20), levels=(level,)).fit(weight, importance)
        tensor = quantizer.quantize()
        squared = (tensor.dequantize() - weight).astype(np.float64) ** 2 * importance / importance.max()
        squared.ravel()[tensor.sparse_indices] = 0
        for i, j in product(range(2), range(3)):
            expected = squared[i * 32 : (i + 1) * 32, j * 20 : (j + 1) * 20].sum()
            assert quantizer.errors_[0, i, j] == pytest.approx(expected, rel=5e-3)


def test_tiles_hurt_least_are_fast() -> None:
    # Tiles of values that the fast codebook holds exactly lose nothing by it.
    weight = heavy_tailed(256, 256)
    exact = np.random.default_rng(2).integers(-3, 4, (128, 128)) * np.float32(2**-7)
    weight[:128, 128:] = exact
    quantizer = HaloQuantizer(MAP, fast_share=0.25, outlier_sigma=None).fit(weight)
    assert quantizer.tile_levels_.tolist() == [[1, 0], [1, 1]]
    np.testing.assert_allclose(quantizer.quantize().dequantize()[:128, 128:], exact, atol=2**-17)


def test_finer_levels_give_less_error() -> None:
    weight = heavy_tailed(256, 384)

    def noise(**options: object) -> float:
        result = HaloQuantizer(MAP, **options).fit_quantize(weight)  # type: ignore[arg-type]
        return float(((result.dequantize() - weight) ** 2).sum())

    shares = [noise(fast_share=share) for share in (0.0, 0.3, 0.7, 1.0)]
    assert shares == sorted(shares)
    assert noise() < noise(scale_search=False)
    assert noise() < noise(outlier_sigma=None)
    assert noise(levels=(2,)) < noise(levels=(1,)) < noise(levels=(0,))


def test_noise_budget() -> None:
    weight = heavy_tailed(512, 512)
    for budget in (0.0, 0.01, 0.02, 1.0):
        tensor = HaloQuantizer(MAP, noise_budget=budget).fit_quantize(weight)
        noise = ((tensor.dequantize() - weight) ** 2).sum() / (weight**2).sum()
        assert noise <= budget * 1.01 or tensor.level_shares[0] == 0
        assert (tensor.level_shares[0] == 1) == (budget == 1)


def test_three_levels() -> None:
    book = array_cost_map(steps=(32, 16, 8, 1))
    tensor = HaloQuantizer(book, tile=32, levels=(2, 0, 1), fast_share=0.4).fit_quantize(
        heavy_tailed(512, 256)
    )
    shares = tensor.level_shares
    assert 0.4 <= shares[0] < 0.42
    assert shares[1] + shares[2] == pytest.approx(1 - shares[0])
    assert shares[3] == 0


def test_outliers_are_kept_apart() -> None:
    weight = np.full((4, 300), 0.01, np.float32)
    weight[:, ::2] *= -1
    weight[1, 7], weight[1, 8], weight[3, 299] = 1.0, -0.5, -2.0
    tensor = HaloQuantizer(MAP, tile=128).fit_quantize(weight)
    assert tensor.sparse_indices.tolist() == [307, 308, 1199]
    assert tensor.sparse_values.tolist() == [127, -64, -127]
    np.testing.assert_allclose(tensor.dequantize(), weight, rtol=1e-2)
    assert tensor.sparse_scales[[0, 2]].tolist() == [0, 0]


def test_outliers_are_measured_from_the_mean() -> None:
    weight = np.full((10, 100), 5.0, np.float32)
    weight[0, 0] = 0.0
    tensor = HaloQuantizer(MAP).fit_quantize(weight)
    assert tensor.sparse_indices.tolist() == [0]
    np.testing.assert_allclose(tensor.dequantize(), weight, rtol=1e-3)


def test_effective_bits_by_hand() -> None:
    weight = heavy_tailed(256, 256)
    weight[0, 0] = 5.0
    tensor = HaloQuantizer(MAP, outlier_sigma=50).fit_quantize(weight)
    assert tensor.sparse_share == 1 / 65536
    assert tensor.level_shares.tolist() == [0.5, 0.5, 0]
    scales, sparse_scales = 16 * 2 * 256, 16 * 256
    sparse, counts, levels = 8 + 14, 4 * 15, 4 * 2
    expected = 3.5 + (scales + sparse_scales + sparse + counts + levels) / 65536
    assert tensor.effective_bits == pytest.approx(expected)
    assert tensor.index_bits == 3.5


def test_many_sparse_weights_have_their_positions_in_rows() -> None:
    tensor = HaloQuantizer(MAP, outlier_sigma=None, sparse_share=0.01).fit_quantize(heavy_tailed(256, 256))
    assert len(tensor.sparse_values) == 655
    # 8 bits of code, 7 of position and 1 of the count each; and a bit that ends each of 512 counts.
    sparse = 655 * 16 + 512
    scales, levels = 16 * (2 * 256 + 256), 4 * 2
    assert tensor.effective_bits == pytest.approx(3.5 + (scales + sparse + levels) / 65536)


def test_nine_values_are_more_than_three_bits() -> None:
    values = [-128, -96, -64, -32, 0, 32, 64, 96, 112]
    tensor = QuantizedTensor(
        codes=np.zeros((2, 2), np.int8),
        tile_levels=np.zeros((1, 1), np.uint8),
        scales=np.zeros((2, 1), np.float16),
        sparse_indices=np.zeros(0, np.uint32),
        sparse_values=np.zeros(0, np.int8),
        sparse_scales=np.zeros(2, np.float16),
        tile=(2, 2),
        codebooks=(np.int8(values),),
    )
    assert tensor.effective_bits == pytest.approx(np.log2(9) + 8)
    assert tensor.index_bits == 3


def test_degenerate_weights() -> None:
    zeros = HaloQuantizer(MAP).fit_quantize(np.zeros((3, 5)))
    assert not zeros.dequantize().any()
    assert not zeros.scales.any()
    one = HaloQuantizer(MAP).fit_quantize(np.float32([[0.3]]))
    assert one.dequantize()[0, 0] == pytest.approx(0.3, rel=1e-3)
    weight = heavy_tailed(200, 130)
    weight[17] = 0
    reference = HaloQuantizer(MAP).fit_quantize(weight).dequantize()
    assert not reference[17].any()
    noise = np.square(reference - weight).sum()
    for exponent in (-60, -20, 40):
        scaled = HaloQuantizer(MAP).fit_quantize(np.ldexp(weight, exponent)).dequantize()
        assert np.square(np.ldexp(scaled, -exponent) - weight).sum() == pytest.approx(noise, rel=0.01)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("quantizer", [HaloQuantizer(MAP), RtnQuantizer()])
def test_weights_that_are_not_finite(bad: float, quantizer: HaloQuantizer | RtnQuantizer) -> None:
    weight = heavy_tailed(20, 20)
    weight[3, 4] = weight[5, 5] = bad
    with pytest.raises(CheckpointError, match=r"2 of 400 weights are NaN or infinite, first at \[3, 4\]"):
        quantizer.fit(weight)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 5), ()])
def test_what_is_no_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match="not that of a weight matrix"):
        HaloQuantizer(MAP).fit(np.zeros(shape))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tile": 0}, "tile 0"),
        ({"tile": (1, 2, 3)}, "tile"),
        ({"tile": (8, -1)}, "tile"),
        ({"fast_share": 1.5}, "fast share 1.5"),
        ({"fast_share": float("nan")}, "fast share nan"),
        ({"noise_budget": -1.0}, "noise budget -1.0"),
        ({"noise_budget": float("nan")}, "noise budget nan"),
        ({"outlier_sigma": 0.0}, "outlier sigma 0.0"),
        ({"levels": ()}, "levels"),
        ({"levels": (0, 3)}, r"levels \[0, 3\]: give some of 0 … 2"),
    ],
)
def test_unusable_options(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        HaloQuantizer(MAP, **options).fit(np.ones((2, 2)))  # type: ignore[arg-type]


@pytest.mark.parametrize("importance", [[1, 2], [-1, 1, 1], [np.nan, 1, 1], [0, 0, 0], [[1, 1, 1]]])
def test_unusable_importance(importance: list[float]) -> None:
    with pytest.raises(UsageError, match="importance"):
        HaloQuantizer(MAP).fit(np.ones((2, 3)), np.array(importance))


def test_other_operand_widths() -> None:
    weight = heavy_tailed(64, 64)
    narrow = HaloQuantizer(array_cost_map((2, 1), width=5), outlier_sigma=2).fit_quantize(weight)
    assert (narrow.codes.min(), narrow.codes.max()) == (-16, 15) or np.abs(narrow.codes).max() <= 16
    assert np.abs(narrow.sparse_values).max() == 15
    with pytest.raises(CostMapError, match="made for 9-bit signed weights"):
        HaloQuantizer(array_cost_map(width=9)).fit(weight)
    with pytest.raises(CostMapError, match="made for 8-bit unsigned weights"):
        HaloQuantizer(array_cost_map(signed=False)).fit(weight)


def test_levels_too_coarse_to_be_useful_are_passed_over() -> None:
    coarse = array_cost_map((128, 64, 32, 16, 1))
    assert HaloQuantizer(coarse).fit(heavy_tailed(8, 8)).levels_ == (2, 3)
    assert HaloQuantizer(coarse, levels=(1, 0)).fit(heavy_tailed(8, 8)).levels_ == (0, 1)
    assert HaloQuantizer(array_cost_map((64,))).fit(heavy_tailed(8, 8)).levels_ == (0,)


def test_estimator_rules() -> None:
    quantizer = HaloQuantizer(MAP, tile=64)
    params = quantizer.get_params()
    assert params["tile"] == 64
    assert params["cost_map"] is MAP
    assert quantizer.set_params(tile=32) is quantizer
    assert quantizer.tile == 32
    with pytest.raises(UsageError, match="no parameter 'tiles'; it has cost_map"):
        quantizer.set_params(tiles=3)
    for unfitted in (quantizer, RtnQuantizer()):
        with pytest.raises(NotFittedError, match="is not fitted"):
            unfitted.quantize()
    weight = heavy_tailed(8, 8)
    before = weight.copy()
    assert quantizer.fit(weight) is quantizer
    np.testing.assert_array_equal(weight, before)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_rtn_absmax_is_textbook_rounding(bits: int) -> None:
    weight = heavy_tailed(7, 50)
    tensor = RtnQuantizer(bits, group=16, scale_search=False).fit_quantize(weight)
    largest = 2 ** (bits - 1) - 1
    for row, start in product(range(7), range(0, 50, 16)):
        part = weight[row, start : start + 16].astype(np.float64)
        scale = np.abs(part).max() / largest
        assert float(tensor.scales[row, start // 16]) == pytest.approx(scale, rel=1e-3)
        stored = float(tensor.scales[row, start // 16])
        expected = np.clip(np.rint(part / stored), -largest - 1, largest)
        np.testing.assert_array_equal(tensor.codes[row, start : start + 16], expected)
    np.testing.assert_array_equal(tensor.dequantize(), by_hand(tensor).astype(np.float32))
    assert tensor.effective_bits == pytest.approx(bits + 16 * 4 / 50)
    searched = RtnQuantizer(bits, group=16).fit_quantize(weight)
    assert np.square(searched.dequantize() - weight).sum() < np.square(tensor.dequantize() - weight).sum()


def test_rtn_options() -> None:
    assert RtnQuantizer(4, group=None).fit(np.ones((2, 300))).scales_.shape == (2, 1)
    with pytest.raises(UsageError, match="bits 9"):
        RtnQuantizer(9).fit(np.ones((2, 2)))
    with pytest.raises(UsageError, match="group 0"):
        RtnQuantizer(4, group=0).fit(np.ones((2, 2)))


@settings(max_examples=60)
@given(
    st.integers(1, 6).flatmap(
        lambda tiles: st.tuples(
            st.lists(st.floats(0, 10), min_size=tiles, max_size=tiles),
            st.lists(st.floats(0, 10), min_size=tiles, max_size=tiles),
        )
    ),
    st.floats(0, 1),
)
def test_two_levels_are_allocated_optimally(errors: tuple[list[float], list[float]], share: float) -> None:
    slow = np.array(errors[1])
    both = np.stack([slow + np.array(errors[0]), slow])
    sizes = np.full(len(slow), 100)
    levels = allocate_tiles(both, sizes, np.array([300.0, 500.0]), fast_share=share)
    fast = int((levels == 0).sum())
    own = both[levels, np.arange(len(slow))].sum()
    options = (np.array(choice) for choice in product((0, 1), repeat=len(slow)) if choice.count(0) == fast)
    assert own <= min(both[choice, np.arange(len(slow))].sum() for choice in options) + 1e-9
    assert fast == min(count for count in range(len(slow) + 1) if count * 100 >= share * sizes.sum() - 1e-6)


def test_levels_of_equal_clock() -> None:
    errors = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 1.0]])
    sizes, periods = np.array([1, 1, 1]), np.array([300.0, 300.0])
    assert allocate_tiles(errors, sizes, periods, fast_share=0.3).tolist() == [1, 0, 1]
    assert allocate_tiles(errors, sizes, periods, fast_share=1.0).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="either"):
        allocate_tiles(errors, sizes, periods)


def test_sizes_of_edge_tiles() -> None:
    assert tile_sizes((5, 7), (4, 3)).tolist() == [[12, 12, 4], [3, 3, 1]]

"""The integer path: held against exact arithmetic, the float layer, and the systolic array in Verilog."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from halo_timing import testbench
from halo_timing.errors import UsageError
from halo_timing.mac_model import BenchOptions, MacConfig
from halo_timing.quantize import HaloQuantizer, QuantizedTensor, RtnQuantizer
from halo_timing.quantize.integer import (
    QuantizedActivations,
    TileProduct,
    integer_forward,
    quantize_activations,
    rounding_bound,
    tile_products,
)
from halo_timing.resources import rtl_dir
from tests.quantize_maps import array_cost_map

MAP = array_cost_map()


def layer_of(rows: int, columns: int, tile: tuple[int, int], seed: int = 0) -> QuantizedTensor:
    rng = np.random.default_rng(seed)
    weight = rng.standard_t(4, (rows, columns)).astype(np.float32) * rng.lognormal(0, 2, (rows, 1))
    weight[rng.integers(rows)] = 0
    return HaloQuantizer(MAP, tile=tile, levels=(0, 1, 2), fast_share=0.4).fit_quantize(weight)


def tokens_of(count: int, columns: int, seed: int = 1) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, columns)) * rng.lognormal(0, 3, (count, 1))).astype(np.float32)


def exact_output(layer: QuantizedTensor, inputs: QuantizedActivations) -> NDArray[np.float64]:
    """Sum of all products in float64, element by element of the definition."""
    weight = np.zeros(layer.shape)
    for row in range(layer.shape[0]):
        for column in range(layer.shape[1]):
            weight[row, column] = float(layer.scales[row, column // layer.tile[1]]) * layer.codes[row, column]
    for index, value in zip(layer.sparse_indices.tolist(), layer.sparse_values.tolist(), strict=True):
        row, column = divmod(index, layer.shape[1])
        weight[row, column] = float(layer.sparse_scales[row]) * value
    return (inputs.codes * inputs.scales.astype(np.float64)[:, None]) @ weight.T


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 70),
    tile=st.tuples(st.integers(1, 48), st.integers(1, 80)),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_integer_path_is_the_float_layer_within_rounding(
    rows: int, columns: int, tile: tuple[int, int], seed: int
) -> None:
    layer = layer_of(rows, columns, tile, seed)
    inputs = quantize_activations(tokens_of(5, columns, seed))
    integers = integer_forward(layer, inputs)
    bound = rounding_bound(layer, inputs)
    fake_quantized = inputs.dequantize() @ layer.dequantize().T
    assert (np.abs(integers.astype(np.float64) - fake_quantized) <= bound).all()
    assert (np.abs(integers - exact_output(layer, inputs)) <= bound).all()


def test_the_bound_leaves_no_room_for_mistakes() -> None:
    layer = layer_of(48, 96, (16, 32))
    inputs = quantize_activations(tokens_of(20, 96))
    expected = inputs.dequantize() @ layer.dequantize().T
    bound = rounding_bound(layer, inputs)
    assert len(layer.sparse_values)
    assert len(np.unique(layer.tile_levels)) > 1
    assert (
        np.median(bound[:, layer.scales.any(axis=1)] / np.abs(expected[:, layer.scales.any(axis=1)])) < 1e-4
    )
    one_code = layer.codes.copy()
    one_code[7, 40] += 1
    nothing = np.zeros(0)
    mistakes = {
        "scale of the wrong tile column": replace(layer, scales=layer.scales[:, ::-1]),
        "sparse part forgotten": replace(
            layer, sparse_indices=nothing.astype(np.uint32), sparse_values=nothing.astype(np.int8)
        ),
        "one code off by one": replace(layer, codes=one_code),
    }
    for mistake, wrong in mistakes.items():
        off = np.abs(integer_forward(wrong, inputs).astype(np.float64) - expected) > bound
        assert off.any(), mistake


def test_sums_are_integers_of_the_codes_alone() -> None:
    layer = layer_of(9, 21, (4, 8))
    inputs = quantize_activations(tokens_of(3, 21))
    products = list(tile_products(layer, inputs))
    assert [product.column for product in products] == [0, 1, 2, None]
    for product in products[:3]:
        assert product.column is not None
        places = range(8 * product.column, min(8 * product.column + 8, 21))
        for token in range(3):
            for row in range(9):
                exact = sum(
                    int(inputs.codes[token, place]) * int(layer.codes[row, place]) for place in places
                )
                assert product.sums[token, row] == exact
    apart = np.zeros((3, 9), np.int64)
    for index, value in zip(layer.sparse_indices.tolist(), layer.sparse_values.tolist(), strict=True):
        row, column = divmod(index, 21)
        apart[:, row] += inputs.codes[:, column].astype(np.int64) * value
    np.testing.assert_array_equal(products[3].sums, apart)


def test_widest_codes_of_a_long_row() -> None:
    """A row of 100 000 products of the largest magnitudes is summed without error."""
    layer = QuantizedTensor(
        codes=np.full((1, 100_000), -128, np.int8),
        tile_levels=np.zeros((1, 1), np.uint8),
        scales=np.ones((1, 1), np.float16),
        sparse_indices=np.zeros(0, np.uint32),
        sparse_values=np.zeros(0, np.int8),
        sparse_scales=np.zeros(1, np.float16),
        tile=(1, 100_000),
        codebooks=(np.arange(-128, 128, dtype=np.int8),),
    )
    inputs = QuantizedActivations(np.full((1, 100_000), 127, np.int8), np.ones(1, np.float32))
    (product,) = tile_products(layer, inputs)
    assert product.sums.item() == -128 * 127 * 100_000
    wide = replace(layer, codes=np.zeros((1, 140_000), np.int8), tile=(1, 140_000))
    with pytest.raises(UsageError, match="may leave 32 bits"):
        next(
            tile_products(wide, QuantizedActivations(np.zeros((1, 140_000), np.int8), np.ones(1, np.float32)))
        )


def test_activations_are_rounded_per_token() -> None:
    inputs = quantize_activations(np.float32([[1.27, -0.635, 0.01], [0, 0, 0], [-1e-3, 5e-4, 0]]))
    assert inputs.codes.tolist() == [[127, -64, 1], [0, 0, 0], [-127, 64, 0]]
    assert inputs.scales[1] == 0
    values = tokens_of(50, 33)
    inputs = quantize_activations(values)
    assert (np.abs(inputs.dequantize() - values) <= inputs.scales[:, None] * (0.5 + 1e-4)).all()
    for bad in (np.float32([[np.nan]]), np.zeros(3)):
        with pytest.raises(UsageError, match="must be a finite matrix"):
            quantize_activations(bad)
    with pytest.raises(UsageError, match="have 33 inputs, the layer has 4"):
        integer_forward(RtnQuantizer().fit_quantize(np.ones((2, 4))), inputs)


ARRAYS: dict[str, dict[str, int | str]] = {
    "array": {"MULTIPLIER": "array"},
    "two-row bypass, carry-save": {"MULTIPLIER": "two_row", "PIPELINE": "carry_save"},
}


@pytest.mark.parametrize("array", ARRAYS)
def test_the_systolic_array_gives_the_layer_bit_for_bit(array: str, tmp_path: Path) -> None:
    """Each tile, and each tile of the weights kept apart, through the RTL; scales are applied after it."""
    side, tokens = 4, 6
    layer = layer_of(2 * side, 3 * side, (side, side), seed=3)
    assert {0, 1} <= set(layer.tile_levels.ravel().tolist())
    assert len(layer.sparse_values) > 1
    activations = tokens_of(tokens, 3 * side)
    inputs = quantize_activations(activations)
    apart = np.zeros(layer.shape, np.int8)
    apart.ravel()[layer.sparse_indices] = layer.sparse_values
    passes = [
        (codes, row, column) for codes in (layer.codes, apart) for row in range(2) for column in range(3)
    ]
    save_file(
        {
            "weights": np.stack(
                [
                    np.ascontiguousarray(
                        codes[row * side : (row + 1) * side, column * side : (column + 1) * side].T
                    )
                    for codes, row, column in passes
                ]
            ),
            "activations": np.stack(
                [
                    np.ascontiguousarray(inputs.codes[:, column * side : (column + 1) * side])
                    for *_, column in passes
                ]
            ),
        },
        tmp_path / "tiles.safetensors",
    )
    parameters: dict[str, int | str] = {"ROWS": side, "COLUMNS": side, **ARRAYS[array]}
    result = testbench.run_testbench(
        sorted(rtl_dir().glob("*.v")),
        BenchOptions(MacConfig.from_parameters(parameters), rows=side, columns=side),
        build_dir=tmp_path,
        bench="bench_quantized_layer",
        top="systolic_array",
        parameters=parameters,
    )
    assert result.passed, result.tests
    sums = load_file(tmp_path / "sums.safetensors")["sums"].reshape(2, 2, 3, tokens, side)
    # (dense or apart, tile row, tile column, token, output) -> sums of whole outputs
    whole = sums.transpose(0, 2, 3, 1, 4).reshape(2, 3, tokens, 2 * side)
    measured = [*whole[0], whole[1].sum(axis=0)]
    products: list[TileProduct] = list(tile_products(layer, inputs))
    for product, from_rtl in zip(products, measured, strict=True):
        np.testing.assert_array_equal(from_rtl, product.sums)
    # With the scales behind it, the array's output is the fake-quantized layer.
    output = np.zeros((tokens, 2 * side), np.float32)
    for product, from_rtl in zip(products, measured, strict=True):
        output += from_rtl.astype(np.float32) * product.scales
    output *= inputs.scales[:, None]
    np.testing.assert_array_equal(output, integer_forward(layer, inputs))
    expected = inputs.dequantize() @ layer.dequantize().T
    assert (np.abs(output.astype(np.float64) - expected) <= rounding_bound(layer, inputs)).all()

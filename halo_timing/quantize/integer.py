"""A quantized layer run as the hardware runs it: integers in the array, scales applied to its sums.

For every tile column, an array of 8-bit weight registers multiplies 8-bit activations and sums in integers.
What leaves it is scaled once for each output (the scale of the tile's row) and added to the layer's sum in
float32; the weights kept apart go through the same MACs on their own, with their own scales; the scale of the
token comes last. :func:`rounding_bound` says how far the result may lie from the float layer that
fake-quantized weights make, and nothing but rounding in float32 may contribute to that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import UsageError
from halo_timing.quantize.tensor import QuantizedTensor

#: Unit roundoff of float32.
UNIT_ROUNDOFF = 2.0**-24
_ACCUMULATOR_LIMIT = 1 << 31


@dataclass(frozen=True)
class QuantizedActivations:
    """Activations as the array takes them.

    Parameters
    ----------
    codes
        int8, shape ``(tokens, in)``.
    scales
        Activation per code of each token, float32, shape ``(tokens,)``; 0 where all are 0.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]

    def dequantize(self) -> NDArray[np.float32]:
        """Activations that the codes stand for, float32, shape ``(tokens, in)``."""
        return self.codes.astype(np.float32) * self.scales[:, None]


@dataclass(frozen=True)
class TileProduct:
    """What the array gives for one tile column: integers only.

    Parameters
    ----------
    column
        Tile column; None for the weights kept apart, which go through the array as a pass of their own.
    sums
        int32, shape ``(tokens, out)``.
    scales
        Weight per code of each output in this pass, float32, shape ``(out,)``.
    """

    column: int | None
    sums: NDArray[np.int32]
    scales: NDArray[np.float32]


def quantize_activations(activations: NDArray[np.floating]) -> QuantizedActivations:
    """Quantize activations to 8 bits, symmetrically, with one scale for each token (dynamic).

    Parameters
    ----------
    activations
        Shape ``(tokens, in)``.

    Raises
    ------
    UsageError
        If they are not a finite matrix.
    """
    values = np.asarray(activations, np.float32)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise UsageError(f"activations of shape {values.shape}: must be a finite matrix (tokens, in)")
    scales = (np.abs(values).max(axis=1, initial=0) / np.float32(127)).astype(np.float32)
    steps = np.where(scales > 0, scales, np.float32(1))
    codes = np.clip(np.rint(values / steps[:, None]), -127, 127).astype(np.int8)
    return QuantizedActivations(codes, scales)


def tile_products(layer: QuantizedTensor, activations: QuantizedActivations) -> Iterator[TileProduct]:
    """Integer sums of each tile column, then those of the weights kept apart.

    Raises
    ------
    UsageError
        If the activations do not fit the layer, or a sum could leave 32 bits.
    """
    rows, columns = layer.shape
    if activations.codes.shape[1] != columns:
        raise UsageError(f"activations have {activations.codes.shape[1]} inputs, the layer has {columns}")
    inputs = activations.codes.astype(np.int32)
    width = layer.tile[1]
    for column in range(layer.scales.shape[1]):
        block = slice(column * width, (column + 1) * width)
        sums = _multiply(inputs[:, block], layer.codes[:, block].T.astype(np.int32))
        yield TileProduct(column, sums, layer.scales[:, column].astype(np.float32))
    if len(layer.sparse_values):
        apart = np.zeros((rows, columns), np.int32)
        apart.ravel()[layer.sparse_indices.astype(np.int64)] = layer.sparse_values
        yield TileProduct(None, _multiply(inputs, apart.T), layer.sparse_scales.astype(np.float32))


def integer_forward(layer: QuantizedTensor, activations: QuantizedActivations) -> NDArray[np.float32]:
    """Output of a layer, computed as the hardware does.

    Parameters
    ----------
    layer
        Weights.
    activations
        Inputs; the result of :func:`quantize_activations`.

    Returns
    -------
    ndarray of float32, shape (tokens, out)
        ``scales_token * Σ scales_column * (integer sums of the column)``.

    Raises
    ------
    UsageError
        See :func:`tile_products`.
    """
    total = np.zeros((len(activations.codes), layer.shape[0]), np.float32)
    for product in tile_products(layer, activations):
        total += product.sums.astype(np.float32) * product.scales
    result: NDArray[np.float32] = total * activations.scales[:, None]
    return result


def rounding_bound(layer: QuantizedTensor, activations: QuantizedActivations) -> NDArray[np.float64]:
    """Largest difference that rounding explains between :func:`integer_forward` and the float layer.

    The float layer multiplies :meth:`QuantizedActivations.dequantize` with :meth:`QuantizedTensor.dequantize`
    and sums in float32 in whatever order. With n inputs, p passes (tile columns, and one for the weights kept
    apart), u the unit roundoff and ``γ_k = k u / (1 - k u)`` (Higham, *Accuracy and Stability of Numerical
    Algorithms*, 2002, section 3.1), both are within a multiple of ``S = Σ |x| |w|`` of the exact value: each
    term of the float layer is rounded at most n + 2 times (code to weight, code to activation, product and
    n - 1 sums), each of the integer path at most p + 3 times (sum to float32, scale, p sums, token's scale).
    One more in each stands for S itself, whose weights are rounded.

    Returns
    -------
    ndarray of float64, shape (tokens, out)
        Underflow is not covered: scales are far from 1e-38.
    """
    passes = layer.scales.shape[1] + bool(len(layer.sparse_values))
    magnitude = (
        np.abs(activations.codes).astype(np.float64)
        * activations.scales.astype(np.float64)[:, None]
        @ np.abs(layer.dequantize()).T.astype(np.float64)
    )
    bound: NDArray[np.float64] = (_gamma(layer.shape[1] + 3) + _gamma(passes + 4)) * magnitude
    return bound


def _gamma(roundings: int) -> float:
    return roundings * UNIT_ROUNDOFF / (1 - roundings * UNIT_ROUNDOFF)


def _multiply(inputs: NDArray[np.int32], weights: NDArray[np.int32]) -> NDArray[np.int32]:
    if inputs.shape[1] * 128 * 128 >= _ACCUMULATOR_LIMIT:
        raise UsageError(f"{inputs.shape[1]} inputs in one pass: a sum of their products may leave 32 bits")
    # float64 holds every partial sum exactly, and multiplies matrices much faster than numpy's integers.
    product: NDArray[np.int32] = (inputs.astype(np.float64) @ weights.astype(np.float64)).astype(np.int32)
    return product

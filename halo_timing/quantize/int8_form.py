"""The int8 form of a quantized model, as `compressed-tensors` stores it (format ``int-quantized``).

Each linear layer has ``NAME.weight`` in int8 and ``NAME.weight_scale``, one scale for each output and group
of inputs; ``config.json`` says so in its ``quantization_config``. A scale has to be shared by all weights of
its group there, so the weights that were kept apart are *folded in*. Codes of a level whose values are
multiples of 2^k leave room for that: divided by a power of two, with a scale that much larger, they stay
what they are, and an outlier becomes a code beyond the codebook.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError
from halo_timing.quantize.tensor import QuantizedTensor
from halo_timing.quantize.tensor_file import decode_float32, encode_float32

_SMALLEST, _LARGEST = -128, 127
# A scale may be multiplied by at most this: a code of one unit of the widest step, 128, is 1 then.
_DOUBLINGS = 8
# Share of a unit by which codes may miss the weights through rounding in float32.
_EXACT = np.float32(1e-4)
# Relative error of a stored scale above which a group is fitted anew (F16 has few bits near 0).
_COARSE = 2.0**-8


def group_size(quantized: QuantizedTensor) -> int:
    """Count the inputs that share a scale: as many as divide both the layer and its tiles.

    `compressed-tensors` has groups of one size in a layer, all of them full.
    """
    width, columns = quantized.tile[1], quantized.shape[1]
    return columns if width >= columns else math.gcd(width, columns)


def fold(
    quantized: QuantizedTensor, dtype: str, start: int = 0, stop: int | None = None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes and scales without a sparse part.

    Groups without sparse weights keep their codes. For the others the scale is taken times that power of two
    (or as the largest weight over 127) which leaves the least squared error.

    Parameters
    ----------
    quantized
        The layer.
    dtype
        Dtype that the scales will be stored in: F32, F16 or BF16.
    start, stop
        Outputs wanted, by default all.

    Returns
    -------
    codes : ndarray of int8, shape (stop - start, in)
    scales : ndarray of float32, shape (stop - start, in / group)
        Values of `dtype`, never negative.
    """
    size = group_size(quantized)
    weight = quantized.dequantize(start, stop)
    rows, columns = weight.shape
    groups = weight.reshape(rows, columns // size, size)
    tile_of_group = np.arange(columns // size) * size // quantized.tile[1]
    exact = np.abs(quantized.scales[start : start + rows, tile_of_group].astype(np.float32))
    scales, codes = _stored(exact, dtype), _round(groups, exact)
    unfit = np.abs(codes * exact[..., None] - groups).max(axis=2) > _EXACT * exact
    unfit |= np.abs(scales - exact) > _COARSE * exact
    if unfit.any():
        codes[unfit], scales[unfit] = _fit(groups[unfit], exact[unfit], dtype)
    return codes.reshape(rows, columns), scales


def _fit(
    groups: NDArray[np.float32], exact: NDArray[np.float32], dtype: str
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    largest = np.abs(groups).max(axis=1) / np.float32(_LARGEST)
    trials = [_stored(exact * np.float32(2**power), dtype) for power in range(_DOUBLINGS)]
    trials.append(_stored(largest, dtype))
    best_codes, best_scales = _round(groups, trials[0]), trials[0].copy()
    best = _error(groups, best_codes, best_scales)
    for scales in trials[1:]:
        codes = _round(groups, scales)
        error = _error(groups, codes, scales)
        better = error < best
        best_codes[better], best_scales[better], best[better] = codes[better], scales[better], error[better]
    return best_codes, best_scales


def _stored(scales: NDArray[np.float32], dtype: str) -> NDArray[np.float32]:
    raw = np.frombuffer(encode_float32(scales, dtype), {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[dtype])
    stored: NDArray[np.float32] = decode_float32(raw, dtype).reshape(scales.shape).copy()
    return stored


def _round(groups: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.int8]:
    with np.errstate(over="ignore"):
        inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
        scaled = groups * np.minimum(inverse, np.finfo(np.float32).max)[..., None]
    codes: NDArray[np.int8] = np.clip(np.rint(scaled), _SMALLEST, _LARGEST).astype(np.int8)
    return codes


def _error(
    groups: NDArray[np.float32], codes: NDArray[np.int8], scales: NDArray[np.float32]
) -> NDArray[np.float64]:
    difference = codes * scales[..., None] - groups
    error: NDArray[np.float64] = np.einsum("...k,...k->...", difference, difference, dtype=np.float64)
    return error


def module_name(tensor: str) -> str:
    """Name of the layer whose weight a tensor is.

    Raises
    ------
    CheckpointError
        If it is none.
    """
    if not tensor.endswith(".weight"):
        raise CheckpointError(
            f"tensor {tensor!r}: compressed-tensors quantizes weights of layers only; leave it out with "
            "--exclude, or ask for another --format"
        )
    return tensor.removesuffix(".weight")


def quantization_config(layers: Mapping[str, int], left_out: Collection[str]) -> dict[str, Any]:
    """Entry ``quantization_config`` of ``config.json``.

    Parameters
    ----------
    layers
        Layer → inputs that share a scale.
    left_out
        Layers that keep their weights.
    """
    groups = {}
    for index, size in enumerate(sorted(set(layers.values()))):
        others = {name for name, other in layers.items() if other != size} | set(left_out)
        groups[f"group_{index}"] = {
            "format": "int-quantized",
            "input_activations": None,
            "output_activations": None,
            "targets": _targets({name for name, own in layers.items() if own == size}, others),
            "weights": {
                "dynamic": False,
                "group_size": size,
                "num_bits": 8,
                "strategy": "group",
                "symmetric": True,
                "type": "int",
            },
        }
    return {
        "config_groups": groups,
        "format": "int-quantized",
        "ignore": sorted(left_out),
        "kv_cache_scheme": None,
        "quant_method": "compressed-tensors",
        "quantization_status": "compressed",
    }


def _targets(names: Collection[str], others: Collection[str]) -> list[str]:
    """Patterns that match `names` and none of `others`, with layer numbers left open where that is possible.

    Model classes may put the whole checkpoint below a prefix, so anything may stand before a name.
    """
    patterns = set()
    for name in names:
        general = re.sub(r"(?<![^.])\d+(?![^.])", "#", name)
        pattern = re.escape(general).replace(r"\#", r"\d+")
        if any(re.fullmatch(pattern, other) for other in others):
            pattern = re.escape(name)
        patterns.add(rf"re:(.*\.)?{pattern}$")
    return sorted(patterns)

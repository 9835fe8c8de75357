"""Codebooks as quantization libraries take them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from halo_timing.costmap.export.source import Source
from halo_timing.costmap.model import Level
from halo_timing.files import canonical_json

# Neural Compressor packs these mappings in four bits.
_MAPPING_SIZE = 16


def nncf(source: Source) -> Mapping[str, bytes]:
    """Sorted codebooks for ``CompressWeightsMode.CODEBOOK`` of NNCF, one ``.npy`` a level.

    They are float16 although their values are integers: of an int8 codebook NNCF 3.4 takes midpoints and the
    largest magnitude in int8, and -128 + -96 or abs(-128) wrap around without a word.
    """
    return {
        f"nncf_level{index}.npy": _npy(level.codebook.astype(_exact_float(level)))
        for index, level in enumerate(source.cost_map.levels)
        # NNCF wants two values at least.
        if len(level.codebook) > 1
    }


def torchao(source: Source) -> Mapping[str, bytes]:
    """Codebooks of torchao's ``CodebookQuantizedTensor``: float32, shape ``(size, 1, 1)``."""
    arrays = {
        f"codebook.{index}": level.codebook.astype(np.float32).reshape(-1, 1, 1)
        for index, level in enumerate(source.cost_map.levels)
    }
    about = {"halo_timing": canonical_json({"source": source.title, "levels": len(arrays)})}
    return {"torchao.safetensors": save(arrays, metadata=about)}


def lut(source: Source) -> Mapping[str, bytes]:
    """Full look-up tables of 2^b float16 entries, as SqueezeLLM and Any-Precision kernels index them.

    What a codebook lacks to a power of two repeats its last value, so that no index stands for a new one.
    """
    arrays = source.cost_map.to_arrays()
    return {
        f"lut_level{index}.npy": _npy(arrays[f"codebook.{index}.padded"].astype(np.float16))
        for index in range(len(source.cost_map.levels))
    }


def neural_compressor(source: Source) -> Mapping[str, bytes]:
    """Entries for ``FLOAT_MAPPING`` and ``INT_MAPPING`` of Neural Compressor's weight-only algorithms.

    Values are divided by the largest magnitude; codes are four bits, two's complement, and 0 has code 0.
    """
    entries = {}
    for index, level in enumerate(source.cost_map.levels):
        book = level.codebook.astype(int)
        if not 1 < len(book) <= _MAPPING_SIZE:
            continue
        reach = int(np.abs(book).max())
        zero = int(np.searchsorted(book, 0))
        half = _MAPPING_SIZE // 2
        entries[f"halo_level{index}"] = {
            "float": [value / reach for value in book.tolist()],
            "int": [(place - zero + half) % _MAPPING_SIZE - half for place in range(len(book))],
            "codebook": book.tolist(),
            "bits": 4,
        }
    return {"neural_compressor.json": (json.dumps(entries, indent=2, sort_keys=True) + "\n").encode()}


def _exact_float(level: Level) -> type[np.floating]:
    """Return the smallest float that holds every value of a level as it is."""
    return np.float16 if np.abs(level.codebook.astype(int)).max() <= 2048 else np.float32


def _npy(array: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()

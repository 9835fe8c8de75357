"""How good a quantized tensor, or a whole model of them, is; and what plain rounding would give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.quantize.precision import sum_of_squares
from halo_timing.quantize.rtn import RtnQuantizer
from halo_timing.quantize.tensor import QuantizedTensor

#: Widths of plain rounding that every result is shown beside.
BASELINE_BITS = (8, 4, 3)


@dataclass(frozen=True)
class Quality:
    """Sums over one or many tensors; figures follow from the sums, so that they can be added.

    Parameters
    ----------
    weights
        Number of weights.
    signal, noise
        Sum of the squared weights, and of the squared differences to what their codes stand for.
    bits, index_bits
        Sums over the weights of :attr:`QuantizedTensor.effective_bits` and
        :attr:`QuantizedTensor.index_bits`.
    level_weights
        Weights in tiles of each level.
    sparse_weights
        Weights that are kept apart.
    """

    weights: int
    signal: float
    noise: float
    bits: float
    index_bits: float
    level_weights: tuple[int, ...]
    sparse_weights: int

    @classmethod
    def of(cls, quantized: QuantizedTensor, weight: NDArray[np.float32]) -> Quality:
        """Quality of `quantized` as a stand-in for `weight`, which has the same shape."""
        count = quantized.codes.size
        difference = quantized.dequantize()
        difference -= weight
        return cls(
            weights=count,
            signal=sum_of_squares(weight),
            noise=sum_of_squares(difference),
            bits=quantized.effective_bits * count,
            index_bits=quantized.index_bits * count,
            level_weights=tuple(round(share * count) for share in quantized.level_shares),
            sparse_weights=len(quantized.sparse_values),
        )

    def __add__(self, other: Quality) -> Quality:
        return Quality(
            self.weights + other.weights,
            self.signal + other.signal,
            self.noise + other.noise,
            self.bits + other.bits,
            self.index_bits + other.index_bits,
            tuple(a + b for a, b in zip(self.level_weights, other.level_weights, strict=True)),
            self.sparse_weights + other.sparse_weights,
        )

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantization noise ratio; None where there is no noise, or no signal."""
        return 10 * math.log10(self.signal / self.noise) if self.signal > 0 and self.noise > 0 else None

    @property
    def effective_bits(self) -> float:
        """Bits per weight with scales, levels and the sparse part."""
        return self.bits / self.weights

    @property
    def level_shares(self) -> tuple[float, ...]:
        """Share of the weights in tiles of each level."""
        return tuple(count / self.weights for count in self.level_weights)

    def figures(self) -> dict[str, Any]:
        """Figures for a report, rounded to what is worth reading."""
        return {
            "effective_bits": round(self.effective_bits, 5),
            "index_bits": round(self.index_bits / self.weights, 5),
            "level_shares": [round(share, 6) for share in self.level_shares],
            "sparse_share": round(self.sparse_weights / self.weights, 6),
            "sqnr_db": None if self.sqnr_db is None else round(self.sqnr_db, 4),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the sums, for :meth:`from_json`."""
        return {**vars(self), "level_weights": list(self.level_weights)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Quality:
        """Inverse of :meth:`to_json`."""
        return cls(**{**value, "level_weights": tuple(value["level_weights"])})


def measure_baselines(weight: NDArray[np.float32], group: int) -> dict[str, Quality]:
    """Quality of plain rounding at the same granularity of scales.

    Parameters
    ----------
    weight
        Shape ``(out, in)``, finite.
    group
        Inputs that share a scale.

    Returns
    -------
    dict
        ``"INT4 searched"``, ``"INT4 absmax"`` and so on → quality.
    """
    return {
        f"INT{bits} {'searched' if search else 'absmax'}": Quality.of(
            RtnQuantizer(bits, group, search).fit_quantize(weight), weight
        )
        for bits in BASELINE_BITS
        for search in (True, False)
    }

"""Quantizing a model by one method, and what came of it layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.model import CostMap
from halo_timing.errors import UsageError
from halo_timing.evaluate.language_model import LanguageModel
from halo_timing.evaluate.methods import Method
from halo_timing.evaluate.sequential import quantize_sequentially
from halo_timing.quantize.calibration import CalibrationFile, LayerStatistics
from halo_timing.quantize.halo import HaloQuantizer
from halo_timing.quantize.plan import plan_model
from halo_timing.quantize.quality import Quality
from halo_timing.quantize.tensor import QuantizedTensor

#: The least code is minus this.
LEAST_CODE = 128
#: Called with what is being done, and how far it is from 0 to 1.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class LayerResult:
    """One layer by one method.

    Parameters
    ----------
    quality
        Of its weight.
    output_error
        Energy of the output's error over that of the output, on held-out inputs; None where the layer's
        output is nothing but 0.
    code_counts
        How often each code from -128 on is held by a register, in the dense and in the sparse part, int64,
        shape ``(256,)``. A weight kept apart is a 0 in the dense part.
    """

    quality: Quality
    output_error: float | None
    code_counts: NDArray[np.int64]


def quantize_model(
    language_model: LanguageModel,
    weights: Mapping[str, NDArray[np.float32]],
    method: Method,
    calibration: CalibrationFile | None,
    held_out: CalibrationFile,
    windows: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> dict[str, LayerResult]:
    """Put quantized weights into the model.

    Parameters
    ----------
    language_model
        The model; its weights are replaced.
    weights
        Its weights as they came.
    method
        What to do.
    calibration
        Statistics for it.
    held_out
        Hessians of inputs that no method has seen.
    windows
        Token numbers for methods that calibrate block after block.
    progress
        Told now and then.

    Raises
    ------
    UsageError
        If the method needs a calibration or its text, and there is none.
    """
    quantizer = method.quantizer
    tell = progress or (lambda _what, _share: None)
    for name, weight in weights.items():
        language_model.set_weight(name, weight)
    if quantizer is None:
        return {}
    if method.weighted and calibration is None:
        raise UsageError(f"{method.name} needs a calibration: make one with `halo-timing calibrate`")
    results: dict[str, LayerResult] = {}

    def judge(name: str, quantized: QuantizedTensor) -> None:
        hessian = held_out.layer(name).hessian
        results[name] = LayerResult(
            Quality.of(quantized, weights[name]),
            _output_error(weights[name], quantized.dequantize(), hessian),
            _count_codes(quantized.codes) + _count_codes(quantized.sparse_values),
        )

    if method.sequential:
        if windows is None:
            raise UsageError(
                f"{method.name} needs the text of the calibration: name it with --calibration-text"
            )
        blockwise = quantize_sequentially(
            language_model,
            windows,
            lambda _name, weight, statistics: quantizer.fit_quantize(weight, statistics),
            lambda done, blocks: tell("quantizing", done / blocks),
        )
        for name, quantized in blockwise.items():
            judge(name, quantized)
        return results

    def statistics(name: str) -> LayerStatistics:
        return LayerStatistics() if calibration is None else calibration.layer(name, method.loss_weighted)

    plan = None
    if method.planned and isinstance(quantizer, HaloQuantizer):
        plan = plan_model(
            list(weights),
            weights.__getitem__,
            quantizer,
            statistics,
            lambda _name, done, total: tell("planning", done / total),
        )
    for index, (name, weight) in enumerate(weights.items()):
        tell("quantizing", index / len(weights))
        own = quantizer if plan is None else plan.quantizer(name)
        quantized = own.fit_quantize(weight, statistics(name) if method.weighted else None)
        language_model.set_weight(name, quantized.dequantize())
        judge(name, quantized)
    return results


def _count_codes(codes: NDArray[np.int8]) -> NDArray[np.int64]:
    return np.bincount(codes.ravel().astype(np.int16) + LEAST_CODE, minlength=2 * LEAST_CODE)


def _output_error(
    weight: NDArray[np.float32], other: NDArray[np.float32], hessian: NDArray[np.float32] | None
) -> float | None:
    if hessian is None:
        return None
    error = weight - other
    noise = float(np.einsum("ij,ij->", error @ hessian, error, dtype=np.float64))
    signal = float(np.einsum("ij,ij->", weight @ hessian, weight, dtype=np.float64))
    return noise / signal if signal > 0 else None


def mean_period_ps(shares: tuple[float, ...], cost_map: CostMap, sparse_share: float) -> float:
    """Clock periods per weight of a layer that runs level by level.

    Each weight takes one cycle of its tile's level, and each weight of the sparse part one more of the
    slowest level, at which the sparse part runs.

    Parameters
    ----------
    shares
        Share of the weights at each level.
    cost_map
        Levels and their periods.
    sparse_share
        Share of the weights kept apart.
    """
    periods = [level.period_ps for level in cost_map.levels]
    dense = math.fsum(share * period for share, period in zip(shares, periods, strict=True))
    return dense + sparse_share * periods[-1]


def mean_energy_fj(code_counts: NDArray[np.int64], weights: int, cost_map: CostMap) -> float | None:
    """Energy of a weight for each activation that passes, all weights alike and at the nominal voltage.

    Parameters
    ----------
    code_counts
        How often each code from -128 on is held, the sparse part included; shape ``(256,)``.
    weights
        Number of weights.
    cost_map
        Energies; None is returned where it has none, or lacks one of the codes.
    """
    codes = np.flatnonzero(code_counts)
    energy_fj = dict(zip(cost_map.values.tolist(), cost_map.energy_fj.tolist(), strict=True))
    total = math.fsum(
        code_counts[code] * energy_fj.get(code - LEAST_CODE, math.nan) for code in codes.tolist()
    )
    return total / weights if math.isfinite(total) else None


def summarise(
    results: Mapping[str, LayerResult], method: Method, cost_maps: Mapping[str, CostMap]
) -> dict[str, Any]:
    """Figures of a method over all layers; JSON.

    Parameters
    ----------
    results
        Weight name → what came of it.
    method
        What was done.
    cost_maps
        Those whose energies are wanted: all of them for uniform grids, its own for a method that has one.
    """
    if not results:
        return {}
    total = next(iter(results.values())).quality
    for result in list(results.values())[1:]:
        total = total + result.quality
    errors = [result.output_error for result in results.values() if result.output_error is not None]
    figures = total.figures()
    figures["output_error"] = math.fsum(errors) / len(errors) if errors else None
    counts = np.sum([result.code_counts for result in results.values()], axis=0)
    energies = {
        name: mean_energy_fj(counts, total.weights, cost_map)
        for name, cost_map in cost_maps.items()
        if method.cost_map in ("", name)
    }
    figures["energy_fj"] = {name: energy for name, energy in energies.items() if energy is not None}
    cost_map = method.levels
    if cost_map is not None:
        figures["level_values"] = [level.codebook.tolist() for level in cost_map.levels[:-1]]
        figures["mean_period_ps"] = mean_period_ps(
            total.level_shares, cost_map, total.sparse_weights / total.weights
        )
    figures["layers"] = {
        name: {
            "sqnr_db": result.quality.sqnr_db,
            "output_error": result.output_error,
            "effective_bits": result.quality.effective_bits,
            "level_shares": list(result.quality.level_shares),
        }
        for name, result in results.items()
    }
    return figures

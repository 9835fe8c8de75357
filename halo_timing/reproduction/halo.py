"""HALO's figures and tables beside ours: frequencies, delays, power, levels, time and energy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.accelerator.comparison import Macs, compare
from halo_timing.accelerator.estimate import BASE, Estimate, energy_ratios, speedups
from halo_timing.accelerator.shapes import published_shapes
from halo_timing.accelerator.tensor_core import gpu_times_ms
from halo_timing.accelerator.tile_levels import SharedLevels
from halo_timing.accelerator.workload import PHASES, Phase, Workload
from halo_timing.costmap.model import CostMap, Level
from halo_timing.errors import UsageError
from halo_timing.tables import Tables
from halo_timing.toml_reader import tomllib

SCHEMA_VERSION = 1
#: Models of its evaluation whose shapes are published.
MODELS = ("llama-2-7b", "llama-2-13b", "opt-1.3b", "opt-2.7b", "opt-6.7b", "opt-13b", "opt-30b")
# Batch and tokens are not given: one full window, the length of its perplexity runs.
_SEQUENCE = 2048


@lru_cache(maxsize=1)
def published() -> Mapping[str, Any]:
    """Return what the paper says."""
    content: Mapping[str, Any] = tomllib.loads(files(__package__).joinpath("published.toml").read_text())
    return content


@dataclass(frozen=True)
class Contender:
    """A MAC whose levels are tried: what it was characterised to, and the share of fast tiles it can take."""

    macs: Macs
    tables: Tables


def fast_share(effective_bits: float) -> float:
    """Share of the tiles in the fast class that its effective bits stand for: 3 bits there, 4 elsewhere."""
    return 4 - effective_bits


def time_ratio(fast: float, fast_ghz: float, mid_ghz: float, base_ghz: float) -> float:
    """Time against W8A8 if nothing but the clock counts: what HALO's speed-ups are made of."""
    return fast * base_ghz / fast_ghz + (1 - fast) * base_ghz / mid_ghz


def class_masks(values: NDArray[np.integer]) -> dict[str, NDArray[np.bool_]]:
    """HALO's classes: multiples of 32, odd multiples of 16, all others."""
    by_32, by_16 = values % 32 == 0, values % 16 == 0
    return {"32": by_32, "16": by_16 & ~by_32, "1": ~by_16}


def halo_levels(tables: Tables) -> CostMap:
    """Cost map with the levels that HALO's classes give on a MAC, fastest first, at its own periods."""
    masks = class_masks(tables.values.astype(np.int64))
    period_ps = tables.period_ps
    allowed = np.zeros(len(tables.values), bool)
    levels = []
    for mask in masks.values():
        allowed = allowed | mask
        levels.append(
            Level(tables.values[allowed], float(period_ps[allowed].max()), float(tables.metadata["vdd_v"]))
        )
    return CostMap(
        values=tables.values,
        period_ps=period_ps,
        bound_ps=tables.bound_ps,
        energy_fj=tables.energy_fj,
        levels=tuple(levels),
        metadata={"weight_width": 8, "netlist_sha256": tables.metadata["netlist_sha256"]},
    )


def reproduce_mac(tables: Tables) -> dict[str, Any]:
    """Frequency per weight, delays, classes, and power, as in the paper's study of one MAC."""
    paper = published()
    values = tables.values.astype(np.int64)
    bound, dynamic = tables.period_ps.astype(np.float64), tables.dynamic_ps
    classes = {}
    for name, mask in class_masks(values).items():
        classes[name] = {
            "values": int(mask.sum()),
            "published_ghz": paper["classes"][name],
            "bound_ghz": _frequencies(bound[mask]),
            "core_ghz": _frequencies(tables.core_ps.astype(np.float64)[mask]),
            "dynamic_ghz": None if dynamic is None else _frequencies(dynamic[mask].astype(np.float64)),
        }
    delays = {
        name: {
            "published_ps": float(ps),
            "bound_ps": round(float(bound[values == int(name)][0]), 1),
            "dynamic_ps": None if dynamic is None else round(float(dynamic[values == int(name)][0]), 1),
        }
        for name, ps in paper["delay_ps"].items()
    }
    ranges = [bound[mask] for mask in class_masks(values).values()]
    energy = tables.energy_fj
    known = not np.isnan(energy).any()
    masks = {"8": values % 32 == 0, "16": values % 16 == 0}
    power = {
        name: {
            "published": change,
            "ours": round(float(energy[masks[name]].mean() / energy.mean() - 1), 4) if known else None,
        }
        for name, change in paper["power"].items()
    }
    return {
        "mac": str(tables.metadata["mac"]),
        "classes": classes,
        "classes_are_apart": all(faster.max() < slower.min() for faster, slower in pairwise(ranges)),
        "delay_ps": delays,
        "power": power,
    }


def reproduce_models(contender: Contender, *, phase: Phase = "prefill") -> list[dict[str, Any]]:
    """Time and energy of its models for its three variants, against every baseline.

    Shares of the tiles follow from the published effective bits; levels are those of its classes on our MAC.
    """
    paper = published()
    macs = replace(contender.macs, cost_map=halo_levels(contender.tables))
    rows = []
    for variant, (bits, speedup) in paper["variants"].items():
        share = fast_share(bits)
        levels = SharedLevels((share, 1 - share), paper["headline"]["sparse_share"])
        for model in MODELS:
            row = _row(macs, levels, model, phase)
            rows.append({"variant": variant, "published_w8a8": speedup, **row})
    return rows


def reproduce_fast_class(contender: Contender) -> list[dict[str, Any]]:
    """Time and energy when all tiles run at the fastest level of the MAC's own cost map."""
    return [
        _row(contender.macs, SharedLevels((1.0,)), model, phase)
        for model in ("llama-2-7b", "smollm2-135m")
        for phase in PHASES
    ]


def published_clock_ratios() -> list[dict[str, Any]]:
    """Speed-ups against W8A8 that follow from the published clocks alone, beside those published."""
    paper = published()
    base, mid, fast = (paper["levels"][name][1] for name in ("1", "16", "32"))
    return [
        {
            "variant": variant,
            "effective_bits": bits,
            "published_w8a8": speedup,
            "formula_w8a8": round(1 / time_ratio(fast_share(bits), fast, mid, base), 4),
        }
        for variant, (bits, speedup) in paper["variants"].items()
    ]


def reproduce_gpu() -> list[dict[str, Any]]:
    """Return what the published clocks give a throughput machine: a model, see :mod:`tensor_core`."""
    paper = published()
    rows = []
    for variant, (bits, _) in paper["variants"].items():
        share = fast_share(bits)
        for phase in PHASES:
            workload = Workload(published_shapes()["llama-2-7b"], phase, 1, _SEQUENCE)
            times = gpu_times_ms(workload, (share, 1 - share), paper["levels"])
            rows.append(
                {
                    "variant": variant,
                    "phase": phase,
                    "time_ms": round(times["HALO"], 4),
                    "speedup": {
                        name: round(time / times["HALO"], 4) for name, time in times.items() if name != "HALO"
                    },
                }
            )
    return rows


def read_quality(folder: Path) -> dict[str, Any]:
    """Read perplexities from the ``evaluation.json`` of an evaluation's folder.

    Raises
    ------
    UsageError
        If it is missing or not one.
    """
    path = folder / "evaluation.json"
    try:
        content = json.loads(path.read_bytes())
        return {
            **{key: content[key] for key in ("model", "windows", "window")},
            "reference": float(content["reference"]["perplexity"]),
            "rows": [
                {
                    "name": str(row["name"]),
                    "perplexity": float(row["perplexity"]),
                    "added_nll": float(row["added_nll"]),
                }
                for row in content["methods"]
            ],
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: holds no evaluation of a model ({error}); name its folder") from error


def reproduce(
    array: Contender, others: Sequence[Contender], quality: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Everything, as plain data: content of ``reproduction.json``.

    Parameters
    ----------
    array
        The MAC of HALO's kind, whose delay shows trailing zeros.
    others
        MACs that are faster than the best conventional one for some weights.
    quality
        Perplexities, from :func:`read_quality`.
    """
    unit = array.macs.unit
    return {
        "schema_version": SCHEMA_VERSION,
        "paper": "HALO, Juneja et al., AAAI 2026",
        "pdk": unit.pdk,
        "corner": unit.corner,
        "vdd_v": unit.vdd_v,
        "published": published(),
        "mac": reproduce_mac(array.tables),
        "clock_ratios": published_clock_ratios(),
        "models": reproduce_models(array),
        "fast_class": [
            {"mac": contender.macs.unit.name, **row}
            for contender in (array, *others)
            for row in reproduce_fast_class(contender)
        ],
        "macs": [_mac_row(contender.macs) for contender in (array, *others)],
        "gpu": reproduce_gpu(),
        "quality": quality,
    }


def _mac_row(macs: Macs) -> dict[str, Any]:
    level = macs.cost_map.levels[0]
    worst, best = macs.unit.worst(), macs.best.worst()
    fast = macs.unit.at_period(level.codebook, level.period_ps, level.vdd_v)
    float_unit = macs.float_unit
    clock_over: dict[str, float | None] = {"best": best.period_ps / level.period_ps, "fp16": None}
    area_over = {"best": macs.unit.area_um2 / macs.best.area_um2, "fp16": 1.0}
    if float_unit:
        clock_over["fp16"] = float_unit.point.period_ps / level.period_ps
        area_over["fp16"] = macs.unit.area_um2 / float_unit.area_um2

    def shown(energy_fj: float | None) -> float | None:
        return None if energy_fj is None else round(energy_fj, 2)

    return {
        "mac": macs.unit.name,
        "area_um2": round(macs.unit.area_um2, 1),
        "fast_values": len(level.codebook),
        "fast_ps": round(level.period_ps, 1),
        "fast_fj": shown(fast.energy_fj),
        "worst_ps": round(worst.period_ps, 1),
        "worst_fj": shown(worst.energy_fj),
        "best": macs.best.name,
        "best_area_um2": round(macs.best.area_um2, 1),
        "best_ps": round(best.period_ps, 1),
        "best_fj": shown(best.energy_fj),
        "fp16_area_um2": float_unit and round(float_unit.area_um2, 1),
        "fp16_ps": float_unit and round(float_unit.point.period_ps, 1),
        "fp16_fj": float_unit and shown(float_unit.point.energy_fj),
        "clock_over": _rounded(clock_over),
        "clock_per_area_over": _rounded(
            {name: None if ratio is None else ratio / area_over[name] for name, ratio in clock_over.items()}
        ),
    }


def _row(macs: Macs, levels: SharedLevels, model: str, phase: Phase) -> dict[str, Any]:
    workload = Workload(published_shapes()[model], phase, 1, _SEQUENCE)
    estimates: tuple[Estimate, ...] = compare(macs, levels, [workload]).estimates[workload]
    halo = estimates[0]
    energy = halo.energy_mj.total
    return {
        "model": model,
        "phase": phase,
        "time_ms": round(halo.time_ms, 4),
        "energy_mj": None if energy is None else round(energy, 4),
        "speedup": _rounded(speedups(estimates)),
        "energy_ratio": _rounded(energy_ratios(estimates)),
        "mac_energy_ratio": _rounded(energy_ratios(estimates, part="mac")),
        "w8a8_best_time_ms": round(next(e for e in estimates if e.scheme.key == f"{BASE}_best").time_ms, 4),
    }


def _rounded(ratios: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if ratio is None else round(ratio, 4) for name, ratio in ratios.items()}


def _frequencies(period_ps: NDArray[np.float64]) -> list[float]:
    moving = period_ps[period_ps > 0]
    return [round(float(1e3 / moving.max()), 4), round(float(1e3 / moving.min()), 4)]

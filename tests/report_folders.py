"""Result folders made up for tests of the report, with what a run would leave in them."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from halo_timing.corner_index import IndexEntry, write_index
from halo_timing.costmap.levels import build_cost_map
from halo_timing.costmap.model import CostMap
from halo_timing.dynamic_tables import DynamicTables
from halo_timing.files import write_json
from halo_timing.metrics import collect_metrics
from halo_timing.quantize.model import QuantizeOptions, quantize_checkpoint
from halo_timing.quantize.quality import Quality
from halo_timing.quantize.report import HALO, LeftOut, QuantizationReport, TensorReport
from halo_timing.report.page import render_report
from halo_timing.tables import SHARED, Tables


@dataclass
class Folder:
    """A result folder made up for a test."""

    path: Path
    references: list[Path] = field(default_factory=list)
    model: bool = False
    estimate: bool = False
    evaluation: Path | None = None

    @property
    def metrics(self) -> dict[str, Any]:
        model = "model" if self.model else None
        return collect_metrics(
            self.path, self.references, model, estimate=self.estimate, evaluation=self.evaluation
        )

    def page(self) -> str:
        return render_report(self.path, self.references, self.metrics, self.evaluation)


def trailing_zeros(values: np.ndarray, width: int) -> np.ndarray:
    return np.array([width if v == 0 else (v & -v).bit_length() - 1 for v in values.tolist()])


def write_mac(
    folder: Path,
    name: str,
    periods: Mapping[int, float] | None = None,
    *,
    width: int = 8,
    signed: bool = True,
    scale: float = 1.0,
    pdk: str = "nangate45",
    corner: str = "typ",
    pin: str = "product_q",
) -> Tables:
    """Write tables and synthesis.json of a MAC: the more zeros a weight ends in, the shorter its period."""
    half = 1 << (width - 1)
    values = np.arange(-half, half) + (0 if signed else half)
    period = scale * (1000.0 - 60.0 * trailing_zeros(values, width) - 20.0 * (values % 3))
    for value, wanted in (periods or {}).items():
        period[values == value] = wanted
    period = period.astype(np.float32)
    # No period of its own: a weight at which nothing switches has no path.
    paths = tuple(
        {
            "value": int(value),
            "startpoint": "activation_q_0_",
            "endpoint": f"{pin}_3_/D",
            "launch_ps": 100.0,
            "arrival_ps": float(ps) - 40.0,
            "setup_ps": 40.0,
            "points": [
                ["activation_q_0_/CK", "DFF_X1", 0.0],
                ["activation_q_0_/Q", "DFF_X1", 100.0],
                ["u1/ZN", "NAND2_X1", 160.5],
                ["u2/Z", "XOR2_X1", float(ps) - 40.0],
                [f"{pin}_3_/D", "DFF_X1", float(ps) - 40.0],
            ],
        }
        if ps > 0
        else None
        for value, ps in zip(values.tolist(), period, strict=True)
    )
    metadata = {
        "mac": name,
        "pdk": pdk,
        "corner": corner,
        "vdd_v": 1.1,
        "temperature_c": 25.0,
        "liberty_sha256": ["ab" * 32],
        "tools": {"yosys": "0.70", "opensta": "2.0.17"},
        "parameters": {"MULTIPLIER": "array"},
        "weight_width": width,
        "activation_width": 8,
        "weight_signed": signed,
        "stimulus": "static",
        "netlist_sha256": "ef" * 32,
    }
    tables = Tables(
        values.astype(np.int16),
        np.stack([period * np.float32(0.5), period], 1),
        np.stack([period * np.float32(0.3), period * np.float32(0.8)], 1),
        ("product_q", "psum_q"),
        paths,
        metadata,
    )
    tables.save(folder)
    trial = {"recipe": "delay", "area_um2": 1000.5, "cells": 700, "worst_period_ps": float(period.max())}
    synthesis = {
        "recipe": "delay",
        "area_um2": 1000.5,
        "cell_count": 700,
        "cells": {"NAND2_X1": 300, "XOR2_X1": 400},
        "trials": [trial, {**trial, "recipe": "rebuild", "area_um2": 1400.25}],
        "worst_period_ps": float(period.max()),
        "equivalence": {"exhaustive": 74, "patterns": 524288, "sat": 15},
    }
    (folder / "synthesis.json").write_text(json.dumps(synthesis))
    return tables


def write_dynamic(folder: Path, tables: Tables, scale: float = 1.0) -> None:
    """Write what a simulation of these tables could have found: a little less than every bound."""
    count, size = len(tables.values), 16
    rng = np.random.default_rng(count)
    period = (0.95 * tables.stage_bound_ps).astype(np.float32)
    histogram = rng.integers(0, 9, (count, 2, 240))
    maps = rng.integers(0, 9000, (2, size, size)).astype(np.uint16)
    energy = (scale * (500 + period[:, 1])).astype(np.float32)
    DynamicTables(
        values=tables.values,
        stages=tables.stages,
        stage_period_ps=period,
        stage_drawn_ps=period,
        worst=np.zeros((count, 2, 2), np.int16),
        histogram=histogram,
        toggles=energy / 5,
        switching_fj=energy / 2,
        internal_fj=energy / 4,
        glitch_fj=energy / 5,
        clock_fj=np.full(count, 80, np.float32),
        leakage_nw=np.full(count, 9000, np.float32),
        metadata={
            **{key: tables.metadata.get(key) for key in SHARED},
            "delays": "nldm",
            "bin_ps": 5.0,
            "settle_unit_ps": 0.1,
            "stage_stimulus": ["exhaustive: all", "sampled(n=1)"],
        },
        map_values=tables.values[:2],
        maps=maps,
    ).save(folder)


def write_model(folder: Path, levels: int, name: str = "layer.0.weight", tensors: int = 2) -> None:
    def quality(noise: float, spent: float, shares: Sequence[int]) -> Quality:
        return Quality(1000, 500.0, noise, spent * 1000, 3000.0, tuple(shares), 5)

    own = [600, 400] + [0] * levels
    methods = {
        HALO: quality(9.0, 4.5, own[:levels] if levels > 1 else [1000]),
        "INT4 searched": quality(5.0, 4.125, [1000]),
        "INT4 absmax": quality(8.0, 4.125, [1000]),
        "INT8 searched": quality(0.0, 8.125, [1000]),
    }
    QuantizationReport(
        tensors=tuple(TensorReport(f"{name}{index}", "F32", (25, 40), methods) for index in range(tensors)),
        left_out=(
            LeftOut(f"{name}.bias", "F32", (25,), "not a matrix"),
            LeftOut("embed", "F32", (), "embedding"),
        ),
        description={
            "source": [f"{name}.safetensors"],
            "options": {
                "tile": 128,
                "levels": None,
                "fast_share": 0.5,
                "noise_budget": None,
                "outlier_sigma": 3.0,
                "scale_search": True,
                "baselines": True,
                "include": ["*.head", "a b"],
                "exclude": [],
            },
            "cost_map_sha256": "cd" * 32,
        },
        files=("model.safetensors",),
    ).save(folder / "quantization.json")


def quantize_layers(folder: Folder, shapes: Sequence[tuple[int, int]], tile: int = 16) -> None:
    """Put a model in the place of what :func:`write_model` makes up: layers of drawn weights, quantized."""
    rng = np.random.default_rng(1)
    checkpoint = folder.path.parent / f"{folder.path.name}.safetensors"
    layers = {
        f"block.{i}.weight": rng.standard_t(4, shape).astype(np.float32) for i, shape in enumerate(shapes)
    }
    save_file(layers, checkpoint)
    shutil.rmtree(folder.path / "model", ignore_errors=True)
    cost_map = CostMap.load(folder.path / "costmap.safetensors")
    quantize_checkpoint(checkpoint, cost_map, folder.path / "model", QuantizeOptions(tile=tile))
    folder.model = True


def write_corners(
    folder: Path, supplies: Sequence[float], alpha: float = 1.4, dynamic_scale: float | None = None
) -> None:
    """Write the same netlist's tables at other voltages, by an alpha-power law of a threshold of 0.35 V.

    Simulations are written where `dynamic_scale` says how their energies differ from those at home.
    """
    home = Tables.load(folder, simulated=False)

    def law(vdd_v: float) -> float:
        return vdd_v / (vdd_v - 0.35) ** alpha

    entries = [IndexEntry(str(home.metadata["corner"]), float(home.metadata["vdd_v"]), 25.0, Path())]
    for vdd_v in supplies:
        name = f"{home.metadata['corner']}_{vdd_v:.2f}V".replace(".", "p")
        there = folder / "corners" / name
        there.mkdir(parents=True)
        slower = np.float32(law(vdd_v) / law(float(home.metadata["vdd_v"])))
        shutil.copyfile(folder / "synthesis.json", there / "synthesis.json")
        moved = replace(
            home,
            stage_bound_ps=home.stage_bound_ps * slower,
            metadata={**home.metadata, "corner": name, "vdd_v": vdd_v},
        )
        moved.save(there)
        if dynamic_scale is not None:
            write_dynamic(there, moved, dynamic_scale)
        entries.append(IndexEntry(name, vdd_v, 25.0, there.relative_to(folder)))
    write_index(folder, str(home.metadata["pdk"]), entries)


def write_evaluation(folder: Folder, *, encoder: bool = False) -> None:
    """Write what an evaluation of a language model, or of an encoder, could have found."""
    methods = [
        ("float", "", 0.0, None, None),
        ("rtn-w4", "", 0.2, 4.125, None),
        ("own-acc", "own", 0.09, 4.26, 980.0),
        ("own-bal", "own", 0.14, 3.76, 918.0),
        ("own-bal-plain", "own", 0.3, 3.76, 918.0),
        ("own-perf", "own", 0.22, 3.32, 861.0),
        ("<other>", "other & co", 0.11, 4.0, 870.0),
    ]
    folder.evaluation = folder.path / "evaluation" / "evaluation.json"
    content = {
        "schema_version": 2,
        "loss": "cosine_distance" if encoder else "added_nll",
        "model": "a <model>",
        "texts": [{"name": "some text.txt", "sha256": "00"}],
        "windows": 8,
        "window": 1024,
        "activations": "dynamic",
        "calibration": None,
        "cost_maps": {"own": {}, "other & co": {}},
        "reference": {} if encoder else {"nll": 2.5, "perplexity": 12.182},
        "methods": [
            {
                "name": name,
                "summary": f"what {name} is",
                "cost_map": cost_map,
                **(
                    {"cosine_distance": added_nll, "similarity_error": added_nll, "neighbours_kept": 0.987}
                    if encoder
                    else {"added_nll": added_nll, "perplexity": 12.182 * math.exp(added_nll), "kl": added_nll}
                ),
                **({"effective_bits": bits, "energy_fj": {"own": 100 * bits}} if bits else {}),
                **({"mean_period_ps": period_ps} if period_ps else {}),
            }
            for name, cost_map, added_nll, bits, period_ps in methods
        ],
    }
    write_json(folder.evaluation, content)


def make(
    path: Path,
    *,
    levels: int = 3,
    model: bool = True,
    best_scale: float | None = 0.5,
    name: str = "array",
    dynamic: bool = True,
    **mac: Any,
) -> Folder:
    """Make a result folder; `best_scale` is the reference's speed, None for no reference."""
    path.mkdir(parents=True, exist_ok=True)
    tables = write_mac(path, name, **mac)
    if dynamic:
        write_dynamic(path, tables)
    cost_map = build_cost_map(tables, levels=levels, min_size=min(8, len(tables.values)))
    cost_map.save(path)
    folder = Folder(path, model=model)
    if best_scale is not None:
        for reference, scale in (("booth", best_scale), ("wallace", 2 * best_scale)):
            relative = Path("reference") / reference
            write_mac(path / relative, reference, **{**mac, "scale": scale, "periods": None})
            folder.references.append(relative)
    if model:
        write_model(path / "model", len(cost_map.levels), name)
    return folder


def make_whole(path: Path) -> Folder:
    """Make a result folder with every part that a page can show."""
    folder = make(path)
    # Edge tiles are smaller, and one map is higher than wide. Layer 10 comes after layer 9.
    quantize_layers(folder, ((72, 40), (16, 48), *((32, 32),) * 8, (40, 90)))
    write_evaluation(folder)
    write_corners(path, [0.9])
    return folder

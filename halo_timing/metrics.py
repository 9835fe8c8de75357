"""Figures of a result folder under METRICS2.1-style names: what the report and other tools read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from halo_timing.accelerator.comparison import ESTIMATE_NAME
from halo_timing.costmap.model import CostMap
from halo_timing.costmap.operating_points import corner_clocks, folder_voltages
from halo_timing.errors import UsageError
from halo_timing.evaluate.run import SCHEMA_VERSION as EVALUATION_VERSION
from halo_timing.evaluate.table import LOSSES
from halo_timing.quantize.report import QuantizationReport
from halo_timing.tables import Tables


def collect_metrics(
    out: Path,
    references: Sequence[Path],
    model: str | None,
    *,
    estimate: bool = False,
    evaluation: Path | None = None,
) -> dict[str, Any]:
    """Figures of a run.

    Parameters
    ----------
    out
        Result folder with tables and cost map.
    references
        Folders of the MACs to compare with, relative to `out`.
    model
        Folder of the quantized model, relative to `out`; None if there is none.
    estimate
        Whether ``estimate.json`` belongs to the run.
    evaluation
        ``evaluation.json`` of a model's loss; None if there is none.

    Returns
    -------
    dict
        Plain data. ``ratio__self`` is the MAC's own slowest weight over its fastest level,
        ``ratio__best`` the slowest weight of the fastest reference over the same; both slowest weights go by
        the periods, the margin and the highest supply of the levels.
    """
    tables, cost_map = Tables.load(out), CostMap.load(out / "costmap.safetensors")
    corner = tables.metadata["corner"]
    metrics: dict[str, Any] = _mac_metrics(out, tables)
    worst_ps = _worst_ps(out, cost_map)
    assert worst_ps is not None
    fast_ps = cost_map.levels[0].period_ps
    for index, level in enumerate(cost_map.levels):
        metrics |= {
            f"level:{index}__values": len(level.codebook),
            f"level:{index}__period_ps": round(level.period_ps, 3),
            f"level:{index}__freq_ghz": round(level.freq_ghz, 6),
        }
    metrics["self__period_ps"] = round(worst_ps, 3)
    metrics["ratio__self"] = round(worst_ps / fast_ps, 4)
    others = {folder.name: Tables.load(out / folder) for folder in references}
    for name, other in others.items():
        metrics |= {
            f"reference:{name}__{key}": value
            for key, value in _mac_metrics(out / "reference" / name, other).items()
        }
    slowest = {folder.name: _worst_ps(out / folder, cost_map) for folder in references}
    known = {name: period_ps for name, period_ps in slowest.items() if period_ps is not None}
    if known:
        best = min(known, key=lambda name: known[name])
        metrics["reference__best"] = best
        metrics["best__period_ps"] = round(known[best], 3)
        metrics["ratio__best"] = round(known[best] / fast_ps, 4)
    metrics["corner"] = corner
    metrics |= _dynamic_metrics(tables, cost_map) | _voltage_metrics(out, cost_map)
    if model is not None:
        report = QuantizationReport.load(out / model / "quantization.json")
        for method, quality in report.totals.items():
            key = method.lower().replace(" ", "_")
            metrics |= {f"quantize__{key}__{name}": value for name, value in quality.figures().items()}
    if estimate:
        metrics |= _estimate_metrics(json.loads((out / ESTIMATE_NAME).read_text()))
    if evaluation is not None:
        metrics |= _evaluation_metrics(evaluation)
    return metrics


def _worst_ps(folder: Path, cost_map: CostMap) -> float | None:
    """Period of a MAC's slowest weight on the terms of the levels; None where it is not known on these."""
    vdd_v = max(level.vdd_v for level in cost_map.levels)
    try:
        period_ps = folder_voltages(folder, cost_map).at(vdd_v)
    except UsageError:
        return None
    return float(period_ps.max()) * (1 + float(cost_map.metadata["margin"]))


def _voltage_metrics(out: Path, cost_map: CostMap) -> dict[str, Any]:
    """Clock of each level at every corner and the law that was fitted; none where there is one corner."""
    corners = corner_clocks(out, cost_map)
    if len(corners) == 1:
        return {}
    metrics: dict[str, Any] = {
        f"level:{index}__freq_ghz__corner:{corner.name}": round(freq_ghz, 6)
        for corner in corners
        for index, freq_ghz in enumerate(corner.freq_ghz)
    }
    model = folder_voltages(out, cost_map)
    if model.curve is not None:
        about = model.summary()
        metrics |= {f"voltage__{name}": about[name] for name in ("threshold_v", "alpha", "largest_residual")}
    return metrics


def _estimate_metrics(comparison: dict[str, Any]) -> dict[str, Any]:
    """Time and energy of each scheme in each phase; None where an energy is unknown."""
    metrics: dict[str, Any] = {}
    for phase, content in comparison["phases"].items():
        for key, scheme in content["schemes"].items():
            metrics[f"estimate__{phase}__{key}__time_ms"] = scheme["time_ms"]
            metrics[f"estimate__{phase}__{key}__energy_mj"] = scheme["energy_mj"]["total"]
        for key, ratio in content["speedup"].items():
            metrics[f"estimate__{phase}__speedup__{key}"] = ratio
        for key, ratio in content["energy_ratio"].items():
            metrics[f"estimate__{phase}__energy_ratio__{key}"] = ratio
    return metrics


def _evaluation_metrics(path: Path) -> dict[str, Any]:
    """Losses, bits, speed and energies of each method that was evaluated, where they apply."""
    try:
        content = json.loads(path.read_bytes())
        if content["schema_version"] != EVALUATION_VERSION:
            raise UsageError(
                f"{path}: schema version {content['schema_version']}, this program reads "
                f"{EVALUATION_VERSION}; give the same `halo-timing evaluate` again"
            )
        names = (*(name for _, name, _ in LOSSES[content["loss"]]), "effective_bits", "mean_period_ps")
        metrics: dict[str, Any] = {}
        for row in content["methods"]:
            figures = {name: row.get(name) for name in names}
            figures |= {f"energy_fj__{name}": value for name, value in row.get("energy_fj", {}).items()}
            metrics |= {
                f"evaluate__{row['name']}__{name}": round(float(value), 6)
                for name, value in figures.items()
                if value is not None
            }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: is no evaluation.json of `halo-timing evaluate` ({error})") from error
    return metrics


def _dynamic_metrics(tables: Tables, cost_map: CostMap) -> dict[str, Any]:
    """Figures of what was simulated; none where nothing was."""
    table = tables.dynamic
    if table is None:
        return {}
    simulated = np.isin(tables.values, table.values)
    bound_ps = float(tables.bound_ps[simulated].max())
    fast = np.isin(table.values, cost_map.levels[0].codebook)
    mean_fj = float(table.cycle_fj.mean())
    moved_fj = float((table.switching_fj + table.internal_fj).mean())
    return {
        "timing__dynamic__worst": round(float(table.dynamic_ps.max()), 3),
        "timing__dynamic__bound_share": round(float(table.dynamic_ps.max()) / bound_ps, 4),
        "energy__cycle__mean": round(mean_fj, 3),
        "energy__fast__saved_share": round(1 - float(table.cycle_fj[fast].mean()) / mean_fj, 4),
        "energy__glitch__share": round(float(table.glitch_fj.mean()) / moved_fj, 4) if moved_fj else 0.0,
        "energy__leakage__mean_nw": round(float(table.leakage_nw.mean()), 3),
    }


def _mac_metrics(folder: Path, tables: Tables) -> dict[str, Any]:
    synthesis = json.loads((folder / "synthesis.json").read_text())
    corner = tables.metadata["corner"]
    return {
        "synthesis__area__cell": round(synthesis["area_um2"], 3),
        "synthesis__count__cell": synthesis["cell_count"],
        "synthesis__recipe": synthesis["recipe"],
        f"timing__period__worst__corner:{corner}": round(float(tables.period_ps.max()), 3),
        f"timing__period__best__corner:{corner}": round(float(tables.period_ps.min()), 3),
    }

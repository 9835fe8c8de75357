"""An evaluation: every method on the same tokens, resumable method by method.

The folder holds ``evaluation.json`` (what was done, and all figures), ``evaluation.md`` (the table),
``pareto.svg`` (loss against predicted time), and under ``work`` what a later run of the same evaluation goes
on from: one file a method, the reference's logits, and Hessians of the evaluated text for the output errors.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.model import CostMap
from halo_timing.evaluate.activations import LARGEST_CODE, quantized_inputs
from halo_timing.evaluate.collect import CollectOptions, collect_calibration
from halo_timing.evaluate.embedding import measure_embeddings, measure_reference_embeddings
from halo_timing.evaluate.figure import pareto_svg
from halo_timing.evaluate.language_model import LanguageModel
from halo_timing.evaluate.measure import Progress, quantize_model, summarise
from halo_timing.evaluate.methods import Method
from halo_timing.evaluate.protocol import Tell, measure, measure_reference
from halo_timing.evaluate.table import markdown_table
from halo_timing.files import sha256_file, sha256_json, write_json, write_text
from halo_timing.quantize.calibration import CalibrationFile

SCHEMA_VERSION = 2
#: Windows whose inputs the layers' output errors are measured on.
HELD_OUT_WINDOWS = 2


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and how.

    Parameters
    ----------
    language_model
        The model.
    windows
        Token numbers of the text, shape ``(windows, window)``.
    cost_maps
        Name → cost map, of those that methods use.
    calibration
        Statistics for the methods that are weighted; None where there are none.
    calibration_windows
        Token numbers of its text, for methods that calibrate block after block.
    activations
        ``dynamic``, ``static`` or ``float``.
    provenance
        Files and options to be named in the result; JSON.
    """

    language_model: LanguageModel
    windows: NDArray[np.int64]
    cost_maps: Mapping[str, CostMap]
    calibration: CalibrationFile | None
    calibration_windows: NDArray[np.int64] | None
    activations: str
    provenance: Mapping[str, Any]


def run_evaluation(
    evaluation: Evaluation, methods: Sequence[Method], out: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure methods, or take over what an earlier run has measured, and write the table and the figure.

    Parameters
    ----------
    evaluation
        What is common to all rows.
    methods
        Rows wanted; rows of the same evaluation that are in the folder already stay in the table.
    out
        Folder.
    progress
        Told what is being done.

    Returns
    -------
    dict
        Content of ``evaluation.json``.

    Raises
    ------
    CheckpointError
        If the model gives NaN or infinities.
    UsageError
        If a method lacks what it needs.
    """
    tell = progress or (lambda _what, _share: None)
    work = out / "work"
    encoder = evaluation.language_model.encoder
    common = _common(evaluation)
    key = sha256_json(common)
    reference, held_out = _prepare(evaluation, work, key, tell)
    weights, count = evaluation.language_model.weights(), len(evaluation.windows)
    static = None
    if evaluation.activations == "static" and evaluation.calibration is not None:
        static = {name: evaluation.calibration.largest_input(name) / LARGEST_CODE for name in weights}
    for method in methods:
        path = work / f"{method.name}.json"
        own_key = sha256_json([key, _describe(method)])
        if _read(path).get("key") == own_key:
            continue
        started = time.perf_counter()
        layers = quantize_model(
            evaluation.language_model,
            weights,
            method,
            evaluation.calibration,
            held_out,
            evaluation.calibration_windows,
            partial(_say, tell, method.name),
        )
        elapsed = time.perf_counter() - started
        mode = "float" if method.float_inputs else evaluation.activations
        with quantized_inputs(evaluation.language_model, mode, static):
            figures = (measure_embeddings if encoder else _measure_likelihood)(
                evaluation.language_model,
                evaluation.windows,
                work / "reference.npy",
                partial(_say_windows, tell, method.name, count),
            )
        if not encoder:
            figures["added_nll"] = figures["nll"] - reference["nll"]
        row = {
            "key": own_key,
            "evaluation": key,
            "name": method.name,
            "summary": method.summary,
            "cost_map": method.cost_map,
            **figures,
            "quantizing_s": round(elapsed, 2),
            **summarise(layers, method, evaluation.cost_maps),
        }
        write_json(path, row)
        _publish(common, key, reference, work, out, [method.name for method in methods])
    for name, weight in weights.items():
        evaluation.language_model.set_weight(name, weight)
    return _publish(common, key, reference, work, out, [method.name for method in methods])


def _say(tell: Progress, name: str, what: str, share: float) -> None:
    tell(f"{name}: {what}", share)


def _say_windows(tell: Progress, name: str, count: int, done: int) -> None:
    tell(f"{name}: predicting", done / count)


def _prepare(
    evaluation: Evaluation, work: Path, key: str, tell: Progress
) -> tuple[dict[str, Any], CalibrationFile]:
    """Run the model as it came, and collect Hessians of the evaluated text."""
    count = len(evaluation.windows)
    path = work / "reference.json"
    found = _read(path)
    if found.get("key") != key or not (work / "reference.npy").exists():
        run = (
            measure_reference_embeddings
            if evaluation.language_model.encoder
            else _measure_reference_likelihood
        )
        figures = run(
            evaluation.language_model,
            evaluation.windows,
            work / "reference.npy",
            partial(_say_windows, tell, "reference", count),
        )
        found = {"key": key, "figures": figures}
        write_json(path, found)
    hessians = work / f"held-out-{key[:16]}.safetensors"
    if not hessians.exists():
        collect_calibration(
            evaluation.language_model,
            evaluation.windows[:HELD_OUT_WINDOWS],
            hessians,
            CollectOptions(gradient_windows=0),
            progress=lambda what, done, total: tell(f"held-out inputs: {what}", done / total),
        )
    return found["figures"], CalibrationFile.open(hessians)


def _measure_reference_likelihood(
    language_model: LanguageModel, windows: NDArray[np.int64], logits: Path, tell: Tell
) -> dict[str, Any]:
    likelihood = measure_reference(language_model, windows, logits, tell)
    return {
        "nll": likelihood.mean_nll,
        "perplexity": likelihood.perplexity,
        "window_nll": list(likelihood.nll),
    }


def _measure_likelihood(
    language_model: LanguageModel, windows: NDArray[np.int64], logits: Path, tell: Tell
) -> dict[str, Any]:
    likelihood = measure(language_model, windows, logits, tell)
    return {
        "nll": likelihood.mean_nll,
        "perplexity": likelihood.perplexity,
        "kl": likelihood.mean_kl,
        "window_nll": list(likelihood.nll),
    }


def _publish(
    common: Mapping[str, Any],
    key: str,
    reference: Mapping[str, Any],
    work: Path,
    out: Path,
    order: Sequence[str],
) -> dict[str, Any]:
    """Write the table and the figure of all rows of this evaluation that are there."""
    rows = [row for row in map(_read, sorted(work.glob("*.json"))) if row.get("evaluation") == key]
    rows.sort(key=lambda row: order.index(row["name"]) if row["name"] in order else len(order))
    result = {
        **common,
        "reference": reference,
        "methods": [
            {name: value for name, value in row.items() if name not in ("key", "evaluation")} for row in rows
        ],
    }
    write_json(out / "evaluation.json", result)
    write_text(out / "evaluation.md", markdown_table(result))
    write_text(out / "pareto.svg", pareto_svg(result))
    return result


def _common(evaluation: Evaluation) -> dict[str, Any]:
    """Describe what all rows have in common."""
    digest = hashlib.blake2b(digest_size=32)
    for name, module in evaluation.language_model.linears.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(module.weight.detach().numpy()).data)
    calibration = evaluation.calibration
    return {
        "schema_version": SCHEMA_VERSION,
        **evaluation.provenance,
        "model": evaluation.language_model.name,
        "weights_blake2b": digest.hexdigest(),
        "weights": sum(module.weight.numel() for module in evaluation.language_model.linears.values()),
        "loss": "cosine_distance" if evaluation.language_model.encoder else "added_nll",
        "windows": len(evaluation.windows),
        "window": int(evaluation.windows.shape[1]),
        "tokens_sha256": sha256_json(evaluation.windows.tolist()),
        "activations": evaluation.activations,
        "calibration": None
        if calibration is None
        else {"sha256": sha256_file(calibration.file.path), **calibration.description, "inputs": None},
        "cost_maps": {
            name: {
                "sha256": cost_map.digest,
                "levels": [
                    {"values": len(level.codebook), "period_ps": level.period_ps} for level in cost_map.levels
                ],
            }
            for name, cost_map in evaluation.cost_maps.items()
        },
    }


def _describe(method: Method) -> list[Any]:
    """Describe a method, for the key of its row."""
    if method.quantizer is None:
        return [method.name, method.float_inputs]
    parameters = {
        name: value.digest if isinstance(value, CostMap) else value
        for name, value in method.quantizer.get_params().items()
    }
    return [
        type(method.quantizer).__name__,
        parameters,
        method.weighted,
        method.loss_weighted,
        method.sequential,
    ]


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}

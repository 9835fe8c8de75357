"""Where the numbers come from: commands that make them again, hashes, tools, definitions."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from halo_timing.accelerator.comparison import ESTIMATE_NAME
from halo_timing.accelerator.schemes import FP16
from halo_timing.costmap.model import CostMap
from halo_timing.quantize.outputs import DEFAULT_FORMATS
from halo_timing.quantize.report import QuantizationReport
from halo_timing.report.result import MODEL_FOLDER, MacResult, Result
from halo_timing.rtl import family

# Any folder serves; this is the one that the commands take by default.
_OUT = "results"
_FLOAT = f"{_OUT}/fp16"
_EVALUATION = f"{_OUT}/evaluation"
_HIDDEN = {"schema_version", "stages", "levels", "mac", "units"}


@dataclass(frozen=True)
class Commands:
    """Command lines of the steps, in the order in which they can be given."""

    characterize: str
    references: tuple[str, ...]
    costmap: str
    quantize: str
    evaluate: str
    float_mac: str
    estimate: str
    report: str

    @property
    def all(self) -> tuple[str, ...]:
        """Everything from RTL to this page."""
        later = (self.quantize, self.evaluate, self.float_mac, self.estimate, self.report)
        return (self.characterize, *self.references, self.costmap, *filter(None, later))


@dataclass(frozen=True)
class Record:
    """Provenance of one artefact."""

    title: str
    entries: tuple[tuple[str, str], ...]


#: What the page's words mean; the same everywhere in the project.
DEFINITIONS: tuple[tuple[str, str], ...] = (
    (
        "period of a weight",
        "shortest clock period at which the MAC is right while its weight register holds that value: launch, "
        "slowest path and setup, the largest over all pipeline stages. Its frequency is the inverse.",
    ),
    (
        "bound",
        "period that static timing analysis finds with the weight’s bits held constant: sound for any "
        "activation and partial sum, and pessimistic, because it also counts paths that no operands excite.",
    ),
    (
        "level",
        "operating point with a sorted codebook of allowed values; a slower level allows every value of the "
        "faster ones.",
    ),
    ("self", "this MAC’s slowest weight, on the same PDK and corner."),
    (
        "best",
        "the fastest conventional MAC of this run at its own slowest weight, on the same PDK and corner.",
    ),
    (
        "effective bits",
        "bits per weight of a packed form that holds everything: log₂ of the codebook’s size, scales, "
        "levels, and the sparse part with its indices.",
    ),
    (
        "index bits",
        "bits per weight as HALO counts them: whole bits of the codebook’s index and nothing else.",
    ),
    ("SQNR", "summed squares of the weights over summed squares of their quantization errors, in decibels."),
)


def commands(result: Result) -> Commands:
    """Command lines that make the result again."""
    model = result.model
    estimate = result.estimate
    has_float = estimate is not None and FP16 in estimate["order"]
    return Commands(
        characterize=_characterize(result.mac, [corner.name for corner in result.corners]),
        references=tuple(_characterize(reference) for reference in result.references),
        costmap=_costmap(result.cost_map),
        quantize=_quantize(model) if model else "",
        evaluate=_evaluate(result.evaluation) if result.evaluation else "",
        float_mac=_float_mac(estimate) if estimate and has_float else "",
        estimate=_estimate(has_float) if estimate else "",
        report=_line("report", _OUT, *(("--evaluation", _EVALUATION) if result.evaluation else ())),
    )


def records(result: Result) -> tuple[Record, ...]:
    """Metadata of tables, cost map and model as they are stored."""
    common = result.mac.tables.metadata
    own_entries = {key: value for key, value in result.cost_map.metadata.items() if common.get(key) != value}
    found = [
        Record(f"tables of {mac.name}", _entries(mac.tables.metadata))
        for mac in (result.mac, *result.references)
    ]
    found.append(Record("cost map", _entries(own_entries)))
    if result.model:
        digest = {key: value for key, value in result.model.description.items() if key.endswith("sha256")}
        found.append(Record("quantized model", _entries({**digest, "files": list(result.model.files)})))
    found.append(Record("program", (("halo-timing", version("halo-timing")),)))
    return tuple(found)


def _characterize(mac: MacResult, corners: Sequence[str] = ()) -> str:
    metadata = mac.tables.metadata
    folder = _OUT if not mac.folder.parts else f"{_OUT}/{mac.folder.as_posix()}"
    spec = ["--mac", mac.name]
    if mac.name.partition(":")[0] not in family():
        # Tables tell neither the files nor the ports of a user's own Verilog: capitals stand for them.
        spec = ["--rtl", "FILE", "--top", mac.name, "--weight", "PORT", "--activation", "PORT"]
    words = ["characterize", *spec, "--pdk", metadata["pdk"], "--corner", metadata["corner"]]
    if len(corners) > 1:
        words += ["--corners", ",".join(corners)]
    return _line(*words, "--out", folder)


def _costmap(cost_map: CostMap) -> str:
    words: list[object] = ["costmap", _OUT]
    rule = cost_map.metadata.get("level_rule", {})
    for option, value in (
        ("--levels", rule.get("levels")),
        ("--margin", cost_map.metadata.get("margin")),
        ("--min-size", rule.get("min_size")),
    ):
        if value is not None:
            words += [option, value]
    if "voltage" in cost_map.metadata:
        supplies = {level.vdd_v for level in cost_map.levels}
        words += ["--vdd", *supplies] if len(supplies) == 1 else ["--freq", cost_map.levels[0].freq_ghz]
    return _line(*words)


def _quantize(report: QuantizationReport) -> str:
    options = report.description.get("options", {})
    words: list[object] = ["quantize", "CHECKPOINT", "--costmap", _OUT, "--out", f"{_OUT}/{MODEL_FOLDER}"]
    tile, levels = options.get("tile"), options.get("levels")
    if tile is not None:
        words += ["--tile", "x".join(map(str, tile)) if isinstance(tile, (list, tuple)) else tile]
    if levels is not None:
        words += ["--levels", ",".join(map(str, levels))]
    if options.get("noise_budget") is not None:
        words += ["--noise-budget", options["noise_budget"]]
    elif options.get("fast_share") is not None:
        words += ["--fast-share", options["fast_share"]]
    words += ["--outlier-sigma", options.get("outlier_sigma") or 0]
    if options.get("sparse_share") is not None:
        words += ["--sparse-share", options["sparse_share"]]
    if report.description.get("calibration_sha256"):
        words += ["--calibration", "CALIBRATION"]
    if options.get("plain"):
        words.append("--plain")
    if options.get("scale_search") is False:
        words.append("--no-scale-search")
    if options.get("baselines") is False:
        words.append("--no-baselines")
    if "formats" in options and tuple(options["formats"]) != DEFAULT_FORMATS:
        for name in options["formats"]:
            words += ["--format", name]
    for name in ("include", "exclude"):
        for pattern in options.get(name, ()):
            words += [f"--{name}", pattern]
    return _line(*words)


def _evaluate(evaluation: Mapping[str, Any]) -> str:
    words: list[object] = ["evaluate", "MODEL"]
    for text in evaluation.get("texts", ()):
        words += ["--text", text["name"]]
    for name in evaluation["cost_maps"]:
        words += ["--costmap", f"{name}=COSTMAP"]
    if evaluation["calibration"] is not None:
        words += ["--calibration", "CALIBRATION"]
    for name in ("windows", "window", "activations"):
        words += [f"--{name}", evaluation[name]]
    return _line(*words, "--out", _EVALUATION)


def _float_mac(estimate: Mapping[str, Any]) -> str:
    return _line("mac", "float", "--pdk", estimate["pdk"], "--corner", estimate["corner"], "--out", _FLOAT)


def _estimate(has_float: bool) -> str:
    words = ["estimate", _OUT, "--quantized", f"{_OUT}/{MODEL_FOLDER}", "--out", f"{_OUT}/{ESTIMATE_NAME}"]
    return _line(*words, *(("--fp16", _FLOAT) if has_float else ()))


def _line(*words: object) -> str:
    return shlex.join(
        ["halo-timing", *(f"{word:g}" if isinstance(word, float) else str(word) for word in words)]
    )


def _entries(metadata: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (key.replace("_", " "), text)
        for key, value in sorted(metadata.items())
        if key not in _HIDDEN and (text := _text(value))
    )


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in sorted(value.items()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)

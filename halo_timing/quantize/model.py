"""Quantizing a whole checkpoint, tensor by tensor.

The result is a folder with the forms asked for (:mod:`halo_timing.quantize.outputs`) and
``quantization.json``, written last. Peak memory is one tensor's working set. Finished tensors wait in a
subfolder, so that an interrupted run goes on where it stopped and ends with the same bytes. With a
calibration, levels are chosen for the whole model first (:mod:`halo_timing.quantize.plan`), and an
interrupted run does that again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from halo_timing.costmap.model import CostMap
from halo_timing.errors import CheckpointError, UsageError
from halo_timing.files import canonical_json, sha256_file
from halo_timing.quantize.calibration import CalibrationFile
from halo_timing.quantize.checkpoint import Checkpoint
from halo_timing.quantize.estimator import check_tile
from halo_timing.quantize.halo import HaloQuantizer, level_codebooks
from halo_timing.quantize.layout import Weight, is_transposed, read_config
from halo_timing.quantize.native import SCHEMA_VERSION, part_quality, write_part
from halo_timing.quantize.outputs import DEFAULT_FORMATS, FORMATS, Outputs, check_int8_form
from halo_timing.quantize.plan import Plan, plan_model
from halo_timing.quantize.quality import Quality, measure_baselines
from halo_timing.quantize.report import HALO, LeftOut, QuantizationReport, TensorReport
from halo_timing.quantize.result_folder import put_in_place, working_folder
from halo_timing.quantize.selection import reason_left_out
from halo_timing.quantize.tensor_file import TensorFile

#: Called with a tensor's name, the weights done so far, and all weights to be quantized.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class QuantizeOptions:
    """Parameters of :class:`HaloQuantizer`, and which tensors to quantize.

    Parameters
    ----------
    include, exclude
        Shell patterns of tensor names that overrule the rules of :mod:`halo_timing.quantize.selection`.
    baselines
        Measure plain rounding beside it.
    sparse_share, plain, sweeps
        See :class:`HaloQuantizer`.
    formats
        Forms of the result, some of :data:`halo_timing.quantize.outputs.FORMATS`.
    """

    tile: int | tuple[int, int] = 128
    levels: tuple[int, ...] | None = None
    fast_share: float = 0.5
    noise_budget: float | None = None
    outlier_sigma: float | None = 3.0
    scale_search: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    baselines: bool = True
    sparse_share: float | None = None
    plain: bool = False
    sweeps: int = 2
    formats: tuple[str, ...] = DEFAULT_FORMATS

    def quantizer(self, cost_map: CostMap) -> HaloQuantizer:
        """Quantizer with these options."""
        return HaloQuantizer(
            cost_map,
            tile=self.tile,
            levels=self.levels,
            fast_share=self.fast_share,
            noise_budget=self.noise_budget,
            outlier_sigma=self.outlier_sigma,
            scale_search=self.scale_search,
            sparse_share=self.sparse_share,
            plain=self.plain,
            sweeps=self.sweeps,
        )


def quantize_checkpoint(
    source: Path,
    cost_map: CostMap,
    out: Path,
    options: QuantizeOptions | None = None,
    progress: Progress | None = None,
    calibration: CalibrationFile | None = None,
) -> QuantizationReport:
    """Quantize a checkpoint into a folder.

    Parameters
    ----------
    source
        Safetensors or GGUF file, index of shards, or model folder.
    cost_map
        Levels and codebooks.
    out
        Folder for the result: new, empty, or of an earlier run.
    options
        None: the defaults.
    progress
        Told before each tensor, as files are written, and at the end.
    calibration
        Statistics of all tensors that are quantized; None: by the weights alone.

    Returns
    -------
    QuantizationReport
        Also written as ``quantization.json``.

    Raises
    ------
    CheckpointError
        If the source is damaged, or holds NaN, infinities, or nothing to quantize; or the calibration is of
        another model.
    CostMapError
        If the cost map is for other operands than signed ones of at most 8 bits.
    UsageError
        If an option is not usable, or the folder cannot be written.
    """
    options = options or QuantizeOptions()
    quantizer = options.quantizer(cost_map)
    quantizer.check_params()
    formats = _check_formats(options.formats)
    checkpoint = Checkpoint.open(source)
    chosen, left_out = _select(checkpoint, options)
    if "compressed-tensors" in formats:
        check_int8_form(checkpoint, source, chosen)
    if calibration:
        _check_calibration(calibration, chosen)
    description = _describe(checkpoint, cost_map, options, calibration)
    with working_folder(out, checkpoint.path.parent) as work:
        meter = _Meter(checkpoint, chosen, formats, progress)
        plan = _plan(chosen, quantizer, calibration, meter) if calibration else None
        parts: dict[str, TensorFile] = {}
        for index, weight in enumerate(chosen):
            meter.at(weight.name)
            recipe = _Recipe(
                plan.quantizer(weight.name) if plan else quantizer,
                options.baselines,
                description["native"],
                [description["key"], plan.key(weight.name) if plan else None],
            )
            path = work / f"{index:06d}.safetensors"
            parts[weight.name] = _quantize_tensor(weight, recipe, calibration, path)
            meter.advance(weight.size)
        meter.at("writing")
        transposed = frozenset(weight.name for weight in chosen if weight.transposed)
        outputs = Outputs(checkpoint, source, parts, transposed, work, meter.written)
        outputs.write(formats, description["native"])
        meter.end()
        tensors = tuple(
            TensorReport(
                weight.name, weight.entry.dtype, weight.entry.shape, part_quality(parts[weight.name])
            )
            for weight in chosen
        )
        report = QuantizationReport(
            tensors=tensors,
            left_out=left_out,
            description={
                **description["report"],
                "folded_sqnr_db": _folded_sqnr_db(tensors, outputs.folded_noise),
                "notes": list(outputs.notes),
                "predicted_loss": plan.predicted_loss if plan else None,
            },
            files=tuple(sorted(outputs.finished)),
        )
        put_in_place(out, outputs.finished, report)
    return report


class _Meter:
    """Counts what is done in weights, written ones for a part: writing is that much faster."""

    _WRITTEN_FOR_ONE = 8

    def __init__(
        self,
        checkpoint: Checkpoint,
        chosen: Sequence[Weight],
        formats: tuple[str, ...],
        progress: Progress | None,
    ) -> None:
        whole = len({"fake", "compressed-tensors"} & set(formats))
        self._to_write = whole * sum(math.prod(entry.shape) for _, entry in checkpoint.entries())
        self._total = sum(weight.size for weight in chosen) + self._to_write // self._WRITTEN_FOR_ONE
        self._progress = progress
        self._done = self._written = 0
        self._name = ""

    def at(self, name: str) -> None:
        """Say what is being worked on."""
        self._name = name
        self._tell(self._done + self._written // self._WRITTEN_FOR_ONE)

    def advance(self, weights: int) -> None:
        """So many weights are quantized."""
        self._done += weights

    def written(self, weights: int) -> None:
        """So many weights are in their files."""
        self._written += weights
        self.at(self._name)

    def end(self) -> None:
        """All is done."""
        self._tell(self._total)

    def _tell(self, done: int) -> None:
        if self._progress:
            self._progress(self._name, done, self._total)


@dataclass(frozen=True)
class _Recipe:
    """How a tensor is quantized; `key` is all that the result depends on but the weight itself."""

    quantizer: HaloQuantizer
    baselines: bool
    native: Mapping[str, Any]
    key: Any


def _quantize_tensor(
    weight: Weight, recipe: _Recipe, calibration: CalibrationFile | None, path: Path
) -> TensorFile:
    """Quantize one tensor into a part, or take the part that an interrupted run has left."""
    entry = weight.entry
    about = [recipe.key, entry.name, entry.dtype, entry.shape, weight.transposed]
    digest = hashlib.blake2b(canonical_json(about).encode())
    for block in weight.file.chunks(entry.name):
        digest.update(block)
    key = digest.hexdigest()
    with suppress(CheckpointError):
        part = TensorFile.open(path)
        if part.metadata.get("key") == key:
            return part
    values = weight.read()
    statistics = calibration.layer(entry.name) if calibration else None
    quantized = recipe.quantizer.fit_quantize(values, statistics)
    quality = {HALO: Quality.of(quantized, values)}
    if recipe.baselines:
        quality |= measure_baselines(values, quantized.tile[1])
    sums = {method: value.to_json() for method, value in quality.items()}
    write_part(path, entry.name, quantized, recipe.native, {"key": key, "quality": json.dumps(sums)})
    return TensorFile.open(path)


def _select(
    checkpoint: Checkpoint, options: QuantizeOptions
) -> tuple[tuple[Weight, ...], tuple[LeftOut, ...]]:
    config = read_config(checkpoint.path.parent)
    chosen, left_out = [], []
    for file, entry in checkpoint.entries():
        reason = reason_left_out(entry, options.include, options.exclude)
        if reason is None:
            chosen.append(Weight(file, entry, is_transposed(file, entry, config)))
        else:
            left_out.append(LeftOut(entry.name, entry.dtype, entry.shape, reason))
    if not chosen:
        raise CheckpointError(
            f"{checkpoint.path}: holds no weight matrix to quantize among {len(left_out)} tensors; "
            "name tensors with --include"
        )
    return tuple(chosen), tuple(left_out)


def _check_calibration(calibration: CalibrationFile, chosen: Sequence[Weight]) -> None:
    unknown = sorted({weight.name for weight in chosen} - set(calibration.names))
    if unknown:
        raise CheckpointError(
            f"{calibration.file.path}: knows nothing of {len(unknown)} tensors, such as {unknown[0]!r}; "
            "calibrate the model that is quantized, or leave them out with --exclude"
        )


def _plan(
    chosen: Sequence[Weight], quantizer: HaloQuantizer, calibration: CalibrationFile, meter: _Meter
) -> Plan:
    by_name = {weight.name: weight for weight in chosen}
    return plan_model(
        list(by_name),
        lambda name: by_name[name].read(),
        quantizer,
        calibration.layer,
        lambda name, _done, _total: meter.at(f"choosing levels: {name}"),
    )


def _describe(
    checkpoint: Checkpoint,
    cost_map: CostMap,
    options: QuantizeOptions,
    calibration: CalibrationFile | None,
) -> dict[str, Any]:
    """Describe what the result depends on apart from the weights, for the native file and the report."""
    books = level_codebooks(cost_map)
    levels = [
        {"codebook": book.values.tolist(), "period_ps": level.period_ps, "vdd_v": level.vdd_v}
        for book, level in zip(books, cost_map.levels, strict=True)
    ]
    native = {"schema_version": SCHEMA_VERSION, "tile": list(check_tile(options.tile)), "levels": levels}
    report = {
        "calibration_sha256": sha256_file(calibration.file.path) if calibration else None,
        "cost_map_sha256": cost_map.digest,
        "levels": levels,
        "options": asdict(options),
        "source": [file.path.name for file in checkpoint.files],
    }
    # The forms of the result change nothing in what is quantized; another version of the program may.
    key = {**report, "options": asdict(replace(options, formats=())), "version": version("halo-timing")}
    return {"native": native, "report": json.loads(canonical_json(report)), "key": key}


def _check_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise UsageError(f"formats {list(formats)}: give some of {', '.join(FORMATS)}")
    return formats


def _folded_sqnr_db(tensors: tuple[TensorReport, ...], noise: float) -> float | None:
    """Signal over what folding the sparse part into int8 has added; None where nothing was."""
    signal = sum(tensor.quality[HALO].signal for tensor in tensors)
    return round(10 * math.log10(signal / noise), 4) if signal and noise else None

"""Quantizing a whole checkpoint, tensor by tensor.

The result is a folder with the forms asked for (:mod:`halo_timing.quantize.outputs`) and
``quantization.json``, written last. Peak memory is one tensor's working set. Finished tensors wait in a
subfolder, so that an interrupted run goes on where it stopped and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.model import CostMap
from halo_timing.errors import CheckpointError, UsageError
from halo_timing.files import canonical_json, sha256_file
from halo_timing.quantize.calibration import CalibrationFile
from halo_timing.quantize.checkpoint import Checkpoint, WeightFile
from halo_timing.quantize.estimator import check_tile, check_weight
from halo_timing.quantize.halo import HaloQuantizer, level_codebooks
from halo_timing.quantize.layout import is_transposed, read_config
from halo_timing.quantize.native import SCHEMA_VERSION, part_quality, write_part
from halo_timing.quantize.outputs import DEFAULT_FORMATS, FORMATS, Outputs, check_int8_form
from halo_timing.quantize.plan import Plan, plan_model
from halo_timing.quantize.quality import Quality, measure_baselines
from halo_timing.quantize.report import HALO, LeftOut, QuantizationReport, TensorReport
from halo_timing.quantize.result_folder import put_in_place, working_folder
from halo_timing.quantize.selection import reason_left_out
from halo_timing.quantize.tensor_file import TensorEntry, TensorFile

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
    formats
        Forms of the result, some of :data:`halo_timing.quantize.outputs.FORMATS`.
    """

    tile: int | tuple[int, int] = 128
    levels: tuple[int, ...] | None = None
    fast_share: float = 0.5
    noise_budget: float | None = None
    outlier_sigma: float | None = 3.0
    scale_search: bool = True
    sparse_share: float | None = None
    plain: bool = False
    sweeps: int = 2
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    baselines: bool = True
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
        Statistics of the model's layers. With them, shares hold for the model as a whole, and codes are
        rounded with error feedback.

    Returns
    -------
    QuantizationReport
        Also written as ``quantization.json``.

    Raises
    ------
    CheckpointError
        If the source is damaged, or holds NaN, infinities, or nothing to quantize, or if the calibration
        does not know one of its tensors.
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
    description = _describe(checkpoint, cost_map, options, calibration)
    chosen, left_out = _select(checkpoint, options)
    config = read_config(checkpoint.path.parent)
    transposed = frozenset(entry.name for file, entry in chosen if is_transposed(file, entry, config))
    if "compressed-tensors" in formats:
        check_int8_form(checkpoint, source, [entry for _, entry in chosen], transposed)
    with working_folder(out, checkpoint.path.parent) as work:
        meter = _Meter(checkpoint, chosen, formats, progress)
        plan = None
        if calibration is not None:
            plan = _plan(chosen, transposed, quantizer, calibration, meter)
        parts: dict[str, TensorFile] = {}
        for index, (file, entry) in enumerate(chosen):
            meter.at(entry.name)
            path = work / f"{index:06d}.safetensors"
            flip = entry.name in transposed
            parts[entry.name] = _quantize_tensor(
                file, entry, flip, quantizer, options, description, path, calibration, plan
            )
            meter.advance(_count(entry))
        meter.at("writing")
        outputs = Outputs(checkpoint, source, parts, transposed, work, meter.written)
        outputs.write(formats, description["native"])
        meter.end()
        tensors = tuple(
            TensorReport(entry.name, entry.dtype, entry.shape, part_quality(parts[entry.name]))
            for _, entry in chosen
        )
        report = QuantizationReport(
            tensors=tensors,
            left_out=left_out,
            description={
                **description["report"],
                "folded_sqnr_db": _folded_sqnr_db(tensors, outputs.folded_noise),
                "notes": list(outputs.notes),
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
        chosen: list[tuple[WeightFile, TensorEntry]],
        formats: tuple[str, ...],
        progress: Progress | None,
    ) -> None:
        whole = len({"fake", "compressed-tensors"} & set(formats))
        self._to_write = whole * sum(_count(entry) for _, entry in checkpoint.entries())
        self._total = sum(_count(entry) for _, entry in chosen) + self._to_write // self._WRITTEN_FOR_ONE
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


def _quantize_tensor(
    file: WeightFile,
    entry: TensorEntry,
    transposed: bool,
    quantizer: HaloQuantizer,
    options: QuantizeOptions,
    description: Mapping[str, Any],
    path: Path,
    calibration: CalibrationFile | None,
    plan: Plan | None,
) -> TensorFile:
    """Quantize one tensor into a part, or take the part that an interrupted run has left."""
    about = [description["key"], entry.name, entry.dtype, entry.shape, transposed]
    if plan is not None:
        about.append(plan.key(entry.name))
        quantizer = plan.quantizer(entry.name)
    digest = hashlib.blake2b(canonical_json(about).encode())
    for block in file.chunks(entry.name):
        digest.update(block)
    key = digest.hexdigest()
    with suppress(CheckpointError):
        part = TensorFile.open(path)
        if part.metadata.get("key") == key:
            return part
    weight = _read(file, entry, transposed)
    quantized = quantizer.fit_quantize(weight, calibration and calibration.layer(entry.name))
    quality = {HALO: Quality.of(quantized, weight)}
    if options.baselines:
        quality |= measure_baselines(weight, check_tile(options.tile)[1])
    sums = {method: value.to_json() for method, value in quality.items()}
    facts = {"key": key, "quality": json.dumps(sums)}
    write_part(path, entry.name, quantized, description["native"], facts)
    return TensorFile.open(path)


def _read(file: WeightFile, entry: TensorEntry, transposed: bool) -> NDArray[np.float32]:
    """Weight of a tensor, shape ``(out, in)``."""
    try:
        stored = file.read_float32(entry.name)
        return check_weight(stored.T if transposed else stored)
    except CheckpointError as error:
        raise CheckpointError(f"{file.path}: tensor {entry.name!r}: {error}") from error


def _plan(
    chosen: list[tuple[WeightFile, TensorEntry]],
    transposed: frozenset[str],
    quantizer: HaloQuantizer,
    calibration: CalibrationFile,
    meter: _Meter,
) -> Plan:
    """Choose levels for all tensors at once."""
    where = {entry.name: (file, entry) for file, entry in chosen}
    return plan_model(
        list(where),
        lambda name: _read(*where[name], name in transposed),
        quantizer,
        calibration.layer,
        lambda name, _done, _total: meter.at(f"choosing levels: {name}"),
    )


def _select(
    checkpoint: Checkpoint, options: QuantizeOptions
) -> tuple[list[tuple[WeightFile, TensorEntry]], tuple[LeftOut, ...]]:
    chosen, left_out = [], []
    for file, entry in checkpoint.entries():
        reason = reason_left_out(entry, options.include, options.exclude)
        if reason is None:
            chosen.append((file, entry))
        else:
            left_out.append(LeftOut(entry.name, entry.dtype, entry.shape, reason))
    if not chosen:
        raise CheckpointError(
            f"{checkpoint.path}: holds no weight matrix to quantize among {len(left_out)} tensors; "
            "name tensors with --include"
        )
    return chosen, tuple(left_out)


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
        "cost_map_sha256": cost_map.digest,
        "levels": levels,
        "options": asdict(options),
        "calibration_sha256": None if calibration is None else sha256_file(calibration.file.path),
        "source": [file.path.name for file in checkpoint.files],
    }
    # The forms of the result change nothing in what is quantized.
    key = {**report, "options": asdict(replace(options, formats=()))}
    return {"native": native, "report": json.loads(canonical_json(report)), "key": key}


def _check_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise UsageError(f"formats {list(formats)}: give some of {', '.join(FORMATS)}")
    return formats


def _folded_sqnr_db(tensors: tuple[TensorReport, ...], noise: float | None) -> float | None:
    """Signal over what folding the sparse part into int8 has added; None where nothing was."""
    signal = sum(tensor.quality[HALO].signal for tensor in tensors)
    return round(10 * math.log10(signal / noise), 4) if signal and noise else None


def _count(entry: TensorEntry) -> int:
    return math.prod(entry.shape)

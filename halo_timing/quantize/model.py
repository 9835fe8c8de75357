"""Quantizing a whole checkpoint, tensor by tensor.

The result is a folder: the checkpoint again under the same names, shards and dtypes, with the weights
replaced by what their codes stand for, so that it loads wherever the source did; ``native/model.safetensors``
with the codes themselves; and ``quantization.json``, written last. Peak memory is one tensor's working set.
Finished tensors wait in a subfolder, so that an interrupted run goes on where it stopped and ends with the
same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from halo_timing.costmap.model import CostMap
from halo_timing.errors import CheckpointError
from halo_timing.files import canonical_json
from halo_timing.quantize.checkpoint import Checkpoint
from halo_timing.quantize.estimator import check_tile, check_weight
from halo_timing.quantize.halo import HaloQuantizer, level_codebooks
from halo_timing.quantize.native import SCHEMA_VERSION, NativeFile, join_parts, part_quality, write_part
from halo_timing.quantize.quality import Quality, measure_baselines
from halo_timing.quantize.report import HALO, LeftOut, QuantizationReport, TensorReport
from halo_timing.quantize.result_folder import (
    NATIVE_NAME,
    REPORT_NAME,
    companions,
    put_in_place,
    working_folder,
)
from halo_timing.quantize.selection import reason_left_out
from halo_timing.quantize.tensor_file import TensorEntry, TensorFile, encode_float32, write_tensor_file

# Weights that are decoded at a time.
_BAND = 1 << 20

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
        )


def quantize_checkpoint(
    source: Path,
    cost_map: CostMap,
    out: Path,
    options: QuantizeOptions | None = None,
    progress: Progress | None = None,
) -> QuantizationReport:
    """Quantize a checkpoint into a folder.

    Parameters
    ----------
    source
        Safetensors file, index of shards, or model folder.
    cost_map
        Levels and codebooks.
    out
        Folder for the result: new, empty, or of an earlier run.
    options
        None: the defaults.
    progress
        Told before each tensor, and at the end.

    Returns
    -------
    QuantizationReport
        Also written as ``quantization.json``.

    Raises
    ------
    CheckpointError
        If the source is damaged, or holds NaN, infinities, or nothing to quantize.
    CostMapError
        If the cost map is for other operands than signed ones of at most 8 bits.
    UsageError
        If an option is not usable, or the folder cannot be written.
    """
    options = options or QuantizeOptions()
    options.quantizer(cost_map).check_params()
    checkpoint = Checkpoint.open(source)
    description = _describe(checkpoint, cost_map, options)
    chosen, left_out = _select(checkpoint, options)
    with working_folder(out, checkpoint.path.parent) as work:
        parts: dict[str, TensorFile] = {}
        done, total = 0, sum(_count(entry) for _, entry in chosen)
        for index, (file, entry) in enumerate(chosen):
            if progress:
                progress(entry.name, done, total)
            path = work / f"{index:06d}.safetensors"
            parts[entry.name] = _quantize_tensor(file, entry, cost_map, options, description, path)
            done += _count(entry)
        if progress:
            progress("writing", done, total)
        join_parts(work / "native", list(parts.values()), description["native"])
        finished = {NATIVE_NAME: work / "native"}
        for file in checkpoint.files:
            finished[file.path.name] = work / f"dense-{file.path.name}"
            write_tensor_file(finished[file.path.name], file.header, _dense_data(file, parts))
        for name, path in _beside_weights(checkpoint, source).items():
            finished[name] = work / f"copy-{name}"
            shutil.copyfile(path, finished[name])
        report = QuantizationReport(
            tensors=tuple(
                TensorReport(entry.name, entry.dtype, entry.shape, part_quality(parts[entry.name]))
                for _, entry in chosen
            ),
            left_out=left_out,
            description=description["report"],
            files=tuple(sorted(finished)),
        )
        put_in_place(out, finished, report)
    return report


def _quantize_tensor(
    file: TensorFile,
    entry: TensorEntry,
    cost_map: CostMap,
    options: QuantizeOptions,
    description: Mapping[str, Any],
    path: Path,
) -> TensorFile:
    """Quantize one tensor into a part, or take the part that an interrupted run has left."""
    digest = hashlib.blake2b(canonical_json([description, entry.name, entry.dtype]).encode())
    for block in file.chunks(entry.name):
        digest.update(block)
    key = digest.hexdigest()
    with suppress(CheckpointError):
        part = TensorFile.open(path)
        if part.metadata.get("key") == key:
            return part
    try:
        weight = check_weight(file.read_float32(entry.name))
    except CheckpointError as error:
        raise CheckpointError(f"{file.path}: tensor {entry.name!r}: {error}") from error
    quantized = options.quantizer(cost_map).fit_quantize(weight)
    quality = {HALO: Quality.of(quantized, weight)}
    if options.baselines:
        quality |= measure_baselines(weight, check_tile(options.tile)[1])
    sums = {method: value.to_json() for method, value in quality.items()}
    facts = {"key": key, "quality": json.dumps(sums)}
    write_part(path, entry.name, quantized, description["native"], facts)
    return TensorFile.open(path)


def _dense_data(file: TensorFile, parts: Mapping[str, TensorFile]) -> Iterator[bytes]:
    """Bytes of all tensors of a shard, quantized weights replaced by what their codes stand for."""
    for entry in file.entries.values():
        if entry.name in parts:
            quantized = NativeFile.open(parts[entry.name].path).tensor(entry.name)
            rows, columns = quantized.shape
            band = max(1, _BAND // columns)
            for start in range(0, rows, band):
                yield encode_float32(quantized.dequantize(start, min(start + band, rows)), entry.dtype)
        else:
            yield from file.chunks(entry.name)


def _select(
    checkpoint: Checkpoint, options: QuantizeOptions
) -> tuple[list[tuple[TensorFile, TensorEntry]], tuple[LeftOut, ...]]:
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


def _describe(checkpoint: Checkpoint, cost_map: CostMap, options: QuantizeOptions) -> dict[str, Any]:
    """Describe what the result depends on apart from the weights, for the native file and the report."""
    books = level_codebooks(cost_map)
    levels = [
        {"codebook": book.values.tolist(), "period_ps": level.period_ps, "vdd_v": level.vdd_v}
        for book, level in zip(books, cost_map.levels, strict=True)
    ]
    native = {"schema_version": SCHEMA_VERSION, "tile": list(check_tile(options.tile)), "levels": levels}
    digest = hashlib.sha256()
    for name, array in sorted(cost_map.to_arrays().items()):
        digest.update(canonical_json([name, str(array.dtype), array.shape]).encode() + array.tobytes())
    report = {
        "cost_map_sha256": digest.hexdigest(),
        "levels": levels,
        "options": asdict(options),
        "source": [file.path.name for file in checkpoint.files],
    }
    return {"native": native, "report": json.loads(canonical_json(report))}


def _beside_weights(checkpoint: Checkpoint, source: Path) -> dict[str, Path]:
    """Files to copy: the index of the shards, and where a model folder was given, what loaders want of it."""
    files = companions(source) if source.is_dir() else {}
    if checkpoint.index:
        files[checkpoint.index.name] = checkpoint.index
    files.pop(REPORT_NAME, None)
    return files


def _count(entry: TensorEntry) -> int:
    return math.prod(entry.shape)

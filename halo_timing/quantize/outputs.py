"""The forms in which a quantized checkpoint is written, each tensor by tensor.

* ``fake``: the checkpoint again under the same names, shards and dtypes, each quantized weight replaced by
  what its codes stand for, so that it loads wherever the source did;
* ``compressed-tensors``: a model folder with int8 weights (:mod:`halo_timing.quantize.int8_form`);
* ``native``: the codes themselves (:mod:`halo_timing.quantize.native`).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from halo_timing.errors import CheckpointError
from halo_timing.files import write_json
from halo_timing.quantize.checkpoint import Checkpoint, WeightFile
from halo_timing.quantize.gguf_company import write_company
from halo_timing.quantize.gguf_file import GgufFile
from halo_timing.quantize.int8_form import fold, group_size, module_name, quantization_config
from halo_timing.quantize.layout import Weight, read_config
from halo_timing.quantize.native import NativeFile, join_parts
from halo_timing.quantize.result_folder import INT8_FOLDER, NATIVE_NAME, REPORT_NAME, companions
from halo_timing.quantize.tensor import QuantizedTensor
from halo_timing.quantize.tensor_file import (
    DTYPE_BITS,
    TensorFile,
    encode_float32,
    make_header,
    write_tensor_file,
)

#: Forms by the name that ``--format`` takes.
FORMATS = ("fake", "compressed-tensors", "native")
#: What is written where nothing else is asked for.
DEFAULT_FORMATS = ("fake", "native")

# Weights that are decoded at a time.
_BAND = 1 << 20


@dataclass
class Outputs:
    """Writes the forms of one quantized checkpoint into a folder of unfinished files.

    Parameters
    ----------
    checkpoint
        The source.
    source
        What the user named: companions of a model travel only with its folder.
    parts
        Quantized tensors by name, each in a file of its own.
    transposed
        Those of them that the checkpoint stores as ``(in, out)``.
    work
        Folder for the files.
    told
        Called with the number of weights that were written.

    Attributes
    ----------
    finished
        Name within the result's folder → file in `work`.
    notes
        Sentences that the user should read.
    folded_noise
        Squared error that folding the sparse part into int8 has added.
    """

    checkpoint: Checkpoint
    source: Path
    parts: Mapping[str, TensorFile]
    transposed: frozenset[str]
    work: Path
    told: Callable[[int], None]
    finished: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    folded_noise: float = 0.0

    def write(self, formats: tuple[str, ...], native_description: Mapping[str, Any]) -> None:
        """Write the forms asked for."""
        if "native" in formats:
            self.finished[NATIVE_NAME] = self.work / "native"
            description = {**native_description, "transposed": sorted(self.transposed)}
            join_parts(self.finished[NATIVE_NAME], self.parts, description)
        company = self._company() if {"fake", "compressed-tensors"} & set(formats) else {}
        if "fake" in formats:
            for file in self.checkpoint.files:
                path = self.finished[file.name] = self.work / f"dense-{file.name}"
                write_tensor_file(path, file.header, self._dense_data(file))
            index = self.checkpoint.index
            for name, path in (company | ({index.name: index} if index else {})).items():
                self.finished[name] = self.work / f"copy-{name}"
                shutil.copyfile(path, self.finished[name])
        if "compressed-tensors" in formats:
            self._write_int8(company)

    def _company(self) -> dict[str, Path]:
        """Files that loaders want beside the weights, where a whole model was given."""
        file = self.checkpoint.files[0]
        if isinstance(file, GgufFile):
            files, self.notes = write_company(file, self.work / "company")
        else:
            files = companions(self.source) if self.source.is_dir() else {}
        files.pop(REPORT_NAME, None)
        return files

    def _quantized(self, name: str) -> QuantizedTensor:
        return NativeFile.open(self.parts[name].path).tensor(name)

    def _dense_data(self, file: WeightFile) -> Iterator[bytes]:
        """Bytes of all tensors of a shard, quantized weights replaced by what their codes stand for."""
        for entry in file.entries.values():
            if entry.name not in self.parts:
                yield from file.chunks(entry.name)
            elif entry.name in self.transposed:
                yield encode_float32(self._quantized(entry.name).dequantize().T, entry.dtype)
            else:
                quantized = self._quantized(entry.name)
                for start, stop in _bands(quantized):
                    yield encode_float32(quantized.dequantize(start, stop), entry.dtype)
            self.told(math.prod(entry.shape))

    def _write_int8(self, company: Mapping[str, Path]) -> None:
        weight_map: dict[str, str] = {}
        total = 0
        for file in self.checkpoint.files:
            # Wide elements first, so that each tensor is aligned.
            specs = sorted(self._int8_tensors(file), key=lambda item: -DTYPE_BITS[item[1]])
            path = self.finished[f"{INT8_FOLDER}/{file.name}"] = self.work / f"int8-{file.name}"
            write_tensor_file(path, make_header(specs, {"format": "pt"}), self._int8_data(file, specs))
            weight_map |= {name: file.name for name, _, _ in specs}
            total += sum(entry.end - entry.start for entry in TensorFile.open(path).entries.values())
        layers = {module_name(name): group_size(self._quantized(name)) for name in self.parts}
        matrices = {entry.name for _, entry in self.checkpoint.entries() if len(entry.shape) == 2}
        left_out = {name.removesuffix(".weight") for name in matrices - set(self.parts)} | {"lm_head"}
        config_path = company.get("config.json")
        config = read_config(config_path.parent) if config_path else {}
        config["quantization_config"] = quantization_config(layers, left_out - set(layers))
        texts: dict[str, Any] = {"config.json": config}
        if self.checkpoint.index:
            texts[self.checkpoint.index.name] = {
                "metadata": {"total_size": total},
                "weight_map": dict(sorted(weight_map.items())),
            }
        for name, value in texts.items():
            self.finished[f"{INT8_FOLDER}/{name}"] = self.work / f"int8-{name}"
            write_json(self.work / f"int8-{name}", value)
        for name, path in company.items():
            if name not in texts:
                self.finished[f"{INT8_FOLDER}/{name}"] = self.work / f"int8-{name}"
                shutil.copyfile(path, self.work / f"int8-{name}")

    def _int8_tensors(self, file: WeightFile) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        for entry in file.entries.values():
            if entry.name in self.parts:
                rows, columns = entry.shape
                groups = columns // group_size(self._quantized(entry.name))
                yield entry.name, "I8", entry.shape
                yield f"{entry.name}_scale", entry.dtype, (rows, groups)
            else:
                yield entry.name, entry.dtype, entry.shape

    def _int8_data(self, file: WeightFile, specs: list[tuple[str, str, tuple[int, ...]]]) -> Iterator[bytes]:
        for name, dtype, shape in specs:
            weight = name.removesuffix("_scale")
            if name in self.parts:
                quantized = self._quantized(name)
                for start, stop in _bands(quantized):
                    codes, scales = fold(quantized, file.entries[name].dtype, start, stop)
                    self._count_folded(quantized, codes, scales, start, stop)
                    yield codes.tobytes()
            elif weight in self.parts:
                quantized = self._quantized(weight)
                for start, stop in _bands(quantized):
                    yield encode_float32(fold(quantized, dtype, start, stop)[1], dtype)
                continue
            else:
                yield from file.chunks(name)
            self.told(math.prod(shape))

    def _count_folded(
        self,
        quantized: QuantizedTensor,
        codes: np.ndarray[Any, np.dtype[np.int8]],
        scales: np.ndarray[Any, np.dtype[np.float32]],
        start: int,
        stop: int,
    ) -> None:
        groups = codes.reshape(*scales.shape, -1) * scales[..., None]
        difference = groups.reshape(codes.shape) - quantized.dequantize(start, stop)
        self.folded_noise += float(np.einsum("ij,ij->", difference, difference, dtype=np.float64))


def check_int8_form(checkpoint: Checkpoint, source: Path, chosen: Sequence[Weight]) -> None:
    """Refuse what `compressed-tensors` could not load, before anything is done.

    Raises
    ------
    CheckpointError
        If there is no ``config.json``, the model is quantized already, its linear layers are Conv1D, or a
        tensor is not the weight of a layer.
    """
    where = checkpoint.path
    for weight in chosen:
        module_name(weight.name)
        if not weight.transposed:
            continue
        raise CheckpointError(
            f"{where}: tensor {weight.name!r} belongs to a Conv1D layer, which compressed-tensors does "
            "not know; ask for another --format"
        )
    file = checkpoint.files[0]
    if isinstance(file, GgufFile):
        if not file.transformers_names:
            raise CheckpointError(
                f"{where}: the int8 form needs names of transformers, which are known for architecture llama "
                f"and not for {file.architecture!r}; ask for another --format"
            )
        return
    config = read_config(source) if source.is_dir() else {}
    if not config:
        raise CheckpointError(
            f"{where}: the int8 form needs the model's config.json; give the model folder, or ask for "
            "another --format"
        )
    if "quantization_config" in config:
        raise CheckpointError(
            f"{source / 'config.json'}: the model is quantized already (quantization_config); "
            "start from the original one"
        )


def _bands(quantized: QuantizedTensor) -> Iterator[tuple[int, int]]:
    """Ranges of rows that together cover a tensor, each of about a million weights."""
    rows, columns = quantized.shape
    step = max(1, _BAND // columns)
    for start in range(0, rows, step):
        yield start, min(start + step, rows)

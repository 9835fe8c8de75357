"""Model checkpoints on disk: a safetensors file, a Hugging Face folder of one or several, or a GGUF file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError
from halo_timing.quantize.gguf_file import GgufFile
from halo_timing.quantize.tensor_file import PICKLE_SENTENCE, TensorEntry, TensorFile

_INDEX_SUFFIX = ".safetensors.index.json"
_PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


class WeightFile(Protocol):
    """A file of named tensors, read one at a time."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def name(self) -> str:
        """Name of the safetensors file that is written for it."""

    @property
    def header(self) -> bytes:
        """First bytes of that file."""

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """Tensors by name, in the order of that file."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Bytes of a tensor in that file, a few megabytes at a time."""

    def read_float32(self, name: str) -> NDArray[np.float32]:
        """Tensor of dtype F32, F16 or BF16, as float32."""


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint; no tensor is read before it is asked for.

    Parameters
    ----------
    path
        What was opened.
    files
        Its files, in the order of their names.
    index
        The index of a sharded checkpoint, else None.
    """

    path: Path
    files: tuple[WeightFile, ...]
    index: Path | None

    @classmethod
    def open(cls, path: Path) -> Checkpoint:
        """Open a safetensors or GGUF file, an index of shards, or a folder with one, and check all headers.

        Raises
        ------
        CheckpointError
            If nothing usable is there, a file is damaged, a shard is missing, or the index contradicts them.
        """
        if path.is_dir():
            path = _find_in_folder(path)
        if not path.exists():
            raise CheckpointError(
                f"{path}: no such checkpoint; give a safetensors or GGUF file, or a model folder"
            )
        if path.suffix in _PICKLE_SUFFIXES:
            raise CheckpointError(f"{path}: {PICKLE_SENTENCE}")
        if path.name.endswith(_INDEX_SUFFIX):
            return cls(path, _open_shards(path), path)
        if path.suffix == ".gguf":
            return cls(path, (GgufFile.open(path),), None)
        return cls(path, (TensorFile.open(path),), None)

    def entries(self) -> Iterator[tuple[WeightFile, TensorEntry]]:
        """All tensors with the files that hold them, in the order of their bytes."""
        for file in self.files:
            for entry in file.entries.values():
                yield file, entry


def _find_in_folder(folder: Path) -> Path:
    """File or index in a model folder that stands for the model."""
    try:
        names = sorted(item.name for item in folder.iterdir())
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error.strerror})") from error
    indices = [name for name in names if name.endswith(_INDEX_SUFFIX)]
    tensors = [name for name in names if name.endswith(".safetensors")]
    for preferred, found in (("model" + _INDEX_SUFFIX, indices), ("model.safetensors", tensors)):
        if preferred in found:
            return folder / preferred
    for found in (indices, tensors):
        if len(found) == 1:
            return folder / found[0]
    if tensors:
        raise CheckpointError(
            f"{folder}: holds {len(tensors)} safetensors files and no index that joins them; name one of them"
        )
    ggufs = [name for name in names if name.endswith(".gguf")]
    if len(ggufs) == 1:
        return folder / ggufs[0]
    if ggufs:
        raise CheckpointError(f"{folder}: holds {len(ggufs)} GGUF files; name one of them")
    pickles = [name for name in names if name.endswith(_PICKLE_SUFFIXES)]
    if pickles:
        raise CheckpointError(f"{folder / pickles[0]}: {PICKLE_SENTENCE}")
    raise CheckpointError(f"{folder}: holds no safetensors or GGUF file; give a model folder or such a file")


def _open_shards(index: Path) -> tuple[TensorFile, ...]:
    weight_map = _read_weight_map(index)
    files: dict[str, TensorFile] = {}
    holder: dict[str, str] = {}
    for shard in sorted(set(weight_map.values())):
        # A plain name cannot climb out of the folder, on any platform.
        if shard != PureWindowsPath(shard).name or shard in ("", ".", "..") or "\0" in shard:
            raise CheckpointError(f"{index}: the shard {shard!r} is not a file name in the same folder")
        if not (index.parent / shard).is_file():
            raise CheckpointError(f"{index}: names the shard {shard}, which is not there; fetch it")
        files[shard] = TensorFile.open(index.parent / shard)
        for name in files[shard].entries:
            if name in holder:
                raise CheckpointError(f"{index}: tensor {name!r} is in both {holder[name]} and {shard}")
            holder[name] = shard
    for name, shard in weight_map.items():
        if holder.get(name) != shard:
            raise CheckpointError(f"{index}: names tensor {name!r} in {shard}, which does not hold it")
    return tuple(files.values())


def _read_weight_map(index: Path) -> dict[str, str]:
    try:
        value: Any = json.loads(index.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{index}: is not a readable index ({error})") from error
    weight_map = value.get("weight_map") if isinstance(value, dict) else None
    if (
        not isinstance(weight_map, dict)
        or not weight_map
        or not all(isinstance(shard, str) for shard in weight_map.values())
    ):
        raise CheckpointError(f"{index}: has no weight_map from tensor to shard")
    return weight_map

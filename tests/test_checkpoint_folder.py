"""Opening model folders, sharded and not, and refusing what is unsafe or incomplete."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from halo_timing.errors import CheckpointError
from halo_timing.quantize.checkpoint import Checkpoint

A, B = np.float32([[1, 2]]), np.float32([[3]])


def write_index(folder: Path, weight_map: object) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 12}, "weight_map": weight_map}))
    return path


@pytest.fixture()
def sharded(work_dir: Path) -> Path:
    """Return a folder with two shards and their index."""
    save_file({"a": A}, work_dir / "model-00001-of-00002.safetensors")
    save_file({"b": B}, work_dir / "model-00002-of-00002.safetensors")
    write_index(work_dir, {"b": "model-00002-of-00002.safetensors", "a": "model-00001-of-00002.safetensors"})
    return work_dir


def names(checkpoint: Checkpoint) -> list[str]:
    return [entry.name for _, entry in checkpoint.entries()]


def test_sharded_folder_and_its_index(sharded: Path) -> None:
    for path in (sharded, sharded / "model.safetensors.index.json"):
        checkpoint = Checkpoint.open(path)
        assert names(checkpoint) == ["a", "b"]
        assert checkpoint.index == sharded / "model.safetensors.index.json"


def test_one_file(work_dir: Path) -> None:
    save_file({"a": A}, work_dir / "adapter.safetensors")
    for path in (work_dir, work_dir / "adapter.safetensors"):
        checkpoint = Checkpoint.open(path)
        assert names(checkpoint) == ["a"]
        assert checkpoint.index is None
    save_file({"b": B}, work_dir / "model.safetensors")
    assert names(Checkpoint.open(work_dir)) == ["b"]


def test_several_files_without_index(work_dir: Path) -> None:
    for name in ("x", "y"):
        save_file({"a": A}, work_dir / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match="2 safetensors files and no index"):
        Checkpoint.open(work_dir)


def test_missing_shard(sharded: Path) -> None:
    (sharded / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"names the shard model-00002-of-00002\.safetensors, which is not"
    ):
        Checkpoint.open(sharded)


@pytest.mark.parametrize(
    "shard",
    ["../secret.safetensors", "/etc/passwd", "sub/model.safetensors", "..", ".", "", "C:\\x", "a\\b", "a\0b"],
)
def test_paths_that_leave_the_folder(shard: str, work_dir: Path) -> None:
    save_file({"a": A}, work_dir.parent / "secret.safetensors")
    write_index(work_dir, {"a": shard})
    with pytest.raises(CheckpointError, match="is not a file name in the same folder"):
        Checkpoint.open(work_dir)


def test_index_that_contradicts_its_shards(sharded: Path) -> None:
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    write_index(sharded, {"a": second, "b": second})
    with pytest.raises(CheckpointError, match=r"names tensor 'a' in model-00002.*does not hold it"):
        Checkpoint.open(sharded)
    write_index(sharded, {"a": first, "b": second})
    save_file({"a": A, "b": B}, sharded / second)
    with pytest.raises(CheckpointError, match="tensor 'a' is in both"):
        Checkpoint.open(sharded)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}', "[" * 100_000]
)
def test_broken_index(text: str, work_dir: Path) -> None:
    (work_dir / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"is not a readable index|has no weight_map"):
        Checkpoint.open(work_dir)


def test_pickles_are_not_opened(work_dir: Path) -> None:
    (work_dir / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    for path in (work_dir, work_dir / "pytorch_model.bin"):
        with pytest.raises(CheckpointError, match=r"pytorch_model.bin: is a pickle.*safe_serialization"):
            Checkpoint.open(path)


def test_nothing_there(work_dir: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no safetensors or GGUF file"):
        Checkpoint.open(work_dir)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        Checkpoint.open(work_dir / "none")

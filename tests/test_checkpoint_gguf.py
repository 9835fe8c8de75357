"""GGUF files that are damaged, lie, or are of a kind that cannot be read; the good ones are in
``test_quantize_transformers.py``.
"""

from __future__ import annotations

import builtins
import json
import shutil
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from halo_timing.errors import CheckpointError
from halo_timing.quantize import NativeFile, QuantizeOptions, quantize_checkpoint
from halo_timing.quantize.checkpoint import Checkpoint
from halo_timing.quantize.gguf_file import GgufFile
from tests.quantize_maps import array_cost_map

MAP = array_cost_map()
SMALL = QuantizeOptions(tile=(16, 32), baselines=False)
WEIGHT = np.random.default_rng(0).standard_normal((48, 64)).astype(np.float32)


def write(
    path: Path,
    architecture: str = "mamba",
    heads: object = 6,
    endianess: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE,
) -> Path:
    """Write a file with one matrix in 8 bits, an embedding, a head and a norm."""
    writer = gguf.GGUFWriter(path, architecture, endianess=endianess)
    if heads is not None:
        writer.add_key_value("llama.attention.head_count", heads, gguf.GGUFValueType.UINT32)
    writer.add_array("tokens", ["a", "bc", ""])
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("blk.0.attn_q.weight", gguf.quants.quantize(WEIGHT, kind), raw_dtype=kind)
    writer.add_tensor("blk.0.attn_norm.weight", np.ones(64, np.float32))
    writer.add_tensor("token_embd.weight", WEIGHT.astype(np.float16))
    writer.add_tensor("output.weight", WEIGHT)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("gguf") / "model.gguf")


def test_other_architectures_keep_their_names(good: Path, work_dir: Path) -> None:
    report = quantize_checkpoint(good.parent, MAP, work_dir / "out", SMALL)
    assert [tensor.name for tensor in report.tensors] == ["blk.0.attn_q.weight"]
    assert {item.name: item.reason for item in report.left_out} == {
        "blk.0.attn_norm.weight": "not a matrix",
        "token_embd.weight": "embedding",
        "output.weight": "head",
    }
    assert "architecture 'mamba' keep their GGUF names" in report.description["notes"][0]
    dense = load_file(work_dir / "out" / "model.safetensors")
    native = NativeFile.open(work_dir / "out" / "native" / "model.safetensors")
    np.testing.assert_array_equal(
        dense["blk.0.attn_q.weight"], native.tensor("blk.0.attn_q.weight").dequantize()
    )
    np.testing.assert_array_equal(dense["token_embd.weight"], WEIGHT.astype(np.float16))
    np.testing.assert_array_equal(dense["output.weight"], WEIGHT)
    assert np.abs(dense["blk.0.attn_q.weight"] - WEIGHT).max() < 1
    options = QuantizeOptions(tile=(16, 32), formats=("compressed-tensors",))
    with pytest.raises(CheckpointError, match="known for architecture llama and not for 'mamba'"):
        quantize_checkpoint(good, MAP, work_dir / "int8", options)
    assert not (work_dir / "int8").exists()


def lying_array(data: bytes) -> bytes:
    """Claim that the list of words, now of small numbers, is longer than any file."""
    start = data.index(b"tokens") + len(b"tokens") + 4
    return data[:start] + (0).to_bytes(4, "little") + (1 << 60).to_bytes(8, "little") + data[start + 12 :]


def test_files_that_are_not_readable(good: Path, work_dir: Path) -> None:
    data = good.read_bytes()
    for damaged, sentence in {
        b"": "ends within its header",
        b"GG": "is not a GGUF file that can be read",
        b"GGUF": "is not a GGUF file that can be read",
        b"\x80\x02}q\x00" * 20: "does not begin with GGUF",
        data[:4] + (99).to_bytes(4, "little") + data[8:]: "version 99",
        data[:100]: "cut off",
        data[:-1]: "cut off",
        data[:16] + (1 << 60).to_bytes(8, "little") + data[24:]: "is not a GGUF file that can be read",
        lying_array(data): "ends within its header",
        data.replace(b"attn_norm", b"attn_\xff\xff\xff\xff"): "is not a GGUF file that can be read",
        data.replace(b"general.architecture", b"general.architektura"): "has no general.architecture",
    }.items():
        path = work_dir / "bad.gguf"
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=sentence) as caught:
            quantize_checkpoint(path, MAP, work_dir / "out", SMALL)
        assert str(path) in str(caught.value)
        assert not (work_dir / "out").exists()
    with pytest.raises(CheckpointError, match="big-endian"):
        Checkpoint.open(write(work_dir / "big.gguf", endianess=gguf.GGUFEndian.BIG))


def test_folders_and_parts(good: Path, work_dir: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        shutil.copyfile(good, work_dir / name)
    with pytest.raises(CheckpointError, match="holds 2 GGUF files; name one of them"):
        Checkpoint.open(work_dir)
    writer = gguf.GGUFWriter(work_dir / "part.gguf", "llama")
    writer.add_key_value("split.count", 3, gguf.GGUFValueType.UINT16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(
        CheckpointError, match=r"is one of 3 parts; join them with `llama-gguf-split --merge`"
    ):
        Checkpoint.open(work_dir / "part.gguf")


def test_heads_that_do_not_fit(work_dir: Path) -> None:
    for heads, sentence in (
        (5, "48 rows are not 5 heads"),
        (None, "head_count is None"),
        (0, "head_count is 0"),
    ):
        path = write(work_dir / "llama.gguf", "llama", heads)
        with pytest.raises(CheckpointError, match=sentence):
            Checkpoint.open(path)


def test_types_that_cannot_be_unpacked(work_dir: Path) -> None:
    writer = gguf.GGUFWriter(work_dir / "x.gguf", "mamba")
    kind = gguf.GGMLQuantizationType.Q8_1
    writer.add_tensor("a.weight", np.zeros((4, 40), np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(CheckpointError, match="is of type Q8_1, which the package gguf cannot unpack"):
        quantize_checkpoint(work_dir / "x.gguf", MAP, work_dir / "out", SMALL)
    assert not (work_dir / "out").exists()


def test_file_that_shrinks_while_it_is_read(good: Path, work_dir: Path) -> None:
    path = Path(shutil.copyfile(good, work_dir / "x.gguf"))
    file = GgufFile.open(path)
    path.write_bytes(good.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=r"'output\.weight' is cut off; the file was changed"):
        file.read_float32("output.weight")
    path.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        list(file.chunks("output.weight"))


def test_what_is_said_without_the_packages(
    good: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: object) -> object:
        if name in missing:
            raise ImportError(name)
        return real(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    missing = {"transformers"}
    report = quantize_checkpoint(write(work_dir / "llama.gguf", "llama"), MAP, work_dir / "out", SMALL)
    assert "`pip install 'halo-timing[quality]'`" in report.description["notes"][0]
    assert not (work_dir / "out" / "config.json").exists()
    assert "model.layers.0.self_attn.q_proj.weight" in json.dumps(report.to_json())
    missing = {"gguf"}
    with pytest.raises(CheckpointError, match="install it with `pip install gguf`"):
        Checkpoint.open(good)


def test_the_core_does_not_import_them() -> None:
    assert "halo_timing.quantize.model" in sys.modules
    code = "import sys, halo_timing.cli.quantize; print({'gguf', 'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@given(
    edits=st.lists(
        st.tuples(st.integers(0, 700), st.binary(min_size=0, max_size=8), st.integers(0, 8)),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_files_never_crash(edits: list[tuple[int, bytes, int]], good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    for position, inserted, removed in edits:
        data = data[:position] + inserted + data[position + removed :]
    path = tmp_path / "mutated.gguf"
    path.write_bytes(data)
    try:
        file = GgufFile.open(path)
        for name, entry in file.entries.items():
            assert sum(map(len, file.chunks(name))) == entry.end - entry.start
            if entry.dtype in ("F32", "F16", "BF16"):
                assert file.read_float32(name).shape == entry.shape
    except CheckpointError:
        pass

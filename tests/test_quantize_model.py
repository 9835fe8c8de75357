"""Whole checkpoints: what is written, that it loads, that it resumes, and that bad input leaves nothing."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import halo_timing.quantize.model as model_module
import halo_timing.quantize.outputs as outputs_module
from halo_timing.errors import CheckpointError, CostMapError, UsageError
from halo_timing.quantize import (
    HaloQuantizer,
    NativeFile,
    QuantizationReport,
    QuantizeOptions,
    quantize_checkpoint,
)
from halo_timing.quantize.quality import BASELINE_BITS, Quality
from halo_timing.quantize.selection import reason_left_out
from halo_timing.quantize.tensor_file import (
    TensorEntry,
    TensorFile,
    encode_float32,
    make_header,
    write_tensor_file,
)
from tests.quantize_maps import array_cost_map

MAP = array_cost_map()
SMALL = QuantizeOptions(tile=(16, 8), baselines=False)


def matrix(rows: int, columns: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def tiny_model() -> dict[str, NDArray[np.generic]]:
    return {
        "model.embed_tokens.weight": matrix(50, 16, 0),
        "model.layers.0.self_attn.q_proj.weight": matrix(48, 40, 1),
        "model.layers.0.self_attn.q_proj.bias": matrix(1, 48, 2)[0],
        "model.layers.0.input_layernorm.weight": np.ones(16, np.float32),
        "model.layers.0.mlp.up_proj.weight": matrix(20, 33, 3).astype(np.float16),
        "model.layers.1.mlp.up_proj.weight": matrix(3, 2, 4),
        "model.position_ids": np.arange(5),
        "lm_head.weight": matrix(50, 16, 5),
    }


@pytest.fixture()
def source(work_dir: Path) -> Path:
    """Return a model folder of one file with some company."""
    folder = work_dir / "source"
    folder.mkdir()
    save_file(tiny_model(), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text('{"model_type": "tiny"}')
    (folder / "tokenizer.model").write_bytes(b"\0\1")
    (folder / "pytorch_model.bin.index.json").write_text("{}")
    (folder / "training_args.bin").write_bytes(b"\x80\x02.")
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_result_is_a_checkpoint_again(source: Path, work_dir: Path) -> None:
    out = work_dir / "out"
    report = quantize_checkpoint(source, MAP, out, SMALL)
    assert [path.name for path in sorted(out.iterdir())] == [
        "config.json",
        "model.safetensors",
        "native",
        "quantization.json",
        "tokenizer.model",
    ]
    before, after = load_file(source / "model.safetensors"), load_file(out / "model.safetensors")
    header = TensorFile.open(source / "model.safetensors").header
    assert (out / "model.safetensors").read_bytes().startswith(header)
    chosen = {tensor.name for tensor in report.tensors}
    assert chosen == {name for name in before if name.endswith("_proj.weight")}
    native = NativeFile.open(out / "native" / "model.safetensors")
    assert set(native.names) == chosen
    for name, array in before.items():
        if name not in chosen:
            np.testing.assert_array_equal(after[name], array)
            continue
        expected = HaloQuantizer(MAP, tile=(16, 8)).fit_quantize(array.astype(np.float32))
        tensor = native.tensor(name)
        for field in ("codes", "scales", "tile_levels", "sparse_indices", "sparse_values", "sparse_scales"):
            np.testing.assert_array_equal(getattr(tensor, field), getattr(expected, field))
        np.testing.assert_array_equal(after[name], tensor.dequantize().astype(array.dtype))
    # The library reads the native form too.
    assert load_file(out / "native" / "model.safetensors")[
        "model.layers.1.mlp.up_proj.weight.codes"
    ].shape == (3, 2)


def test_report(source: Path, work_dir: Path) -> None:
    options = QuantizeOptions(tile=(16, 8), exclude=("*.layers.1.*",), include=("lm_*",))
    report = quantize_checkpoint(source, MAP, work_dir / "out", options)
    reasons = {item.name: item.reason for item in report.left_out}
    assert reasons == {
        "model.embed_tokens.weight": "embedding",
        "model.layers.0.input_layernorm.weight": "not a matrix",
        "model.layers.0.self_attn.q_proj.bias": "not a matrix",
        "model.layers.1.mlp.up_proj.weight": "excluded",
        "model.position_ids": "dtype I64",
    }
    before, after = load_file(source / "model.safetensors"), load_file(work_dir / "out" / "model.safetensors")
    signal = noise = 0.0
    for name in ("model.layers.0.self_attn.q_proj.weight", "lm_head.weight"):
        signal += np.square(before[name], dtype=np.float64).sum()
        noise += np.square(before[name] - after[name], dtype=np.float64).sum()
    name = "model.layers.0.mlp.up_proj.weight"
    half = NativeFile.open(work_dir / "out" / "native" / "model.safetensors").tensor(name).dequantize()
    signal += np.square(before[name].astype(np.float64)).sum()
    noise += np.square(before[name].astype(np.float64) - half).sum()
    totals = report.totals
    assert list(totals) == [
        "HALO",
        *(f"INT{bits} {way}" for bits in BASELINE_BITS for way in ("searched", "absmax")),
    ]
    assert totals["HALO"].sqnr_db == pytest.approx(10 * np.log10(signal / noise), abs=1e-4)
    assert totals["HALO"].weights == 48 * 40 + 20 * 33 + 50 * 16
    assert sum(totals["HALO"].level_shares) == pytest.approx(1)
    for method, quality in totals.items():
        if method != "HALO":
            assert quality.effective_bits == pytest.approx(int(method[3]) + 16 / 8, rel=0.02)
    assert totals["INT4 searched"].sqnr_db > totals["INT4 absmax"].sqnr_db
    loaded = QuantizationReport.load(work_dir / "out" / "quantization.json")
    assert loaded == report
    assert list(loaded.totals) == list(totals)


def test_tile_larger_than_every_tensor(source: Path, work_dir: Path) -> None:
    report = quantize_checkpoint(source, MAP, work_dir / "out", QuantizeOptions(baselines=False))
    assert report.totals["HALO"].level_shares == (1.0, 0.0, 0.0)


def test_shards_keep_names_index_and_dtypes(work_dir: Path) -> None:
    source, out = work_dir / "source", work_dir / "out"
    source.mkdir()
    weight = matrix(40, 24, 1)
    shard = "model-00001-of-00002.safetensors"
    header = make_header(
        [("a.proj.weight", "BF16", (40, 24)), ("a.norm.weight", "BF16", (24,))], {"format": "pt"}
    )
    data = [encode_float32(weight, "BF16"), encode_float32(np.ones(24, np.float32), "BF16")]
    write_tensor_file(source / shard, header, data)
    save_file({"b.proj.weight": matrix(8, 8, 2)}, source / "model-00002-of-00002.safetensors")
    weight_map = {"a.proj.weight": shard, "a.norm.weight": shard, "b.proj.weight": shard.replace("1-", "2-")}
    index = source / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    quantize_checkpoint(index, MAP, out, SMALL)
    assert (out / index.name).read_bytes() == index.read_bytes()
    written = TensorFile.open(out / shard)
    assert written.header == header
    stored = TensorFile.open(source / shard).read_float32("a.proj.weight")
    expected = HaloQuantizer(MAP, tile=(16, 8)).fit_quantize(stored).dequantize()
    np.testing.assert_allclose(written.read_float32("a.proj.weight"), expected, rtol=2**-8)
    assert b"".join(written.chunks("a.norm.weight")) == data[1]


def test_killed_anywhere_and_started_again_gives_the_same_bytes(
    source: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantize_checkpoint(source, MAP, work_dir / "whole", SMALL)
    expected = digests(work_dir / "whole")
    fits = 0
    fit = HaloQuantizer.fit_quantize

    def counting(self: HaloQuantizer, *args: NDArray[np.floating]) -> object:
        nonlocal fits
        fits += 1
        return fit(self, *args)

    monkeypatch.setattr(HaloQuantizer, "fit_quantize", counting)
    steps = [
        (model_module, "write_part", 1),
        (model_module, "write_part", 2),
        (outputs_module, "join_parts", 1),
        (outputs_module, "write_tensor_file", 1),
        (model_module, "put_in_place", 1),
    ]
    for step, (module, name, call) in enumerate(steps):
        out = work_dir / f"out{step}"
        calls = 0
        real = getattr(module, name)

        def killed(*args: object, real: object = real, call: int = call) -> None:
            nonlocal calls
            calls += 1
            if calls == call:
                raise KeyboardInterrupt
            real(*args)  # type: ignore[operator]

        with monkeypatch.context() as patch:
            patch.setattr(module, name, killed)
            with pytest.raises(KeyboardInterrupt):
                quantize_checkpoint(source, MAP, out, SMALL)
        assert not (out / "quantization.json").exists()
        fits = 0
        quantize_checkpoint(source, MAP, out, SMALL)
        assert fits == {("write_part", 1): 3, ("write_part", 2): 2}.get((name, call), 0)
        assert digests(out) == expected


def test_parts_of_other_options_or_weights_are_not_reused(
    source: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = work_dir / "out"
    with monkeypatch.context() as patch:
        patch.setattr(outputs_module, "join_parts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            quantize_checkpoint(source, MAP, out, SMALL)
    (out / ".unfinished" / "000000.safetensors").write_bytes(b"cut")
    other = QuantizeOptions(tile=(16, 8), fast_share=1.0, baselines=False)
    model = tiny_model()
    model["model.layers.0.self_attn.q_proj.weight"][0, 0] += 1
    save_file(model, source / "model.safetensors", metadata={"format": "pt"})
    quantize_checkpoint(source, MAP, out, other)
    quantize_checkpoint(source, MAP, work_dir / "fresh", other)
    assert digests(out) == digests(work_dir / "fresh")


def test_a_new_result_replaces_the_old_one_and_only_that(source: Path, work_dir: Path) -> None:
    out = work_dir / "out"
    quantize_checkpoint(source, MAP, out, SMALL)
    (out / "notes.txt").write_text("mine")
    (out / "quantization.json").write_text(
        (out / "quantization.json")
        .read_text()
        .replace('"config.json"', '"config.json", "../source/config.json"')
    )
    quantize_checkpoint(source / "model.safetensors", MAP, out, SMALL)
    assert sorted(path.name for path in out.iterdir()) == [
        "model.safetensors",
        "native",
        "notes.txt",
        "quantization.json",
    ]
    assert (source / "config.json").exists()


@pytest.mark.parametrize("existing", [True, False])
def test_bad_weights_leave_nothing(existing: bool, source: Path, work_dir: Path) -> None:
    model = tiny_model()
    model["model.layers.0.mlp.up_proj.weight"][1, 2] = np.nan
    save_file(model, source / "model.safetensors")
    out = work_dir / "out"
    if existing:
        out.mkdir()
    sentence = r"model.safetensors: tensor 'model.layers.0.mlp.up_proj.weight': 1 of 660 weights .* \[1, 2\]"
    with pytest.raises(CheckpointError, match=sentence):
        quantize_checkpoint(source, MAP, out, SMALL)
    assert not out.exists() or not any(out.iterdir())
    assert out.exists() == existing
    quantize_checkpoint(source, MAP, out, QuantizeOptions(tile=16, exclude=("*.0.mlp.*",)))


def test_weights_that_went_bad_after_a_kill_leave_nothing(
    source: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(model_module, "put_in_place", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            quantize_checkpoint(source, MAP, work_dir / "out", SMALL)
    model = tiny_model()
    model["model.layers.0.mlp.up_proj.weight"][1, 2] = np.inf
    save_file(model, source / "model.safetensors")
    with pytest.raises(CheckpointError, match="are NaN or infinite"):
        quantize_checkpoint(source, MAP, work_dir / "out", SMALL)
    assert not (work_dir / "out").exists()


def test_other_refusals_leave_nothing(source: Path, work_dir: Path) -> None:
    out = work_dir / "out"
    with pytest.raises(CostMapError, match="made for 9-bit"):
        quantize_checkpoint(source, array_cost_map(width=9), out)
    with pytest.raises(UsageError, match="fast share 2"):
        quantize_checkpoint(source, MAP, out, QuantizeOptions(fast_share=2))
    with pytest.raises(CheckpointError, match="no weight matrix to quantize among 8 tensors"):
        quantize_checkpoint(source, MAP, out, QuantizeOptions(exclude=("*",)))
    data = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(data[:-5])
    with pytest.raises(CheckpointError, match="cut off"):
        quantize_checkpoint(source, MAP, out)
    assert not out.exists()


def test_output_folders_that_are_refused(source: Path, work_dir: Path) -> None:
    with pytest.raises(UsageError, match="is the folder of the source"):
        quantize_checkpoint(source, MAP, source, SMALL)
    (work_dir / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        quantize_checkpoint(source, MAP, work_dir / "file", SMALL)
    (work_dir / "full").mkdir()
    (work_dir / "full" / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="holds files that are not a quantized model"):
        quantize_checkpoint(source, MAP, work_dir / "full", SMALL)
    with pytest.raises(UsageError, match="cannot be written"):
        quantize_checkpoint(source, MAP, work_dir / "file" / "below", SMALL)
    assert len(list((work_dir / "full").iterdir())) == 1


def test_full_disk_is_one_sentence(source: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(model_module, "write_part", full)
    with pytest.raises(UsageError, match=r"cannot be written \(No space left on device\)"):
        quantize_checkpoint(source, MAP, work_dir / "out", SMALL)
    assert not (work_dir / "out").exists()


def test_progress_is_told_in_order(source: Path, work_dir: Path) -> None:
    told: list[tuple[str, int, int]] = []
    quantize_checkpoint(source, MAP, work_dir / "out", SMALL, lambda *news: told.append(news))
    written = sum(array.size for array in tiny_model().values())
    total = 48 * 40 + 20 * 33 + 3 * 2 + written // 8
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[0][1] == 0
    assert told[-1] == ("writing", total, total)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        ("{", "not a report"),
        ('{"schema_version": 0}', "schema version 0"),
        ("[]", "not a"),
    ],
)
def test_broken_reports(content: str | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "quantization.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CheckpointError, match=sentence):
        QuantizationReport.load(path)


def test_what_is_not_native(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, path)
    with pytest.raises(CheckpointError, match="is not the native form"):
        NativeFile.open(path)
    save_file({"a": np.zeros(1, np.float32)}, path, metadata={"halo_timing": '{"schema_version": 99}'})
    with pytest.raises(CheckpointError, match="schema version 99"):
        NativeFile.open(path)


def test_quality_of_nothing_lost() -> None:
    zeros = np.zeros((4, 4), np.float32)
    quality = Quality.of(HaloQuantizer(MAP).fit_quantize(zeros), zeros)
    assert quality.sqnr_db is None
    assert quality.figures()["sqnr_db"] is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bert.encoder.layer.0.attention.self.query.weight", None),
        ("model.layers.3.mlp.down_proj.weight", None),
        ("transformer.h.0.attn.c_attn.weight", None),
        ("model.layers.0.block_sparse_moe.experts.1.w1.weight", None),
        ("model.layers.0.block_sparse_moe.gate.weight", None),
        ("transformer.wte.weight", "embedding"),
        ("embeddings.word_embeddings.weight", "embedding"),
        ("shared.weight", "embedding"),
        ("lm_head.weight", "head"),
        ("classification_head.weight", "head"),
        ("classifier.weight", "head"),
        ("pooler.dense.weight", "head"),
        ("transformer.ln_f.weight", "norm"),
        ("model.layers.0.post_attention_layernorm.weight", "norm"),
        ("model.layers.0.mixer.A_log", "not a layer's weight"),
    ],
)
def test_rules_on_names(name: str, reason: str | None) -> None:
    entry = TensorEntry(name, "F32", (4, 4), 0, 64)
    assert reason_left_out(entry) == reason
    assert reason_left_out(entry, include=["*"]) is None
    assert reason_left_out(entry, include=["*"], exclude=[name]) == "excluded"
    assert reason_left_out(TensorEntry(name, "F8_E4M3", (4, 4), 0, 16), include=["*"]) == "dtype F8_E4M3"

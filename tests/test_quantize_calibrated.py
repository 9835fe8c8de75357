"""Checkpoints quantized with a calibration: one plan for the model, and the same bytes after kills."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import halo_timing.quantize.model as model_module
from halo_timing.cli.quantize import quantize
from halo_timing.errors import CheckpointError
from halo_timing.quantize import (
    CalibrationFile,
    NativeFile,
    QuantizeOptions,
    plan_model,
    quantize_checkpoint,
)
from tests.quantize_maps import array_cost_map

MAP = array_cost_map()
OPTIONS = QuantizeOptions(tile=16, baselines=False, sparse_share=0.01, fast_share=0.5)
LAYERS = {"layers.0.up_proj.weight": (48, 64), "layers.1.down_proj.weight": (64, 48)}


def weights() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_t(5, shape).astype(np.float32) for name, shape in LAYERS.items()}


def write_calibration(path: Path, important: int, without: str = "") -> CalibrationFile:
    """Write statistics by which one layer's outputs matter a hundred times as much as the other's."""
    rng = np.random.default_rng(1)
    arrays, inputs = {}, {}
    for index, (name, (rows, columns)) in enumerate(LAYERS.items()):
        if name == without:
            continue
        samples = rng.standard_normal((4 * columns, columns)) * rng.lognormal(0, 1, columns)
        hessian = (samples.T @ samples / len(samples)).astype(np.float32)
        arrays[f"input.{name}.mean_square"] = np.ascontiguousarray(np.diag(hessian))
        arrays[f"input.{name}.hessian"] = hessian
        arrays[f"weight.{name}.gradient_square"] = np.full(
            rows, 1.0 if index == important else 0.01, np.float32
        )
        inputs[name] = name
    save_file(arrays, path, metadata={"halo_timing": json.dumps({"schema_version": 1, "inputs": inputs})})
    return CalibrationFile.open(path)


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_levels_go_to_the_layer_that_matters(work_dir: Path) -> None:
    save_file(weights(), work_dir / "model.safetensors")
    shares = {}
    for important in (0, 1):
        calibration = write_calibration(work_dir / f"{important}.safetensors", important)
        out = work_dir / f"out{important}"
        report = quantize_checkpoint(work_dir / "model.safetensors", MAP, out, OPTIONS, None, calibration)
        native = NativeFile.open(out / "native" / "model.safetensors")
        plan = plan_model(list(LAYERS), weights().__getitem__, OPTIONS.quantizer(MAP), calibration.layer)
        for name, weight in weights().items():
            expected = plan.quantizer(name).fit_quantize(weight, calibration.layer(name))
            np.testing.assert_array_equal(native.tensor(name).codes, expected.codes)
            np.testing.assert_array_equal(native.tensor(name).sparse_indices, expected.sparse_indices)
        assert report.description["predicted_loss"] == plan.predicted_loss
        shares[important] = [tensor.quality["HALO"].level_shares[0] for tensor in report.tensors]
        assert report.totals["HALO"].level_shares[0] == pytest.approx(0.5, abs=0.05)
    assert shares[0][0] < 0.1 < 0.9 < shares[0][1]
    assert shares[1][1] < 0.1 < 0.9 < shares[1][0]


def test_killed_and_started_again(work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = work_dir / "model.safetensors", work_dir / "out"
    save_file(weights(), source)
    calibration = write_calibration(work_dir / "c.safetensors", 0)
    other = write_calibration(work_dir / "other.safetensors", 1)
    quantize_checkpoint(source, MAP, work_dir / "whole", OPTIONS, None, calibration)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    # The parts that are left behind are of another calibration once, then of this one.
    for before in (other, calibration):
        with monkeypatch.context() as patch:
            patch.setattr(model_module, "put_in_place", killed)
            with pytest.raises(KeyboardInterrupt):
                quantize_checkpoint(source, MAP, out, OPTIONS, None, before)
    quantize_checkpoint(source, MAP, out, OPTIONS, None, calibration)
    assert folder_bytes(out) == folder_bytes(work_dir / "whole")


def test_calibration_of_another_model(work_dir: Path) -> None:
    save_file(weights(), work_dir / "model.safetensors")
    calibration = write_calibration(work_dir / "c.safetensors", 0, without="layers.1.down_proj.weight")
    with pytest.raises(CheckpointError, match=r"knows nothing of 1 tensors, such as 'layers\.1\.down_proj"):
        quantize_checkpoint(work_dir / "model.safetensors", MAP, work_dir / "out", OPTIONS, None, calibration)
    assert not (work_dir / "out").exists()


def test_command(work_dir: Path) -> None:
    save_file(weights(), work_dir / "model.safetensors")
    write_calibration(work_dir / "c.safetensors", 0)
    MAP.save(work_dir / "map")
    words = "model.safetensors --costmap map --tile 16 --no-baselines --sparse-share 0.02"
    words += " --calibration c.safetensors"
    dense = {}
    for name, more in {"solved": [], "plain": ["--plain"]}.items():
        result = CliRunner().invoke(quantize, [*words.split(), "--out", name, *more])
        assert result.exit_code == 0, result.output
        report = json.loads(Path(name, "quantization.json").read_text())
        assert report["options"]["plain"] is (name == "plain")
        assert report["totals"]["HALO"]["sparse_share"] <= 0.02
        assert len(report["calibration_sha256"]) == 64
        dense[name] = load_file(Path(name, "model.safetensors"))
    # Feedback costs weights some accuracy, and the outputs gain by it.
    calibration = CalibrationFile.open(work_dir / "c.safetensors")
    for name, weight in weights().items():
        hessian = calibration.layer(name).hessian
        errors = {way: dense[way][name] - weight for way in dense}
        losses = {way: np.einsum("ri,ij,rj->", error, hessian, error) for way, error in errors.items()}
        assert losses["solved"] < 0.9 * losses["plain"]

"""Every export opened by the program that it is for, and the numbers found there equal to the cost map's."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from halo_timing.costmap.export import export
from halo_timing.costmap.export.source import Source
from halo_timing.costmap.model import CostMap
from tests.quantize_maps import array_cost_map
from tests.test_export import energetic


@pytest.fixture(scope="module")
def cost_map() -> CostMap:
    return energetic(array_cost_map((32, 16, 1)))


@pytest.fixture()
def weight() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((16, 64)).astype(np.float32)


def nearest(weight: np.ndarray, codebook: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Codebook values nearest to the weights."""
    return codebook[np.abs(weight[..., None] / scale[..., None] - codebook).argmin(axis=-1)]


def test_nncf_compresses_to_the_codebook(cost_map: CostMap, weight: np.ndarray, tmp_path: Path) -> None:
    """With OpenVINO, the only backend for which NNCF takes codebooks."""
    import nncf
    import openvino
    from openvino import opset13 as ops

    for level, path in enumerate(export(Source(cost_map), ["nncf"], tmp_path)[:2]):
        codebook = np.load(path)
        inputs = ops.parameter([-1, 64], np.float32)
        product = ops.matmul(inputs, ops.constant(weight), False, True)
        compressed = nncf.compress_weights(
            openvino.Model([product], [inputs]),
            mode=nncf.CompressWeightsMode.CODEBOOK,
            group_size=-1,
            all_layers=True,
            advanced_parameters=nncf.AdvancedCompressionParameters(codebook=codebook),
        )
        constants = [each for each in compressed.get_ops() if each.get_type_name() == "Constant"]
        (stored,) = (
            each
            for each in constants
            if each.get_element_type() == openvino.Type.f16 and len(each.shape) == 1
        )
        assert stored.data.tolist() == cost_map.levels[level].codebook.tolist()
        (scale,) = (each.data for each in constants if list(each.shape) == [16, 1])
        scale = scale.astype(np.float32)
        # What the layer multiplies by: its answers to the unit vectors.
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        model = openvino.Core().compile_model(compressed, "CPU", exact)
        found = model(np.eye(64, dtype=np.float32))[0].T / scale
        error = np.abs(weight / scale - found)
        best = np.abs(weight[..., None] / scale[..., None] - codebook.astype(np.float32)).min(axis=-1)
        assert np.abs(found[..., None] - codebook).min(axis=-1).max() < 0.1
        np.testing.assert_allclose(error, best, atol=0.1)


def test_torchao_dequantizes_by_the_codebook(cost_map: CostMap, tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from torchao.prototype.quantization.codebook.codebook_quantized_tensor import CodebookQuantizedTensor

    (path,) = export(Source(cost_map), ["torchao"], tmp_path)
    tensors = load_file(path)
    for index, level in enumerate(cost_map.levels):
        codebook = tensors[f"codebook.{index}"]
        assert codebook.shape == (len(level.codebook), 1, 1)
        codes = torch.randint(len(codebook), (16, 64), generator=torch.Generator().manual_seed(0))
        scales = torch.full((16, 1, 1), 0.25)
        quantized = CodebookQuantizedTensor(
            codes.to(torch.int32), codebook, (1, 1), scales, torch.Size((16, 64)), dtype=torch.float32
        )
        expected = level.codebook.astype(np.float32)[codes.numpy()] * 0.25
        np.testing.assert_array_equal(quantized.dequantize().numpy(), expected)


def test_neural_compressor_rounds_by_the_mapping(
    cost_map: CostMap, weight: np.ndarray, tmp_path: Path
) -> None:

    from neural_compressor.torch.algorithms.weight_only import utility

    (path,) = export(Source(cost_map), ["neural-compressor"], tmp_path)
    entries: dict[str, Any] = json.loads(path.read_text())
    assert set(entries) == {"halo_level0", "halo_level1"}
    for index, (name, entry) in enumerate(sorted(entries.items())):
        codebook = cost_map.levels[index].codebook
        utility.FLOAT_MAPPING[name], utility.INT_MAPPING[name] = entry["float"], entry["int"]
        try:
            found = utility.quantize_4bit(torch.from_numpy(weight.copy()), dtype=name).numpy()
            codes, scale, _ = utility.quantize_4bit(
                torch.from_numpy(weight.copy()), dtype=name, return_int=True
            )
        finally:
            del utility.FLOAT_MAPPING[name], utility.INT_MAPPING[name]
        # Its scale puts the largest weight on the largest entry.
        reach = np.abs(codebook).max()
        own = np.abs(weight).max(axis=1, keepdims=True) / (codebook.max() / reach)
        np.testing.assert_allclose(scale.numpy(), own, rtol=1e-6)
        values = nearest(weight, codebook / reach, own)
        np.testing.assert_allclose(found, values * own, rtol=1e-5, atol=1e-7)
        value_of = dict(zip(entry["int"], codebook.tolist(), strict=True))
        decoded = np.vectorize(value_of.__getitem__)(codes.int().numpy())
        np.testing.assert_allclose(decoded / reach, values, atol=1e-9)
        assert value_of[0] == 0


def test_look_up_tables_take_every_index(cost_map: CostMap, tmp_path: Path) -> None:
    """No package of the index carries these kernels; theirs is ``lut[code]`` over 2^b float16 entries."""
    for level, path in zip(cost_map.levels, export(Source(cost_map), ["lut"], tmp_path), strict=True):
        table = torch.from_numpy(np.load(path))
        assert table.dtype == torch.float16
        bits = len(table).bit_length() - 1
        assert len(table) == 1 << bits
        assert set(table[torch.arange(1 << bits)].tolist()) == set(level.codebook.tolist())


def test_accelergy_tables_are_yaml_of_its_shape(cost_map: CostMap, tmp_path: Path) -> None:
    """Accelergy is on no package index: the shape is that of its own reference outputs."""
    source = Source(cost_map)
    ert, identifier, table = export(source, ["accelergy"], tmp_path)
    data = yaml.safe_load(ert.read_text())["ERT"]
    assert data["version"] == 0.4
    for index, entry in enumerate(data["tables"]):
        assert entry["name"] == f"system.mac_level{index}"
        (action,) = entry["actions"]
        assert set(action) == {"name", "arguments", "energy"}
        assert action["energy"] * 1e3 == pytest.approx(source.level_energy_fj(index), rel=1e-8)
    about = yaml.safe_load(identifier.read_text())
    assert {"name", "technology", "accuracy", "path_to_data_dir"} <= set(about)
    assert (identifier.parent / about["path_to_data_dir"]).resolve() == table.parent.resolve()
    rows = list(csv.DictReader(table.read_text().splitlines()))
    for index, row in enumerate(rows):
        assert row["technology"] == about["technology"]
        assert float(row["energy"]) * 1e3 == pytest.approx(source.level_energy_fj(index), rel=1e-8)


def test_zigzag_builds_the_accelerator(cost_map: CostMap, tmp_path: Path) -> None:
    import zigzag
    from zigzag.stages.parser.accelerator_parser import AcceleratorParserStage

    base = Path(zigzag.__file__).parent / "inputs" / "hardware" / "tpu_like.yaml"
    source = Source(cost_map, base)
    before = AcceleratorParserStage.parse_accelerator(str(base))
    for level, path in enumerate(export(source, ["zigzag"], tmp_path)):
        after = AcceleratorParserStage.parse_accelerator(str(path))
        assert after.operational_array.unit.energy_cost * 1e3 == pytest.approx(source.level_energy_fj(level))
        assert after.operational_array.dimension_sizes == before.operational_array.dimension_sizes
        assert len(after.memory_hierarchy.nodes) == len(before.memory_hierarchy.nodes)


def test_scalesim_reports_become_times(
    cost_map: CostMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scalesim.memory import double_buffered_scratchpad_mem as scratchpad
    from scalesim.scale_sim import scalesim

    # SCALE-Sim 3.0.0 makes an int of the largest of some arrays of one element, which numpy no longer does.
    monkeypatch.setattr(scratchpad, "max", lambda *each: np.max(max(*each)), raising=False)
    monkeypatch.chdir(tmp_path)
    Path("run.cfg").write_text(SCALESIM)
    Path("gemm.csv").write_text("Layer,M,N,K,\nfirst,4,16,16,\nsecond,32,16,32,\n")
    Path("layout.csv").write_text(
        "Layer," + "x," * 20 + "\nfirst," + "1," * 20 + "\nsecond," + "1," * 20 + "\n"
    )
    with contextlib.redirect_stdout(io.StringIO()):
        simulator = scalesim(
            save_disk_space=True,
            verbose=False,
            config="run.cfg",
            topology="gemm.csv",
            layout="layout.csv",
            input_type_gemm=True,
        )
        simulator.run_scale(top_path="out")
    (path,) = export(Source(cost_map, tmp_path / "out/run/COMPUTE_REPORT.csv"), ["scalesim"], tmp_path)
    found = list(csv.DictReader(path.read_text().splitlines()))
    # A weight-stationary tile of 16 x 16: load, then fill and drain; SCALE-Sim counts the cycles from 0.
    assert [int(row["cycles"]) for row in found] == [2 * 16 + 16 + 4 - 3, 2 * (2 * 16 + 16 + 32 - 2) - 1]
    for index, level in enumerate(cost_map.levels):
        times = [float(row[f"time_us_level{index}"]) for row in found]
        assert times == pytest.approx([float(row["cycles"]) * level.period_ps / 1e6 for row in found])


SCALESIM = """[general]
run_name = run
[architecture_presets]
ArrayHeight = 16
ArrayWidth = 16
IfmapSramSzkB = 1024
FilterSramSzkB = 1024
OfmapSramSzkB = 1024
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = ws
Bandwidth = 100000
ReadRequestBuffer = 512
WriteRequestBuffer = 512
[layout]
IfmapCustomLayout = False
FilterCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""

"""Exports of cost maps: files, what they say of missing inputs, and the command."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from halo_timing.cli import main
from halo_timing.costmap.distributions import GAUSSIAN, STUDENT_T5, fit_codebook
from halo_timing.costmap.export import FORMATS, export
from halo_timing.costmap.export.source import Source, shares_of
from halo_timing.costmap.model import CostMap
from halo_timing.errors import CheckpointError, UsageError
from halo_timing.quantize.histograms import code_histograms
from tests.quantize_maps import array_cost_map

ACCELERATOR = """# my accelerator
name: mine
memories: {}  # none
operational_array:
  # of the old node
  unit_energy: 0.04 # pJ
  unit_area: 1 # unit
  dimensions: [D1, D2]

other: 1
"""
REPORT = (
    "LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles,\n0, 1095, 46, 0,\n1, 1431, 375, 0,\n"
)


def energetic(cost_map: CostMap | None = None) -> CostMap:
    """Return a cost map whose energies are known: 10 fJ a set bit of the magnitude, 5 for all."""
    cost_map = cost_map or array_cost_map()
    bits = [bin(abs(value)).count("1") for value in cost_map.values.tolist()]
    metadata = {**cost_map.metadata, "mac": "array", "pdk": "nangate45", "corner": "typ"}
    return replace(cost_map, energy_fj=np.array(bits, np.float32) * 10 + 5, metadata=metadata)


def test_the_csv_holds_the_same_numbers(tmp_path: Path) -> None:
    cost_map = replace(energetic(), period_ps=(energetic().period_ps * np.float32(0.1234567)))
    (path,) = export(Source(cost_map), ["csv"], tmp_path)
    rows = np.genfromtxt(path, delimiter=",", names=True)
    assert np.array_equal(rows["value"], cost_map.values)
    assert np.array_equal(rows["level"], cost_map.level_of_value)
    for name in ("period_ps", "bound_ps", "energy_fj"):
        assert np.array_equal(rows[name].astype(np.float32), getattr(cost_map, name))


def test_unknown_energies_are_empty_and_values_of_no_level_too(tmp_path: Path) -> None:
    (path,) = export(Source(array_cost_map((32, 16))), ["csv"], tmp_path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert {row["energy_fj"] for row in rows} == {""}
    assert {row["level"] for row in rows} == {"0", "1", ""}


@pytest.mark.parametrize("distribution", [GAUSSIAN, STUDENT_T5])
def test_shares_are_those_of_rounded_samples(distribution: object) -> None:
    codebook = np.array([-128, -64, -32, 0, 32, 96], np.int16)
    rng = np.random.default_rng(0)
    gaussian = distribution is GAUSSIAN
    weights = rng.standard_normal(200_000) if gaussian else rng.standard_t(5, 200_000) * np.sqrt(0.6)
    scaled = codebook * fit_codebook(codebook, distribution).scale  # type: ignore[arg-type]
    nearest = np.abs(weights[:, None] - scaled).argmin(axis=1)
    expected = np.bincount(nearest, minlength=6) / len(weights)
    np.testing.assert_allclose(shares_of(codebook, distribution), expected, atol=5e-3)  # type: ignore[arg-type]


def test_the_table_of_a_paper(tmp_path: Path) -> None:
    markdown, latex = export(Source(energetic()), ["markdown", "latex"], tmp_path)
    rows = [line.strip("| ").split(" | ") for line in markdown.read_text().splitlines() if line[:2] == "| "]
    assert [row[:2] for row in rows[2:]] == [["0", "8"], ["1", "16"], ["2", "256"]]
    assert float(rows[2][2]) == energetic().levels[0].period_ps
    assert rows[2][-1] == "-128 -96 -64 -32 0 32 64 96"
    text = latex.read_text()
    assert text.count(r"\\") == 4
    assert text.count("&") == 4 * (len(rows[0]) - 1)
    assert "array nangate45 typ" in text


def test_energies_of_layers_are_weighted_by_what_they_hold(tmp_path: Path) -> None:
    cost_map = energetic()
    codes = np.zeros((4, 6), np.int8)
    codes[:2, :3] = [[32, 0, -64], [0, 96, 32]]
    codes[:2, 3:] = 16
    codes[2:] = 32
    tile_levels = np.array([[0, 1], [0, 0]], np.uint8)
    (tmp_path / "native").mkdir()
    save_file(
        {"a.weight.codes": codes, "a.weight.tile_levels": tile_levels},
        tmp_path / "native" / "model.safetensors",
        metadata={"halo_timing": json.dumps({"tile": [2, 3]})},
    )
    histograms = code_histograms(tmp_path, cost_map.values)
    assert {key: int(counts.sum()) for key, counts in histograms.items()} == {
        ("a.weight", 0): 18,
        ("a.weight", 1): 6,
    }
    energies = Source(cost_map, None, histograms).layer_energies_fj()
    # By hand: of 18 codes two are 0 (5 fJ), one is 96 of two bits (25 fJ), fifteen have one bit (15 fJ).
    assert energies["a.weight", 0] == pytest.approx((2 * 5 + 25 + 15 * 15) / 18)
    assert energies["a.weight", 1] == pytest.approx(15)
    with pytest.raises(CheckpointError, match="values that the cost map does not have"):
        code_histograms(tmp_path, cost_map.values[::64])
    with pytest.raises(CheckpointError, match="no such file"):
        code_histograms(tmp_path / "none", cost_map.values)


def test_an_accelerator_of_the_user_keeps_all_but_one_entry(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(ACCELERATOR)
    source = Source(energetic(), base)
    paths = export(source, ["zigzag"], tmp_path / "out")
    assert [path.name for path in paths] == [f"zigzag_level{level}.yaml" for level in range(3)]
    for level, path in enumerate(paths):
        lines = path.read_text().splitlines()[1:]
        old = [line for line in ACCELERATOR.splitlines() if "unit_energy" not in line]
        assert [line for line in lines if "unit_energy" not in line] == old
        (entry,) = (line for line in lines if "unit_energy" in line)
        assert float(entry.split()[1]) == pytest.approx(source.level_energy_fj(level) / 1e3)
    base.write_text("memories: {}\n")
    with pytest.raises(UsageError, match="no operational_array"):
        export(source, ["zigzag"], tmp_path / "out")


def test_cycles_become_times(tmp_path: Path) -> None:
    base = tmp_path / "COMPUTE_REPORT.csv"
    base.write_text(REPORT)
    cost_map = array_cost_map()
    (path,) = export(Source(cost_map, base), ["scalesim"], tmp_path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["cycles"] for row in rows] == ["46", "375"]
    for index, level in enumerate(cost_map.levels):
        assert float(rows[1][f"time_us_level{index}"]) == pytest.approx(375 * level.period_ps / 1e6)
    base.write_text("LayerID,Cycles\n0,1\n")
    with pytest.raises(UsageError, match="no columns"):
        export(Source(cost_map, base), ["scalesim"], tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("accelergy", "no energies"), ("zigzag", "--base"), ("scalesim", "--base"), ("gds", "one of csv")],
)
def test_what_is_missing_is_said_and_nothing_is_written(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        export(Source(array_cost_map()), ["csv", name], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    energetic().save(tmp_path)
    names = [name for name in FORMATS if name not in ("zigzag", "scalesim")]
    with pytest.raises(SystemExit) as end:
        main(["export", str(tmp_path), *(word for name in names for word in ("--format", name))])
    assert not end.value.code
    written = {Path(line) for line in capsys.readouterr().out.splitlines()}
    assert written == {path for path in (tmp_path / "export").rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as end:
        main(["export", str(tmp_path), "--format", "zigzag", "--base", str(tmp_path / "none.yaml")])
    assert end.value.code == 1
    assert "none.yaml: cannot be read" in capsys.readouterr().err

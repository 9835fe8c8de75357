"""Tables of dynamic timing and energy: made by the flow, saved, re-weighted, drawn."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import halo_timing as ht
from halo_timing.cli import main
from halo_timing.costmap.levels import build_cost_map
from halo_timing.delay_calculation import net_loads_ff, worst_slews_ps
from halo_timing.dynamic.exhaustive import SETTLE_UNIT_PS, simulate_exhaustive
from halo_timing.dynamic.stimulus import load_pairs
from halo_timing.dynamic_tables import DynamicTables
from halo_timing.energy import CellEnergies
from halo_timing.errors import CostMapError, UsageError
from halo_timing.metrics import collect_metrics
from halo_timing.pdk.registry import Pdk
from halo_timing.report.page import render_report
from halo_timing.tables import Tables
from tests.conftest import SMALL
from tests.dynamic_support import make_bench


def characterize(out: Path, *options: str) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        main(
            [
                "characterize",
                "--mac",
                f"array:{SMALL}",
                "--samples",
                "64",
                "--out",
                str(out),
                "-j",
                "2",
                *options,
            ]
        )
    return end.value.code


@pytest.fixture(scope="module")
def folder(nangate45: Pdk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dynamic") / "result"
    assert not characterize(out, "--full")
    return out


@pytest.fixture(scope="module")
def table(folder: Path) -> DynamicTables:
    found = Tables.load(folder).dynamic
    assert found is not None
    return found


@pytest.fixture()
def pairs() -> np.ndarray:
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 50, (16, 16)).astype(np.float64)
    counts[3] = 0
    return counts


def test_simulated_periods_stay_below_their_bounds(folder: Path, table: DynamicTables) -> None:
    tables = Tables.load(folder)
    assert table.stages == tables.stages
    assert (table.stage_period_ps <= tables.stage_bound_ps + 0.05).all()
    assert (table.stage_drawn_ps <= table.stage_period_ps).all()
    assert tables.dynamic_ps is not None
    assert tables.dynamic_ps.max() > 0.85 * tables.bound_ps.max()
    settle = table.settle_ps() * SETTLE_UNIT_PS
    exhaustive = [
        place for place, text in enumerate(table.metadata["stage_stimulus"]) if "exhaustive" in text
    ]
    own = table.stage_period_ps[:, exhaustive].max(axis=1)
    assert np.abs(settle.max(axis=(1, 2)) - own).max() <= SETTLE_UNIT_PS


def test_maps_are_rows_of_the_full_table(table: DynamicTables) -> None:
    rows = np.searchsorted(table.values, table.map_values)
    assert len(rows) >= 2
    assert np.array_equal(table.maps, table.settle_ps()[rows])


def test_energies_are_re_weighted_as_direct_means(table: DynamicTables, pairs: np.ndarray) -> None:
    full = table.transition_fj().astype(np.float64)
    rest = table.cycle_fj - full.mean(axis=(1, 2))
    assert (rest > 0).all(), "clock and accumulator"
    expected = [rest[row] + (full[row] * pairs).sum() / pairs.sum() for row in range(len(full))]
    assert table.energy(pairs) == pytest.approx(expected, rel=1e-4)
    single = pairs.sum(axis=0)
    assert table.energy(single) == pytest.approx(table.energy(np.outer(single, single)), rel=1e-5)
    assert np.array_equal(table.energy(), table.cycle_fj)
    still = np.eye(16)
    assert table.energy(still) == pytest.approx(rest, rel=1e-4)


@pytest.mark.parametrize(
    "wrong", [np.ones(3), np.zeros((16, 16)), -np.ones((16, 16)), np.full((16, 16), np.nan)]
)
def test_distributions_that_do_not_fit_are_refused(table: DynamicTables, wrong: np.ndarray) -> None:
    with pytest.raises(UsageError, match="distribution"):
        table.energy(wrong)


def test_measured_activations_weigh_from_the_start(
    folder: Path, table: DynamicTables, pairs: np.ndarray, tmp_path: Path
) -> None:
    np.savez(tmp_path / "pairs.npz", pairs=pairs)
    out = tmp_path / "measured"
    shutil.copytree(folder, out)
    assert not characterize(out, "--activations", str(tmp_path / "pairs.npz"))
    measured = Tables.load(out)
    assert measured.dynamic is not None
    assert np.array_equal(measured.dynamic.pairs, pairs)
    exhaustive = [text.startswith("exhaustive") for text in table.metadata["stage_stimulus"]]
    assert np.array_equal(
        measured.dynamic.stage_period_ps[:, exhaustive], table.stage_period_ps[:, exhaustive]
    )
    assert not (out / "energy.npy").exists(), "full tables of other options must not stay behind"
    with pytest.raises(UsageError, match="--full"):
        measured.energy(pairs)


def test_means_follow_the_pairs(nangate45: Pdk, tmp_path: Path, pairs: np.ndarray) -> None:
    """Energies of the exhaustive stages, weighed while they are simulated, against the full table's."""
    bench = make_bench(nangate45, f"booth:{SMALL}", tmp_path)
    load_ff = net_loads_ff(bench.netlist, bench.conditions.output_load_ff)
    slew_ps = worst_slews_ps(bench.netlist, load_ff, bench.conditions.input_slew_ps)
    path = tmp_path / "energy.npy"
    result = simulate_exhaustive(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        bench.sdf,
        arrivals_ps=bench.arrivals_ps,
        energies=CellEnergies(bench.netlist, load_ff, slew_ps),
        pairs=pairs,
        energy_path=path,
    )
    expected = (np.load(path).astype(np.float64) * pairs).sum(axis=(1, 2)) / pairs.sum()
    assert result.energy_fj[:, :2].sum(axis=1) == pytest.approx(expected, rel=1e-5)


def test_a_calibration_is_a_histogram_of_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    joint = {f"input.{name}.joint": rng.integers(0, 9, (256, 256)).astype(np.uint64) for name in "ab"}
    path = tmp_path / "calibration.safetensors"
    save_file({**joint, "input.a.mean_square": np.ones(4, np.float32)}, path)
    assert np.array_equal(load_pairs(path), sum(joint.values()).astype(np.float64))
    save_file({"input.a.mean_square": np.ones(4, np.float32)}, path)
    with pytest.raises(UsageError, match="no joint histogram"):
        load_pairs(path)
    path.write_bytes(b"x")
    with pytest.raises(UsageError, match="not a calibration"):
        load_pairs(path)


def test_without_simulation_only_bounds_remain(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "bounds"
    shutil.copytree(folder, out)
    with pytest.raises(SystemExit) as end:
        main(["characterize", "--mac", f"array:{SMALL}", "--out", str(out), "--no-dynamic"])
    assert not end.value.code
    tables = Tables.load(out)
    assert tables.dynamic is None
    assert tables.dynamic_ps is None
    assert np.isnan(tables.energy_fj).all()
    with pytest.raises(UsageError, match="bounds alone"):
        tables.energy()
    assert not (out / "settle.npy").exists()


def test_options_of_a_simulation_need_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert characterize(tmp_path, "--no-dynamic") == 1
    assert "--no-dynamic simulates nothing" in capsys.readouterr().err


def test_weights_csv_repeats_the_tables(folder: Path, table: DynamicTables) -> None:
    with (folder / "weights.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["value"]) for row in rows] == table.values.tolist()
    assert [float(row["dynamic_ps"]) for row in rows] == pytest.approx(table.dynamic_ps.tolist(), abs=1e-3)
    assert [float(row["cycle_fj"]) for row in rows] == pytest.approx(table.cycle_fj.tolist(), abs=1e-3)
    for row in rows:
        parts = [float(row[name]) for name in ("switching_fj", "internal_fj", "clock_fj")]
        assert sum(parts) == pytest.approx(float(row["cycle_fj"]), abs=2e-3)
    before, after = map(int, rows[0]["worst[product_q]"].split(">"))
    stage = table.stages.index("product_q")
    assert (table.settle_ps()[0, before + 8, after + 8] * SETTLE_UNIT_PS) == pytest.approx(
        table.stage_period_ps[0, stage], abs=SETTLE_UNIT_PS
    )


def test_a_result_of_another_netlist_is_not_taken_for_this_one(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mixed"
    shutil.copytree(folder, out)
    table = DynamicTables.load(out)
    DynamicTables(**{**vars(table), "metadata": {**table.metadata, "netlist_sha256": "0" * 64}}).save(out)
    assert Tables.load(out).dynamic is None


@pytest.mark.parametrize("damage", ["cut", "version", "missing"])
def test_damaged_files_are_refused(folder: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "dynamic.safetensors"
    data = (folder / path.name).read_bytes()
    if damage == "cut":
        path.write_bytes(data[:-1000])
    elif damage == "version":
        # The name is followed by the number, escaped because the metadata is a text inside JSON.
        path.write_bytes(data.replace(rb"schema_version\":1", rb"schema_version\":7"))
    with pytest.raises(CostMapError, match=r"dynamic\.safetensors"):
        DynamicTables.load(tmp_path)


def test_the_page_draws_what_was_simulated(folder: Path, table: DynamicTables, tmp_path: Path) -> None:
    out = tmp_path / "page"
    shutil.copytree(folder, out)
    build_cost_map(Tables.load(out), levels=2, min_size=4).save(out)
    metrics = collect_metrics(out, [], None)
    page = render_report(out, [], metrics)
    for name, value in re.findall(r'<data value="([^"]*)" data-metric="([^"]*)"', page):
        assert json.loads(name) == metrics[value]
    assert metrics["timing__dynamic__worst"] == pytest.approx(float(table.dynamic_ps.max()), abs=1e-3)
    # One map a weight that has one, and the histograms of all weights.
    assert page.count("data:image/png;base64") == len(table.map_values) + 1
    details = json.loads(re.findall(r'id="transitions-data">(.*?)</script>', page, re.DOTALL)[0])
    stage = table.stages.index(details["stage"])
    for row, sparse in enumerate(details["histogram"]):
        counts = np.zeros(table.histogram.shape[2], np.int64)
        if sparse:
            counts[sparse[0] : sparse[0] + len(sparse) - 1] = sparse[1:]
        assert np.array_equal(counts[1:], table.histogram[row, stage, 1:])
    assert 'class="simulated"' in page


def test_from_python(tmp_path: Path) -> None:
    options = ht.DynamicOptions(stimulus=ht.Stimulus(samples=32, search_rounds=1))
    tables = ht.characterize(mac=f"array:{SMALL}", out=tmp_path, dynamic=options)
    assert tables.dynamic is not None
    assert (tables.energy_fj > 0).all()

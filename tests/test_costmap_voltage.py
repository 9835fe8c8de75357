"""Delay against voltage: fits against laws made up, levels at voltages against their definition."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_timing.cli import main
from halo_timing.corner_index import IndexEntry, write_index
from halo_timing.costmap import CostMap, build_cost_map
from halo_timing.costmap.operating_points import at_voltages
from halo_timing.costmap.voltage import VoltageModel, comparable, fit_curve, process_of
from halo_timing.errors import CostMapError, UsageError
from halo_timing.tables import Tables
from tests.test_costmap import made_up_tables


def law(vdd_v: float, threshold: float = 0.35, alpha: float = 1.4) -> float:
    return vdd_v / (vdd_v - threshold) ** alpha


def corner(
    vdd_v: float, factor: float | None = None, name: str = "typ", temperature_c: float = 25.0
) -> Tables:
    """Tables whose delays follow the law, at a corner named as foundries do."""
    tables = made_up_tables()
    about = {
        **tables.metadata,
        "corner": f"{name}_{vdd_v:.2f}V_{temperature_c:.0f}C".replace(".", "p"),
        "vdd_v": vdd_v,
        "temperature_c": temperature_c,
        "netlist_sha256": "ab",
    }
    scale = law(vdd_v) / law(1.2) if factor is None else factor
    return replace(tables, stage_bound_ps=tables.stage_bound_ps * np.float32(scale), metadata=about)


CORNERS = [corner(vdd) for vdd in (1.2, 1.08, 1.32, 1.5)]


@given(st.floats(0.1, 0.6), st.floats(1.0, 2.0), st.integers(3, 6))
@settings(max_examples=30, deadline=None)
def test_the_law_is_found_again(threshold: float, alpha: float, count: int) -> None:
    vdd_v = np.linspace(0.8, 1.4, count)
    delay_ps = np.array([[100 * law(v, threshold, alpha), 0.0] for v in vdd_v])
    curve = fit_curve(vdd_v, delay_ps)
    for vdd in np.linspace(0.8, 1.4, 13):
        assert curve.at(vdd)[0] == pytest.approx(100 * law(vdd, threshold, alpha), rel=2e-3)
        assert curve.at(vdd)[1] == 0


@given(st.floats(0.1, 0.5), st.floats(1.0, 2.0))
@settings(max_examples=30, deadline=None)
def test_two_points_are_met_and_nothing_is_learnt_of_the_law(threshold: float, alpha: float) -> None:
    vdd_v = np.array([1.0, 1.3])
    delay_ps = np.array([[law(v, threshold, alpha)] for v in vdd_v])
    curve = fit_curve(vdd_v, delay_ps, alpha)
    assert curve.threshold_v[0] == pytest.approx(threshold, abs=1e-6)
    other = fit_curve(vdd_v, delay_ps)
    for vdd, delay in zip(vdd_v, delay_ps, strict=True):
        assert other.at(vdd) == pytest.approx(delay)


def test_what_the_summary_says_of_the_points() -> None:
    def model(tables: Sequence[Tables]) -> VoltageModel:
        return VoltageModel.through(tables, [each.bound_ps for each in tables])

    one, two, four = model(CORNERS[:1]), model(CORNERS[:2]), model(CORNERS)
    assert one.summary()["fit"] == "none: one voltage"
    assert two.summary()["residuals"].startswith("as many points as parameters")
    assert 0 < two.spread() < 0.01
    assert model(CORNERS[:3]).summary()["residuals"].startswith("as many points as parameters")
    assert four.summary()["residuals"] == "of fitted periods"
    assert four.summary()["alpha"] == pytest.approx(1.4, abs=0.02)
    assert four.vdd_v.tolist() == [1.08, 1.2, 1.32, 1.5]
    with pytest.raises(UsageError, match="not extrapolated"):
        four.at(1.6)
    with pytest.raises(UsageError, match="not extrapolated"):
        one.at(1.3)


def test_fits_are_lengthened_by_what_they_fall_short() -> None:
    bent = [corner(vdd, law(vdd) * bend) for vdd, bend in ((1.0, 1.0), (1.1, 1.04), (1.2, 0.98), (1.3, 1.0))]
    model = VoltageModel.through(bent, [each.bound_ps for each in bent])
    shortfall = -float(model.residuals.min())
    assert shortfall > 0.005
    assert model.curve is not None
    np.testing.assert_allclose(model.at(1.15), model.curve.at(1.15) * (1 + shortfall))
    np.testing.assert_array_equal(model.at(1.1), bent[1].bound_ps)


def test_only_corners_that_differ_in_voltage_are_put_together() -> None:
    hot = corner(1.3, temperature_c=125.0)
    slow = corner(1.3, name="slow")
    assert comparable([*CORNERS, hot, slow]) == CORNERS
    stranger = replace(CORNERS[1], metadata={**CORNERS[1].metadata, "netlist_sha256": "cd"})
    with pytest.raises(CostMapError, match="different netlists"):
        comparable([CORNERS[0], stranger])
    with pytest.raises(CostMapError, match="do not fall"):
        fit_curve(np.array([1.0, 1.2]), np.array([[10.0], [10.0]]))


@pytest.mark.parametrize(
    ("name", "process"),
    [
        ("typ_1p20V_25C", "typ"),
        ("fast_1p65V_m40C", "fast"),
        ("tt_025C_1v80", "tt"),
        ("ss_n40C_1v28", "ss"),
        ("TT", "tt"),
    ],
)
def test_processes_by_name(name: str, process: str) -> None:
    assert process_of(name) == process


def reference(margin: float = 0.0) -> CostMap:
    return build_cost_map(CORNERS[0], levels="step:4/step:2/all", margin=margin)


@given(st.integers(1080, 1500), st.floats(0, 0.2))
@settings(max_examples=20, deadline=None)
def test_the_highest_clock_at_a_voltage(millivolts: int, margin: float) -> None:
    vdd = millivolts / 1000
    before = reference(margin)
    after = at_voltages(before, CORNERS, vdd_v=vdd)
    for old, new in zip(before.levels, after.levels, strict=True):
        assert np.array_equal(old.codebook, new.codebook)
        assert new.value_period_ps is not None
        assert new.period_ps == pytest.approx(float(new.value_period_ps.max()) * (1 + margin), rel=1e-6)
        # All values follow one law here, and the fit finds it.
        assert new.period_ps == pytest.approx(old.period_ps * law(vdd) / law(1.2), rel=3e-3)


@given(st.floats(4.6, 6.0), st.floats(0, 0.1))
@settings(max_examples=20, deadline=None)
def test_the_lowest_voltage_for_a_clock(freq_ghz: float, margin: float) -> None:
    before = reference(margin)
    try:
        after = at_voltages(before, CORNERS, freq_ghz=freq_ghz)
    except UsageError:
        assert before.levels[-1].period_ps * law(1.5) / law(1.2) > 1e3 / freq_ghz * (1 - 3e-3)
        return
    voltages = [level.vdd_v for level in after.levels]
    assert voltages == sorted(voltages)
    for old, new in zip(before.levels, after.levels, strict=True):
        assert new.freq_ghz == pytest.approx(freq_ghz)
        assert new.value_period_ps is not None
        assert float(new.value_period_ps.max()) * (1 + margin) <= new.period_ps * (1 + 1e-6)
        if new.vdd_v > 1.08:
            # Two millivolts less, and the slowest value of the level is too slow for the clock.
            assert old.period_ps * law(new.vdd_v - 0.002) / law(1.2) > new.period_ps * (1 - 4e-3)


def test_operating_points_that_cannot_be_had() -> None:
    with pytest.raises(UsageError, match=r"level \d reaches .* at the highest voltage"):
        at_voltages(reference(), CORNERS, freq_ghz=50)
    with pytest.raises(UsageError, match="--freq -1"):
        at_voltages(reference(), CORNERS, freq_ghz=-1)
    with pytest.raises(UsageError, match="one of --vdd and --freq"):
        at_voltages(reference(), CORNERS)


def test_the_command_over_an_index_of_corners(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = []
    for index, tables in enumerate(CORNERS[:2]):
        folder = Path("corners") / str(index) if index else Path()
        tables.save(tmp_path / folder)
        about = tables.metadata
        entries.append(IndexEntry(about["corner"], about["vdd_v"], about["temperature_c"], folder))
    write_index(tmp_path, "made up", entries)
    with pytest.raises(SystemExit) as end:
        main(["costmap", str(tmp_path), "--levels", "step:4/all", "--freq", "4.6", "--margin", "0.02"])
    assert not end.value.code
    printed = capsys.readouterr().out
    assert "as many points as parameters" in printed
    assert "k and Vt, alpha given" in printed
    cost_map = CostMap.load(tmp_path / "costmap.safetensors")
    assert [level.freq_ghz for level in cost_map.levels] == pytest.approx([4.6, 4.6])
    assert cost_map.levels[0].vdd_v < cost_map.levels[1].vdd_v
    about = json.loads((tmp_path / "costmap.json").read_text())["metadata"]["voltage"]
    assert about["energies"] == [{"energy_fj": None, "leakage_fj": None}] * 2
    assert about["vdd_v"] == [1.08, 1.2]

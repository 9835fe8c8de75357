"""PDKs whose Liberty files may lie beside the repository: IHP SG13G2 (six corners) and ASAP7 (five files)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_timing.corner_index import read_index
from halo_timing.pdk.check import check_corner
from halo_timing.pdk.registry import Pdk, load_pdk
from halo_timing.rtl import find_mac
from halo_timing.run.corners import characterize_corners
from halo_timing.run.session import open_session
from halo_timing.tables import Tables
from halo_timing.tools.opensta import find_opensta
from tests.conftest import SMALL, Silent
from tests.test_liberty import assert_functions_agree_with_yosys
from tests.test_liberty_library import assert_energies_agree_with_opensta, assert_tables_agree_with_opensta
from tests.test_pdk_models import assert_models_follow_truth_tables

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "pdk"


# One after the other, because reading fifty megabytes takes longer than the tests.
@pytest.fixture(scope="module", params=["ihp-sg13g2", "asap7_rvt"])
def open_pdk(request: pytest.FixtureRequest) -> Iterator[Pdk]:
    """Return a PDK from the test data folder; skip where that is absent."""
    root = Path(os.environ.get("HALO_TIMING_TEST_PDKS", _BESIDE))
    if not root.is_dir():
        pytest.skip(f"no PDK data in {root}; HALO_TIMING_TEST_PDKS names another folder")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PDK_ROOT", str(root / "open_pdks"))
        monkeypatch.setenv("ORFS_ROOT", str(root / "orfs"))
        monkeypatch.delenv("FLOW_HOME", raising=False)
        yield load_pdk(request.param)


def test_tables_agree_with_opensta(open_pdk: Pdk, tmp_path: Path) -> None:
    assert assert_tables_agree_with_opensta(open_pdk.library(), 27.0, 3.7, tmp_path) > 200


def test_functions_agree_with_yosys(open_pdk: Pdk, tmp_path: Path) -> None:
    assert_functions_agree_with_yosys(open_pdk.library(), tmp_path)


def test_models_follow_truth_tables(open_pdk: Pdk, tmp_path: Path) -> None:
    assert_models_follow_truth_tables(open_pdk.library(), tmp_path)


def test_energy_units_agree_with_opensta(open_pdk: Pdk, tmp_path: Path) -> None:
    if open_pdk.name == "asap7_rvt":
        # Its energies are told apart by supply pin, which OpenSTA 2.0 mixes.
        units = {unit.energy_fj for unit in open_pdk.library().units}
        assert units == {1.0}
    else:
        assert_energies_agree_with_opensta(open_pdk, tmp_path)


def test_every_corner_passes_the_check(open_pdk: Pdk) -> None:
    assert len(open_pdk.corners) == {"ihp-sg13g2": 6, "asap7_rvt": 1}[open_pdk.name]
    for corner in open_pdk.corners.values():
        check = check_corner(open_pdk, corner, find_opensta())
        assert check.worst_difference < 1e-5
        assert check.usable["flip-flops"] >= 8
    voltages = {corner.voltage_v for corner in open_pdk.corners.values()}
    assert voltages == ({0.7} if open_pdk.name == "asap7_rvt" else {1.08, 1.2, 1.32, 1.35, 1.5, 1.65})


def test_every_corner_gives_full_tables(open_pdk: Pdk, tmp_path: Path) -> None:
    session = open_session(open_pdk.name, None, Silent(), jobs=1, install=False)
    corners = list(open_pdk.corners.values())
    characterize_corners(session, corners, find_mac(f"array:{SMALL}"), tmp_path)
    tables = {entry.corner: Tables.load(tmp_path / entry.folder) for entry in read_index(tmp_path)}
    assert set(tables) == set(open_pdk.corners)
    for table in tables.values():
        assert len(table.values) == 16
        assert table.bound_ps.min() > 0
    if open_pdk.name == "ihp-sg13g2":
        worst_ps = [
            float(tables[name].period_ps.max())
            for name in ("fast_1p65V_m40C", "typ_1p50V_25C", "typ_1p20V_25C", "slow_1p08V_125C")
        ]
        assert worst_ps == sorted(worst_ps)
        assert worst_ps[-1] > 2.5 * worst_ps[0]

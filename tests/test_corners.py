"""Several corners of one PDK: one netlist, tables side by side, an index that says which is where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import halo_timing as ht
from halo_timing.cli import main
from halo_timing.corner_index import IndexEntry, load_corners, read_index, write_index
from halo_timing.dynamic.stimulus import Stimulus
from halo_timing.dynamic_characterization import DynamicOptions
from halo_timing.errors import CostMapError, PdkError, UsageError
from halo_timing.pdk.registration import add_pdk
from halo_timing.pdk.registry import Pdk, load_pdk
from halo_timing.rtl import Mac, find_mac
from halo_timing.run.corners import characterize_corners, choose_corners
from halo_timing.run.session import characterize, open_session
from halo_timing.tables import Tables
from tests.conftest import SMALL, Silent

#: The delays of the second corner are those of the first in other units: exactly so much of them.
SCALE = 0.1


@pytest.fixture(scope="module")
def two_corners(tmp_path_factory: pytest.TempPathFactory) -> Pdk:
    """Return a PDK of two corners whose delays, by construction, differ by a known factor."""
    real = load_pdk("osu018", install=True).default_corner.liberty[0].read_text()
    assert 'time_unit : "1ns"' in real
    folder = tmp_path_factory.mktemp("two corners")
    (folder / "slow.lib").write_text(real)
    quick = real.replace('time_unit : "1ns"', 'time_unit : "100ps"')
    quick = quick.replace("nom_voltage : 1.8", "nom_voltage : 2").replace("voltage : 1.8", "voltage : 2")
    (folder / "quick.lib").write_text(quick)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HALO_TIMING_CONFIG", str(folder / "config"))
        add_pdk("two", [folder / "slow.lib"], "slow")
        return add_pdk("two", [folder / "quick.lib"], "quick")


def test_one_netlist_is_timed_at_every_corner(
    two_corners: Pdk, small_mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = two_corners.folder / "config"
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(config))
    asked = ("--mac", small_mac.name, "--corners", "all", "--samples", 16, "--rows", 2)
    assert main_exit("characterize", "--pdk", "two", *asked, tmp_path) == 0
    entries = read_index(tmp_path)
    assert [(e.corner, e.vdd_v, e.folder.as_posix()) for e in entries] == [
        ("slow", 1.8, "."),
        ("quick", 2.0, "corners/quick"),
    ]
    slow, quick = (Tables.load(tmp_path / entry.folder) for entry in entries)
    assert slow.metadata["netlist_sha256"] == quick.metadata["netlist_sha256"]
    assert (slow.metadata["corner"], quick.metadata["corner"]) == ("slow", "quick")
    assert (tmp_path / "netlist.v").read_bytes() == (tmp_path / "corners/quick/netlist.v").read_bytes()
    # SDF holds thousandths of the file's unit, so a path of n cells may be off by n/2 of them.
    np.testing.assert_allclose(quick.bound_ps, slow.bound_ps * SCALE, atol=1.0)
    assert slow.bound_ps.min() > 1000
    # What is simulated follows its own corner's tables.
    assert slow.dynamic_ps is not None
    assert quick.dynamic_ps is not None
    np.testing.assert_allclose(quick.dynamic_ps, slow.dynamic_ps * SCALE, rtol=2e-3)


def main_exit(*arguments: object) -> int:
    *options, out = map(str, arguments)
    try:
        main([*options, "--out", out, "-j", "1"])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_second_run_finds_everything_and_a_changed_corner_alone_is_made_again(
    two_corners: Pdk, small_mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(two_corners.folder / "config"))
    reporter = Silent()
    session = open_session("two", None, reporter, jobs=1, install=False)
    corners = choose_corners(session.pdk, "all")
    made = characterize_corners(session, corners, small_mac, tmp_path)
    assert [[record.name for record in records] for records in made] == [
        ["netlist", "tables", "weights"],
        ["corners/quick/mapped", "corners/quick/tables", "corners/quick/weights"],
    ]
    again = characterize_corners(session, corners, small_mac, tmp_path)
    assert all(record.reused for records in again for record in records)
    assert list(load_corners(tmp_path)) == ["slow", "quick"]
    (tmp_path / "corners" / "quick" / "delays.sdf").write_text("tampered")
    third = characterize_corners(session, corners, small_mac, tmp_path)
    assert [[record.reused for record in records] for records in third] == [
        [True, True, True],
        [True, False, True],
    ]
    assert [record.digest for record in third[1]] == [record.digest for record in made[1]]
    # The folder itself is made again, for another corner: its index no longer holds.
    quick = open_session("two", "quick", reporter, jobs=1, install=False)
    characterize(quick, small_mac, tmp_path)
    with pytest.raises(CostMapError, match="should be of corner slow, but is of quick"):
        load_corners(tmp_path)
    # Or for the same corner, with another netlist.
    characterize(session, find_mac(f"booth:{SMALL}"), tmp_path)
    with pytest.raises(CostMapError, match="of different netlists"):
        load_corners(tmp_path)


def test_simulations_can_be_left_to_the_first_corner(
    two_corners: Pdk, small_mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(two_corners.folder / "config"))
    stimulus = DynamicOptions("sdf", Stimulus(samples=8, rows=2), "sampled", False)
    session = open_session("two", None, Silent(), jobs=1, install=False, dynamic=stimulus)
    characterize_corners(session, choose_corners(session.pdk, "all"), small_mac, tmp_path, simulate_all=False)
    tables = load_corners(tmp_path)
    assert {corner: table.dynamic is not None for corner, table in tables.items()} == {
        "slow": True,
        "quick": False,
    }


def test_the_same_from_python(
    two_corners: Pdk, small_mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(two_corners.folder / "config"))
    tables = ht.characterize_corners("two", small_mac, corners="slow", corner="quick", out=tmp_path)
    assert list(tables) == ["quick", "slow"]
    assert tables["slow"].metadata["vdd_v"] == 1.8
    assert (tmp_path / "corners" / "slow" / "tables.safetensors").is_file()


def test_corners_are_named_or_all(two_corners: Pdk) -> None:
    assert [corner.name for corner in choose_corners(two_corners, "all")] == ["slow", "quick"]
    assert [corner.name for corner in choose_corners(two_corners, "quick, slow,quick")] == ["quick", "slow"]
    with pytest.raises(PdkError, match="no corner 'best' here; it has slow, quick"):
        choose_corners(two_corners, "slow,best")
    with pytest.raises(UsageError, match="--corners names none; give all, or some of slow, quick"):
        choose_corners(two_corners, " , ")


def test_the_index_is_read_as_written_or_refused(tmp_path: Path) -> None:
    with pytest.raises(CostMapError, match="--corners all"):
        read_index(tmp_path)
    entries = [IndexEntry("a", 1.1, -40.0, Path()), IndexEntry("b", 0.9, 25.0, Path("corners/b"))]
    write_index(tmp_path, "p", entries)
    assert read_index(tmp_path) == entries
    path = tmp_path / "corners.json"
    whole = json.loads(path.read_text())
    for change, message in (
        ({"schema_version": 9}, "schema version 9"),
        ({"corners": [{"corner": "a"}]}, "not an index"),
        ({"corners": [{**whole["corners"][0], "folder": "../elsewhere"}]}, "not one inside"),
        ({"corners": [{**whole["corners"][0], "folder": "/tmp"}]}, "not one inside"),
    ):
        path.write_text(json.dumps({**whole, **change}))
        with pytest.raises(CostMapError, match=message):
            read_index(tmp_path)


def test_a_corner_that_lacks_a_cell_of_the_netlist_is_named_before_any_is_timed(
    two_corners: Pdk, small_mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(tmp_path / "config"))
    whole = two_corners.corner("slow").liberty[0]
    text = whole.read_text()
    begin = text.index("cell (XOR2X1)")
    end = text.rindex("}")  # it is the last cell
    poor = tmp_path / "poor.lib"
    poor.write_text(text[:begin] + text[end:])
    add_pdk("poor", [whole], "whole")
    add_pdk("poor", [poor], "poor")
    session = open_session("poor", "whole", Silent(), jobs=1, install=False)
    with pytest.raises(PdkError, match=r"corner poor lacks XOR2X1, which"):
        characterize_corners(session, choose_corners(session.pdk, "all"), small_mac, tmp_path / "out")
    assert not (tmp_path / "out" / "tables.safetensors").exists()


def test_a_run_draws_what_further_corners_say(
    two_corners: Pdk, small_mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(tmp_path / "config"))
    for name, corner in (("slow", "typ_1p80V"), ("quick", "typ_2p00V")):
        add_pdk("volts", [two_corners.folder / f"{name}.lib"], corner)
    out = tmp_path / "out"
    asked = ("run", "--pdk", "volts", "--mac", small_mac.name, "--reference", small_mac.name)
    assert main_exit(*asked, "--no-model", "--no-dynamic", "--corners", "all", out) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    slow, quick = (metrics[f"level:0__freq_ghz__corner:typ_{vdd}V"] for vdd in ("1p80", "2p00"))
    assert slow == metrics["level:0__freq_ghz"]
    # In picoseconds, by as much as above.
    assert 1e3 / quick == pytest.approx(1e3 / slow * SCALE, abs=1.0)
    assert "As many points as parameters" in (out / "report.html").read_text()
    # A run that asks for one corner is not to be read with the others' tables.
    assert main_exit(*asked, "--no-model", "--no-dynamic", out) == 0
    assert not {name for name in json.loads((out / "metrics.json").read_text()) if "2p00V" in name}

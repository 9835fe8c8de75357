"""The ``pdk`` commands, as a user sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from halo_timing.cli.pdk import pdk
from halo_timing.errors import HaloTimingError, PdkError, ToolNotFoundError
from tests.pdk_support import CELLS, liberty


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(tmp_path / "config"))


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(pdk, arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: str) -> HaloTimingError:
    error = CliRunner().invoke(pdk, arguments).exception
    assert isinstance(error, HaloTimingError)
    return error


def test_list_shows_what_is_here_and_how_to_get_the_rest(
    nangate45_liberty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    (tmp_path / "config" / "pdk").mkdir(parents=True)
    (tmp_path / "config" / "pdk" / "bad.toml").write_text("[")
    shown = run("list").output
    assert f"in {nangate45_liberty.parent}\n  corners typ" in shown
    assert (
        "sky130_hd: SkyWater sky130 high density\n  not here: run `halo-timing pdk install sky130_hd`"
        in shown
    )
    assert "bad: broken: " in shown


@pytest.mark.usefixtures("nangate45_liberty")
def test_show_and_check_the_default_pdk() -> None:
    shown = run("show", "nangate45").output
    assert "* typ: 1.1 V, 25 C, stdcells.lib" in shown
    assert "flip-flop DFF_X1, buffer BUF_X1, inverter INV_X1, ties LOGIC0_X1.Z and LOGIC1_X1.Z" in shown
    checked = run("check", "nangate45").output
    assert "usable: 90 combinational, 16 flip-flops" in checked
    assert "left out, latch: 5 (DLH_X1, DLH_X2, DLL_X1, DLL_X2 …)" in checked
    assert "proof: 8 edges through chains of INV_X1 agree with OpenSTA to 0.0000%" in checked


@pytest.mark.usefixtures("nangate45_liberty")
def test_install_says_licence_and_place() -> None:
    shown = run("install", "nangate45").output
    assert "proprietary notice of Nangate" in shown
    assert "nangate45 is in " in shown


def test_a_pdk_never_seen_before(work_dir: Path) -> None:
    (work_dir / "my cells.lib").write_text(liberty())
    shown = run("add", "mine", "my cells.lib").output
    assert "mine is registered, with corner 1v20_25C (1.2 V, 25 C)" in shown
    assert "flip-flop DFF, buffer BUF, inverter INV, ties none and none" in shown
    assert "proof: 8 edges" in run("check", "mine", "--corner", "1v20_25C").output
    assert (
        "with corners 1v20_25C (1.2 V, 25 C), typ (1.2 V, 25 C)"
        in run("add", "mine", "my cells.lib", "--corner", "typ").output
    )


def test_refusals_are_one_sentence(work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = work_dir / "x.lib"
    path.write_text(liberty(CELLS.replace('"!A"', '"!Q9"')))
    assert "function in cell INV" in str(refused("add", "mine", str(path)))
    assert "cannot be read" in str(refused("add", "mine", "absent.lib"))
    assert isinstance(refused("show", "unknown"), PdkError)
    path.write_text(liberty())
    run("add", "mine", str(path))
    monkeypatch.setenv("STA", "absent")
    error = refused("check", "mine")
    assert isinstance(error, ToolNotFoundError)
    assert error.exit_code == 1

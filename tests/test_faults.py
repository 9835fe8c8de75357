"""Runs that are killed, run out of disk, meet another run, or find damaged files: a short fault campaign.

``make faults`` does the long one.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.fault_disks import size_limit
from benchmarks.fault_runs import Place, results
from benchmarks.faults import damage, kills
from halo_timing.pdk.registry import Pdk


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, nangate45: Pdk) -> Place:
    place = Place(tmp_path_factory.mktemp("faults"))
    place.make_whole()
    return place


def test_killed_runs_end_with_the_same_bytes(place: Place) -> None:
    said: list[str] = []
    figures = kills(place, 3, 3, said.append)
    assert figures["kills"] == len(said) == 3


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="the system has no prlimit")
def test_a_full_disk_is_one_error_and_then_the_same_bytes(place: Place) -> None:
    assert size_limit(place, print, [8]) == {"one error": 1}


def test_damaged_results_are_made_again_and_a_second_run_gives_way(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(place.whole, out)
    expected = results(place.whole)
    for number, name in enumerate(("costmap.json", "weights.csv", "report.html")):
        damage(out / name, number, random.Random(1))
    assert results(out) != expected
    command = [*place.command(out, "-j", "1")]
    environment = {**os.environ, "HALO_TIMING_CACHE": str(place.cache())}
    with (out / ".steps" / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        second = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert second.returncode == 1
    assert "another run is at work there" in second.stderr
    assert place.run(out, "-j", "1").returncode == 0
    assert results(out) == expected

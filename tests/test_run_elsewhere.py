"""The same run on this machine and on a Dask cluster whose worker is killed: the same bytes."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil

from halo_timing.execution.executor import open_executor
from halo_timing.execution.store import Store
from halo_timing.files import sha256_file
from halo_timing.run.config import RunConfig
from halo_timing.run.elsewhere import Elsewhere
from halo_timing.run.pipeline import run
from tests.conftest import SMALL, Silent

CONFIG = RunConfig(mac=f"array:{SMALL}", reference=(f"wallace:{SMALL}",), model=None)


class Killer(Silent):
    """Kills a worker as soon as the first work is done, while others run."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.killed = 0

    def note(self, text: str) -> None:
        self.said.append(text)
        if not self.killed and text.endswith(" s"):
            self.killed += 1
            threading.Timer(0.3, kill_workers).start()


def kill_workers() -> None:
    for process in psutil.Process().children(recursive=True):
        if process.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(process.cmdline()):
            process.kill()


def results(folder: Path) -> dict[str, str]:
    """Hash of every file that is a result: not of logs, nor of the records' and manifest's times."""
    return {
        name: sha256_file(path)
        for path in folder.rglob("*")
        if path.is_file()
        and "logs" not in (parts := path.relative_to(folder).parts)
        and ".steps" not in parts
        and (name := "/".join(parts)) != "manifest.json"
    }


def test_a_cluster_with_a_killed_worker_gives_the_same_bytes(tmp_path: Path) -> None:
    run(CONFIG, tmp_path / "here", Silent(), install=True)
    store, killer = Store(tmp_path / "store"), Killer()
    with open_executor(jobs=1, cluster="local", store=store) as executor:
        run(CONFIG, tmp_path / "there", killer, elsewhere=Elsewhere(executor, store))
    assert any("died; attempt 2 of" in line for line in killer.said)
    expected = results(tmp_path / "here")
    assert {
        "tables.safetensors",
        "dynamic.safetensors",
        "netlist.v",
        "costmap.json",
        "report.html",
    } <= expected.keys()
    assert results(tmp_path / "there") == expected
    # Where the steps are found made, nothing is asked of a cluster; a local run goes on from there as well.
    silent = Silent()
    run(CONFIG, tmp_path / "there", silent)
    assert all(record.reused for record in silent.records)
    assert results(tmp_path / "there") == expected

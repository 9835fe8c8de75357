"""Works on Dask clusters without a common disk: equal results, lost workers, lost schedulers, other tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_timing.errors import ToolError, UsageError
from halo_timing.execution.executor import Outcome, open_executor
from halo_timing.execution.store import Store
from halo_timing.execution.work import Work
from halo_timing.tools.opensta import find_opensta

PROBE = "halo_timing.execution.probe:probe"


class Cluster:
    """A scheduler and workers as a user would start them, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        ready = folder / "scheduler.json"
        self.scheduler = self._start(
            "dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", ready
        )
        deadline = time.monotonic() + 120
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.address: str = json.loads(ready.read_text())["address"]

    def worker(self, name: str, **environment: str) -> subprocess.Popen[bytes]:
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--name", name)
        return self._start(
            "dask_worker", self.address, *options, "--local-directory", self.folder / name, **environment
        )

    def _start(self, program: str, *arguments: str | Path, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *map(str, arguments)]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=quiet, stderr=quiet)
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


def works(path: Path, count: int) -> list[Work]:
    return [Work(f"w{n}", PROBE, {"n": n}, {"in/put.bin": path}) for n in range(count)]


def test_lost_workers_other_tools_and_a_lost_scheduler(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halo_timing.execution.cluster._CONNECT_S", 2)
    path = tmp_path / "input.bin"
    path.write_bytes(os.urandom(500_000))
    store, said = Store(tmp_path / "store"), list[str]()
    first = cluster.worker("first")
    outcomes: dict[str, Outcome] = {}

    with open_executor(jobs=1, scheduler=cluster.address, store=store) as executor:
        # One worker, killed with works done and waiting; the only copy of the input dies with it.
        for outcome in executor.run(works(path, 6), said.append):
            outcomes[outcome.work.name] = outcome
            if len(outcomes) == 2:
                first.kill()
                second = cluster.worker("second")
        assert {outcome.error for outcome in outcomes.values()} == {None}
        failed = next(executor.run([Work("bad", "halo_timing.execution.probe:nothing")])).error or ""
        assert failed.startswith("bad: AttributeError")
        assert (Path(failed.rpartition(" ")[2]) / "work.json").is_file()

    # The same works on this machine: the same bytes.
    local = Store(tmp_path / "local")
    with open_executor(jobs=1, store=local) as executor:
        assert {o.work.name: o.outputs for o in executor.run(works(path, 6))} == {
            name: outcome.outputs for name, outcome in outcomes.items()
        }

    # A worker with another OpenSTA refuses, with a sentence.
    second.kill()
    other = tmp_path / "sta"
    other.write_text(
        f'#!/bin/sh\n[ "$1" = -version ] && echo 9.8.7 && exit\nexec {find_opensta().path} "$@"\n'
    )
    other.chmod(0o755)
    third = cluster.worker("third", STA=str(other))
    with open_executor(jobs=1, scheduler=cluster.address, store=Store(tmp_path / "other")) as executor:
        refused = next(executor.run(works(path, 1))).error or ""
    assert "is not as this machine: opensta 9.8.7 instead of 2." in refused

    # The scheduler dies: one error; what was done before is kept.
    third.kill()
    cluster.worker("fourth")
    killed_after_eight = (n == 7 and cluster.scheduler.kill() for n in range(12))
    with open_executor(jobs=1, scheduler=cluster.address, store=store) as executor:
        going_on = zip(executor.run(works(path, 12), said.append), killed_after_eight, strict=False)
        with pytest.raises(ToolError, match=r"the scheduler is gone; what is done is kept"):
            list(going_on)
    with open_executor(jobs=1, store=store) as executor:
        resumed = list(executor.run(works(path, 12)))
    assert [outcome.error for outcome in resumed] == [None] * 12
    assert sum(outcome.reused for outcome in resumed) >= 8
    with (
        pytest.raises(ToolError, match=r"tcp://.*: the scheduler does not answer"),
        open_executor(jobs=1, scheduler=cluster.address, store=store),
    ):
        pass


def test_slurm_through_its_own_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sbatch` acted out: it starts the script that it is given, as a node with free processors would."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text(
        f"#!/bin/sh\ncp \"$1\" '{tmp_path}/job.sh'\n"
        f"setsid sh '{tmp_path}/job.sh' >'{tmp_path}/job.log' 2>&1 &\n"
        "echo Submitted batch job 7\n"
    )
    (tools / "scancel").write_text(f"#!/bin/sh\necho \"$@\" >> '{tmp_path}/cancelled'\n")
    for script in tools.iterdir():
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "input.bin"
    path.write_bytes(b"x")
    with open_executor(jobs=1, cluster="slurm", store=Store(tmp_path / "store")) as executor:
        assert [outcome.error for outcome in executor.run(works(path, 2))] == [None, None]
    job = (tmp_path / "job.sh").read_text()
    assert "#SBATCH --cpus-per-task=1" in job
    assert "dask" in job
    assert (tmp_path / "cancelled").read_text().split() == ["7"]


@pytest.mark.parametrize(
    "address",
    ["tcp://h:1;touch x", "http://h:1", "h:8786", "tcp://$(touch x):1", "tcp://a b:1", "inproc://x"],
)
def test_addresses_are_checked(address: str, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="an address as tcp://host:8786 is wanted"),
        open_executor(jobs=1, scheduler=address, store=Store(tmp_path)),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_one_cluster_of_a_known_kind_is_named(tmp_path: Path) -> None:
    for options in ({"cluster": "pbs"}, {"cluster": "local", "scheduler": "tcp://h:1"}):
        with (
            pytest.raises(UsageError, match=r"--cluster"),
            open_executor(jobs=1, store=Store(tmp_path), **options),
        ):
            pass

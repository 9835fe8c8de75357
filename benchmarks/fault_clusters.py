"""Dask clusters that lose workers, or their scheduler."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.fault_runs import RUN_LIMIT_S, Place, is_clear_error, same


def lost_workers(place: Place, report: Callable[[str], None], every_s: float, seed: int) -> dict[str, Any]:
    """Kill a worker of a local Dask cluster every few seconds, until the run is done."""
    expected, rng, killed = place.make_whole(), random.Random(seed), 0
    cache, out = place.folder / "lost-cache", place.folder / "lost"
    for folder in (cache, out):
        shutil.rmtree(folder, ignore_errors=True)
    place.cache("lost-cache")
    command = place.command(out, "--cluster", "local", "-j", "2")
    environment = {**os.environ, "HALO_TIMING_CACHE": str(cache)}
    start = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    due_s = 0.0
    while process.poll() is None and time.monotonic() < start + RUN_LIMIT_S:
        time.sleep(0.05)
        workers = worker_processes(process.pid)
        if not due_s and works_done(cache):
            due_s = time.monotonic()
        if due_s and time.monotonic() > due_s and workers:
            rng.choice(workers).kill()
            killed += 1
            due_s = time.monotonic() + rng.uniform(0.5, 1.5) * every_s
    said = process.communicate()[1]
    assert process.returncode == 0, said
    same(out, expected, "lost workers")
    attempts = sum("died; attempt" in line for line in said.splitlines())
    report(f"{killed} workers killed, {attempts} works begun again, done in {time.monotonic() - start:.0f} s")
    return {"killed": killed, "works begun again": attempts, "seconds": round(time.monotonic() - start)}


def works_done(cache: Path) -> int:
    return len(list(cache.glob("work/made/*/*.json")))


def worker_processes(parent: int) -> list[psutil.Process]:
    """Worker processes of a local cluster whose client has the process number `parent`."""
    found = []
    with suppress(psutil.Error):
        for process in psutil.Process(parent).children():
            with suppress(psutil.Error):
                if "spawn_main" in " ".join(process.cmdline()):
                    found.append(process)
    return found


def lost_scheduler(place: Place, report: Callable[[str], None], seed: int) -> dict[str, Any]:
    """Kill the scheduler of a running cluster in the middle of a run; then go on without one."""
    expected, rng = place.make_whole(), random.Random(seed)
    cache, out = place.folder / "headless-cache", place.folder / "headless"
    for folder in (cache, out):
        shutil.rmtree(folder, ignore_errors=True)
    place.cache("headless-cache")
    ready = place.folder / "scheduler.json"
    ready.unlink(missing_ok=True)
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments]
        quiet = subprocess.DEVNULL
        started.append(subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=place.folder))
        return started[-1]

    try:
        scheduler = start("dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(ready))
        while not ready.exists():
            time.sleep(0.05)
        address = json.loads(ready.read_text())["address"]
        start("dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard")
        wait_s, reached = rng.uniform(0, 2), list[float]()

        def kill_scheduler(seconds: float) -> bool:
            if not reached and works_done(cache):
                reached.append(seconds)
            if reached and seconds > reached[0] + wait_s and scheduler.poll() is None:
                scheduler.kill()
                scheduler.wait()
            return False

        ended = place.run(out, "--scheduler", address, "-j", "1", cache=cache, is_time_to_kill=kill_scheduler)
        assert is_clear_error(ended), ended.stderr
    finally:
        for process in started:
            process.kill()
            process.wait()
    line = ended.stderr.strip().splitlines()[-1]
    report(line)
    ended = place.run(out, "-j", "1", cache=cache)
    assert ended.returncode == 0, ended.stderr
    same(out, expected, "lost scheduler")
    return {"said": line.partition(": ")[2].partition(": ")[2]}

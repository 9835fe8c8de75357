"""Fault campaign: whatever dies, fills up or rots, a run ends with the same bytes or with one clear error.

    make faults
    python -m benchmarks.faults [--out results/faults] [--kills 50] [--minutes 25] [--only kills …]

A small `halo-timing run` (a MAC of 4 x 4 bits with a reference, bounds, dynamic timing, cost map, a tiny
model quantized, report) is done once undisturbed, then again and again with something going wrong. Every
experiment ends with the comparison of all result files, or with the look at what the command said: one line,
exit status 1 or 2, no traceback. What was done is kept in the output folder; the same command goes on.

Disks of a few hundred kilobytes and read-only folders are mounts (``unshare``, Linux, root); without that
right, files are limited in size instead, and read-only is left out. Clock jumps need ``faketime``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks import stream
from halo_timing.files import sha256_file, write_json
from halo_timing.pdk.registry import load_pdk
from halo_timing.wheels import cache_dir

WIDTHS = "WEIGHT_WIDTH=4,ACTIVATION_WIDTH=4,ACCUMULATOR_WIDTH=12"
CONFIG = {"mac": f"array:{WIDTHS}", "reference": [f"wallace:{WIDTHS}"]}
#: Steps in the order in which they are made, and the file that says that one is.
STEPS = (
    "netlist",
    "tables",
    "dynamic",
    "weights",
    "reference netlist",
    "reference tables",
    "reference dynamic",
    "reference weights",
    "costmap",
    "model",
    "report",
)
_RUN_LIMIT_S = 600


@dataclass(frozen=True)
class Ended:
    """One command: how it ended and what it said."""

    returncode: int
    seconds: float
    stderr: str

    @property
    def killed(self) -> bool:
        return self.returncode == -signal.SIGKILL


class Place:
    """Folder of a campaign: configuration, model, cache, and the results that all others have to equal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.config = self.folder / "run.toml"
        self.whole = self.folder / "whole"
        checkpoint = self.folder / "checkpoint"
        if not (checkpoint / "config.json").exists():
            shutil.rmtree(checkpoint, ignore_errors=True)
            stream.make_checkpoint(checkpoint, 2_000_000, seed=0, scale=64)
        options = {**CONFIG, "model": str(checkpoint)}
        self.config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items()))

    def cache(self, name: str = "cache") -> Path:
        """Cache folder of the campaign's own, with the PDK in it."""
        folder = self.folder / name
        if not (folder / "pdk").exists():
            shutil.copytree(cache_dir() / "pdk" / "nangate45", folder / "pdk" / "nangate45")
        return folder

    def command(self, out: Path, *options: str) -> list[str]:
        return [sys.executable, "-m", "halo_timing", "run", str(self.config), "--out", str(out), *options]

    def run(
        self,
        out: Path,
        *options: str,
        cache: Path | None = None,
        is_time_to_kill: Callable[[float], bool] = lambda _seconds: False,
        before: Sequence[str] = (),
        environment: Mapping[str, str] = {},
    ) -> Ended:
        """Run the command in a group of its own; SIGKILL the group when told to."""
        start = time.monotonic()
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [*before, *self.command(out, *options)],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, "HALO_TIMING_CACHE": str(cache or self.cache()), **environment},
            )
            try:
                while process.poll() is None:
                    seconds = time.monotonic() - start
                    if seconds > _RUN_LIMIT_S or is_time_to_kill(seconds):
                        os.killpg(process.pid, signal.SIGKILL)
                    time.sleep(0.005)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            errors.seek(0)
            said = errors.read().decode(errors="replace")
        return Ended(process.returncode, time.monotonic() - start, said)

    def make_whole(self) -> dict[str, str]:
        """Results of the undisturbed run, made once."""
        if not (self.whole / "manifest.json").exists():
            ended = self.run(self.whole, "-j", "1")
            if ended.returncode:
                sys.exit(ended.stderr)
        return results(self.whole)


def results(folder: Path) -> dict[str, str]:
    """Hash of every file that is a result: not of logs, nor of the records' and the manifest's times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and "logs" not in parts and ".steps" not in parts:
            found["/".join(parts)] = sha256_file(path)
    found.pop("manifest.json", None)
    return found


def seconds_of_steps(folder: Path) -> dict[str, float]:
    steps = json.loads((folder / "manifest.json").read_text())["steps"]
    return {_step(step["name"]): step["seconds"] for step in steps}


def steps_made(out: Path) -> set[str]:
    return {_step(path.stem.replace(".", "/")) for path in out.rglob(".steps/*.json")}


def _step(name: str) -> str:
    prefix = "reference " if name.startswith("reference/") else ""
    return prefix + name.rpartition("/")[2]


def step_at(out: Path) -> str:
    """Step that a run killed now was making: the first that is not made."""
    made = steps_made(out)
    return next((step for step in STEPS if step not in made), "manifest")


def is_clear_error(ended: Ended) -> bool:
    """One message, no traceback, the exit status of an error that was foreseen."""
    messages = [line for line in ended.stderr.splitlines() if line.startswith("halo-timing: ")]
    return ended.returncode in (1, 2) and len(messages) == 1 and "Traceback" not in ended.stderr


def kill_moment(
    out: Path, rng: random.Random, typical_s: Mapping[str, float], hits: Counter[str]
) -> Callable[[float], bool]:
    """When to kill: half of the times anywhere, half within a step that was killed the least so far."""
    if rng.random() < 0.5:
        limit_s = rng.uniform(0.2, 1.5 + sum(typical_s.values()))
        return lambda seconds: seconds > limit_s
    left = [step for step in STEPS if step not in steps_made(out)] or [STEPS[-1]]
    target = min(left, key=lambda step: (hits[step], rng.random()))
    before = STEPS[: STEPS.index(target)]
    wait_s = rng.uniform(0, max(typical_s.get(target, 0.0), 0.02))
    reached: list[float] = []

    def is_time(seconds: float) -> bool:
        if not reached and steps_made(out).issuperset(before) and seconds > 0.5:
            reached.append(seconds)
        return bool(reached) and seconds > reached[0] + wait_s

    return is_time


def kills(place: Place, count: int, seed: int, report: Callable[[str], None]) -> dict[str, Any]:
    """Kill runs until `count` were killed; every folder is taken to its end, and compared."""
    expected, typical_s = place.make_whole(), seconds_of_steps(place.whole)
    rng, hits, folders = random.Random(seed), Counter[str](), 0
    out = place.folder / "killed"
    shutil.rmtree(out, ignore_errors=True)
    while sum(hits.values()) < count:
        ended = place.run(out, "-j", "1", is_time_to_kill=kill_moment(out, rng, typical_s, hits))
        if ended.killed:
            step = step_at(out)
            hits[step] += 1
            report(f"killed after {ended.seconds:.1f} s, in {step} ({sum(hits.values())} of {count})")
            if sum(hits.values()) < count:
                continue
            ended = place.run(out, "-j", "1")
        if ended.returncode:
            raise AssertionError(f"a resumed run failed: {ended.stderr}")
        _same(out, expected, "after kills")
        folders += 1
        shutil.rmtree(out)
    return {"kills": sum(hits.values()), "by step": dict(hits), "folders taken to their end": folders}


def _same(out: Path, expected: Mapping[str, str], what: str) -> None:
    found = results(out)
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if wrong:
        raise AssertionError(f"{what}: other bytes in {', '.join(wrong)}; see {out}")


def damage(path: Path, how: int, rng: random.Random) -> None:
    """Damage a file as disks and crashes do: a bit, its end, everything, another content, or gone."""
    data = bytearray(path.read_bytes())
    if how == 0 and data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
    elif how == 1:
        path.write_bytes(data[: len(data) // 2])
    elif how == 2:
        path.write_bytes(b"")
    elif how == 3:
        path.write_bytes(bytes(len(data)))
    else:
        path.unlink()


def corruption(
    place: Place, count: int, seed: int, report: Callable[[str], None], batch: int = 5
) -> dict[str, Any]:
    """Damage entries of the cache, and files of results, a few at a time: all have to be made again."""
    expected, rng, done = place.make_whole(), random.Random(seed), Counter[str]()
    cache = place.cache("corrupted-cache")
    options = ("--cluster", "local", "-j", "1")
    first = place.run(place.folder / "corrupted", *options, cache=cache)
    assert first.returncode == 0, first.stderr
    while done["cache"] < count:
        entries = [path for path in sorted(cache.rglob("*")) if path.is_file() and "pdk" not in path.parts]
        for path in rng.sample(entries, min(batch, count - done["cache"])):
            damage(path, done["cache"] % 5, rng)
            done["cache"] += 1
        out = place.folder / "corrupted"
        # A folder that is there has its own files: every other time it starts anew, from the cache alone.
        if done["folder"] % 2:
            files = [path for path in sorted(out.rglob("*")) if path.is_file() and "logs" not in path.parts]
            for path in rng.sample([path for path in files if path.name != "lock"], batch):
                damage(path, rng.randrange(5), rng)
                done["result files"] += 1
        else:
            shutil.rmtree(out)
        done["folder"] += 1
        ended = place.run(out, *options, cache=cache)
        assert ended.returncode == 0, ended.stderr
        _same(out, expected, "after damage")
        report(
            f"{done['cache']} entries of the cache, {done['result files']} result files damaged, made again"
        )
    liberty = next((cache / "pdk").rglob("*.lib"))
    damage(liberty, 0, rng)
    out = place.folder / "corrupted"
    ended = place.run(out, *options, cache=cache, environment={"PIP_NO_INDEX": "1"})
    assert is_clear_error(ended), ended.stderr
    shutil.copyfile(next((place.cache() / "pdk").rglob("*.lib")), liberty)
    return {"cache entries": done["cache"], "result files": done["result files"], "Liberty files": 1}


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)],
        check=True,
        capture_output=True,
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def can_mount() -> bool:
    with (
        tempfile.TemporaryDirectory() as name,
        suppress(OSError, subprocess.CalledProcessError),
        small_disk(Path(name), 64),
    ):
        return True
    return False


def limited_files(kilobytes: int) -> list[str]:
    """Prefix of a command whose files may not be larger: a full disk for those without the right to mount."""
    return ["prlimit", f"--fsize={kilobytes * 1024}"]


def full_disk(place: Place, report: Callable[[str], None], sizes_kb: Sequence[int]) -> dict[str, Any]:
    """Fill up the disk of the results, of the cache, or of temporary files; then give it room."""
    expected, said = place.make_whole(), Counter[str]()
    for which in ("results", "cache", "temporary files"):
        for size_kb in sizes_kb:
            disk, out = place.folder / "disk", place.folder / "filled"
            shutil.rmtree(out, ignore_errors=True)
            with small_disk(disk, size_kb):
                options: dict[str, Any] = {"environment": {"TMPDIR": str(disk)}} if which[0] == "t" else {}
                arguments = ["-j", "1"]
                if which == "results":
                    out = disk / "out"
                elif which == "cache":
                    (disk / "pdk").symlink_to(place.cache() / "pdk")
                    options["cache"] = disk
                    arguments += ["--cluster", "local"]
                ended = place.run(out, *arguments, **options)
                if ended.returncode == 0:
                    _same(out, expected, f"{which} on {size_kb} kB")
                    said[f"{which}: done"] += 1
                    continue
                if not is_clear_error(ended):
                    raise AssertionError(f"{which} on {size_kb} kB: {ended.stderr}")
                said[f"{which}: one error"] += 1
                report(f"{which} on {size_kb} kB: {ended.stderr.strip().splitlines()[-1][:150]}")
                subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
                ended = place.run(out, *arguments, **options)
                assert ended.returncode == 0, ended.stderr
                _same(out, expected, f"{which} after room was made")
    return dict(said)


def size_limit(place: Place, report: Callable[[str], None], sizes_kb: Sequence[int]) -> dict[str, Any]:
    """The same for those who may not mount: files that may not grow beyond a size."""
    expected, said = place.make_whole(), Counter[str]()
    out = place.folder / "limited"
    for size_kb in sizes_kb:
        shutil.rmtree(out, ignore_errors=True)
        ended = place.run(out, "-j", "1", before=limited_files(size_kb))
        if ended.returncode:
            if not is_clear_error(ended):
                raise AssertionError(f"files of {size_kb} kB: {ended.stderr}")
            said["one error"] += 1
            report(f"files of at most {size_kb} kB: {ended.stderr.strip().splitlines()[-1][:150]}")
            ended = place.run(out, "-j", "1")
            assert ended.returncode == 0, ended.stderr
        else:
            said["done"] += 1
        _same(out, expected, f"files of {size_kb} kB")
    return dict(said)


def read_only(place: Place, report: Callable[[str], None]) -> dict[str, Any]:
    """Results, cache and temporary folder that cannot be written: a bind mount, which holds for root too."""
    expected, said = place.make_whole(), dict[str, str]()

    def locked(folder: Path) -> list[str]:
        script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, str(folder)]

    out = place.folder / "readonly-out"
    out.mkdir(exist_ok=True)
    ended = place.run(out, "-j", "1", before=locked(out))
    assert is_clear_error(ended), ended.stderr
    said["results"] = ended.stderr.strip().splitlines()[-1]
    assert not any(out.iterdir())
    # A folder that is finished can still be read, and nothing of it is lost.
    ended = place.run(place.whole, "-j", "1", before=locked(place.whole))
    assert is_clear_error(ended), ended.stderr
    _same(place.whole, expected, "read-only results")
    ended = place.run(out, "-j", "1", before=locked(place.cache()))
    assert ended.returncode == 0, ended.stderr
    _same(out, expected, "read-only cache")
    said["cache, on this machine"] = "done, the same bytes"
    shutil.rmtree(out)
    ended = place.run(out, "--cluster", "local", "-j", "1", before=locked(place.cache()))
    assert is_clear_error(ended), ended.stderr
    said["cache, on a cluster"] = ended.stderr.strip().splitlines()[-1]
    for what, line in said.items():
        report(f"read-only {what}: {line[:150]}")
    return {what: line.replace(str(place.folder), "…") for what, line in said.items()}


def concurrent(place: Place, report: Callable[[str], None], rounds: int) -> dict[str, Any]:
    """Two runs at a time with one cache; and two in one folder, of which one has to give way."""
    expected = place.make_whole()
    gave_way = 0
    for number in range(rounds):
        cache = place.folder / "shared-cache"
        shutil.rmtree(cache, ignore_errors=True)
        place.cache("shared-cache")
        outs = [place.folder / f"together-{index}" for index in range(2)]
        for out in outs:
            shutil.rmtree(out, ignore_errors=True)
        for ended, out in zip(
            _at_once(place, outs, cache, "--cluster", "local", "-j", "1"), outs, strict=True
        ):
            assert ended[0] == 0, ended[1]
            _same(out, expected, "two runs with one cache")
        shutil.rmtree(outs[0])
        one, other = sorted(_at_once(place, [outs[0], outs[0]], cache, "-j", "1"))
        assert one[0] == 0, one[1]
        if other[0]:
            gave_way += 1
            assert other[0] == 1, other[1]
            assert "another run is at work there" in other[1], other[1]
        _same(outs[0], expected, "two runs in one folder")
        report(f"two runs with one cache, and two in one folder: round {number + 1}")
    return {
        "pairs with one cache": rounds,
        "pairs in one folder": rounds,
        "gave way with a message": gave_way,
    }


def _at_once(place: Place, outs: Sequence[Path], cache: Path, *options: str) -> list[tuple[int, str]]:
    environment = {**os.environ, "HALO_TIMING_CACHE": str(cache)}
    processes = [
        subprocess.Popen(
            place.command(out, *options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for out in outs
    ]
    ended = [process.communicate(timeout=_RUN_LIMIT_S)[1] for process in processes]
    return [(process.returncode, said) for process, said in zip(processes, ended, strict=True)]


def clock_jumps(place: Place, report: Callable[[str], None]) -> dict[str, Any]:
    """A clock that is wrong, goes backwards between two parts of a run, or runs fast."""
    expected = place.make_whole()
    if shutil.which("faketime") is None:
        return {"left out": "no faketime here"}
    out, typical_s = place.folder / "jumped", seconds_of_steps(place.whole)
    shutil.rmtree(out, ignore_errors=True)
    clocks = ("-3y", "+2d x10", "1999-12-31 23:59:50")
    for clock in clocks:
        before = ["faketime", "-f", clock] if clock[0] in "+-" else ["faketime", clock]
        moment = 2 + typical_s["netlist"]
        place.run(
            out, "-j", "1", before=before, is_time_to_kill=lambda seconds, moment=moment: seconds > moment
        )
    ended = place.run(out, "-j", "1")
    assert ended.returncode == 0, ended.stderr
    _same(out, expected, "clock jumps")
    report(f"clocks {', '.join(clocks)}, then the right one: the same bytes")
    return {"clocks": list(clocks)}


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
    while process.poll() is None and time.monotonic() < start + _RUN_LIMIT_S:
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
    _same(out, expected, "lost workers")
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
        moment = rng.uniform(4, 8)

        def kill_scheduler(seconds: float) -> bool:
            if seconds > moment and scheduler.poll() is None:
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
    _same(out, expected, "lost scheduler")
    return {"said": line.partition(": ")[2].partition(": ")[2]}


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/faults"), show_default=True)
@click.option("--kills", "kill_count", default=50, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--only", multiple=True, help="Experiments to do.  [default: all]")
@click.option("--minutes", default=25.0, show_default=True, help="Begin no experiment after so long.")
def main(out: Path, kill_count: int, seed: int, only: tuple[str, ...], minutes: float) -> None:
    """Do the experiments that were not done yet, and print their figures."""
    load_pdk("nangate45", install=True)
    place, start = Place(out), time.monotonic()
    record = out / "faults.json"
    done: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {}

    def report(text: str) -> None:
        click.echo(f"[{time.monotonic() - start:6.0f} s] {text}")

    experiments: dict[str, Callable[[], dict[str, Any]]] = {
        "scheduler": lambda: lost_scheduler(place, report, seed),
        "corruption": lambda: corruption(place, 20, seed, report),
        "readonly": lambda: read_only(place, report),
        "disk": lambda: full_disk(place, report, (60, 300, 700)),
        "size": lambda: size_limit(place, report, (4, 16, 64)),
        "concurrent": lambda: concurrent(place, report, 1),
        "clock": lambda: clock_jumps(place, report),
        "workers": lambda: lost_workers(place, report, 4.0, seed),
        # Ten kills at a time, so that an interrupted campaign loses little.
        **{
            f"kills {number}": lambda number=number: kills(
                place, min(10, kill_count - number), seed + number, report
            )
            for number in range(0, kill_count, 10)
        },
    }
    if not can_mount():
        for name in ("readonly", "disk"):
            del experiments[name]
            report(f"{name}: left out, no right to mount")
    faults: list[str] = []
    report("the undisturbed run")
    place.make_whole()
    for name, experiment in experiments.items():
        if name in done or (only and name.split()[0] not in only):
            continue
        if time.monotonic() - start > 60 * minutes:
            report(f"the time is over; the same command goes on with {name}")
            break
        begun = time.monotonic()
        try:
            done[name] = {**experiment(), "took_s": round(time.monotonic() - begun)}
        except AssertionError as fault:
            faults.append(name)
            report(f"{name}: {fault}")
        write_json(record, done)
    hits: Counter[str] = Counter()
    for name, figures in done.items():
        if name.startswith("kills"):
            hits.update(figures["by step"])
        else:
            click.echo(f"{name}: {json.dumps(figures, ensure_ascii=False)}")
    click.echo(f"kills: {sum(hits.values())}, by step: {json.dumps(dict(hits))}; all the same bytes")
    if faults:
        sys.exit(f"not as it should be: {', '.join(faults)}")


if __name__ == "__main__":
    main()

"""Fault campaign: whatever dies, fills up or rots, a run ends with the same bytes or with one clear error.

    make faults
    python -m benchmarks.faults [--out results/faults] [--kills 50] [--minutes 25] [--only kills …]

A small `halo-timing run` (a MAC of 4 x 4 bits: netlist, bounds, dynamic timing, cost map, a tiny model
quantized, report) is done once undisturbed, then again and again with something going wrong. Every
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
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.fault_clusters import lost_scheduler, lost_workers
from benchmarks.fault_disks import can_mount, full_disk, read_only, size_limit
from benchmarks.fault_runs import (
    RUN_LIMIT_S,
    STEPS,
    Place,
    is_clear_error,
    same,
    seconds_of_steps,
    step_at,
    steps_made,
)
from halo_timing.files import write_json
from halo_timing.pdk.registry import load_pdk


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
        same(out, expected, "after kills")
        folders += 1
        shutil.rmtree(out)
    return {"kills": sum(hits.values()), "by step": dict(hits), "folders taken to their end": folders}


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
        same(out, expected, "after damage")
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
            same(out, expected, "two runs with one cache")
        shutil.rmtree(outs[0])
        one, other = sorted(_at_once(place, [outs[0], outs[0]], cache, "-j", "1"))
        assert one[0] == 0, one[1]
        if other[0]:
            gave_way += 1
            assert other[0] == 1, other[1]
            assert "another run is at work there" in other[1], other[1]
        same(outs[0], expected, "two runs in one folder")
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
    ended = [process.communicate(timeout=RUN_LIMIT_S)[1] for process in processes]
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
    same(out, expected, "clock jumps")
    report(f"clocks {', '.join(clocks)}, then the right one: the same bytes")
    return {"clocks": list(clocks)}


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

"""Speed of exhaustive dynamic timing, beside Icarus Verilog and KyuPy on the same netlists and delays.

    python -m benchmarks.dynamic [--pdk nangate45] [--mac array] [--delays sdf] [--timed 8] [--jobs 2]

Transitions a second of one core's processor time, measured one after the other in one run. Icarus walks
through all 65 280 transitions between two different activations, for some random weights: the time of ``vvp``
alone, without a dump and without the logic behind the product register. KyuPy propagates random transitions
(see :mod:`benchmarks.kyupy_peer`). Ours is the whole exhaustive run over all weights: the model, the
preparation of each weight, simulation, period, worst transition and histogram of each stage.

``--quick`` is for a busy machine: Icarus walks only 2 000 steps under each weight, ours takes 32 random
weights, and there is no whole table.

Then the whole table on several threads: seconds by the clock, and peak memory, in a process of its own. At
the end, the time that compiling the kernels takes at the first call, and when they are kept on disk.
``--delays nldm`` lets our events carry slews; the peers have fixed delays all the same.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import numpy as np

from benchmarks.icarus_proof import MACS
from benchmarks.kyupy_peer import kyupy_rate
from halo_timing.dynamic.exhaustive import simulate_exhaustive
from halo_timing.dynamic.icarus_bench import time_walks_in_icarus
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.dynamic.walks import Walk, full_walk
from halo_timing.pdk.registry import load_pdk
from halo_timing.tools.icarus import find_icarus
from tests.dynamic_support import Bench, make_bench

Result = TypeVar("Result")
DelaySource = Literal["sdf", "nldm"]

QUICK_STEPS = 2000
QUICK_WEIGHTS = 32

COLUMNS = (
    ("PDK", 11), ("MAC", 15), ("gates", 6), ("Icarus/s", 9), ("KyuPy/s", 14), ("ours/s", 10),
    ("x Icarus", 9), ("x KyuPy", 8), ("table s", 8), ("CPU s", 6), ("peak MB", 8),
)  # fmt: skip


@click.command()
@click.option("--pdk", "pdks", multiple=True, default=("nangate45",), show_default=True)
@click.option("--mac", "macs", multiple=True, default=MACS[:-1], show_default=True)
@click.option("--delays", type=click.Choice(["sdf", "nldm"]), default="sdf", show_default=True)
@click.option("--timed", default=8, show_default=True, help="Random weights that Icarus walks through.")
@click.option("--jobs", default=2, show_default=True, help="Threads for the whole table.")
@click.option("--quick", is_flag=True, help="Samples instead of whole walks and tables.")
@click.option("--peers/--no-peers", default=True, show_default=True, help="Measure Icarus and KyuPy too.")
def main(
    pdks: Sequence[str],
    macs: Sequence[str],
    delays: DelaySource,
    timed: int,
    jobs: int,
    quick: bool,
    peers: bool,
) -> None:
    """Compare the speed of dynamic timing with its peers'."""
    click.echo(f"delays: {delays}; load at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    click.echo(" ".join(f"{title:>{width}}" for title, width in COLUMNS))
    bench = None
    for pdk in pdks:
        for mac in macs:
            with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
                bench = make_bench(load_pdk(pdk, install=True), mac, Path(name))
                _measure(pdk, mac, bench, Path(name), delays, timed, jobs, quick, peers)
                if (pdk, mac) == (pdks[-1], macs[-1]):
                    _measure_compilation(bench, delays)


def _measure(
    pdk: str,
    mac: str,
    bench: Bench,
    folder: Path,
    delays: DelaySource,
    timed: int,
    jobs: int,
    quick: bool,
    peers: bool,
) -> None:
    model = bench.model()
    values, bits = len(bench.held.values), bench.nets.bits
    transitions = 2**bits * (2**bits - 1)
    rng = np.random.default_rng(1)
    icarus = kyupy = None
    if peers:
        steps = full_walk(bits)[: QUICK_STEPS + 1 if quick else None]
        walks = [Walk(int(index), steps) for index in rng.choice(values, timed, replace=False)]
        nets = [source.net for source in model.sources] + [gate.net for gate in model.gates]
        icarus_s = time_walks_in_icarus(
            bench.netlist,
            bench.mac.interface,
            bench.held,
            bench.sdf_path,
            walks,
            nets,
            model.longest_fs,
            find_icarus(),
            folder / "icarus.log",
        )
        icarus = timed * (len(steps) - 1) / icarus_s
        kyupy = _in_process(_quiet_kyupy_rate, bench)
    _in_process(_simulate, bench, delays, 1, [0])
    some = rng.choice(values, QUICK_WEIGHTS, replace=False).tolist() if quick else None
    _, ours_s, _ = _in_process(_simulate, bench, delays, 1, some)
    ours = len(some or range(values)) * transitions / ours_s
    table = ["-"] * 3
    if not quick:
        table_s, cpu_s, peak_mb = _in_process(_simulate, bench, delays, jobs, None)
        table = [f"{table_s:.1f}", f"{cpu_s:.1f}", f"{peak_mb:,.0f}"]
    row = [
        pdk,
        mac,
        f"{len(model.gates)}",
        f"{icarus:,.0f}" if icarus else "-",
        f"{kyupy:,.0f}" if isinstance(kyupy, float) else kyupy or "-",
        f"{ours:,.0f}",
        f"{ours / icarus:.0f}" if icarus else "-",
        f"{ours / kyupy:.0f}" if isinstance(kyupy, float) else "-",
        *table,
    ]
    click.echo(" ".join(f"{cell:>{width}}" for cell, (_, width) in zip(row, COLUMNS, strict=True)))


def _measure_compilation(bench: Bench, delays: DelaySource) -> None:
    known = os.environ.get("NUMBA_CACHE_DIR")
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        os.environ["NUMBA_CACHE_DIR"] = name
        first, again = (_in_process(_simulate, bench, delays, 1, [0])[0] for _ in range(2))
    os.environ.pop("NUMBA_CACHE_DIR")
    if known is not None:
        os.environ["NUMBA_CACHE_DIR"] = known
    click.echo(
        f"one weight in a fresh process: {first:.1f} s with nothing compiled, {again:.1f} s afterwards"
    )


def _simulate(
    bench: Bench, delays: DelaySource, jobs: int, indices: list[int] | None
) -> tuple[float, float, float]:
    """Seconds by the clock and of processor time, and peak memory of this process in MB."""
    given = bench.sdf
    if delays == "nldm":
        given = NldmDelays(bench.netlist, bench.conditions.output_load_ff, bench.conditions.input_slew_ps)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    simulate_exhaustive(
        bench.netlist,
        bench.mac.interface,
        bench.held,
        given,
        arrivals_ps=bench.arrivals_ps,
        indices=indices,
        jobs=jobs,
    )
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.perf_counter() - begin, time.process_time() - begin_cpu, peak_mb


def _quiet_kyupy_rate(bench: Bench) -> float | str:
    """KyuPy writes a line for every port that it leaves out."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return kyupy_rate(bench)


def _in_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call in a fresh process, so that memory and compiled kernels are its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


if __name__ == "__main__":
    main()

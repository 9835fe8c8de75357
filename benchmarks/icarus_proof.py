"""Proof campaign: the ``icarus`` semantics against Icarus Verilog, to the femtosecond.

    make proof
    python -m benchmarks.icarus_proof [--pdk nangate45] [--mac array] [--random 20000] [--walks 2] [--out DIR]

Each line is one netlist on one PDK: random transitions (weight, activation before and after), then walks that
take all 65 280 transitions between two different activations, one weight each. Settle times and toggle counts
of all nets are compared, and the time of every toggle besides. What is finished is kept in the output folder
and not done again unless netlist, delays, options or the simulator's source have changed; an interrupted
campaign goes on.

Three ways to give Icarus the delays: *conditional*, in cell models of each instance, because Icarus drops
COND paths of SDF; *annotated*, the largest delay of each path by ``$sdf_annotate``; *annotated plain*, the
same with cells that are written as expressions. The last two take random transitions only.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np

from halo_timing.dynamic import __file__ as dynamic_init
from halo_timing.dynamic.walks import Walk, full_walk
from halo_timing.files import sha256_file, sha256_json, write_json
from halo_timing.pdk.registry import load_pdk
from tests.dynamic_support import Bench, make_bench
from tests.icarus_agreement import Agreement, Delays, compare_with_icarus

PDKS = ("nangate45", "osu018")
MACS = (
    "array",
    "booth",
    "booth_stored",
    "wallace",
    "sign_magnitude",
    "one_digit",
    "two_row",
    "cell_adders",
    "every_cell",
)
# What a comparison depends on in halo_timing/dynamic.
SOURCES = (
    "activation",
    "domain",
    "general_kernels",
    "icarus_bench",
    "icarus_cells",
    "model",
    "run",
    "stages",
    "walks",
)
STEPS = 100
PART = 8192

COLUMNS = (
    ("PDK", 11), ("MAC", 15), ("delays", 16), ("cells", 6), ("nets", 6), ("transitions", 12),
    ("toggles", 13), ("settle", 7), ("count", 6), ("toggle", 7), ("s", 7),
)  # fmt: skip


@click.command()
@click.option("--pdk", "pdks", multiple=True, default=PDKS, show_default=True)
@click.option("--mac", "macs", multiple=True, default=MACS, show_default=True)
@click.option(
    "--delays", "ways", multiple=True, type=click.Choice(get_args(Delays)), default=get_args(Delays)
)
@click.option("--random", "count", default=20_000, show_default=True, help="Random transitions.")
@click.option("--walks", default=2, show_default=True, help="Full walks, one weight each.")
@click.option("--seed", default=1, show_default=True)
@click.option("--out", default="results/icarus_proof", show_default=True, type=click.Path(path_type=Path))
def main(
    pdks: Sequence[str],
    macs: Sequence[str],
    ways: Sequence[Delays],
    count: int,
    walks: int,
    seed: int,
    out: Path,
) -> None:
    """Compare the icarus semantics with Icarus Verilog."""
    click.echo(
        " ".join(f"{title:>{width}}" for title, width in COLUMNS) + "   (last four: differences, time)"
    )
    failed = False
    for pdk in pdks:
        for mac in macs:
            folder = out / f"{pdk}_{mac}".replace(":", "_").replace("=", "_").replace(",", "_")
            bench = make_bench(load_pdk(pdk, install=True), mac, folder)
            for way in ways:
                result = _prove(bench, folder, way, count, walks if way == "conditional" else 0, seed)
                _echo([pdk, mac, way, *result])
                failed |= any(result[-4:-1])
    sys.exit("Differences were found." if failed else 0)


def _prove(bench: Bench, folder: Path, way: Delays, count: int, walks: int, seed: int) -> list[int | float]:
    """Row of the table; taken from the folder where it is there already."""
    stamp = sha256_json(
        {
            "netlist": bench.netlist.to_verilog(),
            "delays": bench.sdf_path.read_text(),
            "sources": [sha256_file(Path(dynamic_init).with_name(f"{name}.py")) for name in SOURCES],
            "options": [way, count, walks, seed],
        }
    )
    path = folder / f"{way.replace(' ', '_')}.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if known.get("stamp") != stamp:
        known = {"stamp": stamp, "parts": [], "seconds": 0.0}
    parts = list(_parts(bench, count, walks, seed))
    done = [Agreement(**part) for part in known["parts"]]
    for number in range(len(done), len(parts)):
        if sys.stderr.isatty():
            click.echo(f"  {bench.mac.name} {way}: part {number + 1} of {len(parts)}\r", err=True, nl=False)
        begin = time.perf_counter()
        done.append(compare_with_icarus(bench, parts[number], folder, way))
        known["seconds"] += time.perf_counter() - begin
        known["parts"] = [asdict(part) for part in done]
        write_json(path, known)
    total = sum(done[1:], done[0])
    return [
        len(bench.netlist.instances),
        total.nets,
        total.transitions,
        total.toggles,
        total.different_settles,
        total.different_counts,
        total.different_toggles,
        known["seconds"],
    ]


def _parts(bench: Bench, count: int, walks: int, seed: int) -> Iterator[list[Walk]]:
    """Walks that are simulated together: few enough for a dump of moderate size."""
    chosen = bench.random_walks(-(-count // STEPS), STEPS, seed)
    size = PART // STEPS
    yield from (chosen[start : start + size] for start in range(0, len(chosen), size))
    everything = full_walk(bench.nets.bits)
    rng = np.random.default_rng(seed)
    for weight in rng.choice(len(bench.held.values), walks, replace=False):
        for start in range(0, len(everything) - 1, PART):
            yield [Walk(int(weight), everything[start : start + PART + 1])]


def _echo(row: Sequence[str | float]) -> None:
    cells = [f"{cell:,.0f}" if isinstance(cell, (int, float)) else cell for cell in row]
    click.echo(" ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True)))


if __name__ == "__main__":
    main()

"""``halo-timing estimate``: what a MAC's levels are worth to an accelerator."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from halo_timing.accelerator.comparison import Comparison, Macs, compare
from halo_timing.accelerator.components import DRAM_GB_PER_S, TRANSITION_NS, Memory
from halo_timing.accelerator.estimate import Estimate
from halo_timing.accelerator.mac_cost import SAME_V
from halo_timing.accelerator.shapes import find_shape
from halo_timing.accelerator.systolic import WEIGHT_LOADS, Array, WeightLoad
from halo_timing.accelerator.tile_levels import QuantizedLevels, SharedLevels
from halo_timing.accelerator.workload import PHASES, Phase, Workload
from halo_timing.errors import UsageError
from halo_timing.files import write_json


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option(
    "--best",
    "references",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Result folder of a conventional MAC; the fastest counts.  [default: RESULT/reference/*]",
)
@click.option("--fp16", type=click.Path(path_type=Path), help="Result folder of `mac float`.")
@click.option("--model", help="Shape: a published model's name, a config.json, or a checkpoint.")
@click.option(
    "--quantized", type=click.Path(path_type=Path), help="Folder of `quantize`: its tiles and codes."
)
@click.option("--shares", help="Share of the tiles at each level, fastest first, as 0.5,0.5.  [default: 1]")
@click.option("--sparse", default=0.0, show_default=True, help="Share of the weights that are kept apart.")
@click.option("--phase", type=click.Choice([*PHASES, "both"]), default="both", show_default=True)
@click.option("--batch", default=1, show_default=True, help="Prompts at a time.")
@click.option("--sequence", default=2048, show_default=True, help="Tokens of a prompt.")
@click.option("--array", "array_size", default="128x128", show_default=True, help="Rows (inputs) x columns.")
@click.option(
    "--weight-load",
    type=click.Choice(WEIGHT_LOADS),
    default="skewed",
    show_default=True,
    help="How the next tile comes in: behind the wave, as rtl/systolic_array.v does, or while all stand.",
)
@click.option("--sparse-lanes", type=int, help="MACs of the sparse engine.  [default: 2 a column]")
@click.option("--bandwidth", default=DRAM_GB_PER_S, show_default=True, help="Of the main memory, GB/s.")
@click.option("--transition-ns", default=TRANSITION_NS, show_default=True, help="Time of a change of level.")
@click.option("--transition-nj", default=0.0, show_default=True, help="Energy of a change of level.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the same JSON to a file.")
def estimate(
    result: Path,
    references: tuple[Path, ...],
    fp16: Path | None,
    model: str | None,
    quantized: Path | None,
    shares: str | None,
    sparse: float,
    phase: str,
    batch: int,
    sequence: int,
    array_size: str,
    weight_load: WeightLoad,
    sparse_lanes: int | None,
    bandwidth: float,
    transition_ns: float,
    transition_nj: float,
    as_json: bool,
    out: Path | None,
) -> None:
    """Estimate time and energy of a model's linear layers on a systolic array of the MAC in folder RESULT.

    HALO's levels are held against the same MAC at one clock (self), the best conventional MAC (best), uniform
    grids on both, and FP16.
    """
    rows, columns = _size(array_size)
    memory = Memory(bandwidth, transition_ns=transition_ns, transition_nj=transition_nj)
    if not bandwidth > 0 or transition_ns < 0:
        raise UsageError(f"--bandwidth {bandwidth:g}, --transition-ns {transition_ns:g}: cannot be")
    macs = Macs.load(result, references, fp16)
    tile_levels: QuantizedLevels | SharedLevels
    if quantized:
        if model or shares or sparse:
            raise UsageError("--quantized has its own shape, tiles and sparse part: leave out the others")
        tile_levels = QuantizedLevels.open(quantized)
        shape = tile_levels.shape
    else:
        shape = find_shape(model or "llama-2-7b")
        tile_levels = SharedLevels(_shares(shares or "1"), sparse)
    phases = cast(tuple[Phase, ...], PHASES if phase == "both" else (phase,))
    workloads = [Workload(shape, name, batch, sequence) for name in phases]
    comparison = compare(
        macs, tile_levels, workloads, Array(rows, columns, weight_load, sparse_lanes), memory
    )
    content = comparison.to_json()
    if out:
        write_json(out, content)
    if as_json:
        click.echo(json.dumps(content, indent=2, sort_keys=True))
    else:
        show(comparison)


def show(comparison: Comparison) -> None:
    """Print a table a phase."""
    console = Console(highlight=False)
    macs, array = comparison.macs, comparison.array
    for workload, estimates in comparison.estimates.items():
        halo = estimates[0]
        table = Table(
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            pad_edge=False,
            title=f"{workload.shape.name}, {workload.phase}: {workload.vectors} vectors, "
            f"{array.rows}x{array.columns} array on {macs.unit.pdk}",
            title_justify="left",
        )
        table.add_column("weights", no_wrap=True)
        table.add_column("MAC", no_wrap=True)
        for heading in ("bits", "GHz", "ms", "HALO is", "limit", "mJ", "mm2"):
            table.add_column(heading, justify="right", no_wrap=True)
        for item in estimates:
            table.add_row(*_row(item, halo))
        if macs.float_unit is None:
            table.add_row("FP16", "unknown", *[""] * 7)
        console.print(table)
    levels_v = [level.vdd_v for level in macs.cost_map.levels]
    if max(levels_v) - min(levels_v) > SAME_V:
        levels = ", ".join(f"{vdd_v:.3f}" for vdd_v in levels_v)
        console.print(f"Supply: levels {levels} V, fastest first; all else {max(levels_v):.3f} V")
    console.print(
        "HALO is: how much faster its levels are. limit: share of the time in which memory is the limit "
        f"({comparison.memory.bandwidth_gb_s:g} GB/s). A model: linear layers only. --json: energy by part "
        "and layer by layer.",
        markup=False,
    )
    if macs.float_unit is None:
        console.print("FP16 is unknown until `halo-timing mac float` has made it, for --fp16.", markup=False)
    if any(item.energy_mj.total is None for estimates in comparison.estimates.values() for item in estimates):
        console.print("mJ is - where a MAC was not simulated.", markup=False)


def _row(item: Estimate, halo: Estimate) -> list[str]:
    used = {index for layer in item.layers for index, count in enumerate(layer.cycles) if count}
    points = [item.scheme.points[index] for index in sorted(used)]
    energy = item.energy_mj.total
    return [
        item.scheme.label,
        item.scheme.mac,
        f"{item.scheme.weight_bits:.2f}",
        _range([1e3 / point.period_ps for point in points]),
        _figures(item.time_ms),
        f"{item.time_ms / halo.time_ms:.2f}x",
        f"{item.memory_share:.0%}",
        "-" if energy is None else _figures(energy),
        f"{item.array_area_mm2:.0f}",
    ]


def _range(values: Sequence[float]) -> str:
    """Write what the levels have, in as little room as the table has for it."""
    texts = list(dict.fromkeys(f"{value:.2f}" for value in values))
    return "/".join(texts) if len(texts) < 3 else f"{texts[0]}..{texts[-1]}"


def _figures(value: float) -> str:
    """Write four figures, or all of the whole number where it has more."""
    return f"{value:.{max(0, min(3, 3 - math.floor(math.log10(value))))}f}" if value > 0 else "0"


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise UsageError(f"--array {text!r}: ROWSxCOLUMNS is wanted, such as 128x128")
    return int(match[1]), int(match[2])


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--shares {text!r}: numbers between commas are wanted, such as 0.5,0.5") from error

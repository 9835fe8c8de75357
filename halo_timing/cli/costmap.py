"""``halo-timing costmap``: tables to levels and codebooks."""

from __future__ import annotations

from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from halo_timing.costmap import CostMap, build_cost_map
from halo_timing.costmap.levels import DEFAULT_LEVELS, DEFAULT_MIN_SIZE
from halo_timing.tables import Tables


@click.command()
@click.argument("tables", type=click.Path(path_type=Path))
@click.option("--levels", default=DEFAULT_LEVELS, show_default=True, help="Levels wanted.")
@click.option("--margin", default=0.0, show_default=True, help="Share added to each level's period.")
@click.option("--min-size", default=DEFAULT_MIN_SIZE, show_default=True, help="Smallest codebook.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: that of the tables]")
def costmap(tables: Path, levels: int, margin: float, min_size: int, out: Path | None) -> None:
    """Find levels in the tables of folder TABLES, and write costmap.safetensors and costmap.json."""
    cost_map = build_cost_map(Tables.load(tables), levels=levels, margin=margin, min_size=min_size)
    binary, _ = cost_map.save(out or tables)
    show_levels(cost_map)
    Console(highlight=False).print(f"Cost map: {binary}", markup=False, soft_wrap=True)


def show_levels(cost_map: CostMap) -> None:
    """Print a row a level."""
    table = Table(box=SIMPLE_HEAD)
    for heading in ("level", "values", "period, ps", "GHz", "V", "codebook"):
        table.add_column(heading, justify="left" if heading == "codebook" else "right")
    for index, level in enumerate(cost_map.levels):
        values = [str(value) for value in level.codebook]
        shown = values if len(values) <= 16 else [*values[:6], "…", *values[-6:]]
        table.add_row(
            str(index),
            str(len(values)),
            f"{level.period_ps:.0f}",
            f"{level.freq_ghz:.3f}",
            f"{level.vdd_v:.2f}",
            " ".join(shown),
        )
    Console(highlight=False).print(table)

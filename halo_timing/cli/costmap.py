"""``halo-timing costmap``: tables to levels and codebooks."""

from __future__ import annotations

from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from halo_timing.costmap import CostMap, build_cost_map
from halo_timing.costmap.distributions import DISTRIBUTIONS
from halo_timing.costmap.level_spec import FORMS, SEPARATOR
from halo_timing.costmap.levels import (
    DEFAULT_ENOUGH_SQNR_DB,
    DEFAULT_LEVELS,
    DEFAULT_MIN_SIZE,
    DEFAULT_MIN_SQNR_DB,
    SOURCES,
)
from halo_timing.tables import Tables


@click.command()
@click.argument("tables", type=click.Path(path_type=Path))
@click.option(
    "--levels",
    default=str(DEFAULT_LEVELS),
    show_default=True,
    metavar="auto|N|GIVEN",
    help=f"How many, or which: {', '.join(FORMS)}, with {SEPARATOR} between.",
)
@click.option(
    "--from", "source", type=click.Choice(SOURCES), default="bound", show_default=True, help="Periods to use."
)
@click.option("--margin", type=float, help="Share added to each level's period.  [default: 0, of the bound]")
@click.option("--min-size", default=DEFAULT_MIN_SIZE, show_default=True, help="Smallest codebook.")
@click.option(
    "--min-sqnr",
    default=DEFAULT_MIN_SQNR_DB,
    show_default=True,
    help="What the fastest level reaches, in dB.",
)
@click.option(
    "--enough-sqnr",
    default=DEFAULT_ENOUGH_SQNR_DB,
    show_default=True,
    help="What no tile needs more than, in dB.",
)
@click.option(
    "--distribution",
    type=click.Choice(tuple(DISTRIBUTIONS)),
    default="gaussian",
    show_default=True,
    help="Of weights that errors are expected over.",
)
@click.option("--symmetric", is_flag=True, help="Leave out values without their negative.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: that of the tables]")
def costmap(
    tables: Path,
    levels: str,
    source: str,
    margin: float | None,
    min_size: int,
    min_sqnr: float,
    enough_sqnr: float,
    distribution: str,
    symmetric: bool,
    out: Path | None,
) -> None:
    """Find levels in the tables of folder TABLES, and write costmap.safetensors and costmap.json."""
    cost_map = build_cost_map(
        Tables.load(tables),
        levels=levels,
        source=source,
        margin=margin,
        min_size=min_size,
        min_sqnr_db=min_sqnr,
        enough_sqnr_db=enough_sqnr,
        distribution=distribution,
        symmetric=symmetric,
    )
    binary, _ = cost_map.save(out or tables)
    show_levels(cost_map)
    Console(highlight=False).print(f"Cost map: {binary}", markup=False, soft_wrap=True)


def show_levels(cost_map: CostMap) -> None:
    """Print a row a level."""
    rule = cost_map.metadata.get("level_rule", {})
    table = Table(box=SIMPLE_HEAD)
    for heading in ("level", "values", "period, ps", "GHz", "V", "SQNR, dB", "codebook"):
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
            f"{rule['sqnr_db'][index]:.1f}" if "sqnr_db" in rule else "",
            " ".join(shown),
        )
    console = Console(highlight=False)
    console.print(table)
    if "distribution" in rule:
        console.print(
            f"Periods from {cost_map.metadata['period_from']}, margin {cost_map.metadata['margin']:g}; "
            f"SQNR of {rule['distribution']} weights at the best scale",
            markup=False,
            soft_wrap=True,
        )

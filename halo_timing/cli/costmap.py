"""``halo-timing costmap``: tables to levels and codebooks."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
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
from halo_timing.costmap.operating_points import at_voltages, voltage_model
from halo_timing.costmap.voltage import VoltageModel, load_corners


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
@click.option("--vdd", type=float, help="Run every level at this voltage, as fast as it can.")
@click.option("--freq", type=float, help="Run every level at this clock, in GHz, at the lowest voltage.")
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
    vdd: float | None,
    freq: float | None,
    out: Path | None,
) -> None:
    """Find levels in the tables of folder TABLES, and write costmap.safetensors and costmap.json.

    Where `characterize --corners` has timed several voltages, their curves are shown, and --vdd or --freq
    move the levels to other operating points.
    """
    corners = load_corners(tables)
    cost_map = build_cost_map(
        corners[0],
        levels=levels,
        source=source,
        margin=margin,
        min_size=min_size,
        min_sqnr_db=min_sqnr,
        enough_sqnr_db=enough_sqnr,
        distribution=distribution,
        symmetric=symmetric,
    )
    if vdd is not None or freq is not None:
        cost_map = at_voltages(cost_map, corners, vdd_v=vdd, freq_ghz=freq)
    binary, _ = cost_map.save(out or tables)
    show_levels(cost_map)
    if len(corners) > 1:
        _show_curves(cost_map, voltage_model(corners, source))
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
            f"{level.vdd_v:.3f}",
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


def _show_curves(cost_map: CostMap, model: VoltageModel) -> None:
    """Print the period of each level's slowest value at each voltage, and what the fit makes of it."""
    console = Console(highlight=False)
    about = model.summary()
    table = Table(box=SIMPLE_HEAD, title="Period against voltage, without margin", title_justify="left")
    for heading in ("level", "V", "period, ps", "fitted, ps", "residual"):
        table.add_column(heading, justify="right")
    for index, level in enumerate(cost_map.levels):
        chosen = np.isin(cost_map.values, level.codebook)
        for vdd, period_ps in zip(model.vdd_v.tolist(), model.period_ps, strict=True):
            slowest = float(period_ps[chosen].max())
            fitted = slowest if model.curve is None else float(model.curve.at(vdd)[chosen].max())
            residual = f"{100 * (fitted / slowest - 1):+.2f} %"
            table.add_row(str(index), f"{vdd:g}", f"{slowest:.1f}", f"{fitted:.1f}", residual)
    console.print(table)
    if model.curve is None:
        console.print("One voltage at this process and temperature: no curve", markup=False)
        return
    words = (
        f"{about['fit']}: Vt {about['threshold_v']:g} V, alpha {about['alpha']:g} (medians over values); "
        f"residuals: {about['residuals']}"
    )
    if len(model.vdd_v) == 2:
        words += (
            f"; alpha of 1 and of 2 differ by {100 * model.spread():.1f} % at most between the two voltages"
        )
    console.print(words, markup=False, soft_wrap=True)

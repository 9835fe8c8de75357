"""``halo-timing diff``: two results beside each other."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from halo_timing.costmap.difference import Difference, Side, compare_results
from halo_timing.files import write_text
from halo_timing.report.difference import render_difference

_SHOWN = 5


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for difference.html and difference.csv.")
def diff(before: Path, after: Path, out: Path | None) -> None:
    """Compare the result folders BEFORE and AFTER: periods, energies, levels gained and lost."""
    difference = compare_results(Side.load(before), Side.load(after))
    console = Console(highlight=False)
    _show_facts(difference, console)
    _show_quantity(difference, console)
    _show_levels(difference, console)
    if out is not None:
        write_text(out / "difference.csv", difference.to_csv())
        write_text(out / "difference.html", render_difference(difference))
        console.print(f"Picture: {out / 'difference.html'}", markup=False, soft_wrap=True)


def _show_facts(difference: Difference, console: Console) -> None:
    if not difference.facts:
        console.print("The same MAC, cells, corner, netlist and tools")
        return
    table = Table(box=SIMPLE_HEAD)
    for heading in ("differs", "before", "after"):
        table.add_column(heading)
    for name, (old, new) in difference.facts.items():
        table.add_row(name, old, new)
    console.print(table)


def _show_quantity(difference: Difference, console: Console) -> None:
    quantities = [("period, ps", difference.period_ps)]
    if difference.energies_known:
        quantities.append(("energy, fJ", difference.energy_fj))
    table = Table(box=SIMPLE_HEAD)
    table.add_column("over values")
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right")
    for name, (old, new) in quantities:
        for word, of in (("largest", np.nanmax), ("mean", np.nanmean), ("smallest", np.nanmin)):
            first, second = float(of(old)), float(of(new))
            change = f"{100 * (second / first - 1):+.1f} %" if first else ""
            table.add_row(f"{word} {name}", f"{first:.1f}", f"{second:.1f}", change)
    console.print(table)
    ratio = difference.period_ratio
    order = np.argsort(ratio, kind="stable")
    order = order[~np.isnan(ratio[order])]
    ends = (("Period fell most", order[:_SHOWN]), ("Rose most, or fell least", order[::-1][:_SHOWN]))
    for word, places in ends:
        told = ", ".join(f"{difference.values[at]} ({100 * (ratio[at] - 1):+.1f} %)" for at in places)
        console.print(f"{word}: {told}", markup=False, soft_wrap=True)


def _show_levels(difference: Difference, console: Console) -> None:
    if not difference.levels:
        console.print("Levels: one of the two has no cost map")
        return
    table = Table(box=SIMPLE_HEAD)
    for heading in ("values", "before, ps", "after, ps", "level"):
        table.add_column(heading, justify="right")
    for change in difference.levels:
        sides = [f"{level.period_ps:.1f}" if level else "" for level in (change.before, change.after)]
        if change.before and change.after:
            word = f"{100 * (change.after.period_ps / change.before.period_ps - 1):+.1f} %"
        else:
            word = "lost" if change.before else "gained"
        table.add_row(str(len(change.codebook)), *sides, word)
    console.print(table)

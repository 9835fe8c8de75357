"""``halo-timing characterize``: RTL to lookup tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from halo_timing.cli.cluster_options import chosen_place, cluster_options
from halo_timing.cli.dynamic_options import chosen_dynamics, dynamic_options
from halo_timing.cli.mac_options import chosen_mac, mac_options
from halo_timing.cli.progress import TerminalReporter, default_jobs
from halo_timing.corner_index import INDEX_FILE, load_corners
from halo_timing.errors import UsageError
from halo_timing.run.corners import characterize_corners, choose_corners
from halo_timing.run.elsewhere import Request, bound_elsewhere, simulate_elsewhere
from halo_timing.run.session import characterize as make_tables
from halo_timing.run.session import open_session
from halo_timing.study import SIZES, fast_class_ps
from halo_timing.tables import Tables


@click.command()
@mac_options
@dynamic_options
@click.option("--pdk", default="nangate45", show_default=True)
@click.option("--corner", help="Corner of the PDK.  [default: the PDK's own]")
@click.option("--corners", metavar="all|NAME,…", help="Further corners to time the same netlist at.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes at a time.  [default: all processors]")
@cluster_options
def characterize(
    pdk: str,
    corner: str | None,
    corners: str | None,
    out: Path,
    jobs: int | None,
    scheduler: str | None,
    cluster: str | None,
    **options: Any,
) -> None:
    """Map a MAC, prove the netlist, bound and simulate the period of every weight value, and its energy.

    With --corners the netlist that was mapped at one corner is timed at others too, and their tables are put
    side by side: OUT is the first corner, OUT/corners/NAME each further one, and OUT/corners.json lists them.
    """
    chosen, dynamics = chosen_mac(options), chosen_dynamics(options)
    if corners is not None and (scheduler or cluster):
        raise UsageError("--corners times one netlist on this machine; leave out --scheduler and --cluster")
    jobs = jobs or default_jobs()
    with TerminalReporter() as reporter, chosen_place(jobs, scheduler, cluster) as elsewhere:
        session = open_session(pdk, corner, reporter, jobs=jobs, install=False, dynamic=dynamics)
        if elsewhere is not None:
            bound_elsewhere(elsewhere, session, [Request(chosen, out)])
            if dynamics is not None:
                simulate_elsewhere(elsewhere, session, [Request(chosen, out)])
        if corners is None:
            make_tables(session, chosen, out)
        else:
            characterize_corners(session, choose_corners(session.pdk, corners), chosen, out)
    _show(Tables.load(out), out)
    if corners is not None:
        _show_corners(out)


def _show(tables: Tables, out: Path) -> None:
    table = Table(
        box=SIMPLE_HEAD, title=f"{tables.metadata['mac']} on {tables.metadata['pdk']}", title_justify="left"
    )
    dynamic_ps, energy_fj = tables.dynamic_ps, tables.energy_fj
    simulated = ("simulated", "fJ/cycle") if dynamic_ps is not None else ()
    for heading in ("weights", "count", "slowest, ps", "GHz", "fastest", *simulated):
        table.add_column(heading, justify="right" if heading != "weights" else "left", no_wrap=True)
    period_ps, values = tables.period_ps, tables.values.astype(int)
    for exponent in reversed(range(int(tables.metadata["weight_width"]))):
        step = 1 << exponent
        chosen = (values % step == 0) & (values % (2 * step) != 0)
        slowest, fastest = float(period_ps[chosen].max()), float(period_ps[chosen].min())
        name = f"{step} x odd" if exponent else "odd"
        row = [name, str(int(chosen.sum())), f"{slowest:.0f}", f"{1e3 / slowest:.2f}", f"{fastest:.0f}"]
        if dynamic_ps is not None:
            seen_ps, mean_fj = np.nanmax(dynamic_ps[chosen]), np.nanmean(energy_fj[chosen])
            row += [f"{seen_ps:.0f}", f"{mean_fj:.0f}"]
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"One row a weight: {out / 'weights.csv'}", markup=False, soft_wrap=True)


def _show_corners(out: Path) -> None:
    table = Table(box=SIMPLE_HEAD, title="The same netlist at each corner", title_justify="left")
    table.add_column("corner", no_wrap=True)
    sizes = [heading for size in SIZES for heading in (f"fastest {size}, ps", "ratio")]
    for heading in ("V", "C", "slowest, ps", *sizes):
        table.add_column(heading, justify="right")
    for corner, tables in load_corners(out).items():
        worst_ps = float(tables.period_ps.max())
        fast_ps = [fast_class_ps(tables.values, tables.period_ps, size) for size in SIZES]
        figures = [text for fast in fast_ps for text in (f"{fast:.0f}", f"{worst_ps / fast:.2f}")]
        point = [f"{tables.metadata[key]:g}" for key in ("vdd_v", "temperature_c")]
        table.add_row(corner, *point, f"{worst_ps:.0f}", *figures)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Where each is: {out / INDEX_FILE}", markup=False, soft_wrap=True)

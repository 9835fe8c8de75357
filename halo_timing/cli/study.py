"""``halo-timing mac study``: MACs side by side."""

from __future__ import annotations

from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from halo_timing.cli.cluster_options import chosen_place, cluster_options
from halo_timing.cli.progress import TerminalReporter, default_jobs
from halo_timing.files import write_text
from halo_timing.rtl import family, find_mac
from halo_timing.run.elsewhere import Request, bound_elsewhere
from halo_timing.run.session import characterize, open_session
from halo_timing.study import SIZES, Figures, StudyRow, compare, read_input, to_csv


@click.command()
@click.argument("names", nargs=-1)
@click.option("--pdk", default="nangate45", show_default=True)
@click.option("--corner", help="Corner of the PDK.  [default: the PDK's own]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/study"), show_default=True)
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes at a time.  [default: all processors]")
@cluster_options
def study(
    names: tuple[str, ...],
    pdk: str,
    corner: str | None,
    out: Path,
    jobs: int | None,
    scheduler: str | None,
    cluster: str | None,
) -> None:
    """Characterise MACs side by side: NAMES, or the whole family.

    For each: area, the period of its slowest weight and of its fastest 8 and 16 values, and what these are
    worth against its own slowest weight (self) and that of the fastest conventional MAC (best).
    """
    members = [find_mac(name) for name in names or family()]
    inputs = []
    jobs = jobs or default_jobs()
    with TerminalReporter() as reporter, chosen_place(jobs, scheduler, cluster) as elsewhere:
        session = open_session(pdk, corner, reporter, jobs=jobs, install=False)
        if elsewhere is not None:
            requests = [Request(each, out / each.folder_name, f"{each.folder_name}/") for each in members]
            bound_elsewhere(elsewhere, session, requests)
        for member in members:
            folder = out / member.folder_name
            characterize(session, member, folder, label=f"{member.folder_name}/")
            inputs.append(read_input(member.name, member.conventional, folder))
    rows = compare(inputs)
    write_text(out / "study.csv", to_csv(rows))
    _show("whole MAC: launch, logic and setup of the slowest stage", [(row, row.mac) for row in rows])
    _show("multiplier alone: logic of the stage that the weight moves", [(row, row.core) for row in rows])
    Console(highlight=False).print(f"All figures: {out / 'study.csv'}", markup=False, soft_wrap=True)


def _show(title: str, rows: list[tuple[StudyRow, Figures]]) -> None:
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("MAC", no_wrap=True)
    for heading in (
        "area, um2",
        "worst, ps",
        *(f"{kind} {size}" for size in SIZES for kind in ("fastest", "self", "best")),
    ):
        table.add_column(heading, justify="right")
    for row, figures in rows:
        ratios = [
            cell
            for size in SIZES
            for cell in (
                f"{figures.fast_ps[size]:.0f}",
                f"{figures.self_ratio[size]:.2f}",
                f"{figures.best_ratio[size]:.2f}",
            )
        ]
        name = f"{row.name} *" if row.conventional else row.name
        table.add_row(name, f"{row.area_um2:.0f}", f"{figures.worst_ps:.0f}", *ratios)
    console = Console(highlight=False)
    console.print(table)
    console.print("* conventional", markup=False)

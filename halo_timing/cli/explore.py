"""``halo-timing explore``: the best MAC, and its codebooks, of a whole space."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from halo_timing.cli.cluster_options import cluster_options
from halo_timing.cli.progress import default_jobs
from halo_timing.execution.executor import Outcome, open_executor
from halo_timing.execution.store import Store
from halo_timing.explore.campaign import Campaign
from halo_timing.explore.outputs import RESULT_NAME, TABLE_NAME, write_results
from halo_timing.explore.page import PAGE_NAME
from halo_timing.explore.places import find_places
from halo_timing.explore.space import expand, read_space
from halo_timing.explore.weights import sample_weights
from halo_timing.run.elsewhere import WorksFailedError


@click.command()
@click.argument("space", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/explore"), show_default=True)
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes at a time.  [default: all processors]")
@cluster_options
def explore(space: Path, out: Path, jobs: int | None, scheduler: str | None, cluster: str | None) -> None:
    """Search a space of MACs, adders, pipelines, widths, recipes and cells, which the TOML file SPACE names.

    All points are mapped and looked at cheaply; only those that may still win are bounded, proved and
    simulated. It can be stopped at any time: the same command goes on from there.
    """
    settings = read_space(space)
    console = Console(stderr=True, highlight=False)

    def note(text: str) -> None:
        console.print(f"  {text}", markup=False, soft_wrap=True)

    places = find_places(settings.space.pdk, settings.space.pdk_if_present, note, install=False)
    points, skipped = expand(space, settings.space, list(places))
    note(f"{len(points)} points on {len(places)} corners; {len(skipped)} combinations skipped")
    sample = sample_weights(settings.goal.weights, note)
    store = Store()
    command = shlex.join(["halo-timing", "explore", str(space), "--out", str(out)])
    place = open_executor(jobs=jobs or default_jobs(), scheduler=scheduler, cluster=cluster, store=store)
    with _Bars(console) as bars, place as executor:
        campaign = Campaign(points, places, settings.goal, sample, executor, store, bars)
        campaign.run()
        result = write_results(campaign, settings, skipped, out, command)
    _show(result, out)
    if campaign.failed:
        raise WorksFailedError(campaign.failed, campaign.works)


class _Bars:
    """A bar for each step, with an estimate of the time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def stage(self, title: str, total: int) -> Callable[[Outcome], None]:
        """Begin a step."""
        task = self._progress.add_task(title, total=total)
        seconds, reused = 0.0, 0

        def advance(outcome: Outcome) -> None:
            nonlocal seconds, reused
            seconds, reused = seconds + outcome.seconds, reused + outcome.reused
            self._progress.advance(task)
            if self._progress.tasks[self._progress.task_ids.index(task)].finished:
                self._progress.remove_task(task)
                there = f", {reused} there already" if reused else ""
                self.note(f"{title}: {total}{there}, {seconds:.0f} s of work")

        return advance

    def note(self, text: str) -> None:
        """Say something between the steps."""
        self._console.print(f"  {text}", markup=False, soft_wrap=True)


def _show(result: dict[str, Any], out: Path) -> None:
    console = Console(highlight=False)
    for answer in result["classes"]:
        table = Table(box=SIMPLE_HEAD, title=answer["label"], title_justify="left")
        table.add_column("values", justify="right")
        table.add_column("fastest MAC", overflow="fold")
        for heading in ("ps", "area, um2", "self", "best", "family"):
            table.add_column(heading, justify="right")
        for row in answer["sizes"]:
            ratios = ["-" if row[key] is None else f"{row[key]:.2f}" for key in ("self", "best", "family")]
            figures = [f"{row[key]:.0f}" for key in ("period_ps", "area_um2")]
            table.add_row(str(row["size"]), row["title"], *figures, *ratios)
        console.print(table)
        if answer["winner"]:
            console.print(answer["text"], markup=False, soft_wrap=True)
    files = ", ".join(str(out / name) for name in (PAGE_NAME, TABLE_NAME, RESULT_NAME))
    console.print(f"All of it: {files}", markup=False, soft_wrap=True)

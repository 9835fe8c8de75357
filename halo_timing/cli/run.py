"""``halo-timing run``: everything, from RTL to report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from halo_timing.cli.cluster_options import chosen_place, cluster_options
from halo_timing.cli.progress import TerminalReporter, default_jobs
from halo_timing.run.config import RunConfig
from halo_timing.run.pipeline import run as run_chain


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--pdk", help="PDK, as `pdk list` shows it.  [default: nangate45]")
@click.option("--corner", help="Corner of the PDK.  [default: the PDK's own]")
@click.option("--corners", metavar="all|NAME,…", help="Further corners to time the MAC's netlist at.")
@click.option("--mac", help="MAC, as `mac list` shows it: NAME or NAME:PARAMETER=VALUE,…  [default: array]")
@click.option("--reference", multiple=True, help="MAC to compare with.  [default: the conventional ones]")
@click.option("--model", help="Checkpoint to quantize: a path, or minilm.  [default: minilm]")
@click.option("--no-model", is_flag=True, help="Quantize nothing.")
@click.option("--dynamic/--no-dynamic", default=None, help="Simulate transitions too.  [default: dynamic]")
@click.option("--levels", help="Levels of the cost map: a number, auto, or which.  [default: 3]")
@click.option("--from", "period_from", help="Periods of the levels: bound or dynamic.  [default: bound]")
@click.option("--margin", type=float, help="Share added to each level's period.  [default: 0]")
@click.option("--tile", type=int, help="Tile size of the quantizer.  [default: 128]")
@click.option("--fast-share", type=float, help="Share of weights at the fastest level.  [default: 0.5]")
@click.option(
    "--evaluation", help="Result of `evaluate` for the report.  [default: OUT/evaluation, if there]"
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes at a time.  [default: all processors]")
@cluster_options
def run(
    config: Path | None,
    out: Path,
    jobs: int | None,
    no_model: bool,
    scheduler: str | None,
    cluster: str | None,
    **options: Any,
) -> None:
    """Do the whole chain; CONFIG is a TOML file of the same options, and flags win over it.

    What is there already is kept: the command can be stopped at any time and given again.
    """
    overrides = {name: value for name, value in options.items() if value not in (None, ())}
    if no_model:
        overrides["model"] = None
    settings = RunConfig.from_toml(config, overrides)
    jobs = jobs or default_jobs()
    with TerminalReporter() as reporter, chosen_place(jobs, scheduler, cluster) as elsewhere:
        metrics = run_chain(settings, out, reporter, jobs=jobs, elsewhere=elsewhere)
    show_summary(metrics, out)


def show_summary(metrics: Mapping[str, Any], out: Path) -> None:
    """Print the figures to read first."""
    console = Console(highlight=False)
    console.print(
        f"\nFast level  {metrics['level:0__freq_ghz']:.2f} GHz with {metrics['level:0__values']} values: "
        f"{metrics['ratio__self']:.2f}x this MAC's slowest weight"
    )
    if "ratio__best" in metrics:
        console.print(
            f"Honestly    {metrics['ratio__best']:.2f}x the best conventional MAC "
            f"({metrics['reference__best']}) at its slowest weight",
            soft_wrap=True,
        )
    if "energy__cycle__mean" in metrics:
        console.print(
            f"Energy      {metrics['energy__cycle__mean']:.0f} fJ a cycle over all values, "
            f"{metrics['energy__fast__saved_share']:.0%} less at the fast level; glitches are "
            f"{metrics['energy__glitch__share']:.0%} of what moves",
            soft_wrap=True,
        )
    if "quantize__halo__sqnr_db" in metrics:
        console.print(
            f"Model       {metrics['quantize__halo__effective_bits']:.2f} bits a weight, "
            f"{metrics['quantize__halo__sqnr_db']:.1f} dB SQNR, "
            f"{metrics['quantize__halo__level_shares'][0]:.0%} of the weights at the fast level",
            soft_wrap=True,
        )
    names = {"self": "one clock", "best": "the best MAC", "w8a8_best": "W8A8 on that", "fp16": "FP16"}
    speedups = {key: metrics.get(f"estimate__prefill__speedup__{key}") for key in names}
    told = [f"{ratio:.2f}x {names[key]}" for key, ratio in speedups.items() if ratio is not None]
    if told:
        console.print(f"Prefill     {', '.join(told)} (times as fast, 128x128 array)", soft_wrap=True)
    console.print(f"Report      {out / 'report.html'}", markup=False, soft_wrap=True)

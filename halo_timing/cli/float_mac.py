"""``halo-timing mac float``: the floating-point baseline."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from halo_timing.accelerator.mac_cost import read_synthesis
from halo_timing.cli.progress import TerminalReporter
from halo_timing.float_mac import DEFAULT_STAGES, STAGES, float_mac
from halo_timing.run.session import make_float_mac, open_session


@click.command("float")
@click.option("--pdk", default="nangate45", show_default=True)
@click.option("--corner", help="Corner of the PDK.  [default: the PDK's own]")
@click.option(
    "--stages", type=click.IntRange(min(STAGES), max(STAGES)), default=DEFAULT_STAGES, show_default=True,
    help="Pipeline stages of its adder.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/fp16"), show_default=True)
def float_(pdk: str, corner: str | None, stages: int, out: Path) -> None:
    """Map and measure the floating-point MAC (FP16 operands, FP32 sums): what 16-bit weights cost."""
    with TerminalReporter() as reporter:
        session = open_session(pdk, corner, reporter, jobs=1, install=False)
        make_float_mac(session, float_mac(stages), out)
    summary = read_synthesis(out)
    unit = summary["float"]
    Console(highlight=False).print(
        f"FP16 MAC    {summary['worst_period_ps']:.0f} ps ({1e3 / summary['worst_period_ps']:.2f} GHz), "
        f"{summary['area_um2']:.0f} um2, {unit['energy_fj'] / 1e3:.2f} pJ a cycle, "
        f"{unit['latency']} cycles deep, adder {unit['hop']}\n"
        f"Checked     {summary['reference']['patterns']} operands against numpy\n"
        f"Folder      {out}",
        markup=False,
        soft_wrap=True,
    )

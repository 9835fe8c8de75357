"""``halo-timing export``: a cost map in the formats of other tools."""

from __future__ import annotations

from pathlib import Path

import click

from halo_timing.costmap.export import FORMATS, export
from halo_timing.costmap.export.source import Source
from halo_timing.costmap.model import CostMap
from halo_timing.quantize.histograms import code_histograms


@click.command("export")
@click.argument("result", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "formats",
    multiple=True,
    required=True,
    type=click.Choice(tuple(FORMATS)),
    help="Can be given several times.",
)
@click.option(
    "--base", type=click.Path(path_type=Path), help="File of yours that zigzag or scalesim starts from."
)
@click.option("--model", type=click.Path(path_type=Path), help="Quantized model, for energies of its layers.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: RESULT/export]")
def export_command(
    result: Path, formats: tuple[str, ...], base: Path | None, model: Path | None, out: Path | None
) -> None:
    """Write the cost map of folder RESULT in the formats of other tools."""
    cost_map = CostMap.load(result / "costmap.safetensors")
    histograms = code_histograms(model, cost_map.values) if model else {}
    for path in export(Source(cost_map, base, histograms), formats, out or result / "export"):
        click.echo(str(path))

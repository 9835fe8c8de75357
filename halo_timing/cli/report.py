"""``halo-timing report``: the page of a result folder."""

from __future__ import annotations

from pathlib import Path

import click

from halo_timing.accelerator.comparison import ESTIMATE_NAME
from halo_timing.costmap.model import CostMap
from halo_timing.errors import UsageError
from halo_timing.files import write_json, write_text
from halo_timing.metrics import collect_metrics
from halo_timing.report.page import render_report
from halo_timing.report.result import find_evaluation, read_json
from halo_timing.run.pipeline import MODEL_FOLDER, REFERENCE_FOLDER


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--evaluation",
    type=click.Path(path_type=Path),
    help="Result of `halo-timing evaluate`, to be drawn too.  [default: FOLDER/evaluation, if there]",
)
def report(folder: Path, evaluation: Path | None) -> None:
    """Draw report.html of the result FOLDER again, from the files in it."""
    if not (folder / "costmap.safetensors").is_file():
        raise UsageError(f"{folder}: no result folder of `halo-timing run`: costmap.safetensors is missing")
    references = sorted(
        path.relative_to(folder) for path in folder.glob(f"{REFERENCE_FOLDER}/*") if path.is_dir()
    )
    model = MODEL_FOLDER if (folder / MODEL_FOLDER / "quantization.json").is_file() else None
    chosen = find_evaluation(folder, evaluation)
    metrics = collect_metrics(folder, references, model, estimate=_has_estimate(folder), evaluation=chosen)
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "report.html", render_report(folder, references, metrics, chosen))
    click.echo(folder / "report.html")


def _has_estimate(folder: Path) -> bool:
    """Whether there is an estimate of the levels that the folder has now."""
    path = folder / ESTIMATE_NAME
    if not path.is_file():
        return False
    if read_json(path).get("cost_map_sha256") == CostMap.load(folder / "costmap.safetensors").digest:
        return True
    click.echo(
        f"{path}: is of other levels than costmap.safetensors, and is left out; make it again with "
        f"`halo-timing estimate {folder} --out {path} …`",
        err=True,
    )
    return False

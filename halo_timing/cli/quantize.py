"""``halo-timing quantize``: a checkpoint and a cost map in, a quantized checkpoint out."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from halo_timing.costmap.model import CostMap
from halo_timing.models import model_path
from halo_timing.quantize.calibration import CalibrationFile
from halo_timing.quantize.halo import SPARSE_SHARE
from halo_timing.quantize.model import QuantizeOptions, quantize_checkpoint
from halo_timing.quantize.outputs import DEFAULT_FORMATS, FORMATS
from halo_timing.quantize.quality import Quality
from halo_timing.quantize.report import HALO, QuantizationReport


def _parse_tile(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?", text)
    if not match:
        raise click.BadParameter(f"{text!r} is not a size such as 128, or outputs by inputs such as 128x64")
    return int(match[1]), int(match[2] or match[1])


def _parse_levels(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,3}(,\d{1,3})*", text):
        raise click.BadParameter(f"{text!r} is not a list of level numbers such as 0,1")
    return tuple(int(part) for part in text.split(","))


@click.command()
@click.argument("source")
@click.option(
    "--costmap",
    required=True,
    type=click.Path(path_type=Path),
    help="Cost map: costmap.safetensors, or its folder.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the quantized model.")
@click.option(
    "--tile",
    callback=_parse_tile,
    metavar="SIZE",
    default="128",
    show_default=True,
    help="Outputs (and inputs, 128x64) of the array that holds a tile.",
)
@click.option(
    "--levels",
    callback=_parse_levels,
    metavar="LIST",
    help="Levels that tiles may run at, such as 0,1; by default the two fastest with 8 values or more.",
)
@click.option(
    "--fast-share",
    type=float,
    default=0.5,
    show_default=True,
    help="Share of each tensor's weights that is to run at the fastest level.",
)
@click.option(
    "--noise-budget",
    type=float,
    help="Instead of a share: squared error over squared weights that a tensor may have (0.01 is 20 dB).",
)
@click.option(
    "--outlier-sigma",
    type=float,
    default=3.0,
    show_default=True,
    help="Weights beyond so many standard deviations are kept apart at full width; 0 for none.",
)
@click.option(
    "--scale-search/--no-scale-search",
    default=True,
    help="Search each scale for the least error, or take absmax.  [default: search]",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Result of `halo-timing calibrate`: shares then hold for the whole model, and codes are rounded "
    "with error feedback.",
)
@click.option(
    "--sparse-share",
    type=float,
    help="Instead of outliers, keep apart this share of the weights, by the error they would make.  "
    "[default: 0.005 with a calibration]",
)
@click.option(
    "--plain",
    is_flag=True,
    help="With a calibration, round to the nearest codes all the same, for comparison.",
)
@click.option(
    "--include", multiple=True, metavar="PATTERN", help="Quantize tensors of this name too (* and ? work)."
)
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out tensors of this name.")
@click.option(
    "--baselines/--no-baselines",
    default=True,
    help="Measure plain INT8, INT4 and INT3 rounding beside it.  [default: baselines]",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(FORMATS),
    default=DEFAULT_FORMATS,
    show_default=True,
    help="Form of the result: weights in the source's dtype, int8 for compressed-tensors, or the codes and "
    "levels themselves. May be given several times.",
)
def quantize(
    source: str,
    costmap: Path,
    out: Path,
    tile: tuple[int, int],
    levels: tuple[int, ...] | None,
    fast_share: float,
    noise_budget: float | None,
    outlier_sigma: float,
    scale_search: bool,
    calibration: Path | None,
    sparse_share: float | None,
    plain: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    baselines: bool,
    formats: tuple[str, ...],
) -> None:
    """Quantize the model SOURCE to the codebooks of a cost map.

    SOURCE is a safetensors or GGUF file, a Hugging Face folder (sharded or not), or the name of a model that
    is fetched: minilm, smollm2.
    """
    console = Console(highlight=False)
    notices = Console(stderr=True, highlight=False)
    cost_map = CostMap.load(costmap / "costmap.safetensors" if costmap.is_dir() else costmap)
    model = model_path(source, lambda text: notices.print(text, markup=False))
    statistics = None if calibration is None else CalibrationFile.open(calibration)
    options = QuantizeOptions(
        tile=tile,
        levels=levels,
        fast_share=fast_share,
        noise_budget=noise_budget,
        outlier_sigma=outlier_sigma or None,
        scale_search=scale_search,
        sparse_share=SPARSE_SHARE if sparse_share is None and statistics is not None else sparse_share,
        plain=plain,
        include=include,
        exclude=exclude,
        baselines=baselines,
        formats=formats,
    )
    columns = (
        BarColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=notices, transient=True) as bar:
        task = bar.add_task("")
        report = quantize_checkpoint(
            model,
            cost_map,
            out,
            options,
            lambda name, done, total: bar.update(task, description=name, completed=done, total=total),
            statistics,
        )
    print_report(console, report)
    console.print(f"written to {out}", markup=False, soft_wrap=True)


def print_report(console: Console, report: QuantizationReport) -> None:
    """Print the methods side by side, what the levels are, and what was left out."""
    totals = report.totals
    levels = report.description["levels"]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", no_wrap=True)
    headings = ["bits", "index", "SQNR dB", *(f"level {index}" for index in range(len(levels))), "sparse"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for method, quality in totals.items():
        table.add_row(*_cells(method, quality, len(levels)))
    console.print(table)
    for index, level in enumerate(levels):
        console.print(f"level {index}: {len(level['codebook'])} values at {1e3 / level['period_ps']:.2f} GHz")
    sentences = [
        f"{totals[HALO].weights:,} weights in {len(report.tensors)} tensors; bits: with scales, levels, the "
        "sparse part and its positions; index: whole bits of the codes alone, as HALO counts them"
    ]
    reasons = Counter(item.reason for item in report.left_out)
    if reasons:
        counts = ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
        sentences.append(f"left as they are: {counts}")
    if report.description.get("folded_sqnr_db") is not None:
        sentences.append(
            f"compressed-tensors: the weights kept apart are folded into int8, at "
            f"{report.description['folded_sqnr_db']:.1f} dB"
        )
    sentences += report.description.get("notes", [])
    for sentence in sentences:
        console.print(sentence, markup=False, soft_wrap=True)


def _cells(method: str, quality: Quality, levels: int) -> list[Text]:
    shares = [f"{share:.1%}" for share in quality.level_shares] if method == HALO else ["-"] * levels
    cells = [
        method,
        f"{quality.effective_bits:.3f}",
        f"{quality.index_bits / quality.weights:.2f}",
        "-" if quality.sqnr_db is None else f"{quality.sqnr_db:.2f}",
        *shares,
        f"{quality.sparse_weights / quality.weights:.2%}" if method == HALO else "-",
    ]
    return [Text(cell) for cell in cells]

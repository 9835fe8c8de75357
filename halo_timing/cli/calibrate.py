"""``halo-timing calibrate``: a model and text in, statistics of its layers out."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from halo_timing.cli.progress import share_bar
from halo_timing.evaluate.collect import CollectOptions, collect_calibration
from halo_timing.evaluate.language_model import LanguageModel
from halo_timing.evaluate.text import cut_windows, describe_texts, read_texts
from halo_timing.models import model_path


@click.command()
@click.argument("model")
@click.option(
    "--text",
    "texts",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Text of the kind that the model is used on; plain or gzipped. May be given again.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File for the calibration.")
@click.option(
    "--windows",
    type=click.IntRange(1),
    help="Pieces of text to read.  [default: 24, 256 for an encoder]",
)
@click.option(
    "--window", type=click.IntRange(2), help="Tokens in a piece.  [default: 1024, 126 for an encoder]"
)
@click.option(
    "--gradient-windows",
    type=click.IntRange(0),
    default=8,
    show_default=True,
    help="Pieces that are also run backwards, for what the loss depends on.",
)
@click.option(
    "--fisher/--no-fisher",
    default=False,
    help="Keep a Fisher diagonal of every weight (as large as the model in float32).  [default: no-fisher]",
)
@click.option(
    "--memory",
    type=click.FloatRange(0.001),
    default=2.0,
    show_default=True,
    metavar="GB",
    help="Memory for sums; a model that needs more is run several times.",
)
@click.option("--include", multiple=True, metavar="PATTERN", help="Layers to look at too (* and ? work).")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Layers to leave out.")
def calibrate(
    model: str,
    texts: tuple[Path, ...],
    out: Path,
    windows: int | None,
    window: int | None,
    gradient_windows: int,
    fisher: bool,
    memory: float,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Run MODEL over text and keep what its layers see.

    MODEL is a Hugging Face folder, a GGUF file, or the name of a model that is fetched: smollm2, minilm. The
    result serves `quantize --calibration` and `evaluate --calibration`, and holds the histograms of
    activations for energy tables.
    """
    notices = Console(stderr=True, highlight=False)
    text = read_texts(texts)
    path = model_path(model, lambda notice: notices.print(notice, markup=False))
    language_model = LanguageModel.load(path, include, exclude)
    own_window, own_windows = (126, 256) if language_model.encoder else (1024, 24)
    pieces = language_model.frame(
        cut_windows(language_model.tokenize(text), window or own_window, windows or own_windows)
    )
    options = CollectOptions(
        gradient_windows=min(gradient_windows, len(pieces)), fisher=fisher, memory_bytes=int(memory * 1e9)
    )
    provenance = {"model": language_model.name, "texts": describe_texts(texts)}
    with share_bar(notices) as tell:
        result = collect_calibration(
            language_model,
            pieces,
            out,
            options,
            provenance,
            lambda what, done, total: tell(what, done / total),
        )
    Console(highlight=False).print(
        f"{len(result.names)} layers on {pieces.size:,} tokens, written to {out}",
        markup=False,
        soft_wrap=True,
    )

"""``halo-timing evaluate``: how much of a language model each way of quantizing keeps."""

from __future__ import annotations

from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from halo_timing.cli.progress import share_bar
from halo_timing.costmap.model import CostMap
from halo_timing.errors import UsageError
from halo_timing.evaluate.activations import MODES
from halo_timing.evaluate.language_model import LanguageModel
from halo_timing.evaluate.methods import choose_methods, standard_methods
from halo_timing.evaluate.run import Evaluation, run_evaluation
from halo_timing.evaluate.table import LOSSES, format_losses
from halo_timing.evaluate.text import cut_windows, describe_texts, read_texts
from halo_timing.models import model_path
from halo_timing.quantize.calibration import CalibrationFile


@click.command()
@click.argument("model")
@click.option(
    "--text",
    "texts",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Text to predict, plain or gzipped. May be given again.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for table and figure.")
@click.option(
    "--costmap",
    "costmaps",
    multiple=True,
    metavar="[NAME=]PATH",
    help="Cost map, or its folder, whose levels are to be used; named after the folder by default. "
    "May be given again.",
)
@click.option("--calibration", type=click.Path(path_type=Path), help="Result of `halo-timing calibrate`.")
@click.option(
    "--calibration-text",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Its text, for methods that calibrate block after block.",
)
@click.option("--method", "patterns", multiple=True, metavar="PATTERN", help="Rows wanted (* and ? work).")
@click.option(
    "--windows",
    type=click.IntRange(1),
    help="Pieces of text.  [default: 8 to predict, 256 for an encoder]",
)
@click.option(
    "--window", type=click.IntRange(2), help="Tokens in a piece.  [default: 1024, 126 for an encoder]"
)
@click.option(
    "--activations",
    type=click.Choice(MODES),
    default="dynamic",
    show_default=True,
    help="8 bits with a scale for each token or a fixed one for each layer, or as they are.",
)
@click.option("--list-methods", is_flag=True, help="Print the names of the rows, and stop.")
def evaluate(
    model: str,
    texts: tuple[Path, ...],
    out: Path,
    costmaps: tuple[str, ...],
    calibration: Path | None,
    calibration_text: tuple[Path, ...],
    patterns: tuple[str, ...],
    windows: int | None,
    window: int | None,
    activations: str,
    list_methods: bool,
) -> None:
    """Measure on text what methods of quantization cost the language model MODEL.

    MODEL is a Hugging Face folder, a GGUF file, or the name of a model that is fetched: smollm2, minilm.
    Causal models are measured by how well they predict, encoders by how near their embeddings stay. Each
    method is measured on the same tokens. An interrupted evaluation goes on where it stopped, and further
    methods can be added to a folder later.
    """
    console, notices = Console(highlight=False), Console(stderr=True, highlight=False)
    cost_maps = dict(map(_cost_map, costmaps))
    everything = standard_methods(cost_maps)
    methods = choose_methods(everything, patterns)
    if not patterns and calibration is None:
        methods = [method for method in methods if not method.weighted]
    if not patterns and not calibration_text:
        methods = [method for method in methods if not method.sequential]
    opened = None if calibration is None else CalibrationFile.open(calibration)
    if not patterns and opened is not None and not opened.has_fisher:
        methods = [method for method in methods if not method.needs_fisher]
        notices.print("The calibration was made without --fisher: HALO's own recipe is left out.")
    if list_methods:
        for method in everything:
            console.print(f"{method.name}: {method.summary}", markup=False, soft_wrap=True)
        return
    text = read_texts(texts)
    if activations == "static" and opened is None:
        raise UsageError("--activations static: needs --calibration")
    path = model_path(model, lambda notice: notices.print(notice, markup=False))
    language_model = LanguageModel.load(path)
    calibration_windows = None
    if opened is not None and calibration_text:
        shape = opened.description["window"], opened.description["windows"]
        calibration_windows = language_model.frame(
            cut_windows(language_model.tokenize(read_texts(calibration_text)), *shape)
        )
    own_window, own_windows = (126, 256) if language_model.encoder else (1024, 8)
    pieces = cut_windows(language_model.tokenize(text), window or own_window, windows or own_windows)
    evaluation = Evaluation(
        language_model,
        language_model.frame(pieces),
        cost_maps,
        opened,
        calibration_windows,
        activations,
        {"texts": describe_texts(texts)},
    )
    with share_bar(notices) as tell:
        result = run_evaluation(evaluation, methods, out, tell)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for heading in ("bits", "fast", *(heading for heading, _, _ in LOSSES[result["loss"]])):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in result["methods"]:
        table.add_row(
            row["name"],
            f"{row['effective_bits']:.3f}" if "effective_bits" in row else "",
            f"{row['level_shares'][0]:.1%}" if row["cost_map"] else "",
            *format_losses(row, result["loss"]),
        )
    console.print(table)
    reference = result["reference"]
    came = (
        ""
        if language_model.encoder
        else f"the model as it came: NLL {reference['nll']:.4f}, perplexity {reference['perplexity']:.3f}; "
    )
    console.print(
        f"{came}{result['windows']} windows of {result['window']} tokens; table and figure in {out}",
        markup=False,
        soft_wrap=True,
    )


def _cost_map(text: str) -> tuple[str, CostMap]:
    name, equals, rest = text.partition("=")
    path = Path(rest if equals else text)
    file = path / "costmap.safetensors" if path.is_dir() else path
    return (name if equals else file.absolute().parent.name), CostMap.load(file)

"""All methods on SmolLM2-135M: what each adds to the loss, with the same calibration and the same tokens.

::

    sh scripts/texts.sh results/smollm2/text
    python benchmarks/smollm2.py results/smollm2 --costmap array=FOLDER --costmap one_digit=FOLDER

Calibration reads 12 windows of the Debian policy and 12 of the fortunes in turn, the first 12 of all with
gradients; evaluation reads 8 windows of the Debian reference. Each has 1024 tokens. The weights of this model
come as Q4_1: figures are what is added to that. `--method PATTERN` chooses rows. An interrupted run goes on
where it stopped, and runs with different methods may share the folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.model import CostMap
from halo_timing.evaluate.collect import CollectOptions, collect_calibration
from halo_timing.evaluate.language_model import LanguageModel
from halo_timing.evaluate.methods import choose_methods, standard_methods
from halo_timing.evaluate.run import Evaluation, run_evaluation
from halo_timing.evaluate.text import cut_windows, describe_texts, read_texts
from halo_timing.models import model_path
from halo_timing.quantize.calibration import CalibrationFile

WINDOW, CALIBRATION_WINDOWS, EVALUATION_WINDOWS = 1024, 24, 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--costmap", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--method", action="append", default=[])
    arguments = parser.parse_args()
    share = arguments.out / "text" / "usr" / "share"
    policy = [share / "doc" / "debian-policy" / "policy.txt.gz"]
    fortunes = sorted(
        path for path in (share / "games" / "fortunes").iterdir() if path.suffix not in (".dat", ".u8")
    )
    reference = [share / "debian-reference" / "debian-reference.en.txt.gz"]
    cost_maps = {}
    for text in arguments.costmap:
        name, _, folder = text.partition("=")
        cost_maps[name] = CostMap.load(Path(folder) / "costmap.safetensors")
    language_model = LanguageModel.load(model_path("smollm2", print))

    def windows(paths: list[Path], count: int) -> NDArray[np.int64]:
        return cut_windows(language_model.tokenize(read_texts(paths)), WINDOW, count)

    half = CALIBRATION_WINDOWS // 2
    both = np.stack([windows(policy, half), windows(fortunes, half)], axis=1).reshape(-1, WINDOW)
    path = arguments.out / "calibration.safetensors"
    calibration = (
        CalibrationFile.open(path)
        if path.exists()
        else collect_calibration(
            language_model,
            both,
            path,
            CollectOptions(gradient_windows=half),
            {"model": language_model.name, "texts": describe_texts(policy + fortunes)},
            lambda what, done, total: print(f"{what} {done} of {total}", flush=True),
        )
    )
    evaluation = Evaluation(
        language_model,
        windows(reference, EVALUATION_WINDOWS),
        cost_maps,
        calibration,
        both,
        "dynamic",
        {"texts": describe_texts(reference)},
    )
    last = ""

    def tell(what: str, _share: float) -> None:
        nonlocal last
        if what != last:
            print(what, flush=True)
        last = what

    methods = choose_methods(standard_methods(cost_maps), arguments.method)
    result = run_evaluation(evaluation, methods, arguments.out, tell)
    for row in result["methods"]:
        print(f"{row['name']:32} {row['added_nll']:+.4f}  {row.get('effective_bits', 0):.3f} bits")


if __name__ == "__main__":
    main()

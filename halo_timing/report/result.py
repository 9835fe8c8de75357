"""What a page shows: the artefacts of a result folder, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halo_timing.accelerator.comparison import ESTIMATE_NAME
from halo_timing.costmap.model import CostMap
from halo_timing.costmap.operating_points import CornerClocks, corner_clocks, folder_voltages
from halo_timing.costmap.voltage import VoltageModel
from halo_timing.errors import CostMapError, UsageError
from halo_timing.quantize.report import QuantizationReport
from halo_timing.report.layer_tiles import ModelTiles, load_tiles
from halo_timing.report.text import fixed
from halo_timing.tables import Tables

MODEL_FOLDER = "model"
EVALUATION_FOLDER = "evaluation"
EVALUATION_NAME = "evaluation.json"


@dataclass(frozen=True)
class Figure:
    """A number of ``metrics.json`` as the page shows it.

    Parameters
    ----------
    key
        Its name in the metrics.
    value
        The number itself, as JSON text.
    text
        What is read.
    scale
        Factor of what is read, such as 100 for per cent.
    """

    key: str
    value: str
    text: str
    scale: float = 1


@dataclass(frozen=True)
class MacResult:
    """A characterised MAC: tables, and how its netlist came about (content of ``synthesis.json``).

    Parameters
    ----------
    folder
        Relative to the result folder.
    """

    folder: Path
    tables: Tables
    synthesis: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the MAC was called when it was asked for."""
        return str(self.tables.metadata["mac"])


@dataclass(frozen=True)
class Result:
    """Everything that a page is drawn from; `model` is None where nothing was quantized."""

    mac: MacResult
    cost_map: CostMap
    references: tuple[MacResult, ...]
    model: QuantizationReport | None
    metrics: Mapping[str, Any]
    estimate: Mapping[str, Any] | None = None
    tiles: ModelTiles | None = None
    evaluation: Mapping[str, Any] | None = None
    voltage: VoltageModel | None = None
    corners: tuple[CornerClocks, ...] = ()

    @property
    def best(self) -> MacResult | None:
        """The fastest reference, as the metrics name it; None without references."""
        name = self.metrics.get("reference__best")
        return next((reference for reference in self.references if reference.folder.name == name), None)

    def figure(self, key: str, digits: int, *, index: int | None = None, scale: float = 1) -> Figure:
        """Show a metric with `digits` decimals.

        Parameters
        ----------
        index
            Which entry, where the metric is a list.
        scale
            Factor of the text only, such as 100 for per cent.
        """
        value = self.metrics[key]
        if index is not None:
            value, key = value[index], f"{key}[{index}]"
        return Figure(key, json.dumps(value), fixed(None if value is None else scale * value, digits), scale)


def load_result(
    out: Path, references: Sequence[Path], metrics: Mapping[str, Any], evaluation: Path | None = None
) -> Result:
    """Read a result folder.

    Raises
    ------
    CostMapError, CheckpointError
        If a file is missing or damaged.
    """
    # The metrics say whether the run had a model: a folder may remain from one that had.
    has_model = any(key.startswith("quantize__") for key in metrics)
    has_estimate = any(key.startswith("estimate__") for key in metrics)
    cost_map = CostMap.load(out / "costmap.safetensors")
    return Result(
        mac=_load_mac(out, Path()),
        cost_map=cost_map,
        references=tuple(_load_mac(out, folder) for folder in references),
        model=QuantizationReport.load(out / MODEL_FOLDER / "quantization.json") if has_model else None,
        metrics=metrics,
        estimate=read_json(out / ESTIMATE_NAME) if has_estimate else None,
        tiles=load_tiles(out / MODEL_FOLDER) if has_model else None,
        evaluation=read_json(evaluation) if evaluation else None,
        voltage=folder_voltages(out, cost_map),
        corners=tuple(corner_clocks(out, cost_map)),
    )


def find_evaluation(out: Path, given: Path | None) -> Path | None:
    """Find ``evaluation.json``: in the folder (or as the file) that is given, or within `out` if it is there.

    Raises
    ------
    UsageError
        If one is given that is not there.
    """
    folder = given or out / EVALUATION_FOLDER
    path = folder / EVALUATION_NAME if folder.is_dir() else folder
    if path.is_file():
        return path
    if given is not None:
        raise UsageError(
            f"--evaluation {given}: there is no {EVALUATION_NAME}; `halo-timing evaluate` makes it"
        )
    return None


def read_json(path: Path) -> Mapping[str, Any]:
    """Read an object of a result folder.

    Raises
    ------
    CostMapError
        If it is missing or damaged.
    """
    try:
        content: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CostMapError(f"{path}: cannot be read ({error}); make it again") from error
    if not isinstance(content, dict):
        raise CostMapError(f"{path}: is no object of JSON; make it again")
    return content


def _load_mac(out: Path, folder: Path) -> MacResult:
    path = out / folder / "synthesis.json"
    try:
        synthesis = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CostMapError(f"{path}: cannot be read ({error}); characterise the MAC again") from error
    return MacResult(folder, Tables.load(out / folder), synthesis)

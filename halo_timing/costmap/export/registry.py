"""The formats that there are, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from halo_timing.costmap.export import documents, quantizers, simulators
from halo_timing.costmap.export.source import Source
from halo_timing.errors import UsageError
from halo_timing.files import write_bytes


@dataclass(frozen=True)
class Format:
    """A format: what makes its files, by name, and what reads them."""

    make: Callable[[Source], Mapping[str, bytes]]
    reader: str


FORMATS = {
    "csv": Format(documents.per_value, "spreadsheets, pandas, numpy"),
    "markdown": Format(documents.markdown, "Markdown documents"),
    "latex": Format(documents.latex, "LaTeX documents"),
    "nncf": Format(quantizers.nncf, "NNCF, CompressWeightsMode.CODEBOOK"),
    "torchao": Format(quantizers.torchao, "torchao, CodebookQuantizedTensor"),
    "lut": Format(quantizers.lut, "SqueezeLLM and Any-Precision kernels"),
    "neural-compressor": Format(quantizers.neural_compressor, "Intel Neural Compressor, FLOAT_MAPPING"),
    "accelergy": Format(simulators.accelergy, "Accelergy and Timeloop"),
    "zigzag": Format(simulators.zigzag, "ZigZag, from an accelerator of yours"),
    "scalesim": Format(simulators.scalesim, "SCALE-Sim, from a report of yours"),
}


def export(source: Source, names: Sequence[str], folder: Path) -> list[Path]:
    """Write formats into a folder; all are made before the first is written.

    Raises
    ------
    UsageError
        If there is no such format, or one needs what the source does not have.
    """
    files: dict[str, bytes] = {}
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"--format {name}: one of {', '.join(FORMATS)} is wanted")
        try:
            files |= FORMATS[name].make(source)
        except UsageError as error:
            raise UsageError(f"--format {name}: {error}") from error
    for name, data in files.items():
        write_bytes(folder / name, data)
    return [folder / name for name in files]

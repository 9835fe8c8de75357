"""The index of a result folder that holds the tables of several corners: which corner is in which folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from halo_timing.errors import CostMapError
from halo_timing.files import write_json
from halo_timing.pdk.descriptor import NAME
from halo_timing.tables import Tables

INDEX_FILE = "corners.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class IndexEntry:
    """One corner whose tables are there.

    Attributes
    ----------
    corner : str
        Its name.
    vdd_v, temperature_c : float
        Its operating point.
    folder : Path
        Where its tables are, as a path relative to the result folder; ``.`` for the corner that the netlist
        was mapped at, whose tables are in the result folder itself.
    """

    corner: str
    vdd_v: float
    temperature_c: float
    folder: Path


def write_index(out: Path, pdk: str, entries: Sequence[IndexEntry]) -> None:
    """Write ``corners.json`` into the result folder `out`."""
    write_json(
        out / INDEX_FILE,
        {
            "schema_version": SCHEMA_VERSION,
            "pdk": pdk,
            "corners": [
                {
                    "corner": entry.corner,
                    "vdd_v": entry.vdd_v,
                    "temperature_c": entry.temperature_c,
                    "folder": entry.folder.as_posix(),
                }
                for entry in entries
            ],
        },
    )


def read_index(out: Path) -> list[IndexEntry]:
    """Read ``corners.json`` of the result folder `out`; the corner of the folder itself comes first.

    Raises
    ------
    CostMapError
        If there is none, it is damaged, or of another schema version.
    """
    path = out / INDEX_FILE
    try:
        data = json.loads(path.read_text())
        if data["schema_version"] != SCHEMA_VERSION:
            raise CostMapError(
                f"{path}: schema version {data['schema_version']}, this program reads {SCHEMA_VERSION}"
            )
        entries = [
            IndexEntry(
                str(entry["corner"]),
                float(entry["vdd_v"]),
                float(entry["temperature_c"]),
                _inside(str(entry["folder"])),
            )
            for entry in data["corners"]
        ]
    except FileNotFoundError as error:
        raise CostMapError(
            f"{path}: no such file; `halo-timing characterize --corners all` makes tables of several corners"
        ) from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CostMapError(f"{path}: not an index of corners ({error}); make it again") from error
    return entries


def load_corners(out: Path) -> dict[str, Tables]:
    """Load the tables of every corner in the result folder `out`, that of the folder itself first.

    Raises
    ------
    CostMapError
        If the index or a table is missing or damaged, or a table is not of the corner that the index says.
    """
    found: dict[str, Tables] = {}
    for entry in read_index(out):
        tables = found[entry.corner] = Tables.load(out / entry.folder)
        # The folder itself may have been made again, for another corner or PDK.
        if (here := tables.metadata["corner"]) != entry.corner:
            raise CostMapError(
                f"{out / INDEX_FILE}: {out / entry.folder} should be of corner {entry.corner}, "
                f"but is of {here}; give `halo-timing characterize --corners` again"
            )
    netlists = {tables.metadata["netlist_sha256"] for tables in found.values()}
    if len(netlists) > 1:
        raise CostMapError(
            f"{out / INDEX_FILE}: the corners are of different netlists; "
            "give `halo-timing characterize --corners` again"
        )
    return found


def _inside(folder: str) -> Path:
    path = Path(folder)
    if path.is_absolute() or not all(NAME.match(part) for part in path.parts):
        raise ValueError(f"folder {folder!r} is not one inside the result folder")
    return path

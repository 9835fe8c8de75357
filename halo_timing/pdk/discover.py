"""What lies in the places where PDKs are kept, described here or not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from halo_timing.pdk.locate import ORFS_LIBERTY, Corner, open_pdks_roots, orfs_roots

QFLOW = Path("/usr/share/qflow/tech")
_VARIABLES = ("PDK_ROOT", "FLOW_HOME", "ORFS_ROOT")


@dataclass(frozen=True)
class FoundLibrary:
    """A folder with Liberty files.

    Attributes
    ----------
    name : str
        Name of the library in that place.
    folder : Path
        The folder.
    files : int
        How many Liberty files it holds.
    """

    name: str
    folder: Path
    files: int


@dataclass(frozen=True)
class Place:
    """A folder that PDKs are looked for in.

    Attributes
    ----------
    kind : str
        ``open_pdks``, ``OpenROAD-flow-scripts`` or ``qflow``.
    root : Path
        The folder.
    libraries : tuple of FoundLibrary
        What it holds, by name.
    """

    kind: str
    root: Path
    libraries: tuple[FoundLibrary, ...]


def find_places() -> list[Place]:
    """Look into every place that exists."""
    kinds: list[tuple[str, list[Path], str]] = [
        ("open_pdks", open_pdks_roots(), "*/libs.ref/*/lib"),
        ("OpenROAD-flow-scripts", orfs_roots(), f"*/{ORFS_LIBERTY}"),
        ("OpenROAD-flow-scripts", orfs_roots(), f"*/{ORFS_LIBERTY}/NLDM"),
        ("qflow", [QFLOW], "*"),
    ]
    found: dict[tuple[str, Path], list[FoundLibrary]] = {}
    for kind, roots, pattern in kinds:
        for root in roots:
            libraries = [
                library for folder in sorted(root.glob(pattern)) if (library := _library(root, folder))
            ]
            if libraries:
                found.setdefault((kind, root), []).extend(libraries)
    return [Place(kind, root, tuple(libraries)) for (kind, root), libraries in found.items()]


def missing_places() -> list[str]:
    """Variables that name a folder which is not there, as ``NAME=folder``."""
    named = {variable: os.environ.get(variable) for variable in _VARIABLES}
    return [f"{name}={folder}" for name, folder in named.items() if folder and not Path(folder).is_dir()]


def without_described(place: Place, corners: Iterable[Corner]) -> list[FoundLibrary]:
    """Libraries of a place from which no described PDK takes a file."""
    used = {file.parent.resolve() for corner in corners for file in corner.liberty}
    return [library for library in place.libraries if library.folder.resolve() not in used]


def _library(root: Path, folder: Path) -> FoundLibrary | None:
    try:
        files = [path for path in folder.iterdir() if path.name.endswith((".lib", ".lib.gz"))]
    except OSError:
        return None
    # libs.ref/NAME/lib, NAME/lib, NAME/lib/NLDM, NAME
    parts = [part for part in folder.relative_to(root).parts if part not in (ORFS_LIBERTY, "NLDM")]
    return FoundLibrary(parts[-1], folder, len(files)) if files else None

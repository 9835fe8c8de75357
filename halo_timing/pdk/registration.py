"""Registering Liberty files of the user's own as a PDK."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from halo_timing.errors import PdkError
from halo_timing.files import write_text
from halo_timing.pdk.descriptor import NAME, CellValues, parse_descriptor, read_descriptor
from halo_timing.pdk.library import LibrarySurvey, survey_library
from halo_timing.pdk.locate import Corner, find_corners
from halo_timing.pdk.registry import Pdk, user_folder
from halo_timing.resources import libs_dir

TYPICAL_TEMPERATURE_C = 25.0


def add_pdk(
    name: str,
    liberty: Sequence[Path],
    corner: str | None = None,
    *,
    dont_use: Sequence[str] = (),
    use: Sequence[str] = (),
) -> Pdk:
    """Register Liberty files as a PDK of the user; more corners can be added to the same name later.

    Files of one voltage and temperature whose cells differ are one library, spread over several files; files
    that hold the same cells are corners of their own. The default corner is the one nearest to 25 °C.

    Parameters
    ----------
    name : str
        Name for ``--pdk``.
    liberty : sequence of Path
        Liberty files, plain or gzipped; they stay where they are.
    corner : str, optional
        Name of the corner, for files of one corner; otherwise made from voltage and temperature, or from the
        file's name where these do not tell corners apart.
    dont_use, use : sequence of str
        Patterns of cells never to map onto, or to map onto although a rule bars them.

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
    path = user_folder() / f"{name}.toml"
    if not path.exists() and (libs_dir() / f"{name}.toml").exists():
        raise PdkError(f"{name} is the name of a built-in PDK; choose another one")
    surveys = {file.resolve(): survey_library(file) for file in liberty}
    added = _corners(surveys) if corner is None else [_named_corner(corner, surveys)]
    corners: dict[str, Corner] = {}
    cells = CellValues()
    if path.exists():
        known = read_descriptor(path)
        corners, cells = dict(find_corners(known, path.parent)[1]), known.cells
    corners |= {each.name: each for each in added}
    cells = cells.model_copy(
        update={
            "dont_use": list(dict.fromkeys([*cells.dont_use, *dont_use])),
            "use": list(dict.fromkeys([*cells.use, *use])),
        }
    )
    text = _descriptor_text(name, list(corners.values()), cells)
    folder = next(iter(corners.values())).liberty[0].parent
    pdk = Pdk(name, parse_descriptor(text, path), folder, corners)
    for each in pdk.corners.values():
        pdk.constraints(each)
    write_text(path, text)
    return pdk


def _named_corner(name: str, surveys: dict[Path, LibrarySurvey]) -> Corner:
    points = list(dict.fromkeys((survey.voltage_v, survey.temperature_c) for survey in surveys.values()))
    if len(points) > 1:
        listed = ", ".join(f"{voltage:g} V {temperature:g} C" for voltage, temperature in points)
        raise PdkError(
            f"the files given as corner {name} are of several corners ({listed}); add one corner at a time"
        )
    if shared := _shared_cell(surveys):
        cell, one, other = shared
        raise PdkError(
            f"the files given as corner {name} are of several corners: cell {cell} is in {one} "
            f"and in {other}; add one corner at a time"
        )
    return Corner(name, tuple(surveys), *points[0])


def _corners(surveys: dict[Path, LibrarySurvey]) -> list[Corner]:
    by_point: dict[tuple[float, float], dict[Path, LibrarySurvey]] = {}
    for file, survey in surveys.items():
        by_point.setdefault((survey.voltage_v, survey.temperature_c), {})[file] = survey
    corners: list[Corner] = []
    for (voltage_v, temperature_c), group in by_point.items():
        if _shared_cell(group):
            # The same cells again: another process corner, which only the files' names tell.
            corners += [Corner(_name_of(file), (file,), voltage_v, temperature_c) for file in group]
        else:
            name = _name_of_point(voltage_v, temperature_c)
            corners.append(Corner(name, tuple(group), voltage_v, temperature_c))
    names = [corner.name for corner in corners]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PdkError(
            f"several corners would be named {', '.join(sorted(twice))}; "
            "add them one at a time with --corner NAME"
        )
    return corners


def _shared_cell(surveys: dict[Path, LibrarySurvey]) -> tuple[str, Path, Path] | None:
    """Return a cell that is in two files, and these."""
    home: dict[str, Path] = {}
    for file, survey in surveys.items():
        # A name that one file repeats is an error of that file, found when it is read.
        for cell in survey.cells:
            if home.setdefault(cell, file) != file:
                return cell, home[cell], file
    return None


def _name_of(file: Path) -> str:
    """Name of a file without its endings, as far as names may hold its characters."""
    stem = file.name.removesuffix(".gz").rsplit(".", 1)[0]
    return re.sub(r"[^A-Za-z0-9_.-]", "_", stem).lstrip("_.-") or "corner"


def _name_of_point(voltage_v: float, temperature_c: float) -> str:
    """``1v20_25C``, ``1v08_n40C``."""
    temperature = f"{temperature_c:g}".replace("-", "n").replace(".", "p")
    return f"{voltage_v:.2f}".replace(".", "v") + f"_{temperature}C"


def _descriptor_text(name: str, corners: Sequence[Corner], cells: CellValues) -> str:
    default = min(corners, key=lambda corner: abs(corner.temperature_c - TYPICAL_TEMPERATURE_C))
    lines = [
        f"name = {_quoted(name)}",
        'title = "registered Liberty files"',
        'licence = "of the user\'s own files"',
        f"default_corner = {_quoted(default.name)}",
        "[source]",
        'kind = "files"',
        "[cells]",
        f"dont_use = [{', '.join(map(_quoted, cells.dont_use))}]",
        f"use = [{', '.join(map(_quoted, cells.use))}]",
    ]
    for corner in corners:
        lines += [
            "[[corner]]",
            f"name = {_quoted(corner.name)}",
            f"files = [{', '.join(_quoted(str(file)) for file in corner.liberty)}]",
            f"voltage_v = {corner.voltage_v!r}",
            f"temperature_c = {corner.temperature_c!r}",
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # JSON strings are TOML basic strings, as long as there is no lone surrogate or DEL in them.
    if re.search(r"[\x7f\ud800-\udfff]", text):
        raise PdkError(f"{text!r} has an unprintable character; rename the file")
    return json.dumps(text, ensure_ascii=False)

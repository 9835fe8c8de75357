"""A library of cells at one corner, from one Liberty file or several."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from halo_timing.errors import LibertyError
from halo_timing.files import sha256_file
from halo_timing.pdk.cell_reader import CellReader, LeftOut
from halo_timing.pdk.cells import Cell, FlipFlop, Latch, Pin, PowerArc, TimingArc
from halo_timing.pdk.liberty import Group, read_liberty
from halo_timing.pdk.logic import BooleanFunction
from halo_timing.pdk.table import Table
from halo_timing.pdk.units import Units, read_units

__all__ = [
    "BooleanFunction",
    "Cell",
    "FlipFlop",
    "Latch",
    "Library",
    "LibrarySurvey",
    "Pin",
    "PowerArc",
    "Table",
    "Thresholds",
    "TimingArc",
    "WireLoad",
    "read_library",
    "survey_library",
]


@dataclass(frozen=True)
class Thresholds:
    """Voltages, in percent of the supply, between which delays and slews are measured."""

    input_rise: float
    input_fall: float
    output_rise: float
    output_fall: float
    slew_lower_rise: float
    slew_lower_fall: float
    slew_upper_rise: float
    slew_upper_fall: float
    slew_derate: float


@dataclass(frozen=True)
class WireLoad:
    """Estimate of a net's capacitance from its fan-out, by a length table."""

    capacitance_ff_per_length: float
    slope: float
    lengths: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Library:
    """The cells of a process at one corner.

    Attributes
    ----------
    name : str
        Name of the library; joined by ``+`` when it came in several files.
    files : tuple of Path
        The Liberty files.
    sha256 : str
        Of the file; of the files' own hashes, in their order, when there are several.
    voltage_v, temperature_c : float
        Of the default operating conditions, else the nominal ones.
    cells : mapping of str to Cell
        By name, in the order of the files.
    left_out : mapping of str to str
        Cells that are there but cannot be modelled, with the reason.
    notes : tuple of str
        What had to be assumed because a file does not say it.
    default_max_transition_ps : float or None
        Limit of slews where a pin has none of its own.
    wire_loads : mapping of str to WireLoad
        Wire-load models; nothing uses one unless told to.
    default_wire_load : str or None
        The one that tools take which are not told (OpenSTA 2.0 does).
    thresholds : Thresholds
        Of the first file.
    units : tuple of Units
        What each file's numbers were in.
    """

    name: str
    files: tuple[Path, ...]
    sha256: str
    voltage_v: float
    temperature_c: float
    cells: Mapping[str, Cell] = field(repr=False)
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    default_max_transition_ps: float | None
    wire_loads: Mapping[str, WireLoad] = field(repr=False)
    default_wire_load: str | None
    thresholds: Thresholds
    units: tuple[Units, ...]

    def cell(self, name: str) -> Cell:
        """Return a cell by name.

        Raises
        ------
        LibertyError
            If the library has no such cell, or it cannot be modelled.
        """
        found = self.cells.get(name)
        if found is None:
            reason = self.left_out.get(name)
            raise LibertyError(
                f"library {self.name}: cell {name} "
                + (f"cannot be used ({reason})" if reason else "does not exist")
            )
        return found


def read_library(paths: Sequence[Path]) -> Library:
    """Read one library from its Liberty files, plain or gzipped.

    Parameters
    ----------
    paths : sequence of Path
        All files of one corner; some PDKs spread their cells over several.

    Returns
    -------
    Library
        Cells of all files, in ps, fF, V, fJ, nW and um².

    Raises
    ------
    LibertyError
        If a file cannot be read, contradicts itself, has unknown units, is of another voltage or temperature
        than the first, has its name, or repeats a cell; the message names file, line or cell.
    """
    if not paths:
        raise LibertyError("no Liberty file was given")
    names: list[str] = []
    cells: dict[str, Cell] = {}
    left_out: dict[str, str] = {}
    notes: list[str] = []
    all_units: list[Units] = []
    wire_loads: dict[str, WireLoad] = {}
    default_wire_load = None
    max_transitions: list[float] = []
    corner: tuple[float, float] | None = None
    thresholds = None
    hashes: list[str] = []
    for path in paths:
        library = read_liberty(path)
        hashes.append(sha256_file(path))
        units, unit_notes = read_units(library)
        all_units.append(units)
        notes += [f"{path.name}: {note}" for note in unit_notes]
        here = _corner(library, units)
        if corner not in (None, here):
            raise LibertyError(
                f"{path}: is for {here[0]:g} V and {here[1]:g} C, {paths[0]} for {corner}; give one corner"
            )
        if library.name in names:
            raise library.error(
                f"library {library.name} has the name of that in {paths[names.index(library.name)]}, "
                "and OpenSTA keeps only one of a name; rename one of them in its file"
            )
        names.append(library.name)
        corner = here
        thresholds = thresholds or _thresholds(library)
        if (limit := library.number("default_max_transition")) is not None:
            max_transitions.append(limit * units.time_ps)
        _read_cells(library, units, cells, left_out)
        wire_loads |= _wire_loads(library, units)
        default_wire_load = default_wire_load or library.text("default_wire_load")
    assert corner is not None
    assert thresholds is not None
    return Library(
        name="+".join(names),
        files=tuple(paths),
        sha256=hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest(),
        voltage_v=corner[0],
        temperature_c=corner[1],
        cells=cells,
        left_out=left_out,
        notes=tuple(notes),
        default_max_transition_ps=min(max_transitions, default=None),
        wire_loads=wire_loads,
        default_wire_load=default_wire_load,
        thresholds=thresholds,
        units=tuple(all_units),
    )


@dataclass(frozen=True)
class LibrarySurvey:
    """What tells one Liberty file from another: its operating point, and the names of its cells."""

    voltage_v: float
    temperature_c: float
    cells: tuple[str, ...]


def survey_library(path: Path) -> LibrarySurvey:
    """Look at one Liberty file without reading its tables.

    Raises
    ------
    LibertyError
        If the file cannot be read or does not say its voltage.
    """
    library = read_liberty(path)
    cells = tuple(cell.name for cell in library.children("cell"))
    return LibrarySurvey(*_corner(library, read_units(library)[0]), cells)


def _read_cells(library: Group, units: Units, cells: dict[str, Cell], left_out: dict[str, str]) -> None:
    model = library.text("delay_model") or "table_lookup"
    if model != "table_lookup":
        raise library.error(f"delay_model is {model!r}; only table_lookup is read", "delay_model")
    reader = CellReader(library, units)
    for group in library.children("cell"):
        if not group.name or group.name in cells or group.name in left_out:
            raise group.error(f"{group.title} appears twice or has no name")
        try:
            cells[group.name] = reader.read(group)
        except LeftOut as reason:
            left_out[group.name] = str(reason)


def _corner(library: Group, units: Units) -> tuple[float, float]:
    wanted = library.text("default_operating_conditions")
    for conditions in library.children("operating_conditions"):
        if conditions.name == wanted:
            break
    else:
        conditions = None
    voltage = conditions.number("voltage") if conditions else None
    temperature = conditions.number("temperature") if conditions else None
    voltage = library.number("nom_voltage") if voltage is None else voltage
    temperature = library.number("nom_temperature") if temperature is None else temperature
    if voltage is None or voltage <= 0:
        raise library.error("the library does not say its voltage (nom_voltage); add it", "nom_voltage")
    return voltage * units.voltage_v, 25.0 if temperature is None else temperature


def _thresholds(library: Group) -> Thresholds:
    def percent(attribute: str) -> float:
        value = library.number(attribute)
        if value is None:
            # Liberty has defaults, but OpenSTA does not read a library that relies on them.
            raise library.error(
                f"{attribute} is missing, so delays have no meaning; add it (usually 50, 20 and 80)"
            )
        return value

    derate = library.number("slew_derate_from_library")
    return Thresholds(
        input_rise=percent("input_threshold_pct_rise"),
        input_fall=percent("input_threshold_pct_fall"),
        output_rise=percent("output_threshold_pct_rise"),
        output_fall=percent("output_threshold_pct_fall"),
        slew_lower_rise=percent("slew_lower_threshold_pct_rise"),
        slew_lower_fall=percent("slew_lower_threshold_pct_fall"),
        slew_upper_rise=percent("slew_upper_threshold_pct_rise"),
        slew_upper_fall=percent("slew_upper_threshold_pct_fall"),
        slew_derate=1.0 if derate is None else derate,
    )


def _wire_loads(library: Group, units: Units) -> dict[str, WireLoad]:
    found = {}
    for group in library.children("wire_load"):
        try:
            lengths = tuple(
                (int(entry[0]), float(entry[1])) for entry in group.all_arguments("fanout_length")
            )
        except (ValueError, IndexError) as error:
            raise group.error(
                f"{group.title} has a fanout_length that is not two numbers", "fanout_length"
            ) from error
        per_length = (group.number("capacitance") or 0.0) * units.capacitance_ff
        found[group.name] = WireLoad(per_length, group.number("slope") or 0.0, lengths)
    return found

"""One netlist, timed at several corners of its PDK, with the tables side by side in one result folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from halo_timing.corner_index import IndexEntry, write_index
from halo_timing.errors import PdkError, UsageError
from halo_timing.pdk.registry import Corner, Pdk
from halo_timing.rtl import Mac
from halo_timing.run.session import Session, make_netlist, make_tables
from halo_timing.run.steps import Record, Step

CORNERS_FOLDER = "corners"


def choose_corners(pdk: Pdk, wanted: str) -> list[Corner]:
    """Corners that an option names: ``all``, or names with commas between them.

    Raises
    ------
    PdkError
        If the PDK has no corner of a name.
    UsageError
        If no corner is named.
    """
    if wanted == "all":
        return list(pdk.corners.values())
    names = dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip())
    if not names:
        raise UsageError(f"--corners names none; give all, or some of {', '.join(pdk.corners)}")
    return [pdk.corner(name) for name in names]


def characterize_corners(
    session: Session,
    corners: Sequence[Corner],
    mac: Mac,
    out: Path,
    *,
    simulate_all: bool = True,
    label: str = "",
) -> list[list[Record]]:
    """Map `mac` at the corner of `session`, and time that netlist there and at each of `corners`.

    The corner of the session is `out` itself, a result folder like any other. Each further corner is a whole
    result folder as well, in ``corners/NAME``, with the same netlist; ``corners.json`` lists them all.
    Without `simulate_all` a simulation that the session asks for is of its own corner alone. `label` goes
    before the steps' names.

    Returns
    -------
    list of list of Record
        The steps of each corner, that of the session first.

    Raises
    ------
    HaloTimingError
        If an input is wrong, a tool fails, or a corner's library lacks a cell of the netlist.
    """
    home = session.corner
    others = [corner for corner in corners if corner.name != home.name]
    # A corner that cannot be used should show before minutes are spent on the others.
    for corner in others:
        session.pdk.constraints(corner)
    mapped = make_netlist(session, mac, out, label=label)
    for corner in others:
        _check_cells(session, corner, out)
    records = [[mapped, *make_tables(session, mac, mapped, out, label=label)]]
    entries = [IndexEntry(home.name, home.voltage_v, home.temperature_c, Path())]
    for corner in others:
        there = replace(session, corner=corner, dynamic=session.dynamic if simulate_all else None)
        folder = Path(CORNERS_FOLDER) / corner.name
        prefix = f"{label}{folder.as_posix()}/"
        netlist = there.execute(_same_netlist_step(there, mapped, out, f"{prefix}mapped"), out / folder)
        records.append([netlist, *make_tables(there, mac, netlist, out / folder, label=prefix)])
        entries.append(IndexEntry(corner.name, corner.voltage_v, corner.temperature_c, folder))
    write_index(out, session.pdk.name, entries)
    return records


def _check_cells(session: Session, corner: Corner, out: Path) -> None:
    used = json.loads((out / "synthesis.json").read_text())["cells"]
    cells = session.pdk.library(corner).cells
    if lacking := [name for name in used if name not in cells]:
        raise PdkError(
            f"PDK {session.pdk.name}: corner {corner.name} lacks {', '.join(lacking[:4])}, which the netlist "
            f"mapped at {session.corner.name} uses; leave this corner out, or bar the cell with dont_use"
        )


def _same_netlist_step(there: Session, mapped: Record, out: Path, name: str) -> Step:
    """Put the netlist that was mapped at another corner beside the tables of this one."""

    def action(working: Path) -> None:
        for name in mapped.outputs:
            shutil.copyfile(out / name, working / name)

    # The provenance has the hash of the Liberty files: the tables of this corner depend on it.
    constraints = there.pdk.constraints(there.corner)
    inputs = {
        "netlist": mapped.key,
        "files": mapped.digest,
        "provenance": there.provenance,
        "constraints": [constraints.output_load_ff, constraints.input_slew_ps],
    }
    return Step(name, inputs, action)

"""Calls for Python programs: the same flow as the command line, without files to look after."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from halo_timing.corner_index import load_corners
from halo_timing.dynamic_characterization import DynamicOptions
from halo_timing.rtl import Mac, find_mac
from halo_timing.run.corners import characterize_corners as make_corners
from halo_timing.run.corners import choose_corners
from halo_timing.run.session import characterize as make_tables
from halo_timing.run.session import open_session
from halo_timing.run.steps import Record
from halo_timing.tables import Tables


class _Quiet:
    def started(self, step: str, total: int) -> Callable[[int], None]:
        return lambda units: None

    def finished(self, record: Record) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def characterize(
    pdk: str = "nangate45",
    mac: str | Mac = "array",
    *,
    corner: str | None = None,
    out: Path | None = None,
    jobs: int = 1,
    dynamic: DynamicOptions | None = None,
) -> Tables:
    """Map a MAC, prove the netlist equal to its RTL, and bound the period of every weight value.

    Parameters
    ----------
    pdk, corner
        Cells, as ``halo-timing pdk list`` shows them; corner None is the PDK's default one.
    mac
        Name of a MAC of the family, optionally with parameters, or a MAC of your own
        (:class:`halo_timing.rtl.OwnMac`).
    out
        Folder to keep netlist, delays, tables and logs in; what is there already is not made again.
    jobs
        OpenSTA processes, and threads of a simulation, at a time.
    dynamic
        How transitions are simulated, for exact periods and for energies: ``DynamicOptions()`` as the command
        does; None bounds periods only.

    Raises
    ------
    HaloTimingError
        If an input is wrong, a tool is missing or a tool fails.

    Examples
    --------
    >>> import halo_timing as ht
    >>> tables = ht.characterize(pdk="nangate45", mac="array")  # doctest: +SKIP
    >>> cost_map = ht.build_cost_map(tables, levels=3)  # doctest: +SKIP
    """
    chosen = find_mac(mac) if isinstance(mac, str) else mac
    session = open_session(pdk, corner, _Quiet(), jobs=jobs, install=False, dynamic=dynamic)
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as scratch:
        folder = out or Path(scratch)
        make_tables(session, chosen, folder)
        return Tables.load(folder)


def characterize_corners(
    pdk: str,
    mac: str | Mac = "array",
    *,
    corners: str = "all",
    corner: str | None = None,
    out: Path | None = None,
    jobs: int = 1,
) -> dict[str, Tables]:
    """Map a MAC at one corner of a PDK, and bound that netlist there and at others.

    Parameters
    ----------
    pdk, mac, out, jobs
        As for :func:`characterize`.
    corners
        ``all``, or names with commas between them.
    corner
        Where the MAC is mapped; None is the PDK's default corner.

    Returns
    -------
    dict of str to Tables
        By corner; the one that the MAC was mapped at comes first.

    Raises
    ------
    HaloTimingError
        As for :func:`characterize`, or if a corner's library lacks a cell of the netlist.
    """
    chosen = find_mac(mac) if isinstance(mac, str) else mac
    session = open_session(pdk, corner, _Quiet(), jobs=jobs, install=False)
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as scratch:
        folder = out or Path(scratch)
        make_corners(session, choose_corners(session.pdk, corners), chosen, folder)
        return load_corners(folder)

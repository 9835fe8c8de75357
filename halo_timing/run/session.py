"""The steps that any MAC goes through, and what they share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from halo_timing.characterization import (
    characterize_netlist,
    map_mac,
    mapping_target,
    provenance,
    timing_conditions,
)
from halo_timing.errors import ToolNotFoundError
from halo_timing.files import sha256_file, write_json, write_text
from halo_timing.netlist import Netlist
from halo_timing.pdk.registry import Corner, Pdk, load_pdk
from halo_timing.resources import flows_dir
from halo_timing.rtl import Mac
from halo_timing.run.steps import Record, Step, execute
from halo_timing.tools.opensta import OpenSta, find_opensta
from halo_timing.tools.opensta_probe import probe_opensta
from halo_timing.tools.yosys import Yosys, find_yosys


class Reporter(Protocol):
    """Is told how a run goes on."""

    def started(self, step: str, total: int) -> Callable[[int], None]:
        """Begin a step of `total` units; the returned function takes the units done since its last call."""

    def finished(self, record: Record) -> None:
        """End a step."""

    def note(self, text: str) -> None:
        """Say something, such as the licence of what is being fetched."""


@dataclass(frozen=True)
class Session:
    """What all steps of a run share."""

    pdk: Pdk
    corner: Corner
    yosys: Yosys
    sta: OpenSta
    jobs: int
    reporter: Reporter

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """PDK, corner, hashes and tool versions."""
        return provenance(self.pdk, self.corner, self.yosys, self.sta)

    def execute(self, step: Step, folder: Path) -> Record:
        """Make a step, or find it made."""
        record = execute(step, folder)
        self.reporter.finished(record)
        return record


def open_session(pdk: str, corner: str | None, reporter: Reporter, *, jobs: int, install: bool) -> Session:
    """Find the tools and the PDK.

    Raises
    ------
    ToolNotFoundError, PdkError
        If one of them is missing, or OpenSTA is one whose bounds are wrong.
    """
    sta, yosys = find_opensta(), find_yosys()
    if not probe_opensta(sta).bounds_are_sound:
        raise ToolNotFoundError(
            f"{sta.path} gives wrong delays under case analysis (`halo-timing doctor` tells more); "
            "name another OpenSTA in the variable STA"
        )
    loaded = load_pdk(pdk, install=install, progress=reporter.note)
    return Session(loaded, loaded.corner(corner), yosys, sta, jobs, reporter)


def characterize(session: Session, mac: Mac, folder: Path, *, label: str = "") -> list[Record]:
    """Make netlist and tables of one MAC in `folder`; `label` goes before the steps' names."""
    netlist = make_netlist(session, mac, folder, label=label)
    return [netlist, *make_tables(session, mac, netlist, folder, label=label)]


def make_netlist(session: Session, mac: Mac, folder: Path, *, label: str = "") -> Record:
    """Map one MAC into `folder` and prove the netlist."""
    return session.execute(_netlist_step(session, mac, folder, f"{label}netlist"), folder)


def make_tables(
    session: Session, mac: Mac, netlist: Record, folder: Path, *, label: str = ""
) -> list[Record]:
    """Make what is measured of the netlist that is in `folder`, at the session's corner."""
    return [session.execute(_tables_step(session, mac, netlist, folder, f"{label}tables"), folder)]


def _netlist_step(session: Session, mac: Mac, folder: Path, name: str) -> Step:
    target = mapping_target(session.pdk, session.corner)
    conditions = timing_conditions(session.pdk, session.corner)

    def action(working: Path) -> None:
        advance = session.reporter.started(name, len(mac.recipes) + 1)
        mapped = map_mac(mac, target, conditions, session.yosys, session.sta, folder / "logs", advance)
        write_text(working / "netlist.v", mapped.netlist.to_verilog())
        write_json(working / "netlist.json", mapped.netlist.to_json())
        write_json(working / "synthesis.json", mapped.summary())

    inputs = {
        "mac": {**asdict(mac), "files": [sha256_file(path) for path in mac.files]},
        "provenance": session.provenance,
        "cells": [target.dont_use, target.tie_high, target.tie_low, target.drive_cell],
        "constraints": [target.output_load_ff, target.period_ps, conditions.input_slew_ps],
        "flows": [sha256_file(path) for path in sorted(flows_dir().rglob("*")) if path.is_file()],
        "version": version("halo-timing"),
    }
    return Step(name, inputs, action)


def _tables_step(session: Session, mac: Mac, netlist: Record, folder: Path, name: str) -> Step:
    def action(working: Path) -> None:
        library = session.pdk.library(session.corner)
        mapped = Netlist.from_json(json.loads((folder / "netlist.json").read_text()), library)
        weights = 1 << len(mapped.port(mac.interface.weight).nets)
        characterize_netlist(
            mac,
            mapped,
            timing_conditions(session.pdk, session.corner),
            session.sta,
            sdf_path=working / "delays.sdf",
            log_folder=folder / "logs",
            provenance=session.provenance,
            jobs=session.jobs,
            progress=session.reporter.started(name, weights),
        ).save(working)

    return Step(name, {"netlist": netlist.key, "files": netlist.digest}, action)

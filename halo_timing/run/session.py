"""The steps that any MAC goes through, and what they share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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
from halo_timing.dynamic.result import DynamicResult
from halo_timing.dynamic.simulation import Simulation
from halo_timing.dynamic_characterization import DynamicOptions, characterize_dynamics, simulation_of
from halo_timing.dynamic_tables import ENERGY_NAME, FILE_NAME, SETTLE_NAME
from halo_timing.errors import ToolNotFoundError
from halo_timing.files import sha256_file, write_json, write_text
from halo_timing.float_characterization import FloatStimulus, characterize_float_mac
from halo_timing.netlist import Netlist
from halo_timing.pdk.registry import Corner, Pdk, load_pdk
from halo_timing.resources import flows_dir
from halo_timing.rtl import Mac
from halo_timing.run.steps import Record, Step, execute
from halo_timing.tables import SHARED, Tables
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
    """What all steps of a run share.

    `dynamic` is None where bounds alone are wanted; `make` makes a step; `simulated` is a simulation that was
    done before, in blocks of weights.
    """

    pdk: Pdk
    corner: Corner
    yosys: Yosys
    sta: OpenSta
    jobs: int
    reporter: Reporter
    dynamic: DynamicOptions | None = None
    make: Callable[[Step, Path], Record] = execute
    simulated: DynamicResult | None = None

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """PDK, corner, hashes and tool versions."""
        return provenance(self.pdk, self.corner, self.yosys, self.sta)

    def execute(self, step: Step, folder: Path) -> Record:
        """Make a step, or find it made."""
        record = self.make(step, folder)
        self.reporter.finished(record)
        return record


def open_session(
    pdk: str,
    corner: str | None,
    reporter: Reporter,
    *,
    jobs: int,
    install: bool,
    dynamic: DynamicOptions | None = None,
) -> Session:
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
    return Session(loaded, loaded.corner(corner), yosys, sta, jobs, reporter, dynamic)


def characterize(session: Session, mac: Mac, folder: Path, *, label: str = "") -> list[Record]:
    """Make netlist and tables of one MAC in `folder`; `label` goes before the steps' names."""
    netlist = make_netlist(session, mac, folder, label=label)
    return [netlist, *make_tables(session, mac, netlist, folder, label=label)]


def make_netlist(session: Session, mac: Mac, folder: Path, *, label: str = "") -> Record:
    """Map one MAC into `folder` and prove the netlist."""
    return session.execute(_netlist_step(session, mac, folder, f"{label}netlist"), folder)


def make_float_mac(session: Session, mac: Mac, folder: Path, *, label: str = "") -> Record:
    """Map and measure a floating-point MAC into `folder`."""
    target = mapping_target(session.pdk, session.corner)
    conditions = timing_conditions(session.pdk, session.corner)
    name = f"{label}float"

    def action(working: Path) -> None:
        netlist, summary = characterize_float_mac(
            mac,
            target,
            conditions,
            session.yosys,
            session.sta,
            provenance=session.provenance,
            log_folder=folder / "logs",
            progress=session.reporter.started(name, len(mac.recipes) + 1),
        )
        write_text(working / "netlist.v", netlist.to_verilog())
        write_json(working / "synthesis.json", summary)

    inputs = {**_netlist_step(session, mac, folder, name).inputs, "stimulus": asdict(FloatStimulus())}
    return session.execute(Step(name, inputs, action), folder)


def make_tables(
    session: Session, mac: Mac, netlist: Record, folder: Path, *, label: str = ""
) -> list[Record]:
    """Make what is measured of the netlist that is in `folder`, at the session's corner."""
    bounds = make_bounds(session, mac, netlist, folder, label=label)
    return [bounds, *make_weights(session, mac, bounds, folder, label=label)]


def make_bounds(session: Session, mac: Mac, netlist: Record, folder: Path, *, label: str = "") -> Record:
    """Bound every weight of the netlist that is in `folder`."""
    return session.execute(_tables_step(session, mac, netlist, folder, f"{label}tables"), folder)


def make_weights(
    session: Session, mac: Mac, bounds: Record, folder: Path, *, label: str = ""
) -> list[Record]:
    """Simulate every weight, if the session asks for it, and write what is known of each."""
    records = [bounds]
    if session.dynamic is not None:
        step = _dynamic_step(session, session.dynamic, mac, bounds, folder, f"{label}dynamic")
        records.append(session.execute(step, folder))
    else:
        # What an earlier run simulated here is not what this one was asked for.
        for name in (FILE_NAME, SETTLE_NAME, ENERGY_NAME):
            (folder / name).unlink(missing_ok=True)
    records.append(session.execute(_weights_step(records, folder, f"{label}weights"), folder))
    return records[1:]


def simulation_in(session: Session, options: DynamicOptions, mac: Mac, folder: Path) -> Simulation:
    """Prepare the simulation of the MAC whose netlist and bounds are in `folder`."""
    return simulation_of(
        mac,
        _read_netlist(session, folder),
        timing_conditions(session.pdk, session.corner),
        Tables.load(folder, simulated=False).metadata["arrivals_ps"],
        folder / "delays.sdf",
        options,
    )


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
        mapped = _read_netlist(session, folder)
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


def _dynamic_step(
    session: Session, options: DynamicOptions, mac: Mac, tables: Record, folder: Path, name: str
) -> Step:
    def action(working: Path) -> None:
        simulation = simulation_in(session, options, mac, folder)
        # What is done already takes no time that could be told by trying.
        plan = simulation.plan(jobs=session.jobs, calibrate=session.simulated is None)
        for line in plan.lines():
            session.reporter.note(line)
        bounds = Tables.load(folder, simulated=False)
        characterize_dynamics(
            simulation,
            options,
            working,
            provenance={key: bounds.metadata[key] for key in ("mac", "pdk", *SHARED)},
            result=session.simulated,
            jobs=session.jobs,
            progress=session.reporter.started(name, plan.units),
        ).save(working)

    inputs = {"tables": tables.key, "files": tables.digest, "options": options.as_json()}
    return Step(name, inputs, action)


def _weights_step(measured: Sequence[Record], folder: Path, name: str) -> Step:
    return Step(
        name,
        {record.name: [record.key, record.digest] for record in measured},
        lambda working: Tables.load(folder).save_csv(working),
    )


def _read_netlist(session: Session, folder: Path) -> Netlist:
    library = session.pdk.library(session.corner)
    return Netlist.from_json(json.loads((folder / "netlist.json").read_text()), library)

"""RTL to report: the steps of a run and what each depends on."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from halo_timing.characterize import (
    characterize_netlist,
    map_mac,
    mapping_target,
    provenance,
    timing_conditions,
)
from halo_timing.costmap.levels import build_cost_map
from halo_timing.costmap.model import CostMap
from halo_timing.files import sha256_file, sha256_json, write_json, write_text
from halo_timing.metrics import collect_metrics
from halo_timing.models import model_path
from halo_timing.netlist import Netlist
from halo_timing.pdk.registry import Corner, Pdk, load_pdk
from halo_timing.quantize.model import QuantizeOptions, quantize_checkpoint
from halo_timing.report.page import render_report
from halo_timing.resources import flows_dir
from halo_timing.rtl import Mac, family, find_mac
from halo_timing.run.config import RunConfig
from halo_timing.run.steps import Record, Step, execute, remove_leftovers
from halo_timing.tables import Tables
from halo_timing.tools.opensta import OpenSta, find_opensta
from halo_timing.tools.yosys import Yosys, find_yosys

MANIFEST_VERSION = 1
MODEL_FOLDER = "model"
REFERENCE_FOLDER = "reference"


class Reporter(Protocol):
    """Is told how a run goes on."""

    def started(self, step: str, total: int) -> Callable[[int], None]:
        """Begin a step of `total` units; the returned function takes the units done since its last call."""

    def finished(self, record: Record) -> None:
        """End a step."""


@dataclass(frozen=True)
class Session:
    """What all steps of a run share."""

    pdk: Pdk
    corner: Corner
    yosys: Yosys
    sta: OpenSta
    jobs: int
    reporter: Reporter

    @property
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
        If one of them is missing.
    """
    sta, yosys = find_opensta(), find_yosys()
    loaded = load_pdk(pdk, install=install)
    return Session(loaded, loaded.corner(corner), yosys, sta, jobs, reporter)


def run(
    config: RunConfig, out: Path, reporter: Reporter, *, jobs: int = 1, install: bool = True
) -> dict[str, Any]:
    """Do everything that `config` asks for, or what is left of it.

    Parameters
    ----------
    out
        Result folder.
    jobs
        Processes at a time; no result depends on it.
    install
        Whether a PDK that is not there may be fetched.

    Returns
    -------
    dict
        The metrics, as in ``metrics.json``.

    Raises
    ------
    HaloTimingError
        If an input is wrong or a tool fails.
    """
    mac = find_mac(config.mac)
    references = _references(config, mac)
    session = open_session(config.pdk, config.corner, reporter, jobs=jobs, install=install)
    source = model_path(config.model) if config.model else None
    if out.is_dir():
        remove_leftovers(out)

    records = characterize(session, mac, out)
    for reference in references:
        label = f"{REFERENCE_FOLDER}/{_plain(reference.name)}"
        records += characterize(session, reference, out / label, label=f"{label}/")
    records.append(session.execute(_costmap_step(config, session, records[1], out), out))
    if source is not None:
        records.append(session.execute(_quantize_step(config, session, source, records[-1], out), out))
    records.append(session.execute(_report_step(config, references, records, out), out))
    write_json(out / "manifest.json", _manifest(config, session, records))
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def characterize(session: Session, mac: Mac, folder: Path, *, label: str = "") -> list[Record]:
    """Make netlist and tables of one MAC in `folder`; `label` goes before the steps' names."""
    netlist = session.execute(_netlist_step(session, mac, folder, f"{label}netlist"), folder)
    tables = session.execute(_tables_step(session, mac, netlist, folder, f"{label}tables"), folder)
    return [netlist, tables]


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


def _costmap_step(config: RunConfig, session: Session, tables: Record, out: Path) -> Step:
    options = config.model_dump(include={"levels", "margin", "min_size"})

    def action(working: Path) -> None:
        session.reporter.started("costmap", 1)
        build_cost_map(Tables.load(out), vdd_v=session.corner.voltage_v, **options).save(working)

    return Step("costmap", {"tables": tables.digest, **options}, action)


def _quantize_step(config: RunConfig, session: Session, source: Path, costmap: Record, out: Path) -> Step:
    options = QuantizeOptions(
        tile=config.tile, fast_share=config.fast_share, outlier_sigma=config.outlier_sigma or None
    )
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())

    def action(_working: Path) -> None:
        advance = session.reporter.started(MODEL_FOLDER, 100)
        told = 0

        def progress(_tensor: str, done: int, total: int) -> None:
            nonlocal told
            percent = 100 * done // max(total, 1)
            advance(percent - told)
            told = percent

        quantize_checkpoint(
            source, CostMap.load(out / "costmap.safetensors"), out / MODEL_FOLDER, options, progress
        )

    inputs = {
        "costmap": costmap.digest,
        "options": asdict(options),
        "source": {path.name: sha256_file(path) for path in files},
    }
    # The quantizer keeps what it has done of a large model, so it works on the result folder itself.
    return Step(MODEL_FOLDER, inputs, action, in_place=True)


def _report_step(config: RunConfig, references: Sequence[Mac], records: Sequence[Record], out: Path) -> Step:
    folders = [Path(REFERENCE_FOLDER) / _plain(reference.name) for reference in references]

    def action(working: Path) -> None:
        metrics = collect_metrics(out, folders, model=MODEL_FOLDER if config.model else None)
        write_json(working / "metrics.json", metrics)
        write_text(working / "report.html", render_report(out, folders, metrics))

    inputs = {
        "records": {record.name: record.digest for record in records},
        "config": config.model_dump(mode="json"),
        "version": version("halo-timing"),
    }
    return Step("report", inputs, action)


def _references(config: RunConfig, mac: Mac) -> list[Mac]:
    """MACs to compare with; by default the conventional ones of the same widths."""
    if config.reference is not None:
        return [find_mac(spec) for spec in config.reference]
    widths = ("WEIGHT_WIDTH", "ACTIVATION_WIDTH", "ACCUMULATOR_WIDTH", "SIGNED")
    settings = ",".join(f"{name}={mac.parameters[name]}" for name in widths if name in mac.parameters)
    specs = [name for name, member in family().items() if member.conventional]
    return [find_mac(f"{name}:{settings}" if settings else name) for name in specs]


def _plain(name: str) -> str:
    """Folder name of a MAC."""
    return "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name)


def _manifest(config: RunConfig, session: Session, records: Sequence[Record]) -> Mapping[str, Any]:
    return {
        "schema_version": MANIFEST_VERSION,
        "options": config.model_dump(mode="json"),
        "provenance": session.provenance,
        "versions": {
            "halo-timing": version("halo-timing"),
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "networkx": version("networkx"),
        },
        "seeds": {},
        "steps": [
            {
                "name": record.name,
                "key": record.key,
                "seconds": record.seconds,
                "outputs": dict(record.outputs),
            }
            for record in records
        ],
        "inputs_sha256": sha256_json({record.name: record.key for record in records}),
    }

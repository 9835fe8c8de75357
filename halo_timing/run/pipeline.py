"""RTL to report: the steps of a run and what each depends on."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from halo_timing.accelerator.comparison import ESTIMATE_NAME, Macs, compare
from halo_timing.accelerator.tile_levels import QuantizedLevels
from halo_timing.accelerator.workload import PHASES, Workload
from halo_timing.corner_index import INDEX_FILE
from halo_timing.costmap.levels import build_cost_map
from halo_timing.costmap.model import CostMap
from halo_timing.dynamic_characterization import DynamicOptions
from halo_timing.files import sha256_file, sha256_json, write_json, write_text
from halo_timing.float_mac import float_mac
from halo_timing.metrics import collect_metrics
from halo_timing.models import model_path
from halo_timing.quantize.model import QuantizeOptions, quantize_checkpoint
from halo_timing.report.page import render_report
from halo_timing.report.result import find_evaluation
from halo_timing.rtl import Mac, family, find_mac
from halo_timing.run.config import RunConfig
from halo_timing.run.corners import characterize_corners, choose_corners
from halo_timing.run.elsewhere import Elsewhere, Request, bound_elsewhere, simulate_elsewhere
from halo_timing.run.session import (
    Reporter,
    Session,
    characterize,
    make_bounds,
    make_float_mac,
    make_netlist,
    make_weights,
    open_session,
)
from halo_timing.run.steps import Record, Step, only_run_in, remove_leftovers
from halo_timing.tables import Tables

MANIFEST_VERSION = 1
MODEL_FOLDER = "model"
REFERENCE_FOLDER = "reference"
FLOAT_FOLDER = "fp16"


def run(
    config: RunConfig,
    out: Path,
    reporter: Reporter,
    *,
    jobs: int = 1,
    install: bool = True,
    elsewhere: Elsewhere | None = None,
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
    elsewhere
        Where MACs are mapped, bounded and simulated; None does it here. No result depends on it.

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
    session = open_session(
        config.pdk,
        config.corner,
        reporter,
        jobs=jobs,
        install=install,
        dynamic=DynamicOptions() if config.dynamic else None,
    )
    source = model_path(config.model, reporter.note) if config.model else None
    with only_run_in(out):
        remove_leftovers(out)
        if elsewhere is not None:
            _characterize_elsewhere(
                elsewhere, session, mac if config.corners is None else None, references, out
            )
        records = _make_everything(config, session, mac, references, source, out)
        write_json(out / "manifest.json", _manifest(config, session, records))
        metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
        return metrics


def _make_everything(
    config: RunConfig, session: Session, mac: Mac, references: Sequence[Mac], source: Path | None, out: Path
) -> list[Record]:
    """Make every step of a run, or find it made."""
    if config.corners is None:
        (out / INDEX_FILE).unlink(missing_ok=True)
        measured = characterize(session, mac, out)
    else:
        corners = choose_corners(session.pdk, config.corners)
        measured = [record for each in characterize_corners(session, corners, mac, out) for record in each]
    records = [*measured, *_characterize_references(session, references, out)]
    records.append(session.execute(_costmap_step(config, session, measured, out), out))
    if source is not None:
        records.append(session.execute(_quantize_step(config, session, source, records[-1], out), out))
        if references and _can_be_estimated(mac):
            if config.fp16:
                records.append(
                    make_float_mac(session, float_mac(), out / FLOAT_FOLDER, label=f"{FLOAT_FOLDER}/")
                )
            records.append(session.execute(_estimate_step(config, references, records, out), out))
    records.append(session.execute(_report_step(config, references, records, out), out))
    return records


def _characterize_elsewhere(
    elsewhere: Elsewhere, session: Session, mac: Mac | None, references: Sequence[Mac], out: Path
) -> None:
    """Make the steps that :func:`characterize` and :func:`_characterize_references` will find made.

    `mac` is None where it is wanted at several corners: these share a netlist and are made here.
    """
    own = [] if mac is None else [Request(mac, out)]
    others = [
        Request(each, out / REFERENCE_FOLDER / each.folder_name, f"{REFERENCE_FOLDER}/{each.folder_name}/")
        for each in references
    ]
    bound_elsewhere(elsewhere, session, [*own, *others])
    if session.dynamic is not None:
        worst_ps = [float(Tables.load(other.folder).period_ps.max()) for other in others]
        fastest = [other for other, worst in zip(others, worst_ps, strict=True) if worst == min(worst_ps)]
        simulate_elsewhere(elsewhere, session, [*own, *fastest])


def _characterize_references(session: Session, references: Sequence[Mac], out: Path) -> list[Record]:
    """Bound every reference; simulate the fastest alone, whose energy is compared."""
    bounded: list[tuple[Mac, Path, str, list[Record], float]] = []
    for mac in references:
        label = f"{REFERENCE_FOLDER}/{mac.folder_name}/"
        folder = out / REFERENCE_FOLDER / mac.folder_name
        netlist = make_netlist(session, mac, folder, label=label)
        records = [netlist, make_bounds(session, mac, netlist, folder, label=label)]
        bounded.append((mac, folder, label, records, float(Tables.load(folder).period_ps.max())))
    best_ps = min((worst_ps for *_, worst_ps in bounded), default=0.0)
    everything: list[Record] = []
    for mac, folder, label, records, worst_ps in bounded:
        own = session if worst_ps == best_ps else replace(session, dynamic=None)
        everything += [*records, *make_weights(own, mac, records[-1], folder, label=label)]
    return everything


def _costmap_step(config: RunConfig, session: Session, measured: Sequence[Record], out: Path) -> Step:
    options = config.model_dump(include={"levels", "margin", "min_size"}) | {"source": config.period_from}

    def action(working: Path) -> None:
        session.reporter.started("costmap", 1)
        build_cost_map(Tables.load(out), **options).save(working)

    return Step("costmap", {"tables": [record.digest for record in measured], **options}, action)


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


def _can_be_estimated(mac: Mac) -> bool:
    """Whether the accelerator's baselines, which are of 8-bit weights, fit the MAC."""
    return mac.parameters.get("WEIGHT_WIDTH", 8) == 8 and mac.interface.signed


def _estimate_step(
    config: RunConfig, references: Sequence[Mac], records: Sequence[Record], out: Path
) -> Step:
    float_folder = out / FLOAT_FOLDER if config.fp16 else None
    folders = [out / REFERENCE_FOLDER / reference.folder_name for reference in references]

    def action(working: Path) -> None:
        model = QuantizedLevels.open(out / MODEL_FOLDER)
        workloads = [Workload(model.shape, phase) for phase in PHASES]
        comparison = compare(Macs.load(out, folders, float_folder), model, workloads)
        write_json(working / ESTIMATE_NAME, comparison.to_json())

    return Step("estimate", {"records": {record.name: record.digest for record in records}}, action)


def _report_step(config: RunConfig, references: Sequence[Mac], records: Sequence[Record], out: Path) -> Step:
    # In the order in which `report` finds them.
    folders = sorted(Path(REFERENCE_FOLDER) / reference.folder_name for reference in references)
    evaluation = find_evaluation(out, config.evaluation)

    def action(working: Path) -> None:
        has_estimate = any(record.name == "estimate" for record in records)
        model = MODEL_FOLDER if config.model else None
        metrics = collect_metrics(out, folders, model, estimate=has_estimate, evaluation=evaluation)
        write_json(working / "metrics.json", metrics)
        write_text(working / "report.html", render_report(out, folders, metrics, evaluation))

    inputs = {
        "records": {record.name: record.digest for record in records},
        "config": config.model_dump(mode="json", exclude={"evaluation"}),
        "evaluation": sha256_file(evaluation) if evaluation else None,
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
                # The files of a reference are in its folder, which its steps' names begin with.
                "outputs": {
                    f"{record.name.rpartition('/')[0]}/{name}".lstrip("/"): digest
                    for name, digest in record.outputs.items()
                },
            }
            for record in records
        ],
        "inputs_sha256": sha256_json({record.name: record.key for record in records}),
    }

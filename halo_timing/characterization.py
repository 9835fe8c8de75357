"""One MAC at one corner: mapped by each of its recipes, proved, and bounded weight by weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from halo_timing.equivalence import Proof, prove_equivalence
from halo_timing.errors import FlowError, PdkError
from halo_timing.files import sha256_file, sha256_json
from halo_timing.held_weight import find_held_weight
from halo_timing.netlist import Netlist
from halo_timing.pdk.registry import Corner, Pdk
from halo_timing.pdk.selection import TieCell
from halo_timing.reference import ReferenceCheck, check_reference
from halo_timing.rtl import Mac
from halo_timing.sta import TimingConditions, sweep, worst_period_ps, write_delays
from halo_timing.synthesis import MappingTarget, synthesize
from halo_timing.tables import Tables
from halo_timing.tools.opensta import OpenSta
from halo_timing.tools.yosys import Yosys


@dataclass(frozen=True)
class Trial:
    """Outcome of one mapping recipe."""

    recipe: str
    worst_period_ps: float
    area_um2: float
    cells: int


@dataclass(frozen=True)
class Mapped:
    """The netlist that is kept, the recipes tried, and what was proved and checked of it."""

    netlist: Netlist
    trials: tuple[Trial, ...]
    recipe: str
    proof: Proof
    reference: ReferenceCheck

    def summary(self) -> dict[str, Any]:
        """Content of ``synthesis.json``; the same for equal netlists."""
        cells: dict[str, int] = {}
        for instance in self.netlist.instances:
            cells[instance.cell] = cells.get(instance.cell, 0) + 1
        kept = next(trial for trial in self.trials if trial.recipe == self.recipe)
        return {
            "recipe": self.recipe,
            "area_um2": round(kept.area_um2, 6),
            "cells": dict(sorted(cells.items())),
            "cell_count": kept.cells,
            "worst_period_ps": round(kept.worst_period_ps, 6),
            "trials": [asdict(trial) for trial in self.trials],
            "equivalence": {
                "exhaustive": self.proof.exhaustive,
                "sat": self.proof.sat,
                "patterns": self.proof.patterns,
            },
            "reference": asdict(self.reference),
        }


def mapping_target(pdk: Pdk, corner: Corner) -> MappingTarget:
    """Return what synthesis maps to at a corner of a PDK."""
    cells, constraints = pdk.cells(corner), pdk.constraints(corner)

    def tie(cell: TieCell | None) -> tuple[str, str] | None:
        return (cell.cell, cell.pin) if cell else None

    return MappingTarget(
        liberty=corner.liberty,
        library=pdk.library(corner),
        dont_use=cells.dont_use,
        tie_high=tie(cells.tie_high),
        tie_low=tie(cells.tie_low),
        drive_cell=cells.buffer,
        output_load_ff=constraints.output_load_ff,
        period_ps=constraints.period_target_ps,
    )


def timing_conditions(pdk: Pdk, corner: Corner) -> TimingConditions:
    """Return what OpenSTA assumes around a MAC at a corner of a PDK."""
    constraints = pdk.constraints(corner)
    return TimingConditions(corner.liberty, constraints.output_load_ff, constraints.input_slew_ps)


def map_mac(
    mac: Mac,
    target: MappingTarget,
    conditions: TimingConditions,
    yosys: Yosys,
    sta: OpenSta,
    log_folder: Path,
    progress: Callable[[int], None] | None = None,
) -> Mapped:
    """Map a MAC by each of its recipes, keep the best by its objective, and prove it equal to the RTL.

    Raises
    ------
    ToolError, FlowError
        If a tool fails, or the netlist is not the RTL's function.
    """
    results: list[tuple[Trial, Netlist]] = []
    for recipe in mac.recipes:
        folder = log_folder / recipe
        netlist = synthesize(mac, target, recipe, yosys, folder)
        held = find_held_weight(netlist, mac.interface)
        # Before anything is measured: is it the MAC that its ports are said to be?
        check = check_reference(netlist, mac.interface, held, weight_constant=mac.weight_constant)
        worst = worst_period_ps(netlist, mac.interface, held, conditions, sta, folder)
        results.append((Trial(recipe, round(worst, 6), netlist.area_um2, len(netlist.instances)), netlist))
        if progress:
            progress(1)

    def cost(result: tuple[Trial, Netlist]) -> float:
        trial, _ = result
        return trial.area_um2 if mac.objective == "area" else trial.worst_period_ps

    best, netlist = min(results, key=cost)
    proof = prove_equivalence(mac, netlist, yosys, log_folder)
    if progress:
        progress(1)
    return Mapped(netlist, tuple(trial for trial, _ in results), best.recipe, proof, check)


def characterize_netlist(
    mac: Mac,
    netlist: Netlist,
    conditions: TimingConditions,
    sta: OpenSta,
    *,
    sdf_path: Path,
    log_folder: Path,
    provenance: Mapping[str, Any],
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Tables:
    """Bound every weight of a mapped MAC; `sdf_path` receives the delays that were used.

    Parameters
    ----------
    provenance
        What to record beside the flow's own facts (PDK, corner, hashes, tool versions).

    Raises
    ------
    ToolError
        If OpenSTA fails.
    FlowError
        If no weight's value can make the outputs switch.
    """
    held = find_held_weight(netlist, mac.interface)
    arrivals = write_delays(netlist, mac.interface, conditions, sta, sdf_path, log_folder / "sta_delays.log")
    result = sweep(
        netlist,
        mac.interface,
        held,
        conditions,
        sta,
        sdf_path=sdf_path,
        arrivals_ps=arrivals,
        log_folder=log_folder,
        jobs=jobs,
        progress=progress,
    )
    if not result.bound_ps.any():
        raise FlowError(f"{mac.name}: no path depends on the activation; are the port roles right?")
    interface = mac.interface
    return Tables.from_sweep(
        result,
        {
            **provenance,
            "mac": mac.name,
            "parameters": dict(mac.parameters),
            "weight_width": len(netlist.port(interface.weight).nets),
            "activation_width": len(netlist.port(interface.activation).nets),
            "weight_signed": interface.signed,
            "weight_encoding": "two's complement" if interface.signed else "unsigned",
            "netlist_sha256": sha256_json(netlist.to_json()),
            "delays_sha256": sha256_file(sdf_path),
            "arrivals_ps": arrivals,
            "output_load_ff": conditions.output_load_ff,
            "input_slew_ps": conditions.input_slew_ps,
            "wires": conditions.wire_load,
            "definition": "period = launch + slowest path + setup, largest over the stages",
            "stimulus": "static: any transition of activation and partial sum, weight held",
        },
    )


def provenance(pdk: Pdk, corner: Corner, yosys: Yosys, sta: OpenSta) -> dict[str, Any]:
    """PDK, corner, file hashes and tool versions, for the metadata of tables."""
    try:
        hashes = [sha256_file(path) for path in corner.liberty]
    except OSError as error:
        raise PdkError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return {
        "pdk": pdk.name,
        "corner": corner.name,
        "vdd_v": corner.voltage_v,
        "temperature_c": corner.temperature_c,
        "liberty_sha256": hashes,
        "tools": {
            "yosys": ".".join(map(str, yosys.version)),
            "opensta": ".".join(map(str, sta.version)),
        },
    }

"""What is done with one point: functions of files and parameters alone, so that they can run anywhere.

In order: :func:`map_point`, :func:`bound_point`, :func:`prove_point`, :func:`simulate_point`,
:func:`clock_point`; :func:`sets_point` needs no tool. Each takes the folder for its files, its inputs by
name, and JSON parameters, as :class:`halo_timing.execution.work.Work` says. Logs go into ``logs``.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from halo_timing.characterization import Mapped, Trial, characterize_netlist
from halo_timing.dynamic.icarus_cells import instance_models, with_own_cells
from halo_timing.dynamic_characterization import DynamicOptions, characterize_dynamics, simulation_of
from halo_timing.equivalence import prove_equivalence
from halo_timing.errors import FlowError
from halo_timing.explore.objectives import value_sets
from halo_timing.explore.weights import distribution_of
from halo_timing.files import sha256_json, write_json, write_text
from halo_timing.held_weight import HeldWeight, find_held_weight
from halo_timing.interface import Interface
from halo_timing.mac_model import BenchOptions, MacConfig
from halo_timing.netlist import Netlist
from halo_timing.pdk.library import Library, read_library
from halo_timing.reference import ReferenceCheck, check_reference
from halo_timing.rtl import Mac
from halo_timing.sdf import read_sdf
from halo_timing.sta import TimingConditions, probe, stages_of
from halo_timing.synthesis import MappingTarget, synthesize
from halo_timing.tables import SHARED, Tables
from halo_timing.testbench import run_testbench
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.yosys import find_yosys

LOGS = "logs"
NETLIST = "netlist.json"
MAPPED = "mapped.json"
DELAYS = "delays.sdf"
TABLES = ("tables.safetensors", "paths.json")
SYNTHESIS = "synthesis.json"
DYNAMIC = "dynamic.safetensors"
CLOCKED = "clocked.json"
SETS = "sets.json"
SAMPLE = "weights.npy"
_RTL, _LIBERTY = "rtl_", "liberty_"


@dataclass(frozen=True)
class _Liberty:
    """Liberty files; equal if their content is."""

    digests: tuple[str, ...]
    paths: tuple[Path, ...] = field(compare=False)


@lru_cache(maxsize=4)
def _library(liberty: _Liberty) -> Library:
    return read_library(liberty.paths)


def mac_inputs(mac: Mac) -> dict[str, Path]:
    """Name the Verilog files of a MAC as inputs."""
    return {f"{_RTL}{index:02}.v": path for index, path in enumerate(mac.files)}


def liberty_inputs(liberty: Iterable[Path]) -> dict[str, Path]:
    """Name the Liberty files of a corner as inputs."""
    return {f"{_LIBERTY}{index:02}.lib": path for index, path in enumerate(liberty)}


def mac_parameters(mac: Mac) -> dict[str, Any]:
    """Describe a MAC by plain data, without its files."""
    return {
        "name": mac.name,
        "top": mac.top,
        "parameters": dict(mac.parameters),
        "interface": asdict(mac.interface),
        "recipes": list(mac.recipes),
        "weight_constant": mac.weight_constant,
    }


def corner_parameters(
    target: MappingTarget, conditions: TimingConditions, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe a corner by plain data, without its files."""
    return {
        "dont_use": list(target.dont_use),
        "tie_high": target.tie_high,
        "tie_low": target.tie_low,
        "drive_cell": target.drive_cell,
        "output_load_ff": target.output_load_ff,
        "period_ps": target.period_ps,
        "input_slew_ps": conditions.input_slew_ps,
        "provenance": dict(provenance),
    }


class _Bench:
    """What all functions begin with: the MAC, the corner, and the netlist once it is there."""

    def __init__(self, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
        self.inputs, self.parameters = inputs, parameters
        described = parameters["mac"]
        self.mac = Mac(
            name=described["name"],
            description="",
            files=self._files(_RTL),
            top=described["top"],
            parameters=described["parameters"],
            interface=Interface(**described["interface"]),
            recipes=tuple(described["recipes"]),
            weight_constant=described["weight_constant"],
        )
        corner = parameters["corner"]
        liberty = self._files(_LIBERTY)
        self.library = _library(_Liberty(tuple(corner["provenance"]["liberty_sha256"]), liberty))
        self.conditions = TimingConditions(liberty, corner["output_load_ff"], corner["input_slew_ps"])
        self.target = MappingTarget(
            liberty=liberty,
            library=self.library,
            dont_use=tuple(corner["dont_use"]),
            tie_high=_pair(corner["tie_high"]),
            tie_low=_pair(corner["tie_low"]),
            drive_cell=corner["drive_cell"],
            output_load_ff=corner["output_load_ff"],
            period_ps=corner["period_ps"],
        )

    def _files(self, prefix: str) -> tuple[Path, ...]:
        return tuple(path for name, path in sorted(self.inputs.items()) if name.startswith(prefix))

    def netlist(self) -> Netlist:
        return Netlist.from_json(json.loads(self.inputs[NETLIST].read_text()), self.library)


def _read_tables(inputs: Mapping[str, Path]) -> Tables:
    """Tables among the inputs, whatever paths they have."""
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        for table in (*TABLES, DYNAMIC):
            if table in inputs:
                (Path(name) / table).write_bytes(inputs[table].read_bytes())
        return Tables.load(Path(name))


def _pair(names: Any) -> tuple[str, str] | None:
    return (str(names[0]), str(names[1])) if names else None


def map_point(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Map by one recipe; area, and periods of a few weights and of any: ``netlist.json``, ``mapped.json``.

    Raises
    ------
    HaloTimingError
        If a tool fails, or the netlist does not compute what its ports are said to mean.
    """
    bench = _Bench(inputs, parameters)
    mac, logs = bench.mac, folder / LOGS
    netlist = synthesize(mac, bench.target, mac.recipes[0], find_yosys(), logs)
    held = find_held_weight(netlist, mac.interface)
    check = check_reference(netlist, mac.interface, held, weight_constant=mac.weight_constant)
    values = probed_values(held)
    found = probe(netlist, mac.interface, held, bench.conditions, find_opensta(), logs, values)
    moved = stages_of_weight(netlist, mac.interface, held)
    interface = mac.interface
    document = netlist.to_json()
    write_json(folder / NETLIST, document)
    write_json(
        folder / MAPPED,
        {
            "area_um2": round(netlist.area_um2, 6),
            "cells": len(netlist.instances),
            "netlist_sha256": sha256_json(document),
            "stages": list(found.stages),
            "worst_ps": [round(period, 6) for period in found.worst_ps],
            "moved_by_weight": [stage in moved for stage in found.stages],
            "probed": {
                str(value): round(float(row.max()), 6)
                for value, row in zip(found.values, found.bound_ps, strict=True)
            },
            "reference": asdict(check),
            "carry_save": bool(interface.result_carry) and len(netlist.port(interface.result_carry).nets) > 1,
            "weight_width": len(netlist.port(interface.weight).nets),
            "activation_width": len(netlist.port(interface.activation).nets),
            "sum_width": len(netlist.port(interface.result).nets),
            "signed": interface.signed,
        },
    )


def probed_values(held: HeldWeight) -> list[int]:
    """Values that are often the fastest and the slowest: 0, powers of two, the ends, and mixed bits."""
    low, high = int(held.values[0]), int(held.values[-1])
    powers = [1 << bit for bit in range(high.bit_length())]
    ends = [low, low + 1, high, high - 1]
    mixed = [high // 3, 2 * high // 3, low // 3, 2 * low // 3]
    chosen = [0, *powers, *(-power for power in powers if low < 0), *ends, *mixed]
    return list(dict.fromkeys(value for value in chosen if low <= value <= high))


def stages_of_weight(netlist: Netlist, interface: Interface, held: HeldWeight) -> set[str]:
    """Stages into which a path leads that the weight can open or close; others are alike for all weights."""
    weight = set(netlist.port(interface.weight).nets)
    for register in held.registers:
        pins = netlist.instances[register.instance].pins
        weight |= {pins[pin] for pin in register.state_pins}
    moved = set()
    pins_of = {instance.name: instance.pins for instance in netlist.instances}
    for stage, endpoints in stages_of(netlist, interface, held).items():
        nets = set()
        for endpoint in endpoints:
            name, _, pin = endpoint.rpartition("/")
            nets |= {pins_of[name][pin]} if name else set(netlist.port(interface.result).nets)
        if netlist.support(nets) & weight:
            moved.add(stage)
    return moved


def bound_point(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Bound every weight: ``tables.safetensors``, ``paths.json``, ``delays.sdf``.

    Raises
    ------
    HaloTimingError
        If OpenSTA fails.
    """
    bench = _Bench(inputs, parameters)
    tables = characterize_netlist(
        bench.mac,
        bench.netlist(),
        bench.conditions,
        find_opensta(),
        sdf_path=folder / DELAYS,
        log_folder=folder / LOGS,
        provenance=parameters["corner"]["provenance"],
    )
    tables.save(folder)


def prove_point(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Prove the netlist equal to its RTL: ``synthesis.json`` and ``netlist.v``, as in any result folder.

    Raises
    ------
    HaloTimingError
        If they differ, or a tool fails.
    """
    bench = _Bench(inputs, parameters)
    netlist = bench.netlist()
    mapped = json.loads(inputs[MAPPED].read_text())
    proof = prove_equivalence(bench.mac, netlist, find_yosys(), folder / LOGS)
    trial = Trial(bench.mac.recipes[0], max(mapped["worst_ps"]), mapped["area_um2"], mapped["cells"])
    check = ReferenceCheck(**mapped["reference"])
    write_json(folder / SYNTHESIS, Mapped(netlist, (trial,), trial.recipe, proof, check).summary())
    write_text(folder / "netlist.v", netlist.to_verilog())


def simulate_point(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Simulate transitions, and count their energy: ``dynamic.safetensors``.

    Parameters may name the ``values`` to simulate; by default all.

    Raises
    ------
    HaloTimingError
        If the library lacks what it takes.
    """
    bench = _Bench(inputs, parameters)
    bounds = _read_tables(inputs)
    options = DynamicOptions()
    simulation = simulation_of(
        bench.mac,
        bench.netlist(),
        bench.conditions,
        bounds.metadata["arrivals_ps"],
        inputs[DELAYS],
        options,
    )
    values = parameters.get("values")
    indices = None if values is None else np.searchsorted(bounds.values, sorted(values)).tolist()
    characterize_dynamics(
        simulation,
        options,
        folder,
        provenance={key: bounds.metadata[key] for key in ("mac", "pdk", *SHARED)},
        indices=indices,
    ).save(folder)


def clock_point(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Clock the netlist with its delays at a level's period, and hold it against the RTL's function.

    Parameters give the ``level``: a ``period_ps`` and its ``codebook``. Each of these weights is held while
    activations and sums arrive as late as they may: the slowest transitions that the simulation found, and
    random ones. Writes ``clocked.json``.

    Raises
    ------
    HaloTimingError
        If the result is wrong in any cycle, or a tool fails.
    """
    bench = _Bench(inputs, parameters)
    mac, tables, level = bench.mac, _read_tables(inputs), parameters["level"]
    netlist = bench.netlist()
    build = folder / LOGS / "bench"
    # Delays that depend on a state do so here too: with the weight held, static timing takes one of them.
    sources = [folder / LOGS / name for name in ("cells.v", "netlist.v")]
    write_text(sources[0], "\n".join(instance_models(netlist, read_sdf(inputs[DELAYS]))))
    write_text(sources[1], with_own_cells(netlist))
    stimulus = {
        "arrivals_ps": tables.metadata["arrivals_ps"],
        "codebook": [int(value) for value in level["codebook"]],
        "slowest": _slowest(tables, level["codebook"]),
    }
    write_json(build / "stimulus.json", stimulus)
    # Rounded up to what the simulator's clock can do.
    period_ps = 2 * math.ceil(level["period_ps"] / 2)
    options = BenchOptions(
        MacConfig.from_parameters(mac.parameters), period_ps, random_steps=int(level["cycles"])
    )
    result = run_testbench(
        sources, options, build_dir=build, bench="bench_held_weight", top=netlist.name, specify=True
    )
    if not result.passed:
        raise FlowError(
            f"{mac.name}: gates clocked at {period_ps} ps differ from the RTL: "
            + "; ".join(test.message for test in result.tests if test.message)
        )
    write_json(folder / CLOCKED, json.loads((build / "held.json").read_text()) | {"period_ps": period_ps})


def _slowest(tables: Tables, codebook: Iterable[int]) -> dict[str, list[list[int]]]:
    """Activations before and after the slowest transition of each stage, by value."""
    dynamic = tables.dynamic
    if dynamic is None:
        return {}
    rows = {int(value): row for row, value in enumerate(dynamic.values)}
    return {str(value): dynamic.worst[rows[value]].tolist() for value in codebook if value in rows}


def sets_point(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Find the best set of each size at each period: ``sets.json``.

    Parameters give ``sizes`` and ``weights``, the distribution's name; a sample of weights may be an input.

    Raises
    ------
    HaloTimingError
        If a table is damaged.
    """
    tables = _read_tables(inputs)
    sample = np.load(inputs[SAMPLE], allow_pickle=False) if SAMPLE in inputs else None
    signed = bool(tables.values.min() < 0)
    distribution = distribution_of(parameters["weights"], sample, signed=signed)
    found = value_sets(tables.values, tables.period_ps, parameters["sizes"], distribution)
    write_json(
        folder / SETS,
        [
            {
                "size": each.size,
                "period_ps": round(each.period_ps, 6),
                "sqnr_db": round(each.sqnr_db, 4),
                "values": list(each.values),
            }
            for each in found
        ],
    )

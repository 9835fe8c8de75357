"""The steps of one MAC as works: functions that need nothing but the files and parameters they are given.

They run the very steps of :mod:`halo_timing.run.session` in a folder of their own and leave the records there
as well, so that a run that takes the files over finds its steps made, by the same hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from halo_timing.dynamic.result import DynamicResult
from halo_timing.dynamic.sampled import WEIGHTS_AT_ONCE
from halo_timing.dynamic.stimulus import Stimulus
from halo_timing.dynamic_characterization import DynamicOptions
from halo_timing.interface import Interface
from halo_timing.pdk.descriptor import Descriptor
from halo_timing.pdk.registry import Corner, Pdk
from halo_timing.rtl import Mac
from halo_timing.run.session import Session, characterize, make_bounds, make_netlist, simulation_in
from halo_timing.run.steps import Record
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.yosys import find_yosys

#: Where the files of earlier steps, and of blocks of weights, are among the inputs.
MADE = "made"
BLOCKS = "blocks"
BLOCK_FILE = "block.safetensors"
#: Weights of a block: the sampled simulation takes so many at a time, so their results are those of a whole.
BLOCK_WEIGHTS = WEIGHTS_AT_ONCE


def bounds(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Map a MAC, prove the netlist and bound every weight."""
    session, mac, label = _session(inputs, parameters), _mac(inputs, parameters), parameters["label"]
    netlist = make_netlist(session, mac, folder, label=label)
    make_bounds(session, mac, netlist, folder, label=label)


def block(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Simulate some of the weights of a MAC whose bounds are among the inputs."""
    made = _bring(folder, inputs)
    session, dynamic = _session(inputs, parameters), _dynamic(inputs, parameters)
    simulation = simulation_in(session, dynamic, _mac(inputs, parameters), folder)
    first, end = parameters["weights"]
    indices = simulation.chosen(None)[first:end]
    simulation.run(indices=indices, bin_ps=dynamic.bin_ps).save(folder / BLOCK_FILE)
    _remove(folder, made)


def simulation(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Make the tables of every weight: of blocks that are among the inputs, or else simulated here."""
    made = _bring(folder, inputs)
    session = replace(_session(inputs, parameters), dynamic=_dynamic(inputs, parameters))
    if blocks := [inputs[name] for name in sorted(inputs) if name.startswith(f"{BLOCKS}/")]:
        session = replace(
            session, simulated=DynamicResult.stacked([DynamicResult.load(path) for path in blocks])
        )
    characterize(session, _mac(inputs, parameters), folder, label=parameters["label"])
    _remove(folder, made)


def _bring(folder: Path, inputs: Mapping[str, Path]) -> list[Path]:
    """Put the files of earlier steps where the steps look for them."""
    brought = []
    for name, path in inputs.items():
        if name.startswith(f"{MADE}/"):
            target = folder / name.removeprefix(f"{MADE}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            brought.append(target)
    return brought


def _remove(folder: Path, brought: list[Path]) -> None:
    """Leave what was made alone."""
    for path in brought:
        path.unlink()


def _session(inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> Session:
    described = parameters["corner"]
    corner = Corner(**{**described, "liberty": tuple(inputs[name] for name in described["liberty"])})
    descriptor = Descriptor.model_validate(parameters["descriptor"])
    pdk = Pdk(parameters["pdk"], descriptor, corner.liberty[0].parent, {corner.name: corner})
    return Session(pdk, corner, find_yosys(), find_opensta(), 1, Silent())


def _mac(inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> Mac:
    described = dict(parameters["mac"])
    described["files"] = tuple(inputs[f"rtl/{index}.v"] for index in range(described["files"]))
    described["interface"] = Interface(**described["interface"])
    described["recipes"] = tuple(described["recipes"])
    return Mac(**described)


def _dynamic(inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> DynamicOptions:
    arrays = {
        name: np.load(path, allow_pickle=False)
        for name in ("weights", "pairs")
        if (path := inputs.get(f"stimulus/{name}.npy")) is not None
    }
    return DynamicOptions(**parameters["options"], stimulus=Stimulus(**parameters["stimulus"], **arrays))


class Silent:
    """A reporter that says nothing."""

    def started(self, step: str, total: int) -> Callable[[int], None]:
        """Take no notice."""
        return lambda units: None

    def finished(self, record: Record) -> None:
        """Take no notice."""

    def note(self, text: str) -> None:
        """Take no notice."""

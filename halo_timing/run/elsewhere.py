"""The steps of MACs as works of an executor, and taking what they made into a result folder.

A work runs the very steps of :mod:`halo_timing.run.session` in a folder of its own, from the files that
travel with it. It returns their records too, so the ordinary run finds the steps made, by the same hashes.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from halo_timing.dynamic.stimulus import Stimulus
from halo_timing.dynamic_characterization import DynamicOptions
from halo_timing.errors import HaloTimingError
from halo_timing.execution.executor import Executor, Outcome
from halo_timing.execution.store import Store
from halo_timing.execution.work import Work
from halo_timing.interface import Interface
from halo_timing.pdk.descriptor import Descriptor
from halo_timing.pdk.registry import Corner, Pdk
from halo_timing.rtl import Mac
from halo_timing.run.session import Session, characterize, make_bounds, make_netlist
from halo_timing.run.steps import Record, Step, adopt, found, recorded_files
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.yosys import find_yosys

_MADE = "made"


class WorksFailedError(HaloTimingError):
    """Works failed; the message names each, and the folder that reproduces it."""

    def __init__(self, failed: Sequence[Outcome], count: int) -> None:
        self.exit_code = max(outcome.exit_code for outcome in failed)
        lines = [str(outcome.error) for outcome in failed]
        if count > 1:
            lines.insert(0, f"{len(failed)} of {count} failed; what the others made is kept")
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Elsewhere:
    """An executor, and the store that its results are in."""

    executor: Executor
    store: Store


@dataclass(frozen=True)
class Request:
    """One MAC whose tables are wanted in `folder`; `label` goes before the steps' names."""

    mac: Mac
    folder: Path
    label: str = ""


def bound_elsewhere(elsewhere: Elsewhere, session: Session, requests: Sequence[Request]) -> None:
    """Make netlist and bounds of MACs, unless they are in their folders.

    Raises
    ------
    WorksFailedError
        If some fail; the others are in their folders.
    """

    def steps(here: Session, request: Request) -> None:
        netlist = make_netlist(here, request.mac, request.folder, label=request.label)
        make_bounds(here, request.mac, netlist, request.folder, label=request.label)

    _make(elsewhere, session, requests, steps, "bounds", {})


def simulate_elsewhere(elsewhere: Elsewhere, session: Session, requests: Sequence[Request]) -> None:
    """Simulate every weight of MACs whose bounds are in their folders, unless that is there too.

    Raises
    ------
    WorksFailedError
        If some fail; the others are in their folders.
    """
    assert session.dynamic is not None

    def steps(here: Session, request: Request) -> None:
        characterize(here, request.mac, request.folder, label=request.label)

    options = asdict(replace(session.dynamic, stimulus=Stimulus()))
    stimulus = {name: getattr(session.dynamic.stimulus, name) for name in options.pop("stimulus")}
    arrays: dict[str, Path] = {}
    for name in ("weights", "pairs"):
        if isinstance(stimulus[name], np.ndarray):
            arrays[f"stimulus/{name}.npy"] = _keep_array(elsewhere.store, stimulus.pop(name))
    made = {"options": options, "stimulus": stimulus}
    _make(elsewhere, session, requests, steps, "simulation", arrays, made)


def bounds(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Work: map a MAC, prove the netlist and bound every weight."""
    session, mac = _session(inputs, parameters), _mac(inputs, parameters)
    netlist = make_netlist(session, mac, folder, label=parameters["label"])
    make_bounds(session, mac, netlist, folder, label=parameters["label"])


def simulation(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Work: simulate every weight of a MAC whose bounds are among the inputs."""
    made = {name.removeprefix(f"{_MADE}/"): path for name, path in inputs.items() if name.startswith(_MADE)}
    for name, path in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(path.read_bytes())
    arrays = {
        name: np.load(kept, allow_pickle=False)
        for name in ("weights", "pairs")
        if (kept := inputs.get(f"stimulus/{name}.npy")) is not None
    }
    dynamic = DynamicOptions(**parameters["options"], stimulus=Stimulus(**parameters["stimulus"], **arrays))
    session = replace(_session(inputs, parameters), dynamic=dynamic)
    characterize(session, _mac(inputs, parameters), folder, label=parameters["label"])
    for name in made:
        (folder / name).unlink()


class _NotMade(Exception):
    """A step's files are not in its folder."""


def _is_made(session: Session, request: Request, steps: Callable[[Session, Request], None]) -> bool:
    try:
        steps(replace(session, make=_find, reporter=_Silent()), request)
    except _NotMade:
        return False
    return True


def _find(step: Step, folder: Path) -> Record:
    record = found(step, folder)
    if record is None:
        raise _NotMade
    return record


def _make(
    elsewhere: Elsewhere,
    session: Session,
    requests: Sequence[Request],
    steps: Callable[[Session, Request], None],
    function: str,
    arrays: Mapping[str, Path],
    more: Mapping[str, Any] = {},
) -> None:
    missing = [request for request in requests if not _is_made(session, request, steps)]
    works = {
        work.name: (work, request)
        for request in missing
        for work in [_work(session, request, function, arrays, more)]
    }
    failed = []
    # One unit a work; the reporter's lines of single steps come when the run finds them made.
    advance = session.reporter.started(function, len(works)) if works else lambda _units: None
    for outcome in elsewhere.executor.run([work for work, _ in works.values()], session.reporter.note):
        advance(1)
        if outcome.outputs is None:
            failed.append(outcome)
            continue
        folder = works[outcome.work.name][1].folder
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as name:
            elsewhere.store.place(outcome.outputs, Path(name))
            adopt(Path(name), folder)
        if not outcome.reused:
            session.reporter.note(f"{outcome.work.name}: {outcome.seconds:.1f} s")
    if failed:
        raise WorksFailedError(failed, len(works))


def _work(
    session: Session, request: Request, function: str, arrays: Mapping[str, Path], more: Mapping[str, Any]
) -> Work:
    mac, corner = request.mac, session.corner
    liberty = {_liberty_name(index, path): path for index, path in enumerate(corner.liberty)}
    inputs = {**liberty, **{f"rtl/{index}.v": path for index, path in enumerate(mac.files)}, **arrays}
    if function == "simulation":
        # What the folder holds of the steps before: they are found there, as they are here.
        for name in ("netlist", "tables"):
            files = recorded_files(f"{request.label}{name}", request.folder)
            inputs |= {f"{_MADE}/{file}": request.folder / file for file in files}
    parameters = {
        "pdk": session.pdk.name,
        "descriptor": session.pdk.descriptor.model_dump(mode="json"),
        "corner": {**asdict(corner), "liberty": list(liberty)},
        "mac": {**asdict(mac), "files": len(mac.files)},
        "label": request.label,
        **more,
    }
    name = f"{session.pdk.name}/{request.label or f'{mac.name}/'}{function}"
    return Work(name, f"{__name__}:{function}", parameters, inputs)


def _liberty_name(index: int, path: Path) -> str:
    return f"liberty/{index}.lib" + (".gz" if path.suffix == ".gz" else "")


def _session(inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> Session:
    described = parameters["corner"]
    corner = Corner(**{**described, "liberty": tuple(inputs[name] for name in described["liberty"])})
    descriptor = Descriptor.model_validate(parameters["descriptor"])
    pdk = Pdk(parameters["pdk"], descriptor, corner.liberty[0].parent, {corner.name: corner})
    return Session(pdk, corner, find_yosys(), find_opensta(), 1, _Silent())


def _mac(inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> Mac:
    described = dict(parameters["mac"])
    described["files"] = tuple(inputs[f"rtl/{index}.v"] for index in range(described["files"]))
    described["interface"] = Interface(**described["interface"])
    described["recipes"] = tuple(described["recipes"])
    return Mac(**described)


def _keep_array(store: Store, array: np.ndarray[Any, Any]) -> Path:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    data = stream.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    store.put_bytes(data, digest)
    return store.path(digest)


class _Silent:
    def started(self, step: str, total: int) -> Callable[[int], None]:
        return lambda units: None

    def finished(self, record: Record) -> None:
        pass

    def note(self, text: str) -> None:
        pass

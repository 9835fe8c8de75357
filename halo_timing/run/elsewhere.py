"""Steps of MACs given to an executor, and what they made taken into result folders."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from halo_timing.rtl import Mac
from halo_timing.run import remote
from halo_timing.run.remote import BLOCK_FILE, BLOCKS, MADE, Silent
from halo_timing.run.session import Session, characterize, make_bounds, make_netlist
from halo_timing.run.steps import Record, Step, adopt, found, recorded_files
from halo_timing.tables import Tables


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

    missing = [request for request in requests if not _is_made(session, request, steps)]
    works = [_work(session, request, "bounds", {}, {}) for request in missing]
    _take(elsewhere, session, "bounds", works, missing)


def simulate_elsewhere(elsewhere: Elsewhere, session: Session, requests: Sequence[Request]) -> None:
    """Simulate every weight of MACs whose bounds are in their folders, unless that is there too.

    Weights are simulated in blocks that are works of their own: more of them run at a time, and a lost worker
    takes little with it. Full tables are too large for that and are made in one piece.

    Raises
    ------
    WorksFailedError
        If some fail; the others are in their folders, or in the store.
    """
    dynamic = session.dynamic
    assert dynamic is not None

    def steps(here: Session, request: Request) -> None:
        characterize(here, request.mac, request.folder, label=request.label)

    missing = [request for request in requests if not _is_made(session, request, steps)]
    options, arrays = _stimulus(dynamic, elsewhere.store)
    inputs = [{**arrays, **_made(request)} for request in missing]
    works = [
        _work(session, request, "block", files, {**options, "weights": [start, end]}, f" {start}-{end - 1}")
        for request, files in zip(missing, inputs, strict=True)
        for start, end in ([] if dynamic.full else _blocks(request, dynamic.stimulus.shift))
    ]
    # Blocks of equal names are of one MAC; their outcomes come in any order.
    blocks: dict[str, dict[str, Path]] = {}
    for outcome in _outcomes(elsewhere, session, "blocks", works):
        name, _, weights = outcome.work.name.rpartition(" ")
        start = int(weights.partition("-")[0])
        assert outcome.outputs is not None
        path = elsewhere.store.path(outcome.outputs[BLOCK_FILE])
        blocks.setdefault(name, {})[f"{BLOCKS}/{start:06d}.safetensors"] = path
    works = [
        _work(
            session,
            request,
            "simulation",
            {**files, **blocks.get(_name(session, request, "block"), {})},
            options,
        )
        for request, files in zip(missing, inputs, strict=True)
    ]
    _take(elsewhere, session, "simulation", works, missing)


class _NotMade(Exception):
    """A step's files are not in its folder."""


def _is_made(session: Session, request: Request, steps: Callable[[Session, Request], None]) -> bool:
    try:
        steps(replace(session, make=_find, reporter=Silent()), request)
    except _NotMade:
        return False
    return True


def _find(step: Step, folder: Path) -> Record:
    record = found(step, folder)
    if record is None:
        raise _NotMade
    return record


def _outcomes(elsewhere: Elsewhere, session: Session, what: str, works: Sequence[Work]) -> Iterator[Outcome]:
    """Yield what was done; at the end name what failed.

    Raises
    ------
    WorksFailedError
        If something did.
    """
    if not works:
        return
    failed = []
    # One unit a work; lines of single steps come when the run finds them made.
    advance = session.reporter.started(what, len(works))
    for outcome in elsewhere.executor.run(works, session.reporter.note):
        advance(1)
        if outcome.outputs is None:
            failed.append(outcome)
            continue
        if not outcome.reused:
            session.reporter.note(f"{outcome.work.name}: {outcome.seconds:.1f} s")
        yield outcome
    if failed:
        raise WorksFailedError(failed, len(works))


def _take(
    elsewhere: Elsewhere, session: Session, what: str, works: Sequence[Work], requests: Sequence[Request]
) -> None:
    """Do works, and move the steps that each made to the folder of its request."""
    folders = {work.name: request.folder for work, request in zip(works, requests, strict=True)}
    for outcome in _outcomes(elsewhere, session, what, works):
        folder = folders[outcome.work.name]
        folder.mkdir(parents=True, exist_ok=True)
        assert outcome.outputs is not None
        with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as name:
            elsewhere.store.place(outcome.outputs, Path(name))
            adopt(Path(name), folder)


def _work(
    session: Session,
    request: Request,
    function: str,
    files: Mapping[str, Path],
    options: Mapping[str, Any],
    suffix: str = "",
) -> Work:
    mac, corner = request.mac, session.corner
    liberty = {
        f"liberty/{index}.lib{'.gz' if path.suffix == '.gz' else ''}": path
        for index, path in enumerate(corner.liberty)
    }
    rtl = {f"rtl/{index}.v": path for index, path in enumerate(mac.files)}
    parameters = {
        "pdk": session.pdk.name,
        "descriptor": session.pdk.descriptor.model_dump(mode="json"),
        "corner": {**asdict(corner), "liberty": list(liberty)},
        "mac": {**asdict(mac), "files": len(mac.files)},
        "label": request.label,
        **options,
    }
    name = _name(session, request, function) + suffix
    return Work(name, f"{remote.__name__}:{function}", parameters, {**liberty, **rtl, **files})


def _name(session: Session, request: Request, function: str) -> str:
    return f"{session.pdk.name}/{request.label or f'{request.mac.name}/'}{function}"


def _made(request: Request) -> dict[str, Path]:
    """Files of the steps before a simulation, and their records."""
    files = [
        file
        for step in ("netlist", "tables")
        for file in recorded_files(f"{request.label}{step}", request.folder)
    ]
    return {f"{MADE}/{file}": request.folder / file for file in files}


def _blocks(request: Request, shift: int) -> list[tuple[int, int]]:
    """First and end of each block among the weights that the tile fact allows."""
    values = Tables.load(request.folder, simulated=False).values.astype(int)
    count = int((values % (1 << shift) == 0).sum())
    starts = range(0, count, remote.BLOCK_WEIGHTS)
    return [(start, min(start + remote.BLOCK_WEIGHTS, count)) for start in starts]


def _stimulus(dynamic: DynamicOptions, store: Store) -> tuple[dict[str, Any], dict[str, Path]]:
    """Options of a simulation as JSON values, and the arrays among them as files."""
    options = asdict(replace(dynamic, stimulus=Stimulus()))
    stimulus = {name: getattr(dynamic.stimulus, name) for name in options.pop("stimulus")}
    arrays = {}
    for name in ("weights", "pairs"):
        if isinstance(stimulus[name], np.ndarray):
            stream = io.BytesIO()
            np.save(stream, stimulus.pop(name), allow_pickle=False)
            data = stream.getvalue()
            digest = hashlib.sha256(data).hexdigest()
            store.put_bytes(data, digest)
            arrays[f"stimulus/{name}.npy"] = store.path(digest)
    return {"options": options, "stimulus": stimulus}, arrays

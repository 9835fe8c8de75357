"""One step of a run: made once, kept with its record, made again only when something it depends on changes.

A step's files are made in a working folder inside the result folder and renamed into place when all of them
are there; the record is written last. Whatever moment a run is killed at, the next one finds either a whole
step with its record, or redoes it.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halo_timing.errors import UsageError
from halo_timing.files import PART_SUFFIX, sha256_file, sha256_json, write_json

_RECORDS = ".steps"


@dataclass(frozen=True)
class Step:
    """Something to be made.

    Parameters
    ----------
    name
        Unique in the run; may hold ``/``.
    inputs
        Everything the result depends on, as JSON: options, hashes of files, versions of tools.
    action
        Makes the files in the folder that it is given.
    in_place
        The action works on the result folder itself and takes care of interruptions.
    """

    name: str
    inputs: Mapping[str, Any]
    action: Callable[[Path], None]
    in_place: bool = False


@dataclass(frozen=True)
class Record:
    """A step that is done: hash of its inputs, hashes of its files by name, and how long it took."""

    name: str
    key: str
    outputs: Mapping[str, str]
    seconds: float
    reused: bool

    @property
    def digest(self) -> str:
        """Hash of all its files, for the inputs of later steps."""
        return sha256_json(dict(self.outputs))


def execute(step: Step, folder: Path) -> Record:
    """Make a step's files in `folder`, unless they are there.

    Raises
    ------
    UsageError
        If the folder cannot be written.
    """
    key, record_path = _key(step), _record_path(step.name, folder)
    if (record := _valid_record(record_path, key, folder)) is not None:
        return record
    started = time.monotonic()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
    try:
        if step.in_place:
            step.action(folder)
            files = [path for path in folder.glob(f"{step.name}/**/*") if path.is_file()]
            made = {path.relative_to(folder).as_posix(): path for path in files}
        else:
            step.action(working)
            files = [path for path in working.rglob("*") if path.is_file()]
            made = {path.relative_to(working).as_posix(): path for path in files}
        outputs = {name: sha256_file(path) for name, path in sorted(made.items())}
        _forget(record_path, outputs.keys(), folder)
        if not step.in_place:
            for name, path in made.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                path.replace(folder / name)
        seconds = round(time.monotonic() - started, 2)
        write_json(record_path, {"name": step.name, "key": key, "outputs": outputs, "seconds": seconds})
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return Record(step.name, key, outputs, seconds, reused=False)


def found(step: Step, folder: Path) -> Record | None:
    """Record of a step whose files are in `folder`, made from the same inputs; None where they are not."""
    return _valid_record(_record_path(step.name, folder), _key(step), folder)


def recorded_files(name: str, folder: Path) -> list[str]:
    """Files of a step in `folder`, its record among them."""
    record_path = _record_path(name, folder)
    return [*sorted(_recorded_outputs(record_path)), record_path.relative_to(folder).as_posix()]


def adopt(source: Path, folder: Path) -> None:
    """Move steps that were made in `source` to `folder`, on the same disk; records come last, as ever."""
    for record_path in sorted((source / _RECORDS).glob("*.json")):
        target = folder / _RECORDS / record_path.name
        names = _recorded_outputs(record_path)
        _forget(target, names, folder)
        for name in sorted(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).replace(folder / name)
        target.parent.mkdir(parents=True, exist_ok=True)
        record_path.replace(target)


def _key(step: Step) -> str:
    return sha256_json({"step": step.name, "inputs": step.inputs})


def _record_path(name: str, folder: Path) -> Path:
    return folder / _RECORDS / f"{name.replace('/', '.')}.json"


def _forget(record_path: Path, kept: Collection[str], folder: Path) -> None:
    """Remove a step's record, and files it made before, with other options, that would pass for a result."""
    for name in _recorded_outputs(record_path) - set(kept):
        (folder / name).unlink(missing_ok=True)
    record_path.unlink(missing_ok=True)


def _recorded_outputs(path: Path) -> set[str]:
    with suppress(OSError, ValueError, KeyError, TypeError):
        names = [str(name) for name in json.loads(path.read_text())["outputs"]]
        return {name for name in names if not Path(name).is_absolute() and ".." not in Path(name).parts}
    return set()


def _valid_record(path: Path, key: str, folder: Path) -> Record | None:
    """Read the record if it was made from the same inputs and its files are unchanged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        data = json.loads(path.read_text())
        outputs: dict[str, str] = data["outputs"]
        if data["key"] == key and all(
            sha256_file(folder / name) == digest for name, digest in outputs.items()
        ):
            return Record(data["name"], key, outputs, data["seconds"], reused=True)
    return None


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a result folder; the system ends the claim with the process, however it ends.

    Raises
    ------
    UsageError
        If another run is at work there, or the folder cannot be written.
    """
    try:
        (folder / _RECORDS).mkdir(parents=True, exist_ok=True)
        stream = (folder / _RECORDS / "lock").open("w")
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder}: another run is at work there; wait for it, or choose another --out"
            ) from None
        except OSError:
            # A file system without locks: runs that do meet fail, but leave no wrong result.
            pass
        yield


def remove_leftovers(folder: Path) -> None:
    """Delete working folders and unfinished files of runs that were killed."""
    for path in folder.rglob(".making-*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.rglob(f".*{PART_SUFFIX}"):
        path.unlink(missing_ok=True)

"""What runs on a worker of a cluster, which may have no disk in common with the machine that asks."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distributed import get_worker

from halo_timing.execution.environment import disagreement
from halo_timing.execution.perform import Answer, outputs_in, perform
from halo_timing.execution.work import Work, checked_file_name
from halo_timing.files import sha256_file, write_bytes

# What a failed work leaves is for a person to read; more than this is no log.
_MOST_LEFT_BYTES = 20_000_000


@dataclass(frozen=True)
class Returned:
    """What comes back: the fields of an answer, files as hash and compressed content, and where they were."""

    worker: str
    answer: Mapping[str, Any]
    files: Mapping[str, tuple[str, bytes]]
    folder: str = ""


def carry(packed: bytes) -> bytes:
    """Return a compressed file: as a task of its own it is made again wherever it is needed."""
    return packed


def perform_there(document: Mapping[str, Any], sources: str, contents: Mapping[str, bytes]) -> Returned:
    """Do a work whose inputs are compressed in `contents`.

    Parameters
    ----------
    document
        Of :meth:`~halo_timing.execution.work.Work.document`.
    sources
        Hash of the package's files where the work comes from.
    """
    worker = get_worker()
    if other := disagreement(document["environment"], sources):
        refusal = f"worker {worker.address} is not as this machine: {other}; install the same there"
        return Returned(worker.address, asdict(Answer("failed", refusal)), {})
    work = Work(document["name"], document["function"], document["parameters"])
    with tempfile.TemporaryDirectory(prefix="halo_timing-", dir=worker.local_directory) as name:
        folder = Path(name)
        try:
            inputs = {
                checked_file_name(file): _unpacked(Path(worker.local_directory), file, digest, contents[file])
                for file, digest in document["inputs"].items()
            }
        except (ValueError, zlib.error) as error:
            return Returned(worker.address, asdict(Answer("crashed", str(error))), {})
        answer = perform(work.function, folder, inputs, work.parameters)
        files = {}
        if answer.verdict == "done":
            files = {name: _packed(path) for name, path in outputs_in(folder).items()}
        else:
            room = _MOST_LEFT_BYTES
            for path in sorted(folder.rglob("*"), key=lambda path: path.lstat().st_size):
                room -= path.lstat().st_size
                if path.is_file() and not path.is_symlink() and room > 0:
                    files[path.relative_to(folder).as_posix()] = _packed(path)
        return Returned(worker.address, asdict(answer), files, name)


def _unpacked(home: Path, name: str, digest: str, packed: bytes) -> Path:
    """Path of an input on this worker: the same for every work, so that what was read of it is kept."""
    path = home / "inputs" / digest / name
    if not path.is_file() or sha256_file(path) != digest:
        data = zlib.decompress(packed)
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"{name} was damaged on its way to the worker")
        write_bytes(path, data)
    return path


def _packed(path: Path) -> tuple[str, bytes]:
    data = path.read_bytes()
    return hashlib.sha256(data).hexdigest(), zlib.compress(data, 1)

"""Many works: those made already are found, the others done; failures are named, and stop nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from halo_timing.errors import UsageError
from halo_timing.execution.backend import Backend, Ended, Note
from halo_timing.execution.local import local_backend
from halo_timing.execution.store import Store
from halo_timing.execution.work import Work
from halo_timing.files import write_json, write_text

#: Attempts that a work gets when a program that it calls crashes or runs out of time.
CRASH_ATTEMPTS = 3


@dataclass(frozen=True)
class Outcome:
    """What became of a work.

    Attributes
    ----------
    outputs : mapping or None
        File name → hash, for :meth:`Store.place`; None where it failed.
    error : str or None
        Why it failed, and the folder that reproduces it.
    seconds : float
        Wall time of the attempt that counts; 0 where it was made before.
    reused : bool
        Whether it was made before.
    exit_code : int
        As of the error: 1 for wrong input, 2 for a failed tool, 0 where it is done.
    """

    work: Work
    outputs: Mapping[str, str] | None
    error: str | None
    seconds: float
    reused: bool
    exit_code: int = 0


class Executor(Protocol):
    """Does works; the same for one machine and for many."""

    def run(self, works: Sequence[Work], progress: Note = ...) -> Iterator[Outcome]:
        """Yield the outcome of every work, those first that were made before, then as they end.

        Leaving the iteration, by an interrupt for instance, stops what runs.

        Parameters
        ----------
        progress
            Told of retries and of what happens to the workers.

        Raises
        ------
        UsageError
            If two works have the same name, an input cannot be read, or the disk is full.
        ToolError
            If the cluster is lost. What is done is kept in every case.
        """


@contextmanager
def open_executor(
    *,
    jobs: int,
    scheduler: str | None = None,
    cluster: str | None = None,
    store: Store,
    failed: Path | None = None,
) -> Iterator[Executor]:
    """Open an executor.

    Parameters
    ----------
    jobs
        Processes at a time, here or as workers of a cluster that is started.
    scheduler
        Address of a Dask scheduler that runs, ``tcp://host:port``; its workers are taken as they are.
    cluster
        Kind of Dask cluster to start: ``local``, ``slurm`` or ``lsf``.
    store
        Where results are kept.
    failed
        Folder for what reproduces a failure, by default ``failed`` in the store.

    Raises
    ------
    UsageError
        If an option is wrong, or the package of an optional one is not installed.
    ToolError
        If the scheduler does not answer.
    """
    failed = failed or store.root / "failed"
    if scheduler is None and cluster is None:
        with local_backend(jobs, store) as backend:
            yield Campaigns(backend, store, failed)
        return
    try:
        from halo_timing.execution.cluster import cluster_backend
    except ImportError as error:
        raise UsageError(
            f"--scheduler and --cluster need Dask ({error}); `pip install 'halo-timing[cluster]'` brings it"
        ) from error
    with cluster_backend(jobs, scheduler=scheduler, cluster=cluster, store=store) as distributed:
        yield Campaigns(distributed, store, failed)


class Campaigns:
    """An executor over any backend: what is reused, retried, kept and said does not depend on it."""

    def __init__(self, backend: Backend, store: Store, failed: Path) -> None:
        self._backend, self._store, self._failed = backend, store, failed

    def run(self, works: Sequence[Work], progress: Note = lambda _text: None) -> Iterator[Outcome]:
        """Yield the outcome of every work; see :class:`Executor`."""
        groups: dict[str, list[Work]] = {}
        names: set[str] = set()
        for work in works:
            if work.name in names:
                raise UsageError(f"{work.name}: two works have this name")
            names.add(work.name)
            groups.setdefault(work.key, []).append(work)
        waiting: deque[Work] = deque()
        for group in groups.values():
            if (outputs := self._store.find(group[0])) is None:
                waiting.append(group[0])
                continue
            for work in group:
                yield Outcome(work, outputs, None, 0.0, reused=True)
        attempts = dict.fromkeys((work.key for work in waiting), 0)
        running = 0
        while waiting or running:
            while waiting and (self._backend.slots is None or running < self._backend.slots):
                self._backend.start(waiting.popleft())
                running += 1
            for ended in self._backend.wait(progress):
                running -= 1
                key = ended.work.key
                attempts[key] += 1
                if (reason := self._reason_to_retry(ended, attempts[key])) is not None:
                    progress(f"{ended.work.name}: {reason}")
                    waiting.append(ended.work)
                    continue
                others = groups[key][1:]
                outcome = self._conclude(ended, attempts[key])
                yield outcome
                for work in others:
                    yield replace(outcome, work=work, seconds=0.0, reused=outcome.error is None)

    def _reason_to_retry(self, ended: Ended, attempts: int) -> str | None:
        if ended.answer is None and attempts < self._backend.attempts:
            return f"{ended.loss}; attempt {attempts + 1} of {self._backend.attempts}"
        if ended.answer is not None and ended.answer.verdict == "crashed" and attempts < CRASH_ATTEMPTS:
            return f"{ended.answer.error}; attempt {attempts + 1} of {CRASH_ATTEMPTS}"
        return None

    def _conclude(self, ended: Ended, attempts: int) -> Outcome:
        work, answer = ended.work, ended.answer
        if answer is not None and answer.verdict == "done" and ended.outputs is not None:
            self._store.put(work, ended.outputs)
            shutil.rmtree(self._failure_folder(work), ignore_errors=True)
            return Outcome(work, ended.outputs, None, answer.seconds, reused=False)
        if answer is not None and answer.verdict == "no_room":
            raise UsageError(f"{work.name}: {answer.error}; what is done is kept, give the command again")
        error = ended.loss if answer is None else answer.error
        folder = self._keep_failure(ended, error)
        if ended.folder is not None:
            error = error.replace(str(ended.folder), str(folder / "left"))
        tried = f" ({attempts} attempts)" if attempts > 1 else ""
        return Outcome(
            work,
            None,
            f"{work.name}: {error}{tried}; to see it again: python -m halo_timing.execution {folder}",
            answer.seconds if answer else 0.0,
            reused=False,
            exit_code=answer.exit_code if answer else 2,
        )

    def _failure_folder(self, work: Work) -> Path:
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", work.name)
        return self._failed / f"{plain[-80:]}-{work.key[:8]}"

    def _keep_failure(self, ended: Ended, error: str) -> Path:
        """Keep what reproduces a failure: the work, its inputs, and what it left."""
        work = ended.work
        folder = self._failure_folder(work)
        shutil.rmtree(folder, ignore_errors=True)
        for name, path in work.inputs.items():
            target = folder / "inputs" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        if ended.folder is not None and ended.folder.is_dir():
            with suppress(OSError):
                shutil.copytree(ended.folder, folder / "left", symlinks=True)
        trace = ended.answer.trace if ended.answer else ""
        write_text(folder / "error.txt", f"{error}\n\n{trace}")
        write_json(folder / "work.json", json.loads(json.dumps(work.document())))
        return folder

"""Works on a Dask cluster: one that runs, or one that is started here, through Slurm or through LSF.

Workers need no disk in common with this machine: files travel compressed, under the hash of their content.
An input is the result of a little task of its own (``file-<hash>``), so that the scheduler makes a copy that
died with its worker again. What a worker returns is hashed here before it is kept.

Dask itself sends Python objects between client, scheduler and workers: whoever can reach the scheduler can
run code on all of them. Use it in a network that you trust, or with TLS (``tls://`` and Dask's own settings).
"""

from __future__ import annotations

import hashlib
import logging
import queue
import re
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import dask
from distributed import Client, Future, KilledWorker, LocalCluster
from distributed.core import Status

from halo_timing.errors import ToolError, UsageError
from halo_timing.execution.backend import Ended, Note
from halo_timing.execution.environment import sources_digest
from halo_timing.execution.perform import Answer
from halo_timing.execution.store import Store
from halo_timing.execution.work import Work, checked_file_name
from halo_timing.execution.worker import Returned, carry, perform_there

#: Attempts that a work gets whose worker is lost, on a cluster where that is nothing unusual.
LOST_WORKER_ATTEMPTS = 40
CLUSTERS = ("local", "slurm", "lsf")

_ADDRESS = re.compile(r"(?:tcp|tls|ws|wss|ucx)://[A-Za-z0-9_.:\[\]-]+\Z")
_CONNECT_S = 15
_LOOK_S = 1.0
_PATIENCE_S = 10.0


class DaskBackend:
    """Works as tasks of a scheduler; use :func:`cluster_backend`."""

    slots = None
    attempts = LOST_WORKER_ATTEMPTS

    def __init__(
        self, client: Client, place: str, store: Store, scratch: Path, refill: Callable[[], object]
    ) -> None:
        self._client, self._place, self._store, self._scratch = client, place, store, scratch
        self._refill = refill
        self._files: WeakValueDictionary[str, Future] = WeakValueDictionary()
        self._running: dict[str, tuple[Work, Future, list[Future]]] = {}
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._started = 0
        self._idle_s = 0.0

    def start(self, work: Work) -> None:
        """Hand a work to the scheduler."""
        files = {name: self._file(digest, work.inputs[name]) for name, digest in work.input_digests.items()}
        self._started += 1
        future = self._submit(
            perform_there,
            work.document(),
            sources_digest(),
            files,
            key=f"work-{work.key}-{self._started}",
            priority=-self._started,
        )
        self._running[future.key] = (work, future, list(files.values()))
        future.add_done_callback(self._ended.put)

    def wait(self, progress: Note) -> Iterator[Ended]:
        """Yield works that ended, at least one."""
        while True:
            try:
                future = self._ended.get(timeout=_LOOK_S)
            except queue.Empty:
                self._look_around(progress)
                continue
            if future.key in self._running:
                break
        work, future, files = self._running.pop(future.key)
        yield self._result(work, future, files)

    def close(self) -> None:
        """Let the scheduler forget what is left; what runs on a worker comes to its end unheard."""
        futures = [future for _, future, _ in self._running.values()]
        self._running.clear()
        if futures and self._client.status == "running":
            with suppress(Exception):
                self._client.cancel(futures)

    def _result(self, work: Work, future: Future, files: list[Future]) -> Ended:
        if future.status == "cancelled":
            raise self._lost()
        if future.status == "error":
            error = future.exception()
            # A copy of an input may be what failed; it has to be carried anew.
            for file in files:
                if file.status != "finished" and file.status != "pending":
                    self._files.pop(file.key.removeprefix("file-"), None)
            if isinstance(error, KilledWorker):
                return Ended(work, None, None, None, f"worker {error.last_worker.address} died")
            said = f"{type(error).__name__}: {error}"
            hint = "; is the same halo-timing installed there?" if isinstance(error, ImportError) else ""
            return Ended(work, Answer("failed", f"a worker failed: {said}{hint}"), None, None)
        returned: Returned = future.result()
        answer = Answer(**returned.answer)
        try:
            contents = {
                checked_file_name(name): _verified(packed, digest)
                for name, (digest, packed) in returned.files.items()
            }
        except ValueError as damage:
            return Ended(work, None, None, None, f"{damage} on its way from worker {returned.worker}")
        if answer.verdict == "done":
            for name, data in contents.items():
                self._store.put_bytes(data, returned.files[name][0])
            outputs = {name: digest for name, (digest, _) in returned.files.items()}
            return Ended(work, answer, outputs, None)
        folder = self._scratch / "left"
        shutil.rmtree(folder, ignore_errors=True)
        for name, data in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        here = answer.error.replace(returned.folder, str(folder)) if returned.folder else answer.error
        return Ended(work, replace(answer, error=here), None, folder)

    def _file(self, digest: str, path: Path) -> Future:
        future = self._files.get(digest)
        if future is None or future.status in ("error", "cancelled", "lost"):
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise UsageError(f"{path}: changed while the command ran; give it again")
            future = self._submit(carry, zlib.compress(data, 1), key=f"file-{digest}")
            self._files[digest] = future
        return future

    def _submit(self, *arguments: Any, key: str, priority: int = 0) -> Future:
        if self._client.status != "running":
            raise self._lost()
        with warnings.catch_warnings():
            # Inputs are in the graph on purpose.
            warnings.filterwarnings("ignore", message="Sending large graph")
            return self._client.submit(*arguments, key=key, priority=priority, retries=0)

    def _look_around(self, progress: Note) -> None:
        if self._client.status != "running":
            raise self._lost()
        self._refill()
        if self._client.scheduler_info(n_workers=-1)["workers"]:
            self._idle_s = 0.0
            return
        self._idle_s += _LOOK_S
        if self._idle_s == _PATIENCE_S:
            progress(f"{self._place}: no worker is there yet; waiting for one")

    def _lost(self) -> ToolError:
        return ToolError(
            f"{self._place}: the scheduler is gone; what is done is kept, give the command again to go on"
        )


@contextmanager
def cluster_backend(
    jobs: int, *, scheduler: str | None, cluster: str | None, store: Store
) -> Iterator[DaskBackend]:
    """Connect to a scheduler, or start a cluster of `jobs` workers and end it.

    Raises
    ------
    UsageError
        If the address or the kind is none, or Dask's settings lack what the kind needs.
    ToolError
        If the scheduler does not answer, or the cluster cannot be started.
    """
    if scheduler is not None and cluster is not None:
        raise UsageError("--scheduler names a cluster that runs, --cluster starts one: give one of them")
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        scratch = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="halo_timing-", ignore_cleanup_errors=True)
            )
        )
        if scheduler is not None:
            if not _ADDRESS.match(scheduler):
                raise UsageError(f"--scheduler {scheduler!r}: an address as tcp://host:8786 is wanted")
            place, target, refill = scheduler, scheduler, _leave_alone
        else:
            place = f"{cluster} cluster"
            target = stack.enter_context(_started(str(cluster), jobs, scratch))
            refill = partial(target.loop.add_callback, _refill, target, jobs)
        try:
            client = stack.enter_context(Client(target, timeout=_CONNECT_S, set_as_default=False))
        except (OSError, ValueError, TimeoutError) as error:
            raise ToolError(f"{place}: the scheduler does not answer ({error or 'time-out'})") from error
        backend = DaskBackend(client, place, store, scratch, refill)
        stack.callback(backend.close)
        yield backend


def _refill(cluster: Any, jobs: int) -> None:
    """Start workers in place of those that are gone; to be called in the cluster's event loop.

    A cluster starts a worker anew that dies at work, but keeps one for running that dies while it starts.
    """
    for name, worker in list(cluster.workers.items()):
        if worker.status in (Status.closed, Status.failed):
            del cluster.workers[name]
    cluster.scale(jobs)


def _leave_alone() -> None:
    """Do nothing: a cluster that was there before looks after its workers."""


@contextmanager
def _started(kind: str, jobs: int, scratch: Path) -> Iterator[Any]:
    if kind not in CLUSTERS:
        raise UsageError(f"--cluster {kind!r}: one of {', '.join(CLUSTERS)} is wanted")
    # Every lost worker is to be heard of here, where attempts are counted and said.
    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.worker.daemon": True,
        # A worker that did not come back by then is replaced.
        "distributed.deploy.lost-worker-timeout": "10s",
    }
    with dask.config.set(settings):
        try:
            if kind == "local":
                cluster = LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    dashboard_address=None,
                    local_directory=str(scratch),
                    silence_logs=logging.CRITICAL,
                )
            else:
                cluster = _job_queue(kind, jobs)
        except (OSError, RuntimeError, TimeoutError) as error:
            raise ToolError(f"the {kind} cluster cannot be started: {error}") from error
        with cluster:
            yield cluster


def _job_queue(kind: str, jobs: int) -> Any:
    from dask_jobqueue import LSFCluster, SLURMCluster

    # Queue, account, wall time and the like are of the place, and stand in Dask's own settings.
    own = dask.config.get(f"jobqueue.{kind}", {})
    options = {"cores": 1, "processes": 1, "memory": own.get("memory") or "4GiB"}
    try:
        cluster = (SLURMCluster if kind == "slurm" else LSFCluster)(**options)
        cluster.scale(jobs=jobs)
    except ValueError as error:
        raise UsageError(
            f"--cluster {kind}: {error}; set it in Dask's file, ~/.config/dask/jobqueue.yaml"
        ) from error
    return cluster


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log lines off the terminal: what matters of them is said by the campaign."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _verified(packed: bytes, digest: str) -> bytes:
    with suppress(zlib.error):
        data = zlib.decompress(packed)
        if hashlib.sha256(data).hexdigest() == digest:
            return data
    raise ValueError("a file was damaged")

"""Works on the processors of this machine: processes that stay, one work at a time in each.

A process that dies takes one work with it and no other, so that who is to blame is never in doubt. Processes
are spawned, not forked: threads and compiled kernels do not survive a fork.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from halo_timing.errors import UsageError
from halo_timing.execution.backend import Ended, Note
from halo_timing.execution.perform import Answer, outputs_in, perform
from halo_timing.execution.store import Store
from halo_timing.execution.work import Work
from halo_timing.tools.process import stop_running

_GRACE_S = 5.0


@dataclass
class _Slot:
    process: BaseProcess
    pipe: connection.Connection
    work: Work | None = None
    folder: Path | None = None


class LocalBackend:
    """Up to `jobs` processes; use :func:`local_backend`."""

    attempts = 3

    def __init__(self, jobs: int, store: Store, scratch: Path) -> None:
        self.slots = jobs
        self._store, self._scratch = store, scratch
        self._running: list[_Slot] = []

    def start(self, work: Work) -> None:
        """Give a work to an idle process, or to a new one."""
        slot = next((slot for slot in self._running if slot.work is None), None) or self._open()
        slot.work = work
        slot.folder = Path(tempfile.mkdtemp(dir=self._scratch))
        message = {
            "function": work.function,
            "parameters": dict(work.parameters),
            "inputs": {name: str(Path(path).absolute()) for name, path in work.inputs.items()},
            "folder": str(slot.folder),
        }
        with suppress(OSError):  # A process that died while idle: wait() finds it.
            slot.pipe.send_bytes(json.dumps(message).encode())

    def wait(self, _progress: Note) -> Iterator[Ended]:
        """Yield works that ended, at least one."""
        busy = {slot.pipe: slot for slot in self._running if slot.work is not None}
        for pipe in connection.wait(list(busy)):
            assert isinstance(pipe, connection.Connection)
            slot = busy[pipe]
            work, folder = slot.work, slot.folder
            assert work is not None
            assert folder is not None
            slot.work = slot.folder = None
            try:
                reply = json.loads(pipe.recv_bytes())
            except (EOFError, OSError):
                self._running.remove(slot)
                slot.process.join(_GRACE_S)
                yield Ended(work, None, None, folder, _cause_of_death(slot.process.exitcode))
                continue
            answer = Answer(**reply["answer"])
            yield Ended(work, answer, reply["outputs"], folder)
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """End the processes; what they were doing is stopped, with the programs it started."""
        for slot in self._running:
            slot.pipe.close()
            if slot.work is not None and slot.process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(slot.process.pid, signal.SIGINT)
        for slot in self._running:
            slot.process.join(_GRACE_S)
            slot.process.kill()
            slot.process.join()
        self._running.clear()

    def _open(self) -> _Slot:
        context = get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, str(self._store.root)), daemon=True)
        process.start()
        there.close()
        slot = _Slot(process, here)
        self._running.append(slot)
        return slot


@contextmanager
def local_backend(jobs: int, store: Store) -> Iterator[LocalBackend]:
    """Open processes on this machine, and end them."""
    with tempfile.TemporaryDirectory(prefix="halo_timing-", ignore_cleanup_errors=True) as scratch:
        backend = LocalBackend(jobs, store, Path(scratch))
        try:
            yield backend
        finally:
            backend.close()


def _cause_of_death(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit status {code}"


def _serve(pipe: connection.Connection, store_root: str) -> None:
    """Do works until the pipe closes."""
    # An interrupt at the terminal reaches every process: only a work that runs is to be ended by it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    store = Store(Path(store_root))
    while True:
        try:
            message = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            signal.signal(signal.SIGINT, _interrupt)
            reply = _do(message, store)
        except KeyboardInterrupt:
            return
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(OSError):
            pipe.send_bytes(json.dumps(reply).encode())


def _interrupt(_signal: int, _frame: object) -> None:
    # Threads that wait for programs would hold the interrupt up until these end by themselves.
    stop_running()
    raise KeyboardInterrupt


def _do(message: Mapping[str, Any], store: Store) -> dict[str, Any]:
    folder = Path(message["folder"])
    inputs = {name: Path(path) for name, path in message["inputs"].items()}
    answer = perform(message["function"], folder, inputs, message["parameters"])
    outputs = None
    if answer.verdict == "done":
        try:
            outputs = {name: store.put_file(path) for name, path in outputs_in(folder).items()}
        except UsageError as error:
            answer = Answer("no_room", str(error))
    return {"answer": asdict(answer), "outputs": outputs}


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        stop_running()
        os._exit(1)

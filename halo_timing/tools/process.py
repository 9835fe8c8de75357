"""Running one external program: no shell, no standard input, a log that stays, a limit on time and memory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from halo_timing.errors import ToolCrashError, ToolError, UsageError


@dataclass(frozen=True)
class Finished:
    """What a program left behind.

    Attributes
    ----------
    return_code : int
        Exit status; negative for the signal that ended it.
    stdout, stderr : str
        What it printed; both are in the log too, standard error after standard output.
    seconds : float
        Wall time.
    """

    return_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def failure(self) -> type[ToolError]:
        """What to raise of a failure: another attempt may mend a crash, not a refusal."""
        return ToolCrashError if self.return_code < 0 else ToolError

    @property
    def ended_by(self) -> str:
        """How it ended, in words: ``exit status 3`` or ``SIGSEGV``."""
        if self.return_code >= 0:
            return f"exit status {self.return_code}"
        with suppress(ValueError):
            return signal.Signals(-self.return_code).name
        return f"signal {-self.return_code}"


# Programs that run at this moment, for :func:`stop_running`.
_running: set[subprocess.Popen[bytes]] = set()


def stop_running() -> None:
    """End every program that this process started, with what they started: before this process ends."""
    for process in list(_running):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the program and everything that it started."""
    # PermissionError: macOS refuses to signal a group of which only the zombie is left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _limit_memory(process: subprocess.Popen[bytes], memory_limit_mb: int) -> None:
    # Only Linux can set the limit of another process; a preexec function would not be safe with threads.
    if sys.platform == "linux":
        import resource

        limit = memory_limit_mb << 20
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))


def run_tool(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    log_path: Path,
    timeout_s: float,
    name: str | None = None,
    environment: Mapping[str, str] | None = None,
    memory_limit_mb: int | None = None,
) -> Finished:
    """Run a program to its end and keep what it printed in `log_path`.

    Parameters
    ----------
    argv : sequence of str or Path
        Program and arguments; no shell ever sees them.
    cwd : Path
        Folder to run in.
    log_path : Path
        Standard output, then standard error; its folder is made when missing.
    timeout_s : float
        Wall-clock limit in seconds; the program and its children are killed when it passes.
    name : str, optional
        What to call the program in messages; by default its file name.
    environment : mapping, optional
        Variables added to those of this process.
    memory_limit_mb : int, optional
        Limit of the address space in MiB (on Linux).

    Raises
    ------
    ToolError
        If the program cannot be started, or (`ToolCrashError`) the time is over.
    UsageError
        If the log cannot be written.
    """
    name = name or Path(argv[0]).name
    error_path = log_path.with_name(log_path.name + ".stderr")
    started = time.monotonic()
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        # A program that a killed run left behind may still be writing to the old file.
        log_path.unlink(missing_ok=True)
        out_stream = log_path.open("wb")
    except OSError as error:
        raise UsageError(
            f"{log_path}: the log cannot be written ({error.strerror}); choose another folder"
        ) from error
    # Two files, not one: a message on unbuffered standard error would cut lines of standard output in two.
    with out_stream, error_path.open("w+b") as error_stream:
        try:
            process = subprocess.Popen(
                [str(argument) for argument in argv],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out_stream,
                stderr=error_stream,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ToolError(f"{name} cannot be started: {error}", log_path) from error
        finally:
            error_path.unlink()
        _running.add(process)
        try:
            if memory_limit_mb is not None:
                _limit_memory(process, memory_limit_mb)
            process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolCrashError(
                f"{name} was stopped after {timeout_s:g} s without an end; give it more time or less to do",
                log_path,
            ) from None
        finally:
            _stop(process)
            _running.discard(process)
            error_stream.seek(0)
            shutil.copyfileobj(error_stream, out_stream)
        error_stream.seek(0)
        stderr = error_stream.read().decode(errors="replace")
    printed = log_path.read_bytes().decode(errors="replace")
    stdout = printed.removesuffix(stderr)
    return Finished(process.returncode, stdout, stderr, time.monotonic() - started)

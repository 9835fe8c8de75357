"""Running one external program: no shell, no standard input, a log that stays, a limit on time and memory."""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
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


#: Limits of every program: address space in MiB (of Linux), and seconds in place of a call's own limit.
MEMORY_VARIABLE = "HALO_TIMING_TOOL_MEMORY_MB"
TIME_VARIABLE = "HALO_TIMING_TOOL_TIMEOUT_S"

_LEAST_DEFAULT_MB = 4096
# What programs say of a limit that they ran into; the limit itself ends nothing.
_OUT_OF_MEMORY = re.compile(
    r"bad_alloc|MemoryError|out of memory|cannot allocate memory|unable to (?:re)?alloc", re.IGNORECASE
)
_END_BYTES = 20_000

# Programs that run at this moment, for :func:`stop_running`.
_running: set[subprocess.Popen[bytes]] = set()


def stop_running() -> None:
    """End every program that this process started, with what they started: before this process ends."""
    for process in list(_running):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _limit(variable: str, text: str | None, otherwise: float) -> float:
    """Return the positive number that a variable holds, or `otherwise`.

    Raises
    ------
    UsageError
        If it holds something else.
    """
    if not text:
        return otherwise
    with suppress(ValueError):
        if 0 < (value := float(text)) < math.inf:
            return value
    raise UsageError(f"{variable}={text}: a positive number is wanted; correct or unset it")


def _installed_mb() -> float:
    """Memory of this machine: a program that takes more of it brings everything to a standstill."""
    with suppress(ValueError, OSError, AttributeError):
        return max(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 20), _LEAST_DEFAULT_MB)
    return _LEAST_DEFAULT_MB


@lru_cache(maxsize=1)
def _ends_with_us() -> tuple[str, ...]:
    """Return what to put before a command so that the program dies when this process is killed.

    On Linux, ``setpriv`` of util-linux asks the kernel for it: a preexec function would not be safe with
    threads. Empty elsewhere, and with an older one.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return ()
    command = (setpriv, "--pdeathsig", "KILL", "--")
    known = subprocess.run([*command, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return command if known.returncode == 0 else ()


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
        Wall-clock limit in seconds; the program and its children are killed when it passes. The variable
        ``HALO_TIMING_TOOL_TIMEOUT_S`` wins over it.
    name : str, optional
        What to call the program in messages; by default its file name.
    environment : mapping, optional
        Variables added to those of this process.
    memory_limit_mb : int, optional
        Limit of the address space in MiB (on Linux); by default ``HALO_TIMING_TOOL_MEMORY_MB``, or else the
        memory of this machine.

    Raises
    ------
    ToolError
        If the program cannot be started, runs out of memory, or (`ToolCrashError`) out of time.
    UsageError
        If the log cannot be written, or a limit in a variable is no number.
    """
    timeout_s = _limit(TIME_VARIABLE, os.environ.get("HALO_TIMING_TOOL_TIMEOUT_S"), timeout_s)
    if memory_limit_mb is None:
        text = os.environ.get("HALO_TIMING_TOOL_MEMORY_MB")
        memory_limit_mb = int(_limit(MEMORY_VARIABLE, text, _installed_mb()))
    name = name or Path(argv[0]).name
    if shutil.which(argv[0]) is None:
        raise ToolError(f"{name} cannot be started: {argv[0]} is no program that can be run")
    wrapper = _ends_with_us()
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
                [*wrapper, *map(str, argv)],
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
            _limit_memory(process, memory_limit_mb)
            process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolCrashError(
                f"{name} was stopped at its limit of {timeout_s:g} s; set {TIME_VARIABLE} to more, "
                "or give it less to do",
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
    if wrapper and process.returncode in (126, 127) and stderr.startswith("setpriv: "):
        raise ToolError(f"{name} cannot be started: {stderr.removeprefix('setpriv: ').strip()}", log_path)
    if process.returncode and _OUT_OF_MEMORY.search(printed[-_END_BYTES:]):
        raise ToolError(
            f"{name} ran out of memory at its limit of {memory_limit_mb} MiB; set {MEMORY_VARIABLE} to more",
            log_path,
        )
    return Finished(process.returncode, stdout, stderr, time.monotonic() - started)

"""Doing one work in this process, and saying how it ended."""

from __future__ import annotations

import errno
import importlib
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from halo_timing.errors import HaloTimingError, ToolCrashError

#: Folder of the logs that a function may write; it is no output.
LOGS = "logs"

# ``done``; ``crashed``: another attempt may succeed; ``failed``: it would fail again; ``no_room``: every
# other work would fail as well.
Verdict = Literal["done", "crashed", "failed", "no_room"]

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})


@dataclass(frozen=True)
class Answer:
    """How a work ended.

    Attributes
    ----------
    verdict : str
        Whether it is done, and if not, whether to try again.
    error : str
        One or two sentences, where it is not done.
    trace : str
        Where in the program it failed.
    seconds : float
        Wall time.
    exit_code : int
        Of the error: 1 for wrong input.
    """

    verdict: Verdict
    error: str = ""
    trace: str = ""
    seconds: float = 0.0
    exit_code: int = 2


def perform(function: str, folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> Answer:
    """Call the named function, which writes its files into `folder`."""
    started = time.monotonic()
    verdict: Verdict = "done"
    said = trace = ""
    exit_code = 2
    try:
        _function(function)(folder, inputs, parameters)
    except HaloTimingError as error:
        cause = _system_error(error)
        verdict = "crashed" if isinstance(error, ToolCrashError) else "failed"
        if cause is not None and cause.errno in _NO_ROOM:
            verdict = "no_room"
        said, trace, exit_code = str(error), traceback.format_exc(), error.exit_code
    except OSError as error:
        verdict = "no_room" if error.errno in _NO_ROOM else "failed"
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        trace = traceback.format_exc()
    except Exception as error:
        # A defect of this program or of a library: the others' results are good all the same.
        verdict, said, trace = "failed", f"{type(error).__name__}: {error}", traceback.format_exc()
    return Answer(verdict, said, trace, time.monotonic() - started, exit_code)


def outputs_in(folder: Path) -> dict[str, Path]:
    """Files that a function left, by name; logs are none of them."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path for name, path in sorted(found.items()) if not name.startswith(f"{LOGS}/")}


def _function(name: str) -> Callable[[Path, Mapping[str, Path], Mapping[str, Any]], None]:
    module, _, attribute = name.partition(":")
    found: Callable[[Path, Mapping[str, Path], Mapping[str, Any]], None]
    found = getattr(importlib.import_module(module), attribute)
    return found


def _system_error(error: BaseException | None) -> OSError | None:
    """Error of the operating system behind an error of ours, if there is one."""
    while error is not None:
        if isinstance(error, OSError):
            return error
        error = error.__cause__
    return None

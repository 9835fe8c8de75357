"""Finding an external program: the environment variable first, then ``PATH``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from halo_timing.errors import ToolError, ToolNotFoundError

Version = tuple[int, ...]


def find_executable(variable: str, names: tuple[str, ...], *, title: str, mend: str) -> Path:
    """Path of a program.

    Parameters
    ----------
    variable : str
        Environment variable that names the program (a path, or a name on ``PATH``) and wins over `names`.
    names : tuple of str
        File names to look for on ``PATH``.
    title, mend : str
        The program's name, and how to get it, for the message.

    Raises
    ------
    ToolNotFoundError
        If the variable names nothing that can be run, or ``PATH`` holds none of `names`.
    """
    chosen = os.environ.get(variable)
    if chosen:
        if found := shutil.which(Path(chosen).expanduser()):
            return Path(found).absolute()
        raise ToolNotFoundError(
            f"{title}: {variable}={chosen} is not a program that can be run; correct or unset {variable}"
        )
    for name in names:
        if found := shutil.which(name):
            return Path(found).absolute()
    raise ToolNotFoundError(
        f"{title} was not found: set {variable} to its path, or put {' or '.join(names)} on PATH; {mend}"
    )


def version_in(text: str, *, title: str) -> Version:
    """First dotted number in what a program says about itself.

    >>> version_in("Icarus Verilog version 11.0 (stable) ()", title="Icarus Verilog")
    (11, 0)
    """
    match = re.search(r"\d+(?:\.\d+)+", text)
    if match is None:
        raise ToolError(f"{title} does not tell its version; it said {text.strip()[:80]!r}")
    return tuple(int(part) for part in match.group().split("."))


def ask(path: Path, option: str, *, title: str) -> str:
    """Return what a program prints when it is asked `option` (``-version``).

    Raises
    ------
    ToolError
        If it cannot be run or does not answer within 30 s.
    """
    try:
        answer = subprocess.run(
            [str(path), option],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{title} at {path} does not answer {option}: {error}") from error
    return answer.stdout.decode(errors="replace")

"""OpenSTA: finding ``sta`` and running Tcl scripts in it.

``sta`` is a poor messenger: it exits 0 after errors, goes on after a failed command with an unlinked design,
and says nothing at all when it cannot open the script. So every script ends by printing a sentinel, and every
line of what it printed is looked at.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from halo_timing.errors import ToolError
from halo_timing.files import write_text
from halo_timing.tools.locate import Version, ask, find_executable, version_in
from halo_timing.tools.process import run_tool
from halo_timing.tools.quoting import plain_name

_MEND = (
    "OpenSTA is not packaged for macOS: build it from https://github.com/parallaxsw/OpenSTA, "
    "or use the one of an OpenROAD or LibreLane installation"
    if sys.platform == "darwin"
    else "on Debian and Ubuntu `sudo apt-get install opensta` brings it, elsewhere it is part of OpenROAD "
    "and LibreLane, or is built from https://github.com/parallaxsw/OpenSTA"
)
_SENTINEL = "halo_timing: end of script"
_ERROR = re.compile(r"^(?:Error(?: \d+)?:|\[ERROR\b|Segmentation fault).*", re.MULTILINE)
# A name that does not exist, a black box in place of a cell: the run goes on, and its numbers mean nothing.
_GRAVE_WARNING = re.compile(
    r"^(?:Warning(?: \d+)?:|\[WARNING\b).*(?:not found|black box|multiple drivers|is not connected to a clock"
    r"|already exists|not supported).*",
    re.MULTILINE,
)


@dataclass(frozen=True)
class OpenSta:
    """One OpenSTA binary."""

    path: Path

    @cached_property
    def version(self) -> Version:
        """Version, such as ``(2, 0, 17)``."""
        return version_in(ask(self.path, "-version", title="OpenSTA"), title="OpenSTA")

    def run_script(self, tcl: str, *, cwd: Path, log_path: Path, timeout_s: float = 1800) -> str:
        """Run a Tcl script in `cwd`; the script is kept there under the log's name, with ``.tcl``.

        Parameters
        ----------
        tcl : str
            OpenSTA commands. Files are named by plain names relative to `cwd`
            (:func:`~halo_timing.tools.staging.stage_files` puts them there).
        cwd, log_path : Path
            Working folder, and where what OpenSTA prints is kept.
        timeout_s : float
            Wall-clock limit.

        Returns
        -------
        str
            What the script printed on standard output.

        Raises
        ------
        ToolError
            With OpenSTA's first message, if any command failed, a name was not found, the program crashed,
            the script did not reach its end, or the time was over.
        """
        name = plain_name(f"{log_path.stem}.tcl")
        write_text(cwd / name, f'{tcl}\nputs "{_SENTINEL}"\n')
        argv = [str(self.path), "-no_init", "-no_splash", "-exit", name]
        finished = run_tool(argv, cwd=cwd, log_path=log_path, timeout_s=timeout_s, name="sta")
        printed = finished.stdout + finished.stderr
        script = f"script: {cwd / name}"
        # Errors before warnings: a missing Liberty file is the cause, the black boxes are the consequence.
        for pattern in (_ERROR, _GRAVE_WARNING):
            if complaint := pattern.search(printed):
                raise finished.failure(f"sta: {complaint.group().strip()} ({script})", log_path)
        if finished.return_code:
            raise finished.failure(f"sta ended with {finished.ended_by} ({script})", log_path)
        if _SENTINEL not in finished.stdout:
            raise ToolError(f"sta stopped before the end of its script ({script})", log_path)
        return finished.stdout.replace(f"{_SENTINEL}\n", "")


def find_opensta() -> OpenSta:
    """Find OpenSTA: the binary that ``STA`` names, else ``sta`` on ``PATH``.

    Raises
    ------
    ToolNotFoundError
        If there is none, saying how to get it on this system.
    """
    return OpenSta(find_executable("STA", ("sta",), title="OpenSTA", mend=_MEND))

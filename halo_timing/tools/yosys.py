"""Yosys: the built-in ``pyosys`` wheel, or the binary that ``YOSYS`` names."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from halo_timing.errors import ToolError
from halo_timing.files import write_text
from halo_timing.tools.locate import Version, find_executable, version_in
from halo_timing.tools.process import run_tool
from halo_timing.tools.quoting import plain_name

# Started by its path: with `-m`, a random.py in the working folder would be imported in place of Python's.
_CHILD = str(Path(__file__).with_name("_pyosys_child.py"))
_SPACELESS = re.compile(r"[A-Za-z0-9_./+-]+\Z")
# Since this version, ABC's view of a library is cached under a name in the system's temporary folder, and a
# run that cannot write there reads the library another way. Without the cache every run is the same.
_SCL_CACHE_SINCE = (0, 70)


@dataclass(frozen=True)
class Yosys:
    """One Yosys.

    Attributes
    ----------
    command : tuple of str
        What starts it; ``-s``-like options come after.
    origin : str
        Where it comes from, for reports: ``pyosys`` or the path of the binary.
    """

    command: tuple[str, ...]
    origin: str

    @cached_property
    def version(self) -> Version:
        """Version, such as ``(0, 70)``.

        Raises
        ------
        ToolError
            If it cannot be loaded or run.
        """
        argv = [*self.command] if self.origin == "pyosys" else [*self.command, "-V"]
        try:
            answer = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolError(f"Yosys ({self.origin}) does not answer: {error}") from error
        if answer.returncode:
            last = answer.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise ToolError(f"Yosys ({self.origin}) does not start: {last}")
        return version_in(answer.stdout.decode(errors="replace"), title="Yosys")

    def run_script(self, script: str, *, cwd: Path, log_path: Path, timeout_s: float = 1800) -> str:
        """Run a Yosys script in `cwd`; the script is kept there under the log's name, with ``.ys``.

        Parameters
        ----------
        script : str
            Yosys commands, one a line. Files are named by plain names relative to `cwd`
            (:func:`~halo_timing.tools.staging.stage_files` puts them there).
        cwd, log_path : Path
            Working folder, and where what Yosys prints is kept.
        timeout_s : float
            Wall-clock limit.

        Returns
        -------
        str
            What Yosys printed on standard output.

        Raises
        ------
        ToolError
            With Yosys' own message, if the script fails, crashes or takes too long.
        """
        name = plain_name(f"{log_path.stem}.ys")
        if self.version >= _SCL_CACHE_SINCE:
            script = f"libcache -scl -disable\n{script}"
        write_text(cwd / name, script)
        argv = [*self.command, name] if self.origin == "pyosys" else [*self.command, "-s", name]
        environment = {"YOSYS_MAX_THREADS": "1", "TMPDIR": _temporary_folder()}
        finished = run_tool(
            argv, cwd=cwd, log_path=log_path, timeout_s=timeout_s, name="yosys", environment=environment
        )
        if finished.return_code:
            errors = re.findall(
                r"^ERROR: *(.+)$|^(.*\bERROR:.+)$", finished.stdout + finished.stderr, re.MULTILINE
            )
            message = "".join(errors[-1]) if errors else f"ended with {finished.ended_by}"
            raise finished.failure(f"yosys: {message} (script: {cwd / name})", log_path)
        return finished.stdout


def _temporary_folder() -> str:
    """Return a temporary folder whose name ABC can read: it splits names at spaces."""
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if _SPACELESS.match(folder) and os.access(folder, os.W_OK):
            return folder
    raise ToolError(
        f"yosys: ABC cannot work in the temporary folder {tempfile.gettempdir()!r}; "
        "set TMPDIR to a folder without spaces or special characters"
    )


def find_yosys() -> Yosys:
    """Find Yosys: the binary that ``YOSYS`` names, else the ``pyosys`` wheel, else ``yosys`` on ``PATH``.

    Raises
    ------
    ToolNotFoundError
        If none of them is there.
    """
    if not os.environ.get("YOSYS") and importlib.util.find_spec("pyosys") is not None:
        return Yosys((sys.executable, _CHILD), "pyosys")
    path = find_executable("YOSYS", ("yosys",), title="Yosys", mend="`pip install pyosys` brings one")
    return Yosys((str(path),), str(path))

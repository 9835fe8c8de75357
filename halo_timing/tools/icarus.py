"""Icarus Verilog: ``iverilog`` compiles, ``vvp`` runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from halo_timing.errors import ToolError
from halo_timing.tools.locate import Version, ask, find_executable, version_in
from halo_timing.tools.process import Finished, run_tool
from halo_timing.tools.quoting import plain_name

_MEND = "`brew install icarus-verilog`" if sys.platform == "darwin" else "`sudo apt-get install iverilog`"
_SDF_COMPLAINT = re.compile(r"^(?:SDF ERROR|.*WARNING:.*Unable to (?:open SDF|find|match)).*$", re.MULTILINE)


@dataclass(frozen=True)
class Icarus:
    """One Icarus Verilog: the compiler and the runtime beside it."""

    iverilog: Path
    vvp: Path

    @cached_property
    def version(self) -> Version:
        """Version, such as ``(11, 0)``."""
        return version_in(ask(self.iverilog, "-V", title="Icarus Verilog"), title="Icarus Verilog")

    def compile(
        self,
        sources: Sequence[Path | str],
        *,
        top: str,
        output: Path,
        log_path: Path,
        options: Sequence[str] = (),
        timeout_s: float = 600,
    ) -> None:
        """Compile Verilog files into `output`, which :meth:`simulate` runs.

        Parameters
        ----------
        sources : sequence of Path
            Verilog files; relative ones are taken from the folder of `output`.
        top : str
            Top module.
        output, log_path : Path
            Compiled simulation and log.
        options : sequence of str
            More options, such as ``-gspecify`` and ``-Tmax`` for SDF, or ``-Pname=value``.
        timeout_s : float
            Wall-clock limit.

        Raises
        ------
        ToolError
            With the compiler's first message, if it refuses the sources.
        """
        argv = [str(self.iverilog), "-g2012", *options, "-s", top, "-o", plain_name(output.name)]
        files = [f"./{source}" if str(source).startswith("-") else str(source) for source in sources]
        finished = run_tool(
            [*argv, *files], cwd=output.parent, log_path=log_path, timeout_s=timeout_s, name="iverilog"
        )
        if finished.return_code:
            raise ToolError(f"iverilog: {_first_error(finished)}", log_path)

    def preprocess(self, source: Path, *, log_path: Path, timeout_s: float = 60) -> str:
        """Text of a Verilog file with its directives carried out.

        Raises
        ------
        ToolError
            If the file or one that it includes cannot be read.
        """
        output = log_path.with_suffix(".v")
        argv: list[str | Path] = [
            self.iverilog,
            "-E",
            "-g2012",
            f"-I{source.parent.absolute()}",
            "-o",
            output,
            source.absolute(),
        ]
        finished = run_tool(
            argv, cwd=log_path.parent, log_path=log_path, timeout_s=timeout_s, name="iverilog"
        )
        if finished.return_code:
            # The last line only counts the errors; the first one says what is wrong and where.
            raise ToolError(f"iverilog: {(finished.stderr or finished.ended_by).splitlines()[0]}", log_path)
        return output.read_text(errors="replace")

    def simulate(
        self,
        compiled: Path,
        *,
        cwd: Path,
        log_path: Path,
        plusargs: Mapping[str, str] | None = None,
        timeout_s: float = 1800,
    ) -> str:
        """Run a compiled simulation and return what it printed.

        Raises
        ------
        ToolError
            If it fails, crashes, or an SDF file could not be read or applied.
        """
        arguments = [f"+{key}={value}" for key, value in (plusargs or {}).items()]
        finished = run_tool(
            [str(self.vvp), "-n", str(compiled.absolute()), *arguments],
            cwd=cwd,
            log_path=log_path,
            timeout_s=timeout_s,
            name="vvp",
        )
        # vvp goes on, and ends well, after an SDF file it cannot open or an instance it cannot find.
        complaint = _SDF_COMPLAINT.search(finished.stdout + finished.stderr)
        if finished.return_code or complaint:
            message = complaint.group() if complaint else _first_error(finished)
            raise finished.failure(f"vvp: {message}", log_path)
        return finished.stdout


def _first_error(finished: Finished) -> str:
    lines = [line for line in (finished.stderr + finished.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error|ERROR|FATAL", line)]
    return (errors or lines or [f"ended with {finished.ended_by}"])[0].strip()


def find_icarus() -> Icarus:
    """Find Icarus: ``IVERILOG`` then ``PATH``, and ``VVP``, then the ``vvp`` beside it, then ``PATH``.

    Raises
    ------
    ToolNotFoundError
        If either program is missing.
    """
    mend = f"{_MEND} brings it"
    compiler = find_executable("IVERILOG", ("iverilog",), title="Icarus Verilog", mend=mend)
    beside = compiler.with_name("vvp")
    names = (str(beside), "vvp") if beside.is_file() else ("vvp",)
    return Icarus(compiler, find_executable("VVP", names, title="Icarus Verilog's vvp", mend=mend))

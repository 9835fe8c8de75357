"""Errors that a user can mend, and errors of the tools that the flow calls.

Every message names the file, line or option concerned, what was found there, and the mend.
The command line prints the message alone and exits with :attr:`HaloTimingError.exit_code`.
"""

from __future__ import annotations

from pathlib import Path


class HaloTimingError(Exception):
    """Base of every error that is reported to the user as one sentence."""

    exit_code = 1


class UsageError(HaloTimingError):
    """An option or a configuration value is wrong."""


class LibertyError(HaloTimingError):
    """A Liberty file cannot be used."""


class PdkError(HaloTimingError):
    """A PDK is unknown, not installed, or lacks what the flow needs."""


class RtlError(HaloTimingError):
    """Verilog of a MAC cannot be read, or does not have the ports that its role needs."""


class NetlistError(HaloTimingError):
    """A mapped netlist breaks an assumption of the analysis (loops, unknown cells, several drivers)."""


class CheckpointError(HaloTimingError):
    """A model checkpoint is damaged, unsafe, or holds values that cannot be quantized."""


class CostMapError(HaloTimingError):
    """A cost map or a table file is damaged or does not fit its use."""


class ToolNotFoundError(HaloTimingError):
    """An external program is needed and was not found."""


class ToolError(HaloTimingError):
    """An external program failed; :attr:`log_path` keeps what it printed."""

    exit_code = 2

    def __init__(self, message: str, log_path: Path | None = None) -> None:
        super().__init__(message if log_path is None else f"{message} (log: {log_path})")
        self.log_path = log_path


class ToolCrashError(ToolError):
    """An external program crashed or ran out of time: another attempt may succeed."""


class FlowError(HaloTimingError):
    """A result of the flow failed one of the flow's own checks."""

    exit_code = 2

"""What this machine has of what the flow needs, as data."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from halo_timing.errors import HaloTimingError
from halo_timing.tools.icarus import find_icarus
from halo_timing.tools.locate import Version
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.opensta_probe import probe_opensta
from halo_timing.tools.yosys import find_yosys
from halo_timing.wheels import cache_dir

Status = Literal["ok", "warning", "missing"]

MINIMUM_PYTHON = (3, 10)
MINIMUM_YOSYS = (0, 40)
_MINIMUM_FREE_GB = 1.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes
    ----------
    name : str
        What.
    status : str
        ``ok``; ``warning``: the main job runs, something else does not; ``missing``: it cannot run.
    found : str
        What was found, with version and place.
    mend : str
        Command or action that mends it; empty when there is nothing to mend.
    details : dict
        The same for machines.
    """

    name: str
    status: Status
    found: str
    mend: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """All findings."""

    findings: tuple[Finding, ...]

    @property
    def main_job_runs(self) -> bool:
        """Whether MACs can be synthesised and their weights' delays bounded."""
        return all(finding.status != "missing" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return the findings as JSON values."""
        return {
            "main_job_runs": self.main_job_runs,
            "findings": [asdict(finding) for finding in self.findings],
        }


def diagnose_tools() -> list[Finding]:
    """Look for Python, Yosys, OpenSTA, Icarus, the optional packages and a cache folder."""
    return [
        _python(),
        _guarded("Yosys", _yosys, "missing", "`pip install pyosys`"),
        _guarded("OpenSTA", _opensta, "missing", ""),
        _guarded("Icarus Verilog", _icarus, "warning", ""),
        _package("cocotb", "halo-timing[testbench]", "test benches (`halo-timing testbench`)"),
        _package("torch", "halo-timing[quality]", "perplexity of quantized models"),
        _cache(),
    ]


def _guarded(name: str, look: Callable[[], Finding], otherwise: Status, mend: str) -> Finding:
    try:
        return look()
    except (HaloTimingError, OSError) as error:
        return Finding(name, otherwise, "not usable", str(error) if not mend else f"{error}; {mend}")


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _python() -> Finding:
    version = sys.version_info[:3]
    good = version >= MINIMUM_PYTHON
    return Finding(
        "Python",
        "ok" if good else "missing",
        f"{_dotted(version)} on {platform.system()} {platform.machine()} ({sys.executable})",
        "" if good else f"install Python {_dotted(MINIMUM_PYTHON)} or newer",
        {"version": list(version), "path": sys.executable, "platform": platform.platform()},
    )


def _yosys() -> Finding:
    yosys = find_yosys()
    good = yosys.version >= MINIMUM_YOSYS
    return Finding(
        "Yosys",
        "ok" if good else "missing",
        f"{_dotted(yosys.version)} ({yosys.origin})",
        ""
        if good
        else f"unset YOSYS to use the built-in one, or point it to {_dotted(MINIMUM_YOSYS)} or newer",
        {"version": list(yosys.version), "origin": yosys.origin},
    )


def _opensta() -> Finding:
    sta = find_opensta()
    can = probe_opensta(sta)
    remarks = ["case analysis is right" if can.case_analysis else "case analysis gives wrong delays"]
    if can.leaks_dead_slews:
        remarks.append("slews of constant inputs leak into live paths")
    if can.applies_wire_loads:
        remarks.append("applies default wire loads (the flow switches them off)")
    if not can.power:
        remarks.append("power of switching inputs is wrong (not used)")
    if not can.reads_gzip:
        remarks.append("reads no .lib.gz (the flow unpacks)")
    return Finding(
        "OpenSTA",
        "ok" if can.bounds_are_sound else "missing",
        f"{_dotted(can.version)} ({sta.path}): {'; '.join(remarks)}",
        ""
        if can.bounds_are_sound
        else "set STA to another version: 2.0 to 2.7, or 3.x of September 2026 or later",
        {"path": str(sta.path), **asdict(can)},
    )


def _icarus() -> Finding:
    icarus = find_icarus()
    return Finding(
        "Icarus Verilog",
        "ok",
        f"{_dotted(icarus.version)} ({icarus.iverilog})",
        details={"version": list(icarus.version), "path": str(icarus.iverilog)},
    )


def _package(module: str, requirement: str, purpose: str) -> Finding:
    if importlib.util.find_spec(module) is not None:
        return Finding(module, "ok", f"installed: {purpose}")
    return Finding(module, "warning", f"not installed: no {purpose}", f"pip install '{requirement}'")


def _cache() -> Finding:
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return Finding(
            "cache folder",
            "missing",
            f"{folder}: {error.strerror}",
            "set HALO_TIMING_CACHE to a folder that can be written",
        )
    roomy = free_gb >= _MINIMUM_FREE_GB
    return Finding(
        "cache folder",
        "ok" if roomy else "warning",
        f"{folder}, {free_gb:.1f} GB free",
        "" if roomy else "free some space, or set HALO_TIMING_CACHE to another disk",
        {"path": str(folder), "free_gb": round(free_gb, 1)},
    )

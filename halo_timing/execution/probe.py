"""The smallest work there is: it tells whether the tools run there, and files arrive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from halo_timing.execution.environment import environment
from halo_timing.execution.perform import LOGS
from halo_timing.files import sha256_file, write_json
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.yosys import find_yosys


def probe(folder: Path, inputs: Mapping[str, Path], parameters: Mapping[str, Any]) -> None:
    """Run a script that does nothing in each tool; write versions and the hashes of the inputs.

    Raises
    ------
    ToolError
        If a tool fails.
    """
    logs = folder / LOGS
    logs.mkdir()
    find_yosys().run_script("log probe", cwd=logs, log_path=logs / "yosys.log", timeout_s=60)
    find_opensta().run_script('puts "probe"', cwd=logs, log_path=logs / "sta.log", timeout_s=60)
    found = {
        "environment": dict(environment()),
        "inputs": {name: sha256_file(path) for name, path in inputs.items()},
        "parameters": dict(parameters),
    }
    write_json(folder / "probe.json", found)

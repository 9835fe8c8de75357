"""Runs cocotb's runner in a process of its own, for it exits instead of returning and inherits its paths.

Called with one JSON file: what to build and which bench module to run.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(request_path: str) -> None:
    """Build and run as `request_path` says; cocotb's own exit status is the process's."""
    request = json.loads(Path(request_path).read_text())
    # The folder of this file must not hide modules of the standard library or of the benches.
    sys.path[0] = request["bench_folder"]
    os.environ["PATH"] = os.pathsep.join([request["icarus_folder"], os.environ.get("PATH", "")])
    # Under pytest the runner would name its result file after the pytest test.
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    from cocotb_tools.runner import get_runner

    runner = get_runner("icarus")
    runner.build(
        sources=request["sources"],
        hdl_toplevel=request["top"],
        parameters=request["parameters"],
        build_args=request["build_args"],
        build_dir=request["build_folder"],
        timescale=("1ns", "1ps"),
        always=True,
        waves=request["waves"],
    )
    runner.test(
        test_module=request["bench"],
        hdl_toplevel=request["top"],
        build_dir=request["build_folder"],
        test_dir=request["build_folder"],
        results_xml=request["results"],
        timescale=("1ns", "1ps"),
        extra_env=request["environment"],
        waves=request["waves"],
    )


if __name__ == "__main__":
    main(sys.argv[1])

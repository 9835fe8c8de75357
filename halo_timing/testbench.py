"""Running the cocotb benches of ``tests/cocotb``: on RTL, or on a mapped netlist with its cell models."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from halo_timing.errors import ToolError, ToolNotFoundError, UsageError
from halo_timing.files import write_text
from halo_timing.mac_model import BenchOptions
from halo_timing.resources import benches_dir
from halo_timing.tools.icarus import find_icarus
from halo_timing.tools.process import run_tool
from halo_timing.tools.quoting import plain_name

_CHILD = str(Path(__file__).with_name("_testbench_child.py"))
# Icarus goes on, and ends well, after an SDF file that it cannot open or an instance that it cannot find.
_SDF_COMPLAINT = re.compile(r"^(?:SDF ERROR|.*WARNING:.*Unable to (?:open SDF|find|match)).*$", re.MULTILINE)


@dataclass(frozen=True)
class BenchTest:
    """One test of a bench.

    Attributes
    ----------
    name
        Name of the test function.
    passed
        Whether it passed.
    seconds
        Wall time.
    message
        Why it failed, with the operands; ``""`` when it passed.
    """

    name: str
    passed: bool
    seconds: float
    message: str


@dataclass(frozen=True)
class TestbenchResult:
    """What a bench found.

    Attributes
    ----------
    tests
        All tests of the bench, in the order in which they ran.
    log_path
        Log of compilation and simulation.
    waves_path
        FST file with all signals, if asked for.
    """

    tests: tuple[BenchTest, ...]
    log_path: Path
    waves_path: Path | None

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return all(test.passed for test in self.tests)


def run_testbench(
    sources: Sequence[Path],
    options: BenchOptions,
    *,
    build_dir: Path,
    bench: str = "bench_mac",
    top: str = "mac",
    parameters: Mapping[str, int | str] | None = None,
    sdf: Path | None = None,
    specify: bool = False,
    waves: bool = False,
    timeout_s: float = 1800,
) -> TestbenchResult:
    """Compile Verilog with Icarus and run a cocotb bench on it.

    A mapped netlist has no parameters left and goes with its cell models in `sources`; the benches use ports
    only, so they are the same.

    Parameters
    ----------
    sources : sequence of Path
        Verilog files.
    options : BenchOptions
        What the bench is told: the MAC's configuration, the clock period, how much to try.
    build_dir : Path
        Folder for everything that is made; log and waves stay there.
    bench : str
        Module in ``tests/cocotb``: ``bench_mac``, ``bench_mac_family``, ``bench_quantized_layer`` or
        ``bench_systolic_array``.
    top : str
        Top module.
    parameters : mapping, optional
        Parameters of the top module, strings without quotes.
    sdf : Path, optional
        SDF to annotate, with unconditional paths as :func:`halo_timing.pdk.verilog_models.unconditional_sdf`
        makes them; the largest delays are taken.
    specify : bool
        Whether delays in the sources' own specify blocks count.
    waves : bool
        Whether to record all signals as an FST file.
    timeout_s : float
        Wall-clock limit.

    Raises
    ------
    ToolNotFoundError
        If cocotb or Icarus is not installed.
    ToolError
        If the Verilog does not compile, the simulation ends without a result, or the SDF does not fit.
    UsageError
        If the bench does not exist.
    """
    if importlib.util.find_spec("cocotb_tools") is None:
        raise ToolNotFoundError(
            "cocotb is not installed; install it with `pip install 'halo-timing[testbench]'`"
        )
    bench_folder = benches_dir()
    if not (bench_folder / f"{plain_name(bench)}.py").is_file():
        known = ", ".join(sorted(path.stem for path in bench_folder.glob("bench_*.py")))
        raise UsageError(f"there is no bench {bench}; choose one of {known}")
    icarus = find_icarus()
    folder = build_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    files = [path.absolute() for path in sources]
    build_args = ["-gspecify", "-Tmax"] if specify or sdf is not None else []
    if sdf is not None:
        shutil.copyfile(sdf, folder / "delays.sdf")
        annotate = folder / "annotate.v"
        write_text(
            annotate,
            f'module halo_annotate;\n  initial $sdf_annotate("delays.sdf", {plain_name(top)});\nendmodule\n',
        )
        files.append(annotate)
        build_args += ["-s", "halo_annotate"]

    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    request = {
        "sources": [str(path) for path in files],
        "top": top,
        "parameters": {
            name: f'"{plain_name(value)}"' if isinstance(value, str) else value
            for name, value in (parameters or {}).items()
        },
        "build_args": build_args,
        "build_folder": str(folder),
        "bench": bench,
        "bench_folder": str(bench_folder),
        "icarus_folder": str(icarus.iverilog.parent),
        "results": str(results),
        "environment": options.to_environment(),
        "waves": waves,
    }
    request_path = folder / "request.json"
    write_text(request_path, json.dumps(request, indent=2))
    log_path = folder / "testbench.log"
    package_parent = str(Path(__file__).resolve().parent.parent)
    finished = run_tool(
        [sys.executable, _CHILD, request_path],
        cwd=folder,
        log_path=log_path,
        timeout_s=timeout_s,
        name="cocotb",
        environment={"PYTHONPATH": os.pathsep.join([package_parent, *filter(None, sys.path)])},
    )
    printed = finished.stdout + finished.stderr
    if complaint := _SDF_COMPLAINT.search(printed):
        raise ToolError(f"vvp: {complaint.group().strip()}", log_path)
    if not results.is_file():
        lines = [line for line in printed.splitlines() if re.search(r"error|Error|ERROR", line)]
        raise ToolError(f"cocotb: {lines[0].strip() if lines else finished.ended_by}", log_path)
    tests = _read_results(results)
    if not tests:
        raise ToolError("cocotb: the simulation ended before any test", log_path)
    waves_path = folder / f"{top}.fst"
    return TestbenchResult(tests, log_path, waves_path if waves else None)


def _read_results(path: Path) -> tuple[BenchTest, ...]:
    tests = []
    for case in ElementTree.parse(path).iter("testcase"):
        problems = [*case.iter("failure"), *case.iter("error")]
        messages = [problem.get("error_msg") or problem.get("message") or "failed" for problem in problems]
        name, seconds = case.get("name", ""), float(case.get("time", "0"))
        tests.append(BenchTest(name, not problems, seconds, "; ".join(messages)))
    return tuple(tests)

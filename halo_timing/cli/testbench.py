"""``halo-timing testbench``: cocotb on a MAC of the family, RTL or gates."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from halo_timing.characterization import timing_conditions
from halo_timing.cli.progress import TerminalReporter
from halo_timing.errors import FlowError, UsageError
from halo_timing.gate_level import write_sdf, write_sources
from halo_timing.mac_model import BenchOptions, MacConfig
from halo_timing.netlist import Netlist
from halo_timing.rtl import Mac, find_mac
from halo_timing.run.session import make_netlist, open_session
from halo_timing.testbench import TestbenchResult, run_testbench


@click.command()
@click.option(
    "--mac", default="array", show_default=True, help="NAME or NAME:PARAMETER=VALUE,… of `mac list`."
)
@click.option("--level", type=click.Choice(["rtl", "gate"]), default="rtl", show_default=True)
@click.option("--pdk", default="nangate45", show_default=True, help="Cells of the gate level.")
@click.option("--corner", help="Corner of the PDK.  [default: the PDK's own]")
@click.option("--sdf", is_flag=True, help="Gate level with the delays that OpenSTA finds.")
@click.option("--waves", is_flag=True, help="Record all signals as an FST file.")
@click.option("--steps", default=1000, show_default=True, help="Random cycles of each kind.")
@click.option("--seed", default=1, show_default=True, help="Of all random numbers.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/testbench"), show_default=True)
def testbench(
    mac: str,
    level: str,
    pdk: str,
    corner: str | None,
    sdf: bool,
    waves: bool,
    steps: int,
    seed: int,
    out: Path,
) -> None:
    """Run the benches on a MAC: all operands, chains of sums, reloads, resets."""
    chosen = find_mac(mac)
    if chosen.top != "mac":
        raise UsageError("the benches are for MACs of the family; one's own are checked by `characterize`")
    if sdf and level != "gate":
        raise UsageError("--sdf: RTL has no delays; add --level gate")
    options = BenchOptions(MacConfig.from_parameters(chosen.parameters), random_steps=steps, seed=seed)
    if level == "rtl":
        parameters = dict(chosen.parameters)
        result = run_testbench(chosen.files, options, build_dir=out, parameters=parameters, waves=waves)
    else:
        result = _run_gates(chosen, options, pdk, corner, sdf, waves, out)
    _show(result)
    if not result.passed:
        raise FlowError(f"{chosen.name}: a bench failed; log: {result.log_path}")


def _run_gates(
    mac: Mac, options: BenchOptions, pdk: str, corner: str | None, sdf: bool, waves: bool, out: Path
) -> TestbenchResult:
    with TerminalReporter() as reporter:
        session = open_session(pdk, corner, reporter, jobs=1, install=False)
        make_netlist(session, mac, out)
    library = session.pdk.library(session.corner)
    netlist = Netlist.from_json(json.loads((out / "netlist.json").read_text()), library)
    folder = out / "gates"
    sources = write_sources(netlist, folder)
    conditions = timing_conditions(session.pdk, session.corner)
    delays = write_sdf(netlist, mac.interface, conditions, session.sta, out / "delays") if sdf else None
    return run_testbench(sources, options, build_dir=folder, sdf=delays, waves=waves)


def _show(result: TestbenchResult) -> None:
    console = Console(highlight=False)
    for test in result.tests:
        mark = "passed" if test.passed else "FAILED"
        console.print(f"{mark}  {test.name}  {test.seconds:.1f} s", markup=False)
        if test.message:
            console.print(f"        {test.message}", markup=False, soft_wrap=True)
    if result.waves_path:
        console.print(f"waves   {result.waves_path}", markup=False, soft_wrap=True)

"""Dynamic timing against Icarus Verilog: speed on one core, and equality of every toggle.

    python benchmarks/dynamic.py [--pdk nangate45] [--mac array --mac booth] [--random 20000] [--walks 2]

Both simulate the same mapped MAC with the same delays. Icarus walks through all transitions of some random
weights; its time is that of `vvp` alone, without a dump. Ours is the whole exhaustive run: preparation of
each weight, simulation, energies, period and histogram of each stage.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from halo_timing.characterization import mapping_target, timing_conditions
from halo_timing.dynamic.activation import find_activation_nets
from halo_timing.dynamic.exhaustive import group_stages, simulate_exhaustive
from halo_timing.dynamic.icarus_bench import simulate_walks_in_icarus, time_walks_in_icarus
from halo_timing.dynamic.stages import find_stages, launch_times
from halo_timing.dynamic.walks import Walk, full_walk, simulate_walks
from halo_timing.held_weight import find_held_weight
from halo_timing.pdk.registry import load_pdk
from halo_timing.rtl import find_mac
from halo_timing.sdf import read_sdf
from halo_timing.sta import write_delays
from halo_timing.synthesis import synthesize
from halo_timing.tools.icarus import find_icarus
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.yosys import find_yosys

STEPS = 100


@click.command()
@click.option("--pdk", "pdk_name", default="nangate45", show_default=True)
@click.option("--mac", "specs", multiple=True, default=("array", "booth"), show_default=True)
@click.option(
    "--random", "random_count", default=20_000, show_default=True, help="Random transitions compared."
)
@click.option("--walks", default=2, show_default=True, help="Full walks compared, one weight each.")
@click.option("--timed", default=8, show_default=True, help="Random weights that Icarus is timed on.")
@click.option("--jobs", default=1, show_default=True, help="Threads of ours.")
def main(pdk_name: str, specs: Sequence[str], random_count: int, walks: int, timed: int, jobs: int) -> None:
    """Compare dynamic timing with Icarus Verilog."""
    for spec in specs:
        with tempfile.TemporaryDirectory() as folder:
            _compare(pdk_name, spec, Path(folder), random_count, walks, timed, jobs)


def _compare(
    pdk_name: str, spec: str, folder: Path, random_count: int, walks: int, timed: int, jobs: int
) -> None:
    pdk, mac = load_pdk(pdk_name, install=True), find_mac(spec)
    corner = pdk.corner()
    conditions = timing_conditions(pdk, corner)
    netlist = synthesize(mac, mapping_target(pdk, corner), mac.recipes[0], find_yosys(), folder)
    sdf_path = folder / "delays.sdf"
    arrivals = write_delays(netlist, mac.interface, conditions, find_opensta(), sdf_path, folder / "sta.log")
    sdf, held, icarus = read_sdf(sdf_path), find_held_weight(netlist, mac.interface), find_icarus()
    nets = find_activation_nets(netlist, mac.interface, held)
    stages = find_stages(netlist, mac.interface, held, nets)
    groups = group_stages(netlist, sdf, stages, launch_times(netlist, sdf, arrivals), None)
    model = next(group.model for group in groups if group.depth == 1)
    click.echo(f"{pdk_name} {spec}: {len(netlist.instances)} cells, {len(model.gates)} behind the activation")

    rng = np.random.default_rng(1)
    patterns = 1 << nets.bits
    everything = full_walk(nets.bits)
    chosen = [
        Walk(int(rng.integers(len(held.values))), rng.integers(0, patterns, STEPS + 1).tolist())
        for _ in range(random_count // STEPS)
    ]
    chosen += [Walk(int(index), everything) for index in rng.choice(len(held.values), walks, replace=False)]
    watched = [source.net for source in model.sources] + [gate.net for gate in model.gates]

    weights = sorted(rng.choice(len(held.values), timed, replace=False).tolist())
    icarus_s = time_walks_in_icarus(
        netlist,
        mac.interface,
        held,
        sdf_path,
        [Walk(index, everything) for index in weights],
        watched,
        model.longest_fs,
        icarus,
        folder / "speed.log",
    )
    icarus_rate = timed * (len(everything) - 1) / icarus_s
    simulate_exhaustive(netlist, mac.interface, held, sdf, arrivals_ps=arrivals, indices=[0])
    begin, begin_cpu = time.perf_counter(), time.process_time()
    simulate_exhaustive(netlist, mac.interface, held, sdf, arrivals_ps=arrivals, jobs=jobs)
    ours_s, ours_cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    rate = len(held.values) * patterns**2 / ours_cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(
        f"  Icarus {icarus_rate:,.0f}/s of CPU; ours {rate:,.0f}/s of CPU: {rate / icarus_rate:.0f}x; "
        f"{len(held.values)} weights in {ours_s:.1f} s on {jobs} thread(s), {ours_cpu:.1f} s of CPU; "
        f"peak memory {memory:,.0f} MB"
    )

    different = total = 0
    for start in range(0, len(chosen), 100):
        part = chosen[start : start + 100]
        ours, _ = simulate_walks(model, nets, part, "icarus")
        theirs = simulate_walks_in_icarus(
            netlist, mac.interface, held, sdf, part, watched, model.longest_fs, icarus, folder / "proof.log"
        )
        different += ours != theirs
        total += sum(walk.transitions for walk in part)
    verdict = "equal" if not different else f"DIFFERENT in {different} parts"
    click.echo(f"  every toggle of {len(watched)} nets in {total} transitions: {verdict}")


if __name__ == "__main__":
    main()

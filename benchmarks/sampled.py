"""Sampled stages of MACs: what drawn transitions find, what the directed search adds, and the static bound.

    python benchmarks/sampled.py [--pdk nangate45] [--mac array --mac booth:PIPELINE=fused] [--samples 1024]

All three rest on the same fixed delays (OpenSTA's SDF). Seconds are processor time of one thread. With
``--many`` a second run draws that many transitions and does not search: what patience alone finds.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from halo_timing.characterization import mapping_target, timing_conditions
from halo_timing.dynamic import Simulation, Stimulus
from halo_timing.dynamic.sampled import simulate_sampled
from halo_timing.held_weight import find_held_weight
from halo_timing.pdk.registry import load_pdk
from halo_timing.rtl import find_mac
from halo_timing.sdf import read_sdf
from halo_timing.sta import sweep, write_delays
from halo_timing.synthesis import synthesize
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.yosys import find_yosys

MACS = ("array", "booth", "one_digit", "booth:PIPELINE=fused", "booth_stored:PIPELINE=carry_save")


@click.command()
@click.option("--pdk", "pdk_name", default="nangate45", show_default=True)
@click.option("--mac", "specs", multiple=True, default=MACS, show_default=True)
@click.option("--samples", default=Stimulus().samples, show_default=True, help="Drawn transitions.")
@click.option("--weights", default=32, show_default=True, help="Weights, evenly spread.")
@click.option("--many", default=0, show_default=True, help="Drawn transitions of a second run.")
def main(pdk_name: str, specs: Sequence[str], samples: int, weights: int, many: int) -> None:
    """Compare samples, search and bound."""
    for spec in specs:
        with tempfile.TemporaryDirectory() as folder:
            _compare(pdk_name, spec, Path(folder), samples, weights, many)


def _compare(pdk_name: str, spec: str, folder: Path, samples: int, weights: int, many: int) -> None:
    pdk, mac, sta = load_pdk(pdk_name, install=True), find_mac(spec), find_opensta()
    corner = pdk.corner()
    conditions = timing_conditions(pdk, corner)
    netlist = synthesize(mac, mapping_target(pdk, corner), mac.recipes[0], find_yosys(), folder)
    sdf_path = folder / "delays.sdf"
    arrivals = write_delays(netlist, mac.interface, conditions, sta, sdf_path, folder / "sta.log")
    held = find_held_weight(netlist, mac.interface)
    chosen = np.unique(np.linspace(0, len(held.values) - 1, weights).astype(int)).tolist()
    bound = sweep(
        netlist,
        mac.interface,
        held,
        conditions,
        sta,
        sdf_path=sdf_path,
        arrivals_ps=arrivals,
        log_folder=folder,
    )
    simulation = Simulation(
        netlist, mac.interface, held, read_sdf(sdf_path), arrivals, Stimulus(samples=samples)
    )
    sampler = simulation.sampler
    assert sampler is not None
    simulate_sampled(sampler, chosen[:1], with_energies=False)
    begin = time.process_time()
    result = simulate_sampled(sampler, chosen, with_energies=False)
    seconds = time.process_time() - begin
    assert result.drawn_ps is not None
    if many:
        stimulus = replace(simulation.stimulus, samples=many, search_rounds=0)
        patient = replace(simulation, stimulus=stimulus).sampler
        assert patient is not None
        found = simulate_sampled(patient, chosen, with_energies=False).period_ps
    click.echo(
        f"{pdk_name} {spec}: {len(sampler.model.gates)} gates, {len(chosen)} weights, {seconds:.1f} s "
        f"({seconds / len(chosen) * 1000:.0f} ms a weight)"
    )
    for index, stage in enumerate(result.stages):
        limit = bound.stage_bound_ps[chosen, bound.stages.index(stage)]
        drawn, searched = result.drawn_ps[:, index], result.period_ps[:, index]
        click.echo(
            f"  {stage}: slowest weight {drawn.max():.0f} ps by {samples} samples, {searched.max():.0f} with "
            f"the search, bound {limit.max():.0f}; of each weight's bound {np.mean(drawn / limit):.3f}, "
            f"{np.mean(searched / limit):.3f}; more in {np.mean(searched > drawn):.0%}"
        )
        if many:
            most = found[:, index]
            click.echo(
                f"    {many} samples: slowest {most.max():.0f}, {np.mean(most / limit):.3f} of the bound; "
                f"more than the search in {np.mean(most > searched):.0%}, "
                f"less in {np.mean(most < searched):.0%}"
            )


if __name__ == "__main__":
    main()

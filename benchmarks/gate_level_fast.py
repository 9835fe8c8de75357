"""The netlist of a characterised MAC at the clock of its fast class, in Icarus Verilog with OpenSTA's delays.

    python -m benchmarks.gate_level_fast FOLDER [--size 16] [--cycles 2000]

FOLDER is one of `halo-timing characterize` or `mac study`, of a MAC of the family. Its fastest values are
held one after another at the bound of their class, with random activations and partial sums: every sum has
to be right. Two more lines say how far the clock may be raised before one is wrong, and how many are wrong
when the slowest weight is held at that bound. See tests/fast_clock.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import numpy as np

from halo_timing.netlist import Netlist
from halo_timing.pdk.registry import load_pdk
from halo_timing.rtl import find_mac
from halo_timing.sdf import read_sdf
from halo_timing.study import fast_class_ps
from halo_timing.tables import Tables
from halo_timing.tools.icarus import find_icarus
from tests.fast_clock import Sums, sums_at_period

STEP_PS = 1.0


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--size", default=16, show_default=True, help="Values of the fast class.")
@click.option("--cycles", default=2000, show_default=True, help="Cycles a value.")
@click.option("--seed", default=1, show_default=True)
def main(folder: Path, size: int, cycles: int, seed: int) -> None:
    """Simulate FOLDER's netlist at the clock of its fast class."""
    tables = Tables.load(folder, simulated=False)
    pdk = load_pdk(tables.metadata["pdk"])
    corner = pdk.corner(tables.metadata["corner"])
    netlist = Netlist.from_json(json.loads((folder / "netlist.json").read_text()), pdk.library(corner))
    mac, sdf, icarus = find_mac(tables.metadata["mac"]), read_sdf(folder / "delays.sdf"), find_icarus()

    def run(weights: list[int], period_ps: float, cycles: int) -> Sums:
        arrivals = tables.metadata["arrivals_ps"]
        return sums_at_period(
            netlist, mac, sdf, arrivals, weights, period_ps, icarus, cycles=cycles, seed=seed
        )

    period_ps = fast_class_ps(tables.values, tables.period_ps, size)
    fast = [int(value) for value in tables.values[tables.period_ps <= period_ps]]
    sums = run(fast, period_ps, cycles)
    click.echo(f"{mac.name}, {pdk.name}: {len(fast)} values {fast}")
    click.echo(f"at {period_ps:.1f} ps: {sums.checked:,} sums, {sums.wrong:,} wrong")

    works, fails = period_ps, period_ps / 4
    while works - fails > STEP_PS:
        middle = (works + fails) / 2
        works, fails = (middle, fails) if run(fast, middle, cycles // 10).wrong == 0 else (works, middle)
    click.echo(f"first wrong sum of {cycles // 10} a value: below {works:.0f} ps")

    slowest = int(tables.values[int(np.argmax(tables.period_ps))])
    slow = run([slowest], period_ps, cycles)
    click.echo(
        f"{slowest}, bound {tables.period_ps.max():.1f} ps, at {period_ps:.1f} ps: "
        f"{slow.checked:,} sums, {slow.wrong:,} wrong"
    )
    sys.exit("Wrong sums at the clock of the fast class." if sums.wrong else 0)


if __name__ == "__main__":
    main()

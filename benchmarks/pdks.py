"""Every PDK that is on this machine, through the same commands: the table of docs/pdks.md.

    python benchmarks/pdks.py --out results/pdks [--pdk nangate45 …] [--mac array …] [--dynamic]

All corners of each PDK are checked (`halo-timing pdk check`) and characterised (`halo-timing characterize
--corners all`); what the folder holds already is kept. Periods are bounds of static timing, wires ideal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from halo_timing.cli.progress import TerminalReporter
from halo_timing.corner_index import load_corners
from halo_timing.dynamic_characterization import DynamicOptions
from halo_timing.pdk.check import check_corner
from halo_timing.pdk.registry import list_pdks, load_pdk
from halo_timing.rtl import find_mac
from halo_timing.run.corners import characterize_corners
from halo_timing.run.session import open_session
from halo_timing.study import SIZES, fast_class_ps
from halo_timing.tools.opensta import find_opensta

#: A MAC with a spread, one with a bypass, and a fast conventional one that both have to beat.
MACS = ("array", "one_digit", "booth_stored")
BASELINE = "booth_stored"


@click.command()
@click.option("--pdk", "pdks", multiple=True, help="PDKs.  [default: all that are here]")
@click.option("--mac", "macs", multiple=True, default=MACS, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/pdks"), show_default=True)
@click.option("--dynamic", is_flag=True, help="Energies too, of the corner that is mapped at: minutes a MAC.")
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, show_default=True)
def main(pdks: Sequence[str], macs: Sequence[str], out: Path, dynamic: bool, jobs: int) -> None:
    """Characterise PDKS and print two tables in Markdown."""
    names = pdks or [status.name for status in list_pdks() if status.is_installed and not status.by_user]
    with TerminalReporter() as reporter:
        for name in names:
            simulation = DynamicOptions() if dynamic else None
            session = open_session(name, None, reporter, jobs=jobs, install=False, dynamic=simulation)
            corners = list(session.pdk.corners.values())
            for mac in (find_mac(spec) for spec in macs):
                reporter.note(f"{name}, {mac.name}")
                characterize_corners(session, corners, mac, out / name / mac.folder_name, simulate_all=False)
    print(_checks(names))
    print(_periods(names, [find_mac(spec).folder_name for spec in macs], out))


def _checks(names: Sequence[str]) -> str:
    sta = find_opensta()
    lines = [
        "| PDK | corner | V | C | combinational | flip-flops | left out | FO4 slew, ps | off OpenSTA |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in names:
        pdk = load_pdk(name)
        for corner in pdk.corners.values():
            check = check_corner(pdk, corner, sta)
            lines.append(
                f"| {name} | {corner.name} | {corner.voltage_v:g} | {corner.temperature_c:g} "
                f"| {check.usable['combinational']} | {check.usable['flip-flops']} | {len(check.left_out)} "
                f"| {check.constraints.input_slew_ps:g} | {check.worst_difference:.1e} |"
            )
    return "\n".join(lines) + "\n"


def _periods(names: Sequence[str], macs: Sequence[str], out: Path) -> str:
    ratios = ("self", f"to {BASELINE}")
    fast = [heading for size in SIZES for heading in (f"fastest {size}, ps", *ratios)]
    columns = ["PDK", "corner", "MAC", "cells", "area, um2", "slowest, ps", *fast, "fJ/cycle"]
    lines = [f"| {' | '.join(columns)} |", "|---|---|---|" + "---:|" * (len(columns) - 3)]
    for name in names:
        baseline_ps = {}
        if BASELINE in macs:
            baseline = load_corners(out / name / BASELINE)
            baseline_ps = {corner: float(tables.period_ps.max()) for corner, tables in baseline.items()}
        for mac in macs:
            folder = out / name / mac
            synthesis = json.loads((folder / "synthesis.json").read_text())
            for corner, tables in load_corners(folder).items():
                worst_ps = float(tables.period_ps.max())
                row = [name, corner, mac, str(synthesis["cell_count"]), f"{synthesis['area_um2']:.0f}"]
                row.append(f"{worst_ps:.0f}")
                for size in SIZES:
                    fast_ps = fast_class_ps(tables.values, tables.period_ps, size)
                    best = baseline_ps.get(corner)
                    row += [f"{fast_ps:.0f}", f"{worst_ps / fast_ps:.2f}"]
                    row.append(f"{best / fast_ps:.2f}" if best else "")
                row.append("" if tables.dynamic is None else f"{np.nanmean(tables.energy_fj):.0f}")
                lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

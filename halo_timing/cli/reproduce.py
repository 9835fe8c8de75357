"""``halo-timing reproduce``: published results beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from halo_timing.accelerator.comparison import Macs
from halo_timing.cli.progress import TerminalReporter, default_jobs
from halo_timing.costmap import build_cost_map
from halo_timing.dynamic_characterization import DynamicOptions
from halo_timing.files import write_json, write_text
from halo_timing.float_mac import float_mac
from halo_timing.reproduction.halo import Contender, read_quality, reproduce
from halo_timing.reproduction.page import render_page
from halo_timing.rtl import find_mac
from halo_timing.run.session import characterize, make_float_mac, open_session
from halo_timing.tables import Tables

# The array shows HALO's classes; the others are built for their fast class. Levels: fast, and all values.
_ARRAY, _BYPASSES, _BEST = "array", ("one_digit_high_radix", "two_row"), "booth_stored"


@click.group()
def reproduce_() -> None:
    """Set published results beside those of this flow."""


@reproduce_.command("halo")
@click.option("--pdk", default="nangate45", show_default=True)
@click.option("--corner", help="Corner of the PDK.  [default: the PDK's own]")
@click.option("--dynamic/--no-dynamic", default=True, show_default=True, help="Simulate for energies, too.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/halo"), show_default=True)
@click.option("--quality", type=click.Path(path_type=Path), help="Folder with the evaluation of a model.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes at a time.  [default: all processors]")
def halo(
    pdk: str, corner: str | None, dynamic: bool, out: Path, quality: Path | None, jobs: int | None
) -> None:
    """Reproduce HALO (AAAI 2026): its figures and tables beside ours, with every honest baseline."""
    measured = read_quality(quality) if quality else None
    options = DynamicOptions() if dynamic else None
    with TerminalReporter() as reporter:
        session = open_session(
            pdk, corner, reporter, jobs=jobs or default_jobs(), install=False, dynamic=options
        )
        for name in (_ARRAY, _BEST, *_BYPASSES):
            characterize(session, find_mac(name), out / name, label=f"{name}/")
        make_float_mac(session, float_mac(), out / "fp16", label="fp16/")
    contenders = []
    for name in (_ARRAY, *_BYPASSES):
        tables = Tables.load(out / name)
        build_cost_map(tables, levels=3 if name == _ARRAY else 2).save(out / name)
        contenders.append(Contender(Macs.load(out / name, [out / _BEST], out / "fp16"), tables))
    content = reproduce(contenders[0], contenders[1:], measured)
    write_json(out / "reproduction.json", content)
    write_text(out / "reproduction.md", render_page(content, f"halo-timing reproduce halo --pdk {pdk}"))
    _show(content, out)


def _show(content: dict[str, Any], out: Path) -> None:
    console = Console(highlight=False)
    rows = [
        row for row in content["fast_class"] if row["model"] == "llama-2-7b" and row["phase"] == "prefill"
    ]
    table = Table(
        box=SIMPLE_HEAD, title="llama-2-7b, prefill, all tiles fast: faster than", title_justify="left"
    )
    table.add_column("MAC")
    for heading in ("self", "best", "W8A8", "W8A8 on best", "FP16"):
        table.add_column(heading, justify="right")
    for row in rows:
        ratios = row["speedup"].values()
        table.add_row(row["mac"], *("unknown" if ratio is None else f"{ratio:.2f}x" for ratio in ratios))
    console.print(table)
    console.print("The paper's 270 % and 51 % are against FP16.", markup=False)
    console.print(f"Page        {out / 'reproduction.md'}", markup=False, soft_wrap=True)
    console.print(f"All figures {out / 'reproduction.json'}", markup=False, soft_wrap=True)

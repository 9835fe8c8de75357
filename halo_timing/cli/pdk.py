"""``halo-timing pdk``: list, show, install, add and check PDKs."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

import click

from halo_timing.pdk.check import CornerCheck, check_corner
from halo_timing.pdk.discover import find_places, missing_places, without_described
from halo_timing.pdk.registration import add_pdk
from halo_timing.pdk.registry import Corner, Pdk, install_pdk, list_pdks, load_pdk
from halo_timing.pdk.selection import ChosenCells, Constraints
from halo_timing.tools.opensta import find_opensta


@click.group()
def pdk() -> None:
    """PDKs: what is known, what is here, and whether it can be used."""


@pdk.command("list")
def list_command() -> None:
    """List the known PDKs, and for those that are missing how to get them."""
    statuses = list_pdks()
    for status in statuses:
        if status.problem:
            click.echo(f"{status.name}: {click.style('broken', fg='red')}: {status.problem}; {status.mend}")
        elif status.is_installed:
            names = ", ".join(corner.name for corner in status.corners)
            click.echo(f"{click.style(status.name, fg='green')}: {status.title}, in {status.folder}")
            click.echo(f"  corners {names}")
        else:
            click.echo(f"{status.name}: {status.title}\n  not here: {status.mend}")
    _show_places([corner for status in statuses for corner in status.corners])


@pdk.command()
@click.argument("name")
@click.option("--corner", help="Corner to show; the default one when left out.")
def show(name: str, corner: str | None) -> None:
    """Show the corners of PDK NAME, and the cells and constraints used at one of them."""
    found = load_pdk(name)
    chosen = found.corner(corner)
    click.echo(
        f"{found.name}: {found.descriptor.title}\nlicence: {found.descriptor.licence}\nin {found.folder}"
    )
    for each in found.corners.values():
        mark = "*" if each == chosen else " "
        files = ", ".join(path.name for path in each.liberty)
        click.echo(f"{mark} {each.name}: {each.voltage_v:g} V, {each.temperature_c:g} C, {files}")
    library = found.library(chosen)
    click.echo(f"library {library.name}: {len(library.cells)} cells, sha256 {library.sha256}")
    _show_choices(found.cells(chosen), found.constraints(chosen))


@pdk.command()
@click.argument("name")
def install(name: str) -> None:
    """Fetch PDK NAME from where it is distributed, and say where it was put."""
    found = install_pdk(name, progress=click.echo)
    click.echo(f"{found.name} is in {found.folder}, with {_corners(found)}")


@pdk.command()
@click.argument("name")
@click.argument("liberty", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--corner", help="Name of the corner that all files belong to.")
@click.option(
    "--dont-use", multiple=True, metavar="PATTERN", help="Cells never to map onto, such as '*_dly*'."
)
@click.option("--use", multiple=True, metavar="PATTERN", help="Cells to map onto although a rule bars them.")
def add(
    name: str, liberty: tuple[Path, ...], corner: str | None, dont_use: tuple[str, ...], use: tuple[str, ...]
) -> None:
    """Register LIBERTY files (.lib or .lib.gz) as PDK NAME.

    Files of one voltage and temperature become one corner, unless they hold the same cells. Adding to a name
    again adds or replaces corners.
    """
    found = add_pdk(name, liberty, corner, dont_use=dont_use, use=use)
    click.echo(f"{found.name} is registered, with {_corners(found)}")
    click.echo(f"default corner {found.default_corner.name}:")
    _show_choices(found.cells(), found.constraints())
    click.echo(f"check it:   halo-timing pdk check {name}")
    click.echo(f"use it:     halo-timing run --pdk {name} --out results/{name}")


@pdk.command()
@click.argument("name")
@click.option("--corner", help="Corner to check; all of them when left out.")
def check(name: str, corner: str | None) -> None:
    """Say what of PDK NAME can be used and what not, and prove its delays against OpenSTA."""
    found = load_pdk(name)
    corners = [found.corner(corner)] if corner else list(found.corners.values())
    sta = find_opensta()
    for each in corners:
        _show_check(found, check_corner(found, each, sta))


def _show_places(corners: list[Corner]) -> None:
    """Say where was looked, and what is there that no descriptor knows."""
    for setting in missing_places():
        click.echo(f"{click.style('no such folder', fg='red')}: {setting}")
    for place in find_places():
        click.echo(f"looked in {place.root} ({place.kind}): {len(place.libraries)} folders of Liberty files")
        for library in without_described(place, corners):
            files = f"{shlex.quote(str(library.folder))}/*.lib*"
            click.echo(
                f"  {library.name}, {library.files} files, not described here; "
                f"`halo-timing pdk add {library.name} {files}` registers them"
            )


def _corners(found: Pdk) -> str:
    names = ", ".join(
        f"{corner.name} ({corner.voltage_v:g} V, {corner.temperature_c:g} C)"
        for corner in found.corners.values()
    )
    return f"{'corner' if len(found.corners) == 1 else 'corners'} {names}"


def _show_choices(cells: ChosenCells, constraints: Constraints) -> None:
    ties = [f"{tie.cell}.{tie.pin}" if tie else "none" for tie in (cells.tie_low, cells.tie_high)]
    click.echo(
        f"  flip-flop {cells.flip_flop}, buffer {cells.buffer}, inverter {cells.inverter}, "
        f"ties {' and '.join(ties)}; {len(cells.dont_use)} cells not for use"
    )
    click.echo(
        f"  output load {constraints.output_load_ff:g} fF, input slew {constraints.input_slew_ps:g} ps, "
        f"period target {constraints.period_target_ps:g} ps, ideal wires"
    )


def _show_check(found: Pdk, result: CornerCheck) -> None:
    corner = result.corner
    click.echo(f"{found.name} {corner.name}: {corner.voltage_v:g} V, {corner.temperature_c:g} C")
    usable = ", ".join(f"{count} {kind}" for kind, count in sorted(result.usable.items()))
    click.echo(f"  usable: {usable}")
    for reason, count in Counter(result.left_out.values()).most_common():
        names = [name for name, why in result.left_out.items() if why == reason]
        shown = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
        click.echo(f"  left out, {reason}: {count} ({shown})")
    for remark in result.remarks:
        click.echo(f"  note: {remark}")
    _show_choices(result.cells, result.constraints)
    click.echo(
        f"  proof: {len(result.chain)} edges through chains of {result.cells.inverter} agree with OpenSTA "
        f"to {result.worst_difference:.4%}"
    )

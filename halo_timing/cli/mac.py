"""``halo-timing mac``: the MAC family."""

from __future__ import annotations

from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from halo_timing.cli.mac_options import chosen_mac, mac_options
from halo_timing.cli.study import study
from halo_timing.rtl import Mac, family, read_module


@click.group()
def mac() -> None:
    """Show the MACs that can be characterised."""


@mac.command("list")
def list_() -> None:
    """List the family, a line each."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("name", no_wrap=True)
    table.add_column("")
    table.add_column("structure")
    for name, member in family().items():
        table.add_row(name, "conventional" if member.conventional else "", member.description)
    Console(highlight=False).print(table)


@mac.command()
@click.argument("name", required=False)
@mac_options
def show(name: str | None, **options: Any) -> None:
    """Show ports, parameters and recipes of the MAC called NAME, or of Verilog of your own."""
    member = chosen_mac({**options, "mac": name or options["mac"]})
    module = read_module(member.files, member.top)
    console = Console(highlight=False)
    console.print(f"[bold]{escape(member.name)}[/bold]  {escape(member.description)}")
    roles = _roles(member)
    ports = Table(box=SIMPLE_HEAD)
    for heading in ("port", "direction", "range", "role"):
        ports.add_column(heading)
    for port in module.ports:
        ports.add_row(port.name, port.direction, escape(port.range_text), roles.get(port.name, ""))
    console.print(ports)
    parameters = Table(box=SIMPLE_HEAD)
    for heading in ("parameter", "value", "default"):
        parameters.add_column(heading)
    for parameter, default in module.parameters.items():
        value = member.parameters.get(parameter)
        shown = default if value is None else f'"{value}"' if isinstance(value, str) else str(value)
        parameters.add_row(parameter, escape(shown), escape(default))
    console.print(parameters)
    console.print(f"Recipes: {', '.join(member.recipes)}; kept: smallest {member.objective}")


def _roles(member: Mac) -> dict[str, str]:
    interface = member.interface
    roles = {
        interface.weight: "weight",
        interface.activation: "activation",
        interface.partial_sum: "partial sum",
        interface.result: "result",
        interface.clock: "clock",
    }
    roles |= {name: f"{value} while computing" for name, value in interface.hold.items()}
    feeds = {name: f"feeds the next element's {target}" for name, target in interface.chains.items()}
    return {
        name: ", ".join(filter(None, (roles.get(name, ""), feeds.get(name, ""))))
        for name in {**roles, **feeds}
    }


mac.add_command(study)

"""``halo-timing mac``: the MAC family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from halo_timing.cli.float_mac import float_
from halo_timing.cli.mac_options import chosen_mac, mac_options
from halo_timing.cli.study import study
from halo_timing.mac_model import MacConfig
from halo_timing.rtl import Mac, Module, family, read_module
from halo_timing.study import SIZES, fast_class_ps, read_input


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
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Where to look for tables of it.",
)
def show(name: str | None, results: Path, **options: Any) -> None:
    """Show ports, parameters and recipes of the MAC called NAME, or of Verilog of your own."""
    member = chosen_mac({**options, "mac": name or options["mac"]})
    module = read_module(member.files, member.top)
    console = Console(highlight=False)
    console.print(f"[bold]{escape(member.name)}[/bold]  {escape(member.description)}\n")
    console.print(_symbol(module), markup=False)
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
    if member.top == "mac":
        latency = MacConfig.from_parameters(member.parameters).latency
        console.print(f"Latency: {latency} clock edges from activation_in to psum_out, 1 from psum_in")
    console.print(f"Recipes: {', '.join(member.recipes)}; kept: smallest {member.objective}")
    for line in _summaries(member, results):
        console.print(line, markup=False, soft_wrap=True)


def _symbol(module: Module) -> str:
    """Draw the module as a box, inputs on its left and outputs on its right."""
    inputs = [port.name for port in module.ports if port.direction == "input"]
    outputs = [port.name for port in module.ports if port.direction == "output"]
    height = max(len(inputs), len(outputs), 1)
    left = max((len(name) for name in inputs), default=0)
    inside = max(len(module.name) + 4, 12)
    lines = [" " * (left + 4) + "┌" + "─" * inside + "┐"]
    for row in range(height):
        name = inputs[row] if row < len(inputs) else ""
        arrow = "──►│" if name else "   │"
        label = module.name.center(inside) if row == height // 2 else " " * inside
        out = f"├──► {outputs[row]}" if row < len(outputs) else "│"
        lines.append(f"{name:>{left}} {arrow}{label}{out}")
    return "\n".join([*lines, " " * (left + 4) + "└" + "─" * inside + "┘"])


def _summaries(member: Mac, results: Path) -> list[str]:
    """Return a line for each result folder that holds tables of the MAC."""
    lines = []
    for path in sorted({*results.glob("tables.safetensors"), *results.glob("**/tables.safetensors")}):
        found = read_input(member.name, member.conventional, path.parent)
        if found.tables.metadata["mac"] == member.name:
            period_ps = found.tables.period_ps
            fast = ", ".join(
                f"{fast_class_ps(found.tables.values, period_ps, size):.0f} ps with {size} values"
                for size in SIZES
            )
            lines.append(
                f"{path.parent}: {found.tables.metadata['pdk']}, {found.area_um2:.0f} um2, "
                f"{float(period_ps.max()):.0f} ps at the slowest weight, {fast}"
            )
    return lines


def _roles(member: Mac) -> dict[str, str]:
    interface = member.interface
    roles = {
        interface.weight: "weight",
        interface.activation: "activation",
        interface.partial_sum: "partial sum",
        interface.result: "result",
        interface.result_carry: "result, carries",
        interface.clock: "clock",
    }
    roles |= {name: f"{value} while computing" for name, value in interface.hold.items()}
    feeds = {name: f"feeds the next element's {target}" for name, target in interface.chains.items()}
    return {
        name: ", ".join(filter(None, (roles.get(name, ""), feeds.get(name, ""))))
        for name in {**roles, **feeds}
    }


mac.add_command(float_)
mac.add_command(study)

"""Options that name a MAC: one of the family, or Verilog of the user's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from halo_timing.errors import UsageError
from halo_timing.rtl import Mac, Parameter, PortRoles, find_mac, user_mac

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--mac", help="NAME or NAME:PARAMETER=VALUE,… of `mac list`.  [default: array]"),
    click.option("--rtl", multiple=True, type=click.Path(path_type=Path), help="Verilog of your own MAC."),
    click.option("--top", help="Its top module."),
    click.option("--weight", help="Its weight port."),
    click.option("--activation", help="Its activation port."),
    click.option("--accumulator", help="Its incoming sum, if any."),
    click.option("--result", help="Its result.  [default: the only output]"),
    click.option("--clock", help="Its clock.  [default: clk or clock, if there is one]"),
    click.option("--load", multiple=True, metavar="PORT=VALUE", help="Control input while the weight loads."),
    click.option("--hold", multiple=True, metavar="PORT=VALUE", help="Control input while the MAC computes."),
    click.option("--parameter", multiple=True, metavar="NAME=VALUE", help="Parameter of its top module."),
    click.option("--unsigned", is_flag=True, help="Its operands are unsigned."),
)


def mac_options(command: Command) -> Command:
    """Add the options that :func:`chosen_mac` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_mac(options: dict[str, Any]) -> Mac:
    """Take the MAC that the options name out of `options`.

    Raises
    ------
    UsageError
        If options of the family and of own Verilog are mixed, or one is missing.
    RtlError
        If the MAC does not exist or its Verilog does not fit.
    """
    spec, files, top = options.pop("mac"), options.pop("rtl"), options.pop("top")
    weight, activation = options.pop("weight"), options.pop("activation")
    roles = {name: options.pop(name) for name in ("result", "clock")}
    roles["partial_sum"] = options.pop("accumulator")
    roles |= {name: _settings(name, options.pop(name)) for name in ("load", "hold")}
    parameters = _settings("parameter", options.pop("parameter"))
    signed = not options.pop("unsigned")
    if not files:
        if any((top, weight, activation, parameters, not signed, *roles.values())):
            raise UsageError("--top, --weight and the other port options need --rtl with the Verilog files")
        return find_mac(spec or "array")
    if spec:
        raise UsageError("--mac names a MAC of the family, --rtl one of your own: give one of them")
    missing = [
        f"--{name}"
        for name, value in (("top", top), ("weight", weight), ("activation", activation))
        if not value
    ]
    if missing:
        raise UsageError(f"--rtl also needs {', '.join(missing)}")
    return user_mac(files, top, PortRoles(weight, activation, signed=signed, **roles), parameters)


def _settings(option: str, items: tuple[str, ...]) -> dict[str, Parameter]:
    settings: dict[str, Parameter] = {}
    for item in items:
        match = re.fullmatch(r"(\w+)=(\w+)", item)
        if not match:
            raise UsageError(f"--{option} {item!r}: NAME=VALUE is wanted")
        settings[match[1]] = int(match[2], 0) if match[2].isdigit() else match[2]
        if option != "parameter" and not isinstance(settings[match[1]], int):
            raise UsageError(f"--{option} {item!r}: the value must be a number")
    return settings

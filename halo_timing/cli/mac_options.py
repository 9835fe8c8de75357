"""Options that name a MAC: one of the family, or Verilog of the user's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from halo_timing.errors import UsageError
from halo_timing.rtl import Mac, OwnMac, Parameter, find_mac

Command = TypeVar("Command", bound=Callable[..., Any])

_PORTS = ("top", "weight", "activation", "accumulator", "result", "clock")

_OPTIONS = (
    click.option("--mac", help="NAME or NAME:PARAMETER=VALUE,…, or a TOML file.  [default: array]"),
    click.option("--rtl", multiple=True, type=click.Path(path_type=Path), help="Verilog of your own MAC."),
    click.option("--top", help="Its top module."),
    click.option("--weight", help="Its weight port."),
    click.option("--activation", help="Its activation port."),
    click.option("--accumulator", help="Its incoming sum, if any."),
    click.option("--result", help="Its result.  [default: the only output]"),
    click.option("--clock", help="Its clock.  [default: clk or clock, if there is one]"),
    click.option("--load", multiple=True, metavar="PORT=VALUE", help="Control input while the weight loads."),
    click.option("--hold", multiple=True, metavar="PORT=VALUE", help="Control input while the MAC computes."),
    click.option("--chain", multiple=True, metavar="OUT=IN", help="Output that feeds the next one's input."),
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
    spec, files = options.pop("mac"), options.pop("rtl")
    named = {name: options.pop(name) for name in _PORTS}
    pairs = {name: _settings(name, options.pop(name)) for name in ("load", "hold", "chain", "parameter")}
    signed = not options.pop("unsigned")
    if not files:
        if any((*named.values(), *pairs.values(), not signed)):
            raise UsageError("--top, --weight and the other port options need --rtl with the Verilog files")
        return find_mac(spec or "array")
    if spec:
        raise UsageError("--mac names a MAC of the family, --rtl one of your own: give one of them")
    if missing := [f"--{name}" for name in ("top", "weight", "activation") if not named[name]]:
        raise UsageError(f"--rtl also needs {', '.join(missing)}")
    pairs["parameters"] = pairs.pop("parameter")
    try:
        return OwnMac.model_validate({"files": files, "signed": signed, **named, **pairs}).mac()
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--{first['loc'][0]}: {first['msg']}, found {first['input']!r}") from error


def _settings(option: str, items: tuple[str, ...]) -> dict[str, Parameter]:
    settings: dict[str, Parameter] = {}
    for item in items:
        match = re.fullmatch(r"(\w+)=(\w+)", item)
        if not match:
            raise UsageError(f"--{option} {item!r}: NAME=VALUE is wanted")
        settings[match[1]] = int(match[2]) if match[2].isdigit() else match[2]
    return settings

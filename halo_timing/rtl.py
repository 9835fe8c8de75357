"""MACs as Verilog: the project's family, and reading ports and parameters of any module."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from halo_timing.errors import RtlError, ToolError
from halo_timing.interface import Interface
from halo_timing.resources import rtl_dir
from halo_timing.tools.icarus import find_icarus

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Parameter = int | str

# Nothing is known of a user's structure, so the fastest of these is kept.
USER_RECIPES = ("area_units", "speed", "speed_units")

FAMILY_INTERFACE = Interface(
    weight="weight_in",
    activation="activation_in",
    partial_sum="psum_in",
    result="psum_out",
    clock="clk",
    load={"rst_n": 1, "weight_load": 1},
    hold={"rst_n": 1, "weight_load": 0},
    chains={"activation_out": "activation_in", "psum_out": "psum_in"},
)


@dataclass(frozen=True)
class ModulePort:
    """A port as the source declares it; `range_text` is ``""`` for a single bit."""

    name: str
    direction: str
    range_text: str
    signed: bool


@dataclass(frozen=True)
class Module:
    """What the header of a module says; parameter defaults are source text."""

    name: str
    ports: tuple[ModulePort, ...]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Mac:
    """A MAC to characterise: sources, top module, parameters, roles of its ports, and mapping recipes.

    Parameters
    ----------
    name
        What reports call it.
    description
        Its structure in one line.
    files
        Verilog sources.
    top
        Top module.
    parameters
        Values that differ from the source's defaults.
    interface
        Roles of the ports.
    recipes, objective
        Names of the mapping recipes to try, and what decides between them: the smallest ``"period"`` that
        is right for any weight, or the smallest ``"area"``.
    conventional
        Whether it counts among the MACs to beat.
    """

    name: str
    description: str
    files: tuple[Path, ...]
    top: str
    parameters: Mapping[str, Parameter]
    interface: Interface
    recipes: tuple[str, ...]
    objective: Literal["period", "area"] = "period"
    conventional: bool = False


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    parameters: dict[str, Parameter]
    recipes: tuple[str, ...]
    objective: Literal["period", "area"] = "period"
    conventional: bool = False


@lru_cache(maxsize=1)
def family() -> Mapping[str, Mac]:
    """Return the project's own MACs by name."""
    path = rtl_dir() / "family.toml"
    files = tuple(sorted(rtl_dir().glob("*.v")))
    try:
        entries = {
            name: _Entry.model_validate(body) for name, body in tomllib.loads(path.read_text()).items()
        }
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise RtlError(f"{path}: {error}") from error
    return {
        name: Mac(
            name=name,
            description=entry.description,
            files=files,
            top="mac",
            parameters=entry.parameters,
            interface=FAMILY_INTERFACE,
            recipes=entry.recipes,
            objective=entry.objective,
            conventional=entry.conventional,
        )
        for name, entry in entries.items()
    }


def find_mac(spec: str) -> Mac:
    """Find a MAC of the family: its name, optionally with parameters: ``array:WEIGHT_WIDTH=4,ADDER=ripple``.

    Raises
    ------
    RtlError
        If the name or a parameter is unknown.
    """
    name, _, settings = spec.partition(":")
    if name not in family():
        raise RtlError(f"unknown MAC {name!r}; `halo-timing mac list` shows: {', '.join(family())}")
    mac = family()[name]
    if not settings:
        return mac
    known = read_module(mac.files, mac.top).parameters
    changed: dict[str, Parameter] = {}
    for item in settings.split(","):
        key, equals, text = (part.strip() for part in item.partition("="))
        if not equals or key not in known:
            raise RtlError(f"{spec!r}: {item!r} sets no parameter of {mac.top}; it has {', '.join(known)}")
        if not re.fullmatch(r"-?\w+", text):
            raise RtlError(f"{spec!r}: the value {text!r} must be a number or a plain word")
        changed[key] = int(text) if re.fullmatch(r"-?\d+", text) else text
    signed = bool(changed.get("SIGNED", mac.parameters.get("SIGNED", 1)))
    label = ",".join(f"{key}={value}" for key, value in sorted(changed.items()))
    return replace(
        mac,
        name=f"{name}:{label}",
        parameters={**mac.parameters, **changed},
        interface=replace(mac.interface, signed=signed),
    )


@dataclass(frozen=True)
class PortRoles:
    """What a user says of the ports of a module of their own; None and empty mean: find out.

    Parameters
    ----------
    weight, activation
        Operand ports.
    result, partial_sum, clock
        Result (by default the only output), incoming sum, and clock (by default ``clk`` or ``clock``).
    load, hold
        Control inputs and their values while the weight is loaded, and while the MAC computes.
    signed
        Whether operands are two's complement.
    """

    weight: str
    activation: str
    result: str | None = None
    partial_sum: str | None = None
    clock: str | None = None
    load: Mapping[str, int] = field(default_factory=dict)
    hold: Mapping[str, int] = field(default_factory=dict)
    signed: bool = True


def user_mac(
    files: Sequence[Path],
    top: str,
    roles: PortRoles,
    parameters: Mapping[str, Parameter] | None = None,
    recipes: Sequence[str] = USER_RECIPES,
) -> Mac:
    """Describe a MAC or multiplier of the user's own.

    Raises
    ------
    RtlError
        If the Verilog does not parse, or has no ports or parameters of these names.
    """
    module = read_module(files, top)
    inputs = {port.name for port in module.ports if port.direction == "input"}
    outputs = [port.name for port in module.ports if port.direction == "output"]
    result = roles.result or (outputs[0] if len(outputs) == 1 else None)
    if result is None:
        raise RtlError(f"{top}: name the result with --result; outputs are {', '.join(outputs) or 'none'}")
    clock = roles.clock if roles.clock is not None else next((n for n in ("clk", "clock") if n in inputs), "")
    wanted = {
        "weight": roles.weight,
        "activation": roles.activation,
        "accumulator": roles.partial_sum,
        "clock": clock,
    }
    wanted |= {f"load {name}": name for name in roles.load} | {f"hold {name}": name for name in roles.hold}
    for role, name in wanted.items():
        if name and name not in inputs:
            raise RtlError(f"{top}: --{role}: no input {name!r}; inputs are {', '.join(sorted(inputs))}")
    if result not in outputs:
        raise RtlError(f"{top}: --result: no output {result!r}; outputs are {', '.join(outputs)}")
    for name in parameters or {}:
        if name not in module.parameters:
            raise RtlError(f"{top}: no parameter {name!r}; it has {', '.join(module.parameters) or 'none'}")
    interface = Interface(
        weight=roles.weight,
        activation=roles.activation,
        partial_sum=roles.partial_sum or "",
        result=result,
        clock=clock,
        load=roles.load,
        hold=roles.hold,
        signed=roles.signed,
    )
    description = f"from {', '.join(path.name for path in files)}"
    return Mac(top, description, tuple(files), top, dict(parameters or {}), interface, tuple(recipes))


def read_module(files: Sequence[Path], top: str) -> Module:
    """Read the header of module `top` with pyverilog.

    Raises
    ------
    RtlError
        If a file is missing or does not parse, or no file defines the module.
    """
    declared = [(path, name) for path in files for name in _module_names(path)]
    for path, name in declared:
        if name == top:
            definitions = _definitions(path, path.stat().st_mtime_ns)
            return _module(next(definition for definition in definitions if definition.name == top))
    names = ", ".join(name for _, name in declared)
    raise RtlError(f"no module {top!r} in {', '.join(map(str, files))}; found: {names or 'none'}")


def _module_names(path: Path) -> list[str]:
    """Modules that a file seems to declare: only the one that is asked for has to parse."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise RtlError(f"{path}: cannot be read ({error.strerror})") from error
    return re.findall(r"^\s*module\s+(\w+)", text, re.MULTILINE)


@lru_cache(maxsize=1)
def _parser() -> Any:
    # Pyverilog builds its LALR tables at each start and would leave them in the current folder.
    from pyverilog.vparser.parser import VerilogParser

    with tempfile.TemporaryDirectory(prefix="halo_timing-") as folder:
        return VerilogParser(outputdir=folder, debug=False)


@lru_cache(maxsize=64)
def _definitions(path: Path, _modified_ns: int) -> tuple[Any, ...]:
    from pyverilog.vparser.ast import ModuleDef
    from pyverilog.vparser.parser import ParseError

    with tempfile.TemporaryDirectory(prefix="halo_timing-") as folder:
        try:
            text = find_icarus().preprocess(path, log_path=Path(folder) / "preprocess.log")
        except ToolError as error:
            raise RtlError(f"{path}: {str(error).partition(' (log:')[0]}") from error
    parser = _parser()
    parser.lexer.lineno = 1
    try:
        source = parser.parse(text)
    except ParseError as error:
        place = re.sub(r"\s+", " ", str(error)).strip()
        raise RtlError(
            f"{path}: not Verilog that can be read, {place}; correct the file or name another"
        ) from error
    return tuple(item for item in source.description.definitions if isinstance(item, ModuleDef))


def _module(definition: Any) -> Module:
    from pyverilog.ast_code_generator.codegen import ASTCodeGenerator
    from pyverilog.vparser import ast

    def text(node: Any) -> str:
        return str(ASTCodeGenerator().visit(node)) if node is not None else ""

    declared = {
        item.name: item
        for declaration in definition.items
        if isinstance(declaration, ast.Decl)
        for item in declaration.list
        if isinstance(item, (ast.Input, ast.Output, ast.Inout))
    }
    ports = []
    for entry in definition.portlist.ports:
        port = entry.first if isinstance(entry, ast.Ioport) else declared[entry.name]
        direction = type(port).__name__.lower()
        ports.append(ModulePort(port.name, direction, text(port.width), bool(port.signed)))
    parameters = {
        item.name: text(item.value)
        for declaration in (*(definition.paramlist.params if definition.paramlist else ()), *definition.items)
        if isinstance(declaration, ast.Decl)
        for item in declaration.list
        if type(item) is ast.Parameter
    }
    return Module(definition.name, tuple(ports), parameters)

"""MACs as Verilog: the project's family, and reading ports and parameters of any module."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from halo_timing.errors import RtlError, ToolError
from halo_timing.interface import Interface
from halo_timing.resources import rtl_dir
from halo_timing.toml_reader import tomllib
from halo_timing.tools.icarus import find_icarus

Parameter = int | str


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
    weight_constant
        Whether its result lacks a constant that depends on the weight alone (see ``rtl/fold_constant.v``).
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
    weight_constant: bool = False

    @property
    def folder_name(self) -> str:
        """Name of a folder for its results."""
        return re.sub(r"[^A-Za-z0-9_-]", "_", self.name)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    parameters: dict[str, Parameter]
    recipes: tuple[str, ...]
    objective: Literal["period", "area"] = "period"
    conventional: bool = False
    weight_constant: bool = False


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
            interface=_family_interface(entry.parameters),
            recipes=entry.recipes,
            objective=entry.objective,
            conventional=entry.conventional,
            weight_constant=entry.weight_constant,
        )
        for name, entry in entries.items()
    }


def find_mac(spec: str) -> Mac:
    """Find a MAC by name or by its TOML file, with parameters and mapping recipes of its own.

    Parameters
    ----------
    spec
        ``array``, ``own.toml``, or either with settings: ``array:WEIGHT_WIDTH=4,ADDER=ripple``. The setting
        ``recipe=speed+delay_units`` names the mapping recipes to try.

    Raises
    ------
    RtlError
        If the name or a parameter is unknown, or the file describes no MAC.
    """
    name, _, settings = spec.partition(":")
    if name.endswith(".toml"):
        mac = read_own_mac(Path(name)).mac()
    elif name in family():
        mac = family()[name]
    else:
        raise RtlError(f"unknown MAC {name!r}; `halo-timing mac list` shows: {', '.join(family())}")
    if not settings:
        return mac
    known = read_module(mac.files, mac.top).parameters
    changed: dict[str, Parameter] = {}
    recipes = mac.recipes
    for item in settings.split(","):
        key, equals, text = (part.strip() for part in item.partition("="))
        if equals and key == "recipe":
            recipes = tuple(text.split("+"))
            continue
        if not equals or key not in known:
            raise RtlError(f"{spec!r}: {item!r} sets no parameter of {mac.top}; it has {', '.join(known)}")
        if not re.fullmatch(r"-?\w+", text):
            raise RtlError(f"{spec!r}: the value {text!r} must be a number or a plain word")
        changed[key] = int(text) if re.fullmatch(r"-?\d+", text) else text
    labels = [f"{key}={value}" for key, value in sorted(changed.items())]
    labels += [f"recipe={'+'.join(recipes)}"] if recipes != mac.recipes else []
    parameters = {**mac.parameters, **changed}
    of_family = not name.endswith(".toml")
    return replace(
        mac,
        name=":".join([mac.name, ",".join(labels)]) if labels else mac.name,
        parameters=parameters,
        interface=_family_interface(parameters) if of_family else mac.interface,
        recipes=recipes,
    )


def _family_interface(parameters: Mapping[str, Parameter]) -> Interface:
    chains = {"activation_out": "activation_in", "psum_out": "psum_in"}
    if parameters.get("PIPELINE") in ("carry_save", "high_radix"):
        chains["psum_carry_out"] = "psum_carry_in"
    return Interface(
        weight="weight_in",
        activation="activation_in",
        partial_sum="psum_in",
        result="psum_out",
        result_carry="psum_carry_out",
        clock="clk",
        load={"rst_n": 1, "weight_load": 1},
        hold={"rst_n": 1, "weight_load": 0},
        chains=chains,
        signed=bool(parameters.get("SIGNED", 1)),
    )


class OwnMac(BaseModel):
    """A MAC or multiplier of the user's own: its files and the roles of its ports, as in a TOML file.

    Parameters
    ----------
    files, top, parameters
        Verilog sources, top module, and parameters that differ from their defaults.
    weight, activation
        Operand ports.
    result, accumulator, clock
        Result (by default the only output), incoming sum, and clock (by default ``clk`` or ``clock``).
    load, hold
        Control inputs and their values while the weight is loaded, and while the MAC computes.
    chain
        Output → input of the next, equal element that it feeds.
    signed
        Whether operands are two's complement.
    recipes
        Mapping recipes to try; the fastest result is kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: tuple[Path, ...] = Field(min_length=1)
    top: str
    weight: str
    activation: str
    result: str | None = None
    accumulator: str | None = None
    clock: str | None = None
    load: dict[str, int] = {}
    hold: dict[str, int] = {}
    chain: dict[str, str] = {}
    parameters: dict[str, Parameter] = {}
    signed: bool = True
    recipes: tuple[str, ...] = ("area_units", "speed", "speed_units")

    def mac(self) -> Mac:
        """Check the roles against the Verilog, and describe the MAC.

        Raises
        ------
        RtlError
            If the Verilog does not parse, or has no ports or parameters of these names.
        """
        module = read_module(self.files, self.top)
        inputs = [port.name for port in module.ports if port.direction == "input"]
        outputs = [port.name for port in module.ports if port.direction == "output"]
        result = self.result or (outputs[0] if len(outputs) == 1 else None)
        if result is None:
            raise RtlError(f"{self.top}: name the result with --result; outputs are {', '.join(outputs)}")
        usual_clock = next((name for name in ("clk", "clock") if name in inputs), "")
        clock = usual_clock if self.clock is None else self.clock
        roles = [("weight", self.weight), ("activation", self.activation), ("clock", clock)]
        roles += [("accumulator", self.accumulator or ""), *(("chain", name) for name in self.chain.values())]
        roles += [("load", name) for name in self.load] + [("hold", name) for name in self.hold]
        self._check_names("input", roles, inputs)
        self._check_names("output", [("result", result), *(("chain", name) for name in self.chain)], outputs)
        self._check_names("parameter", [("parameter", name) for name in self.parameters], module.parameters)
        interface = Interface(
            weight=self.weight,
            activation=self.activation,
            partial_sum=self.accumulator or "",
            result=result,
            clock=clock,
            load=self.load,
            hold=self.hold,
            chains=self.chain,
            signed=self.signed,
        )
        description = f"from {', '.join(path.name for path in self.files)}"
        return Mac(self.top, description, self.files, self.top, self.parameters, interface, self.recipes)

    def _check_names(self, kind: str, roles: Sequence[tuple[str, str]], known: Collection[str]) -> None:
        for role, name in roles:
            if name and name not in known:
                raise RtlError(
                    f"{self.top}: --{role}: no {kind} {name!r}; there is {', '.join(known) or 'none'}"
                )


def read_own_mac(path: Path) -> OwnMac:
    """Read a TOML file that describes a MAC; file names in it are relative to its folder.

    Raises
    ------
    RtlError
        If it cannot be read, or a key is missing or unknown.
    """
    try:
        entries = tomllib.loads(path.read_text())
        described = OwnMac.model_validate(entries)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RtlError(f"{path}: not a description of a MAC ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise RtlError(f"{path}: {key}: {first['msg']}; docs/adding-a-mac.md shows the keys") from error
    return described.model_copy(update={"files": tuple(path.parent / file for file in described.files)})


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

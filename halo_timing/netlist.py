"""A mapped netlist: reading it from Yosys, naming it, writing it, walking it, evaluating it.

Yosys' JSON is the one source; the Verilog that OpenSTA and the gate-level simulators read is written from
the same object, with plain scalar names (no ``signed`` declarations, no escaped identifiers), so that a
pin, an SDF instance and a line of a timing report all carry one name.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import LibertyError, NetlistError
from halo_timing.pdk.library import Cell, Library

CONSTANT_0 = 0
CONSTANT_1 = 1

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Port:
    """A port of the top module; `nets` holds its bits, least significant first."""

    name: str
    direction: Literal["input", "output"]
    nets: tuple[int, ...]


@dataclass(frozen=True)
class Instance:
    """One cell of the library; `pins` maps the names of its connected pins to nets."""

    name: str
    cell: str
    pins: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Register:
    """A flip-flop bit: its instance, the register and bit it holds, and its nets.

    Parameters
    ----------
    instance
        Index of the instance in :attr:`Netlist.instances`.
    group, bit
        Name of the RTL register and the position in it.
    state_pins
        Output pins and whether they carry the state itself (True) or its complement.
    data_pins
        Input pins that the next state depends on.
    clock_pin
        Name of the clock pin.
    """

    instance: int
    group: str
    bit: int
    state_pins: Mapping[str, bool]
    data_pins: tuple[str, ...]
    clock_pin: str


@dataclass(frozen=True)
class Netlist:
    """A flat netlist of library cells.

    Nets are integers that index `net_names`; net 0 is constant 0 and net 1 constant 1.
    """

    name: str
    library: Library
    ports: tuple[Port, ...]
    instances: tuple[Instance, ...]
    net_names: tuple[str, ...]
    groups: Mapping[int, tuple[str, int]]
    """Register bit (name, position) held by the flip-flop with this instance index."""

    @classmethod
    def from_yosys_json(cls, path: Path, library: Library) -> Netlist:
        """Read the only module of a flat netlist that Yosys wrote with ``write_json``.

        Raises
        ------
        NetlistError
            If the file is damaged, holds several modules, or uses cells that the library does not have.
        """
        try:
            modules = json.loads(path.read_text())["modules"]
            # Yosys keeps black-box modules of the Liberty cells in the design; they carry an attribute.
            tops = {name: body for name, body in modules.items() if "blackbox" not in body["attributes"]}
            ((name, module),) = tops.items()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NetlistError(f"{path}: not a flat netlist in Yosys' JSON form ({error})") from error
        return _Reader(name, module, library, path).netlist()

    @classmethod
    def from_json(cls, data: Mapping[str, Any], library: Library) -> Netlist:
        """Rebuild what :meth:`to_json` gave.

        Raises
        ------
        NetlistError
            If the data is of another form or the library lacks a cell.
        """
        names = ["1'b0", "1'b1"]
        index_of: dict[str, int] = {name: index for index, name in enumerate(names)}

        def net(name: str) -> int:
            if name not in index_of:
                index_of[name] = len(names)
                names.append(name)
            return index_of[name]

        try:
            ports = tuple(
                Port(port["name"], port["direction"], tuple(net(bit) for bit in port["nets"]))
                for port in data["ports"]
            )
            instances = tuple(
                Instance(cell["name"], cell["cell"], {pin: net(bit) for pin, bit in cell["pins"].items()})
                for cell in data["cells"]
            )
            position = {instance.name: index for index, instance in enumerate(instances)}
            groups = {position[entry["cell"]]: (entry["name"], entry["bit"]) for entry in data["registers"]}
            netlist = cls(data["module"], library, ports, instances, tuple(names), groups)
            for instance in instances:
                library.cell(instance.cell)
        except (KeyError, TypeError, LibertyError) as error:
            raise NetlistError(
                f"netlist: not one of this program, or of another library ({error})"
            ) from error
        return netlist

    def cell_of(self, instance: Instance) -> Cell:
        """Library cell of an instance."""
        return self.library.cells[instance.cell]

    def port(self, name: str) -> Port:
        """Port by name.

        Raises
        ------
        NetlistError
            If there is no such port.
        """
        for port in self.ports:
            if port.name == name:
                return port
        raise NetlistError(
            f"{self.name}: no port {name!r}; it has {', '.join(port.name for port in self.ports)}"
        )

    @property
    def area_um2(self) -> float:
        """Sum of the cells' areas."""
        return sum(self.cell_of(instance).area_um2 for instance in self.instances)

    @cached_property
    def drivers(self) -> Mapping[int, tuple[int, str]]:
        """Driving (instance index, pin) of each net that a cell drives."""
        result: dict[int, tuple[int, str]] = {}
        for index, instance in enumerate(self.instances):
            for pin, net in instance.pins.items():
                if self.cell_of(instance).pins[pin].direction != "output":
                    continue
                if net in result or net in (CONSTANT_0, CONSTANT_1):
                    raise NetlistError(f"{self.name}: net {self.net_names[net]} has several drivers")
                result[net] = (index, pin)
        return result

    @cached_property
    def loads(self) -> Mapping[int, tuple[tuple[int, str], ...]]:
        """Input pins (instance index, pin) on each net."""
        result: dict[int, list[tuple[int, str]]] = {}
        for index, instance in enumerate(self.instances):
            for pin, net in instance.pins.items():
                if self.cell_of(instance).pins[pin].direction == "input":
                    result.setdefault(net, []).append((index, pin))
        return {net: tuple(pins) for net, pins in result.items()}

    @cached_property
    def registers(self) -> tuple[Register, ...]:
        """Every flip-flop, ordered by register name and bit."""
        found = [
            _register(self, index, *self.groups[index])
            for index, instance in enumerate(self.instances)
            if self.cell_of(instance).is_flip_flop
        ]
        return tuple(sorted(found, key=lambda register: (register.group, register.bit)))

    @cached_property
    def graph(self) -> nx.DiGraph[int]:
        """Combinational instances as a graph; an edge leads from a driver to the cell it feeds."""
        graph: nx.DiGraph[int] = nx.DiGraph()
        for index, instance in enumerate(self.instances):
            if not self.cell_of(instance).is_flip_flop:
                graph.add_node(index)
        for net, (driver, _) in self.drivers.items():
            if driver in graph:
                graph.add_edges_from((driver, load) for load, _ in self.loads.get(net, ()) if load in graph)
        return graph

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Combinational instances from inputs to outputs, the same for equal netlists.

        Raises
        ------
        NetlistError
            If there is a combinational loop.
        """
        try:
            return tuple(nx.lexicographical_topological_sort(self.graph))
        except nx.NetworkXUnfeasible as error:
            loop = nx.find_cycle(self.graph)
            names = ", ".join(self.instances[index].name for index, _ in loop[:6])
            raise NetlistError(f"{self.name}: combinational loop through {names}") from error

    def support(self, nets: Iterable[int]) -> frozenset[int]:
        """Nets that are inputs or register outputs and reach `nets` through combinational cells."""
        pending, seen, sources = list(nets), set(), set()
        while pending:
            net = pending.pop()
            if net in seen:
                continue
            seen.add(net)
            driver = self.drivers.get(net)
            if driver is not None and driver[0] in self.graph:
                instance = self.instances[driver[0]]
                function = self.cell_of(instance).pins[driver[1]].function
                pending.extend(instance.pins[pin] for pin in (function.inputs if function else ()))
            elif net not in (CONSTANT_0, CONSTANT_1):
                sources.add(net)
        return frozenset(sources)

    def evaluate(self, sources: Mapping[int, Words]) -> dict[int, Words]:
        """Settled value of every net, for 64 patterns a word.

        Parameters
        ----------
        sources
            Words of each input port bit and register output, all of one shape.

        Returns
        -------
        dict
            Words of every net, the sources' and the constants' included.

        Raises
        ------
        NetlistError
            If a net that a cell reads is neither given nor driven.
        """
        shape = next(iter(sources.values())).shape
        values = dict(sources)
        values[CONSTANT_0] = np.zeros(shape, np.uint64)
        values[CONSTANT_1] = np.full(shape, ~np.uint64(0))
        for index in self.order:
            instance = self.instances[index]
            for pin, net in instance.pins.items():
                function = self.cell_of(instance).pins[pin].function
                if function is None:
                    continue
                try:
                    operands = {name: values[instance.pins[name]] for name in function.inputs}
                except KeyError as error:
                    raise NetlistError(
                        f"{self.name}: {instance.name} ({instance.cell}) reads an undriven net at {error}"
                    ) from error
                values[net] = (
                    function.evaluate(operands) if operands else values[int(function.truth_table & 1)]
                )
        return values

    def next_state(self, register: Register, values: Mapping[int, Words]) -> Words:
        """Words that `register` takes at the next clock edge, from the settled values of :meth:`evaluate`."""
        instance = self.instances[register.instance]
        flip_flop = self.cell_of(instance).flip_flop
        assert flip_flop is not None
        return flip_flop.next_state.evaluate(
            {
                name: values[net] if same else ~values[net]
                for name, (net, same) in self.next_state_operands(register).items()
            }
        )

    def next_state_operands(self, register: Register) -> dict[str, tuple[int, bool]]:
        """Net of each operand of the next-state function, and whether it carries the operand or its inverse.

        Operands are input pins, and the state itself where the flip-flop has an enable.
        """
        instance = self.instances[register.instance]
        flip_flop = self.cell_of(instance).flip_flop
        assert flip_flop is not None
        pin, same = next(iter(register.state_pins.items()))
        state = {
            flip_flop.state: (instance.pins[pin], same),
            flip_flop.inverted_state: (instance.pins[pin], not same),
        }
        inputs = {name: (instance.pins[name], True) for name in register.data_pins}
        return {name: (inputs | state)[name] for name in flip_flop.next_state.inputs}

    def state_values(self, register: Register, words: Words) -> dict[int, Words]:
        """Words of the output nets of `register` when it holds `words`."""
        pins = self.instances[register.instance].pins
        return {pins[pin]: words if same else ~words for pin, same in register.state_pins.items()}

    def to_json(self) -> dict[str, Any]:
        """Netlist as plain data: ports, cells with their pins, register bits."""
        name = self.net_names
        return {
            "module": self.name,
            "ports": [
                {"name": port.name, "direction": port.direction, "nets": [name[net] for net in port.nets]}
                for port in self.ports
            ],
            "cells": [
                {
                    "name": instance.name,
                    "cell": instance.cell,
                    "pins": {p: name[n] for p, n in instance.pins.items()},
                }
                for instance in self.instances
            ],
            "registers": [
                {"name": register.group, "bit": register.bit, "cell": self.instances[register.instance].name}
                for register in self.registers
            ],
        }

    def to_verilog(self) -> str:
        """Structural Verilog with one declaration per port and one instance per line."""
        direction = {port.name: port.direction for port in self.ports}
        lines = [f"module {self.name} ({', '.join(direction)});"]
        lines += [f"  {port.direction} {_range(port)}{port.name};" for port in self.ports]
        port_bits = {_bit_name(port, bit) for port in self.ports for bit in range(len(port.nets))}
        used = {net for instance in self.instances for net in instance.pins.values()}
        lines += [
            f"  wire {self.net_names[net]};"
            for net in sorted(used - {CONSTANT_0, CONSTANT_1})
            if self.net_names[net] not in port_bits
        ]
        lines += [
            f"  {instance.cell} {instance.name} ("
            + ", ".join(f".{pin}({self.net_names[net]})" for pin, net in instance.pins.items())
            + ");"
            for instance in self.instances
        ]
        for port in self.ports:
            if port.direction == "output":
                lines += [
                    f"  assign {_bit_name(port, bit)} = {self.net_names[net]};"
                    for bit, net in enumerate(port.nets)
                    if self.net_names[net] != _bit_name(port, bit)
                ]
        return "\n".join([*lines, "endmodule", ""])


def _range(port: Port) -> str:
    return f"[{len(port.nets) - 1}:0] " if len(port.nets) > 1 else ""


def _bit_name(port: Port, bit: int) -> str:
    return f"{port.name}[{bit}]" if len(port.nets) > 1 else port.name


def _register(netlist: Netlist, index: int, group: str, bit: int) -> Register:
    instance = netlist.instances[index]
    flip_flop = netlist.cell_of(instance).flip_flop
    assert flip_flop is not None
    state_pins = {}
    for pin in instance.pins:
        function = netlist.cell_of(instance).pins[pin].function
        if function is not None:
            (state,) = function.inputs
            state_pins[pin] = function(**{state: True}) == (state == flip_flop.state)
    return Register(
        instance=index,
        group=group,
        bit=bit,
        state_pins=state_pins,
        data_pins=tuple(pin for pin in flip_flop.next_state.inputs if pin in instance.pins),
        clock_pin=flip_flop.clocked_on.inputs[0],
    )


class _Reader:
    """Turns the JSON of one module into a :class:`Netlist` with short, stable names."""

    def __init__(self, name: str, module: Mapping[str, Any], library: Library, path: Path) -> None:
        self.name, self.module, self.library, self.path = name, module, library, path
        self.nets: dict[int | str, int] = {"0": CONSTANT_0, "1": CONSTANT_1, "x": CONSTANT_0, "z": CONSTANT_0}
        self.net_names = ["1'b0", "1'b1"]
        self.taken: set[str] = set()

    def netlist(self) -> Netlist:
        ports = tuple(self._port(name, body) for name, body in self.module["ports"].items())
        registers = self._register_names()
        cells = self.module["cells"]
        unusable = sorted({body["type"] for body in cells.values() if not self._is_usable(body["type"])})
        if unusable:
            raise NetlistError(
                f"{self.path}: {', '.join(unusable)}: no logic cell or flip-flop of library "
                f"{self.library.name}; latches, memories and unmapped operators are not supported"
            )
        instances: list[Instance] = []
        groups: dict[int, tuple[str, int]] = {}
        for body in cells.values():
            pins = {pin: self._net(bits[0]) for pin, bits in body["connections"].items() if bits}
            cell = self.library.cells[body["type"]]
            if cell.is_flip_flop:
                group, bit = self._state_name(cell, body["connections"], registers, len(groups))
                groups[len(instances)] = (group, bit)
                name = self._unique(f"{group}_{bit}_")
            else:
                name = self._unique(f"u{len(instances)}")
            instances.append(Instance(name, body["type"], pins))
        return Netlist(self.name, self.library, ports, tuple(instances), tuple(self.net_names), groups)

    def _is_usable(self, name: str) -> bool:
        cell = self.library.cells.get(name)
        return cell is not None and (cell.is_combinational or cell.is_flip_flop)

    def _unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self.taken:
            count += 1
            candidate = f"{name}_{count}"
        self.taken.add(candidate)
        return candidate

    def _port(self, name: str, body: Mapping[str, Any]) -> Port:
        if body["direction"] not in ("input", "output") or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise NetlistError(
                f"{self.path}: port {name!r} must be a plain identifier, an input or an output"
            )
        self.taken.add(name)
        bits = body["bits"]
        names = [f"{name}[{index}]" if len(bits) > 1 else name for index in range(len(bits))]
        return Port(
            name,
            body["direction"],
            tuple(self._net(bit, text) for bit, text in zip(bits, names, strict=True)),
        )

    def _net(self, bit: int | str, name: str | None = None) -> int:
        if bit not in self.nets:
            self.nets[bit] = len(self.net_names)
            self.net_names.append(name or self._unique(f"n{len(self.net_names)}"))
        return self.nets[bit]

    def _register_names(self) -> dict[int | str, tuple[str, int]]:
        """Register and position of each bit that the RTL keeps in one (the flow marks their nets)."""
        entries = {
            name: body
            for name, body in self.module["netnames"].items()
            if "halo_register" in body["attributes"]
        }
        last = Counter(name.rpartition(".")[2] for name in entries)
        result: dict[int | str, tuple[str, int]] = {}
        for name in sorted(entries):
            short = name.rpartition(".")[2]
            plain = re.sub(r"\W", "_", short if last[short] == 1 else name)
            for position, bit in enumerate(entries[name]["bits"]):
                result.setdefault(bit, (plain, position))
        return result

    def _state_name(
        self,
        cell: Cell,
        connections: Mapping[str, Any],
        registers: Mapping[int | str, tuple[str, int]],
        count: int,
    ) -> tuple[str, int]:
        for pin, bits in connections.items():
            if bits and cell.pins[pin].direction == "output" and bits[0] in registers:
                return registers[bits[0]]
        return ("state", count)

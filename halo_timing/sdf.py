"""Reading delays from Standard Delay Format files, as OpenSTA and other tools write them.

Of every ``min:typ:max`` triple the last value that is given counts; times are integers in femtoseconds, so
that ties between events do not depend on floating point. The reader knows IOPATH (with edges and COND),
INTERCONNECT, SETUP, HOLD and SETUPHOLD; other constructs (pulse limits, RETAIN, further checks, labels) say
nothing about when signals settle and are passed over. INCREMENT is refused: the base it adds to is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from halo_timing.errors import NetlistError
from halo_timing.pdk.logic import BooleanFunction, parse_function

Edge = Literal["", "posedge", "negedge"]


@dataclass(frozen=True)
class IoPath:
    """A delay from one pin of a cell to another.

    Parameters
    ----------
    from_pin, to_pin
        Pin names.
    edge
        Edge of `from_pin` that the path is for, "" for both.
    condition
        State in which it holds, as the file writes it; None for always.
    rise_fs, fall_fs
        Delay to the rising and falling edge of `to_pin`; None where the file leaves it out.
    """

    from_pin: str
    to_pin: str
    edge: Edge
    condition: str | None
    rise_fs: int | None
    fall_fs: int | None


@dataclass(frozen=True)
class Check:
    """A setup or hold time of one edge ("" for both) of a data pin against a clock pin."""

    kind: Literal["setup", "hold"]
    data_pin: str
    data_edge: Edge
    clock_pin: str
    limit_fs: int


@dataclass
class SdfCell:
    """Everything that the file says about one instance."""

    cell_type: str
    paths: list[IoPath] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


@dataclass(frozen=True)
class Sdf:
    """Delays of one design.

    Parameters
    ----------
    cells
        By instance name.
    interconnect_fs
        (rise, fall) of each wire, by its (from, to); a pin is ``instance/pin``, a port its name.
    """

    cells: Mapping[str, SdfCell]
    interconnect_fs: Mapping[tuple[str, str], tuple[int, int]]

    def setup_fs(self, instance: str, data_pin: str) -> tuple[int, int]:
        """Largest setup time of the (rising, falling) edge of a data pin; 0 where there is none."""
        limits = [0, 0]
        for check in self.cells[instance].checks if instance in self.cells else ():
            if check.kind == "setup" and check.data_pin == data_pin:
                for index, edge in enumerate(("posedge", "negedge")):
                    if check.data_edge in ("", edge):
                        limits[index] = max(limits[index], check.limit_fs)
        return limits[0], limits[1]


@lru_cache(maxsize=4096)
def condition_function(condition: str, pins: tuple[str, ...], where: str) -> BooleanFunction:
    """Parse a COND expression over the pins of a cell, such as ``(A == 1'b1) && !B``.

    Raises
    ------
    LibertyError
        If the expression cannot be read.
    """
    text = re.sub(r"\d+'[bB]([01])", r"\1", condition)
    text = re.sub(r"([\w.\[\]\\]+)\s*={2,3}\s*1\b", r"\1", text)
    text = re.sub(r"([\w.\[\]\\]+)\s*={2,3}\s*0\b", r"!\1", text)
    text = re.sub(r"([\w.\[\]\\]+)\s*!={1,2}\s*1\b", r"!\1", text)
    text = re.sub(r"([\w.\[\]\\]+)\s*!={1,2}\s*0\b", r"\1", text)
    text = text.replace("&&", "&").replace("||", "|").replace("~", "!")
    return parse_function(text, pins, where=where)


# An atom, or a list of them: what a parenthesis holds.
Node: TypeAlias = "str | list[Node]"

_TOKEN = re.compile(
    r'\s+|//[^\n]*|/\*.*?\*/|(?P<token>[()]|"(?:[^"\\]|\\.)*"|(?:[^\s()"\\]|\\.)+)', re.DOTALL
)
_DEEPEST = 100
_UNIT_FS = {"fs": 1, "ps": 10**3, "ns": 10**6, "us": 10**9, "ms": 10**12, "s": 10**15}
_EDGES: Mapping[str, Edge] = {"posedge": "posedge", "negedge": "negedge", "01": "posedge", "10": "negedge"}


def read_sdf(path: Path) -> Sdf:
    """Read an SDF file.

    Raises
    ------
    NetlistError
        If the file is missing or damaged, or uses INCREMENT; the message names the file and the line.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise NetlistError(f"{path}: not a readable SDF file ({error})") from error
    return parse_sdf(text, str(path))


def parse_sdf(text: str, where: str = "SDF") -> Sdf:
    """Parse the text of an SDF file; see :func:`read_sdf`. `where` begins the error messages."""
    return _Parser(text, where).parse()


class _Parser:
    def __init__(self, text: str, where: str) -> None:
        self.text, self.where, self.position = text, where, 0
        self.fs_per_unit = float(_UNIT_FS["ns"])
        self.divider = "."
        self.cells: dict[str, SdfCell] = {}
        self.wires: dict[tuple[str, str], tuple[int, int]] = {}

    def error(self, message: str) -> NetlistError:
        line = self.text.count("\n", 0, self.position) + 1
        return NetlistError(f"{self.where}, line {line}: {message}")

    def parse(self) -> Sdf:
        head = self._tokens()
        if next(head, None) != "(" or next(head, "").upper() != "DELAYFILE":
            raise self.error("an SDF file begins with (DELAYFILE")
        for token in head:
            if token == ")":
                break
            if token != "(":
                raise self.error(f"{token!r} stands where a parenthesis was expected")
            self._entry(self._list(head))
        else:
            raise self.error("the file ends before (DELAYFILE is closed; is it cut off?)")
        return Sdf(self.cells, self.wires)

    def _tokens(self) -> Iterator[str]:
        while self.position < len(self.text):
            match = _TOKEN.match(self.text, self.position)
            if match is None:
                raise self.error(f"{self.text[self.position : self.position + 10]!r} cannot be read")
            self.position = match.end()
            if token := match.group("token"):
                yield token

    def _list(self, tokens: Iterator[str]) -> list[Node]:
        """Read up to the parenthesis that closes the one just read."""
        stack: list[list[Node]] = [[]]
        for token in tokens:
            if token == "(":
                stack.append([])
                if len(stack) > _DEEPEST:
                    raise self.error("parentheses are nested too deep")
            elif token == ")":
                done = stack.pop()
                if not stack:
                    return done
                stack[-1].append(done)
            else:
                stack[-1].append(token)
        raise self.error("the file ends inside a parenthesis; is it cut off?")

    def _entry(self, node: list[Node]) -> None:
        keyword = _keyword(node)
        if keyword == "TIMESCALE":
            match = re.fullmatch(r"(\d+(?:\.\d+)?)([munpf]?s)", "".join(map(_text, node[1:])).lower())
            if match is None:
                raise self.error(f"TIMESCALE {_text(node[1:])!r} is not a time such as 1ns")
            self.fs_per_unit = float(match[1]) * _UNIT_FS[match[2]]
        elif keyword == "DIVIDER":
            self.divider = _text(node[1:]) or "."
        elif keyword == "CELL":
            self._cell(node)

    def _cell(self, node: list[Node]) -> None:
        found = {_keyword(child): child for child in node[1:] if isinstance(child, list)}
        cell_type = _text(found.get("CELLTYPE", [])[1:]).strip('"')
        instance = self._name(_text(found.get("INSTANCE", [])[1:]))
        cell = self.cells.setdefault(instance, SdfCell(cell_type)) if instance else SdfCell(cell_type)
        for child in node[1:]:
            if _keyword(child) == "DELAY":
                for mode in child[1:]:
                    self._delays(cell, mode)
            elif _keyword(child) == "TIMINGCHECK":
                for check in child[1:]:
                    self._check(cell, check)

    def _delays(self, cell: SdfCell, mode: Node) -> None:
        if _keyword(mode) == "INCREMENT":
            raise self.error(
                "INCREMENT delays need a base that the file does not have; write ABSOLUTE delays"
            )
        if _keyword(mode) != "ABSOLUTE":
            return
        for entry in mode[1:]:
            condition = None
            if isinstance(entry, list) and _keyword(entry) in ("COND", "CONDELSE"):
                if _keyword(entry) == "COND":
                    condition = _text([part for part in entry[1:-1] if not str(part).startswith('"')])
                entry = entry[-1]
            if not isinstance(entry, list):
                raise self.error(f"{entry!r} is no delay")
            if _keyword(entry) == "IOPATH" and len(entry) >= 4:
                edge, from_pin = self._port(entry[1])
                rise, fall = self._rise_fall(entry[3:])
                cell.paths.append(IoPath(from_pin, _text(entry[2]), edge, condition, rise, fall))
            elif _keyword(entry) == "INTERCONNECT" and len(entry) >= 4:
                rise, fall = self._rise_fall(entry[3:])
                ends = self._name(_text(entry[1])), self._name(_text(entry[2]))
                self.wires[ends] = (rise or 0, fall or 0)
            elif _keyword(entry) in ("IOPATH", "INTERCONNECT"):
                raise self.error(f"({_text(entry)}) is not complete")

    def _check(self, cell: SdfCell, node: Node) -> None:
        kinds = {"SETUP": ("setup",), "HOLD": ("hold",), "SETUPHOLD": ("setup", "hold")}.get(
            _keyword(node), ()
        )
        if kinds and len(node) < 3 + len(kinds):
            raise self.error(f"({_text(node)}) is not complete")
        for kind, value in zip(kinds, node[3:], strict=False):
            edge, data_pin = self._port(node[1])
            limit = self._value(value)
            if limit is not None:
                kind_name: Literal["setup", "hold"] = "setup" if kind == "setup" else "hold"
                cell.checks.append(Check(kind_name, data_pin, edge, self._port(node[2])[1], limit))

    def _port(self, node: Node) -> tuple[Edge, str]:
        """Edge and pin of ``A``, ``(posedge A)`` or ``(COND … (posedge A))``."""
        if isinstance(node, list) and _keyword(node) == "COND":
            node = node[-1]
        if isinstance(node, list):
            if len(node) == 1:
                return self._port(node[0])
            if len(node) != 2 or _text(node[0]).lower() not in _EDGES:
                raise self.error(f"({_text(node)}) is not a pin with an edge")
            return _EDGES[_text(node[0]).lower()], _text(node[1])
        return "", node

    def _rise_fall(self, values: list[Node]) -> tuple[int | None, int | None]:
        numbers = [self._value(value) for value in values if _keyword(value) != "RETAIN"]
        if not numbers:
            raise self.error("a delay has no value")
        return numbers[0], numbers[1] if len(numbers) > 1 else numbers[0]

    def _value(self, node: Node) -> int | None:
        """Last number of ``(1:2:3)``, ``(1::3)``, ``(1::)`` or ``(2)`` in fs; None for ``()``."""
        text = "".join(_text(node).split())
        try:
            numbers = [float(number) for number in text.split(":") if number]
        except ValueError:
            raise self.error(f"({text}) is not a delay") from None
        return round(numbers[-1] * self.fs_per_unit) if numbers else None

    def _name(self, name: str) -> str:
        return re.sub(r"\\(.)", r"\1", name.replace(self.divider, "/"))


def _keyword(node: Node) -> str:
    return node[0].upper() if isinstance(node, list) and node and isinstance(node[0], str) else ""


def _text(node: Node) -> str:
    """Text of a node again, atoms separated by spaces."""
    if isinstance(node, str):
        return node
    return " ".join(f"({_text(part)})" if isinstance(part, list) else part for part in node)

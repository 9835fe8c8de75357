"""A second, small reader of Liberty power data, straight from the text: the judge of ``halo_timing.energy``.

It shares no code with the project's reader: regular expressions, braces counted by hand, interpolation by
the two-point formula, conditions by Python's own ``eval``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType


@dataclass(frozen=True)
class PowerGroup:
    related: tuple[str, ...]
    when: str | None
    supply: str | None
    tables: Mapping[str, tuple[list[float], list[float], list[list[float]]]]
    """Per edge: slews in ps, loads in fF, and fJ per slew and load."""

    def at(self, edge: str, slew_ps: float, load_ff: float) -> float:
        slews, loads, rows = self.tables[edge]
        return _between(slews, [_between(loads, row, load_ff) for row in rows], slew_ps)


class LibertyText:
    def __init__(self, path: Path) -> None:
        self.text = re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.DOTALL).replace("\\\n", " ")
        number, unit = re.search(r"capacitive_load_unit\s*\(\s*([\d.]+)\s*,\s*(\w+)", self.text).groups()  # type: ignore[union-attr]
        self.ff = float(number) * {"ff": 1.0, "pf": 1000.0}[unit.lower()]
        self.ps = {"1ns": 1000.0, "1ps": 1.0}[re.search(r'time_unit\s*:\s*"(\w+)"', self.text).group(1)]  # type: ignore[union-attr]
        assert re.search(r'voltage_unit\s*:\s*"1V"', self.text)
        self.nw = {"1nW": 1.0, "1pW": 1e-3}[
            re.search(r'leakage_power_unit\s*:\s*"(\w+)"', self.text).group(1)  # type: ignore[union-attr]
        ]
        self.vdd = float(re.search(r"nom_voltage\s*:\s*([\d.]+)", self.text).group(1))  # type: ignore[union-attr]
        self.templates = dict(_groups(self.text, "power_lut_template|lu_table_template"))
        self.cells = dict(_groups(self.text, "cell"))
        self._pins: dict[str, dict[str, str]] = {}
        self._leakages: dict[str, tuple[float, list[tuple[str, float]]]] = {}
        self._powers: dict[tuple[str, str], list[PowerGroup]] = {}

    def pins(self, cell: str) -> dict[str, str]:
        if cell not in self._pins:
            self._pins[cell] = dict(_groups(self.cells[cell], "pin"))
        return self._pins[cell]

    def number(self, cell: str, pin: str, attribute: str) -> float | None:
        text = _outside_groups(self.pins(cell)[pin])
        found = re.search(rf"\b{attribute}\s*:\s*\"?([-\d.eE+]+)", text)
        return float(found.group(1)) if found else None

    def capacitance_ff(self, cell: str, pin: str, edge: str) -> float:
        own = self.number(cell, pin, f"{edge}_capacitance")
        plain = self.number(cell, pin, "capacitance")
        return (plain or 0.0 if own is None else own) * self.ff

    def power(self, cell: str, pin: str) -> list[PowerGroup]:
        key = cell, pin
        if key not in self._powers:
            bodies = _groups(self.pins(cell)[pin], "internal_power")
            self._powers[key] = [self._power(body) for _, body in bodies]
        return self._powers[key]

    def energy_fj(
        self,
        cell: str,
        pin: str,
        related: str | None,
        edge: str,
        slew_ps: float,
        load_ff: float,
        state: Mapping[str, int],
    ) -> float:
        """Energy of the groups that hold in a state; the ones without ``when`` only if no other does."""
        groups = [
            group
            for group in self.power(cell, pin)
            if edge in group.tables and (related in group.related if related else not group.related)
        ]
        total = 0.0
        for supply in {group.supply for group in groups}:
            own = [group for group in groups if group.supply == supply]
            holding = [group for group in own if group.when and holds(group.when, state)]
            chosen = holding or [group for group in own if not group.when]
            assert len(chosen) <= 1
            total += sum(group.at(edge, slew_ps, load_ff) for group in chosen)
        return total

    def describes(self, cell: str, pin: str, related: str, state: Mapping[str, int]) -> bool:
        """Whether some group of an output's edge from an input holds in a state."""
        own = [group for group in self.power(cell, pin) if related in group.related]
        return any(group.when is None or holds(group.when, state) for group in own)

    def mean_fj(self, cell: str, pin: str, related: str, edge: str, slew_ps: float, load_ff: float) -> float:
        """Mean over all groups of an output's edge from an input, whatever the state."""
        own = [group for group in self.power(cell, pin) if related in group.related]
        return sum(group.at(edge, slew_ps, load_ff) for group in own) / len(own)

    def leakage_nw(self, cell: str, state: Mapping[str, int]) -> float:
        if cell not in self._leakages:
            body = self.cells[cell]
            stated = re.search(r"cell_leakage_power\s*:\s*\"?([-\d.eE+]+)", body)
            states = []
            for _, group in _groups(body, "leakage_power"):
                if when := re.search(r'when\s*:\s*"([^"]*)"', group):
                    value = re.search(r"value\s*:\s*\"?([-\d.eE+]+)", group)
                    assert value
                    states.append((when.group(1), float(value.group(1)) * self.nw))
            self._leakages[cell] = float(stated.group(1)) * self.nw if stated else 0.0, states
        always, states = self._leakages[cell]
        return next((value for when, value in states if holds(when, state)), always)

    def _power(self, body: str) -> PowerGroup:
        plain = _outside_groups(body)
        related = re.search(r'related_pin\s*:\s*"?([^";]*)"?\s*;', plain)
        when = re.search(r'when\s*:\s*"([^"]*)"', plain)
        supply = re.search(r'related_pg_pin\s*:\s*"?(\w+)', plain)
        tables = {}
        for kind, edges in (
            ("power", ("rise", "fall")),
            ("rise_power", ("rise",)),
            ("fall_power", ("fall",)),
        ):
            for template, table in _groups(body, kind):
                tables |= dict.fromkeys(edges, self._table(template, table))
        return PowerGroup(
            tuple(related.group(1).split()) if related else (),
            when.group(1) if when else None,
            supply.group(1) if supply else None,
            tables,
        )

    def _table(self, template: str, body: str) -> tuple[list[float], list[float], list[list[float]]]:
        outer = self.templates.get(template, "")
        axes = re.findall(r"variable_\d\s*:\s*\"?(\w+)", outer)
        points = []
        for position in range(1, len(axes) + 1):
            found = re.search(rf"index_{position}\s*\(([^)]*)\)", body) or re.search(
                rf"index_{position}\s*\(([^)]*)\)", outer
            )
            points.append(_numbers(found.group(1)))  # type: ignore[union-attr]
        values = _numbers(re.search(r"values\s*\(([^)]*)\)", body).group(1))  # type: ignore[union-attr]
        lengths = [len(own) for own in points] + [1] * (2 - len(points))
        rows = [values[start : start + lengths[1]] for start in range(0, len(values), lengths[1])]
        slews, loads = [0.0], [0.0]
        for own, axis in zip(points, axes, strict=True):
            if axis.startswith("input"):
                slews = [point * self.ps for point in own]
            else:
                loads = [point * self.ff for point in own]
        if axes and not axes[0].startswith("input"):
            rows = [list(column) for column in zip(*rows, strict=True)]
        # The unit of energy is the one of capacitance times a volt squared.
        return slews, loads, [[value * self.ff for value in row] for row in rows]


def holds(when: str, state: Mapping[str, int]) -> bool:
    """Value of a Liberty condition that uses ``! * & + |``."""
    return bool(eval(_compiled(when), {"__builtins__": {}}, dict(state)))


@cache
def _compiled(when: str) -> CodeType:
    text = when.replace("!", " not ").replace("*", " and ").replace("&", " and ")
    return compile(text.replace("+", " or ").replace("|", " or ").strip(), "when", "eval")


def _between(points: list[float], values: list[float], wanted: float) -> float:
    if len(points) == 1:
        return values[0]
    k = 0
    while k < len(points) - 2 and wanted >= points[k + 1]:
        k += 1
    return values[k] + (values[k + 1] - values[k]) * (wanted - points[k]) / (points[k + 1] - points[k])


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+\d.eE]+", text)]


def _groups(text: str, kind: str) -> list[tuple[str, str]]:
    """Name and body of every group of a kind, however deep."""
    found = []
    for match in re.finditer(rf"(?<![\w.])(?:{kind})\s*\(\s*\"?([^\")]*?)\"?\s*\)\s*\{{", text):
        depth, end = 1, match.end()
        while depth:
            step = re.compile(r"[{}]").search(text, end)
            assert step
            depth += 1 if step.group() == "{" else -1
            end = step.end()
        found.append((match.group(1), text[match.end() : end - 1]))
    return found


def _outside_groups(body: str) -> str:
    """Text of a group without the groups in it."""
    result, depth = [], 0
    for part in re.split(r"([{}])", body):
        if part == "{":
            depth += 1
        elif part == "}":
            depth -= 1
        elif not depth:
            result.append(part)
    return ";".join(result)

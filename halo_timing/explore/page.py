"""The page of an exploration: one HTML file without outside parts, drawn from ``explore.json`` alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halo_timing.report.axis import Axis, linear_axis
from halo_timing.report.levels import colours
from halo_timing.report.page import asset, environment
from halo_timing.report.text import fixed

PAGE_NAME = "explore.html"
_KINDS = ("beaten", "conventional", "aware", "baseline", "winner")
_TITLES = {
    "beaten": "beaten",
    "conventional": "conventional",
    "aware": "weight-aware",
    "baseline": "conventional MAC to beat",
    "winner": "winner",
}


@dataclass(frozen=True)
class Marks:
    """Points of one kind: SVG path of dots."""

    kind: str
    title: str
    path: str


@dataclass(frozen=True)
class Scatter:
    """Points over two axes in a box of 100 by 100, and what a reader can ask about each.

    `ranges` is the path of figures that were never found out exactly, from end to end; `front` that of the
    staircase over the front.
    """

    x: Axis
    y: Axis
    x_title: str
    y_title: str
    marks: tuple[Marks, ...]
    ranges: str
    front: str
    details: list[dict[str, Any]]
    summary: str


@dataclass(frozen=True)
class Lines:
    """Quality against period, a staircase for each size."""

    x: Axis
    y: Axis
    lines: tuple[tuple[str, str, str], ...]
    summary: str


@dataclass(frozen=True)
class Section:
    """What is drawn of one class."""

    index: int
    answer: Mapping[str, Any]
    area: Scatter | None
    energy: Scatter | None
    sets: Lines | None
    sizes: list[dict[str, str]]
    funnel: list[dict[str, Any]]
    versus: list[tuple[str, ...]]
    model: list[dict[str, str]]


def render_exploration(result: Mapping[str, Any], command: str) -> str:
    """Draw the page.

    Parameters
    ----------
    result
        Content of ``explore.json``.
    command
        What makes all of it again.

    Returns
    -------
    str
        HTML that loads nothing from elsewhere; the same for the same result.
    """
    sections = [_section(index, answer, result) for index, answer in enumerate(result["classes"])]
    script = asset("explore.js")
    charts = {
        f"{section.index}-{name}": chart.details
        for section in sections
        for name, chart in (("area", section.area), ("energy", section.energy))
        if chart is not None
    }
    return (
        environment()
        .get_template("explore.html.j2")
        .render(
            result=result,
            goal=result["options"]["goal"],
            sections=sections,
            points=[_row(point) for point in result["points"]],
            failed=[point for point in result["points"] if point["outcome"]["stage"] == "failed"],
            charts=charts,
            command=command,
            style=asset("page.css"),
            own_style=asset("explore.css"),
            dark=asset("dark.css"),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _section(index: int, answer: Mapping[str, Any], result: Mapping[str, Any]) -> Section:
    points = [
        point
        for point in result["points"]
        if point.get("class") == answer["label"] and point.get("time_ps") and point["time_ps"][0] is not None
    ]
    most = max((row["points"] for row in answer["funnel"]), default=1) or 1
    return Section(
        index=index,
        answer=answer,
        area=_area_chart(points, answer),
        energy=_energy_chart(points, answer),
        sets=_sets_chart(answer, result),
        sizes=[_size_row(row) for row in answer["sizes"]],
        funnel=[{**row, "share": round(100 * row["points"] / most, 2)} for row in answer["funnel"]],
        versus=_versus(answer),
        model=[
            {
                "label": row["label"],
                "mac": _short(row["mac"]),
                "time": fixed(row["time_ms"], 1),
                "energy": fixed(row["energy_mj"], 1),
                "area": fixed(row["array_area_mm2"], 1),
                "bits": fixed(row["weight_bits"], 2),
            }
            for row in (answer.get("model") or {}).get("schemes", [])
        ],
    )


def _kind(point: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    winner, baseline = answer.get("winner"), answer.get("baseline")
    if winner and point["name"] == winner["name"]:
        return "winner"
    if baseline and point["name"] == baseline["name"]:
        return "baseline"
    if point["outcome"]["stage"].startswith("beaten"):
        return "beaten"
    return "conventional" if point["conventional"] else "aware"


def _area_chart(points: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> Scatter | None:
    drawn = [point for point in points if point["time_ps"][1] is not None]
    if not drawn:
        return None
    x = linear_axis(min(p["time_ps"][0] for p in drawn), max(p["time_ps"][1] for p in drawn), 6)
    y = linear_axis(min(p["area_um2"] for p in drawn), max(p["area_um2"] for p in drawn))
    places = [(point, x.at(point["time_ps"][1]), 100 - y.at(point["area_um2"])) for point in drawn]
    ranges = "".join(
        f"M{x.at(point['time_ps'][0]):g} {down:g}H{right:g}"
        for point, right, down in places
        if point["time_ps"][0] != point["time_ps"][1]
    )
    names = set(answer["front"])
    best = sorted((right, down) for point, right, down in places if point["name"] in names)
    front = "".join(
        f"M{right:g} {down:g}" if place == 0 else f"H{right:g}V{down:g}"
        for place, (right, down) in enumerate(best)
    )
    return Scatter(
        x,
        y,
        "time of a multiplication at the quality that is kept, ps",
        "um²",
        _marks(places, answer),
        ranges,
        front,
        _details(places, answer),
        f"Time against area of {len(drawn)} points; {len(names)} of them are beaten by none.",
    )


def _energy_chart(points: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> Scatter | None:
    drawn = [point for point in points if point.get("energy_fj") is not None]
    if len(drawn) < 2:
        return None
    x = linear_axis(min(p["time_ps"][1] for p in drawn), max(p["time_ps"][1] for p in drawn), 6)
    y = linear_axis(0, max(p["energy_fj"] for p in drawn))
    places = [(point, x.at(point["time_ps"][1]), 100 - y.at(point["energy_fj"])) for point in drawn]
    return Scatter(
        x,
        y,
        "time of a multiplication at the quality that is kept, ps",
        "fJ a multiplication",
        _marks(places, answer),
        "",
        "",
        _details(places, answer),
        f"Time against energy of the {len(drawn)} points that were simulated.",
    )


def _marks(
    places: Sequence[tuple[Mapping[str, Any], float, float]], answer: Mapping[str, Any]
) -> tuple[Marks, ...]:
    found = []
    for kind in _KINDS:
        dots = [f"M{right:g} {down:g}h0" for point, right, down in places if _kind(point, answer) == kind]
        if dots:
            found.append(Marks(kind, _TITLES[kind], "".join(dots)))
    return tuple(found)


def _details(
    places: Sequence[tuple[Mapping[str, Any], float, float]], answer: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Facts of each dot for the page's script, from left to right."""
    rows = []
    for point, right, down in sorted(places, key=lambda place: (place[1], place[2], place[0]["name"])):
        low, high = point["time_ps"]
        time = fixed(high, 1) if low == high else f"{fixed(low, 0)} to {fixed(high, 0)}"
        facts = [
            [_TITLES[_kind(point, answer)], _short(point["name"])],
            ["time", f"{time} ps"],
            ["area", f"{fixed(point['area_um2'], 0)} um²"],
            ["slowest weight", f"{_range(point['worst_ps'])} ps"],
            ["energy", f"{fixed(point.get('energy_fj'), 0)} fJ"],
            ["went as far as", point["outcome"]["stage"]],
        ]
        if by := point["outcome"].get("by"):
            facts.append(["beaten by", _short(by)])
        rows.append({"x": right, "y": down, "facts": facts})
    return rows


def _sets_chart(answer: Mapping[str, Any], result: Mapping[str, Any]) -> Lines | None:
    winner = answer.get("winner")
    if not winner:
        return None
    point = next(point for point in result["points"] if point["name"] == winner["name"])
    sets = point.get("sets") or []
    if not sets:
        return None
    x = linear_axis(
        min(each["period_ps"] for each in sets), max(winner["worst_ps"], sets[-1]["period_ps"]), 6
    )
    y = linear_axis(0, max(each["sqnr_db"] for each in sets))
    sizes = sorted({each["size"] for each in sets}, reverse=True)
    lines = []
    for size, colour in zip(sizes, colours(len(sizes)), strict=True):
        steps = [each for each in sets if each["size"] == size]
        path = "".join(
            f"{'M' if place == 0 else 'H'}{x.at(each['period_ps']):g}"
            f"{' ' if place == 0 else 'V'}{100 - y.at(each['sqnr_db']):g}"
            for place, each in enumerate(steps)
        )
        lines.append((f"{size} values", colour, path + "H100"))
    return Lines(
        x, y, tuple(lines), "Quality of the best set of each size against the period, for the winner."
    )


def _size_row(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "size": fixed(row["size"]),
        "name": row["title"],
        "period": fixed(row["period_ps"], 1),
        "clock": fixed(1e3 / row["period_ps"], 2) if row["period_ps"] > 0 else "–",
        "area": fixed(row["area_um2"]),
        **{key: fixed(row[key], 2) for key in ("self", "best", "family")},
    }


def _versus(answer: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Winner beside the conventional MACs, a row a fact."""
    winner = answer.get("winner")
    if not winner:
        return []
    others = tuple(answer.get(f"{key}baseline") for key in ("", "family_", "levels_"))
    fast = winner["mix"]["levels"][0]

    def row(title: str, own: str, key: str, digits: int) -> tuple[str, ...]:
        return title, own, *(fixed(other[key], digits) if other else "–" for other in others)

    return [
        ("MAC", winner["title"], *(each["title"] if each else "–" for each in others)),
        row("slowest weight, ps", fixed(winner["worst_ps"], 1), "worst_ps", 1),
        (
            "fast level, ps",
            f"{fixed(fast['period_ps'], 1)} with {len(fast['values'])} values",
            *("–" for _ in others),
        ),
        row("mean over the tiles, ps", fixed(winner["mix"]["period_ps"], 1), "mix_ps", 1),
        row("slowest transition simulated, ps", fixed(winner["simulated_ps"], 1), "simulated_worst_ps", 1),
        row("fJ a multiplication, same codes", fixed(winner["energy_fj"], 0), "energy_fj", 0),
        row("um²", fixed(winner["area_um2"], 0), "area_um2", 0),
        row("slowest weight over winner’s fast level", fixed(winner["self"], 2), "best_fast", 2),
        row("mean over the tiles over winner’s", fixed(1.0, 2), "best_levels", 2),
        row(
            "slowest over the fast level, simulated", fixed(winner["self_simulated"], 2), "best_simulated", 2
        ),
    ]


def _row(point: Mapping[str, Any]) -> dict[str, str]:
    fast = point.get("fast_ps") or {}
    return {
        "name": point["name"],
        "stage": point["outcome"]["stage"],
        "by": _short(point["outcome"].get("by", "")),
        "why": point["outcome"]["why"],
        "area": fixed(point.get("area_um2")),
        "time": _range(point.get("time_ps")),
        "worst": _range(point.get("worst_ps")),
        "fast": _range(fast.get("16")),
        "energy": fixed(point.get("energy_fj")),
    }


def _range(ends: Sequence[float | None] | None) -> str:
    if not ends or ends[1] is None:
        return "–"
    low, high = ends
    return fixed(high) if low == high else f"{fixed(low)}…{fixed(high)}"


def _short(name: str) -> str:
    """Name of a point without its PDK and corner."""
    return name.rpartition("/")[2]

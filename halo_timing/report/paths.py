"""Slowest paths: where the time of a weight goes, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from halo_timing.report.axis import Axis, linear_axis
from halo_timing.report.result import MacResult, Result
from halo_timing.report.text import bits, fixed

Kind = Literal["launch", "arrive", "cell", "wire", "setup"]


@dataclass(frozen=True)
class Segment:
    """One piece of a path: its place in per cent of the axis, and how long it takes."""

    kind: Kind
    pin: str
    cell: str
    delay_ps: str
    arrival_ps: str
    left: float
    width: float


@dataclass(frozen=True)
class PathView:
    """The slowest path of one weight.

    Parameters
    ----------
    title
        Which weight it is.
    opened
        Whether its cells are shown from the start.
    """

    title: str
    mac: str
    value: str
    bits: str
    period_ps: str
    cells: int
    startpoint: str
    endpoint: str
    segments: tuple[Segment, ...]
    opened: bool


@dataclass(frozen=True)
class PathChart:
    """Paths over one axis in ps."""

    axis: Axis
    paths: tuple[PathView, ...]


def path_chart(result: Result) -> PathChart:
    """Lay out the paths of the fastest weight, of the one that limits the fast level, and of the slowest."""
    period_ps = result.mac.tables.period_ps.astype(np.float64)
    in_fast = np.isin(result.mac.tables.values, result.cost_map.levels[0].codebook)
    switching = np.where(period_ps > 0, period_ps, np.inf)
    chosen = [
        ("fastest weight", result.mac, int(switching.argmin()), True),
        (
            "weight that sets the fast level’s clock",
            result.mac,
            int(np.where(in_fast, period_ps, 0).argmax()),
            False,
        ),
        ("slowest weight", result.mac, int(period_ps.argmax()), True),
    ]
    if result.best:
        slowest = int(result.best.tables.period_ps.argmax())
        chosen.append((f"slowest weight of {result.best.name}", result.best, slowest, False))
    axis = linear_axis(0, max(float(mac.tables.period_ps[index]) for _, mac, index, _ in chosen), 6)
    views: dict[tuple[str, int], PathView] = {}
    # With one level, the weight that sets its clock is the slowest: that is said once.
    for title, mac, index, opened in reversed(chosen):
        path = mac.tables.worst_paths[index]
        key = (str(mac.folder), index)
        if path is not None and key not in views:
            views[key] = _view(title, mac, path, axis, opened)
    return PathChart(axis, tuple(reversed(views.values())))


def _view(title: str, mac: MacResult, path: Mapping[str, Any], axis: Axis, opened: bool) -> PathView:
    segments = _segments(path, axis)
    return PathView(
        title=title,
        mac=mac.name,
        value=fixed(path["value"]),
        bits=bits(int(path["value"]), int(mac.tables.metadata["weight_width"])),
        period_ps=fixed(path["arrival_ps"] + path["setup_ps"], 1),
        cells=sum(segment.kind == "cell" for segment in segments),
        startpoint=str(path["startpoint"]),
        endpoint=str(path["endpoint"]),
        segments=segments,
        opened=opened,
    )


def _segments(path: Mapping[str, Any], axis: Axis) -> tuple[Segment, ...]:
    """Pieces from the clock edge to the next: launch or arrival, cells, wires where they take time, setup."""
    points = [(str(pin), str(cell), float(arrival)) for pin, cell, arrival in path["points"]]
    pieces: list[Segment] = []

    def add(kind: Kind, pin: str, cell: str, start_ps: float, end_ps: float) -> None:
        left = axis.at(start_ps)
        pieces.append(
            Segment(
                kind,
                pin,
                cell,
                fixed(end_ps - start_ps, 1),
                fixed(end_ps, 1),
                left,
                round(axis.at(end_ps) - left, 3),
            )
        )

    first_pin, first_cell, time_ps = points[0]
    if time_ps > 0:
        add("arrive", first_pin, first_cell, 0, time_ps)
    for index, (pin, cell, arrival_ps) in enumerate(points[1:], start=1):
        same_instance = "/" in pin and pin.rpartition("/")[0] == points[index - 1][0].rpartition("/")[0]
        if index == 1 and same_instance:
            add("launch", pin, cell, time_ps, arrival_ps)
        elif index < len(points) - 1:
            add("cell", pin, cell, time_ps, arrival_ps)
        elif arrival_ps > time_ps:
            add("wire", pin, cell, time_ps, arrival_ps)
        time_ps = arrival_ps
    if path["setup_ps"]:
        pin, cell, _ = points[-1]
        add("setup", pin, cell, time_ps, time_ps + float(path["setup_ps"]))
    return tuple(pieces)

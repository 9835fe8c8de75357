"""One self-contained HTML page per result folder.

Python lays out everything that is seen, as HTML and SVG; a short script adds what needs a hand on it (reading
off a bar, hiding a level, choosing the theme). Without it, and on paper, the page is still whole.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from halo_timing.report.accelerator import accelerator_view
from halo_timing.report.evaluation import evaluation_view
from halo_timing.report.frequency import frequency_chart
from halo_timing.report.headline import headline
from halo_timing.report.levels import NO_LEVEL, colours, level_rows
from halo_timing.report.model import model_view
from halo_timing.report.netlists import netlist_views
from halo_timing.report.paths import path_chart
from halo_timing.report.provenance import DEFINITIONS, commands, records
from halo_timing.report.result import load_result
from halo_timing.report.shape import shape_chart
from halo_timing.report.text import fixed
from halo_timing.report.tiles import tile_view
from halo_timing.report.transitions import transition_view
from halo_timing.report.voltage import voltage_view

_TEMPLATES = "templates"
# One block of code: what the first defines, the others use.
_SCRIPTS = ("core.js", "transitions.js", "weights.js", "tiles.js", "voltage.js", "points.js")


def render_report(
    out: Path, references: Sequence[Path], metrics: Mapping[str, Any], evaluation: Path | None = None
) -> str:
    """Draw the page of a result folder.

    Parameters
    ----------
    out
        Result folder with tables, cost map and, if `metrics` speak of it, the quantized model.
    references
        Folders of the MACs to compare with, relative to `out`.
    metrics
        Figures of :func:`halo_timing.metrics.collect_metrics`.
    evaluation
        ``evaluation.json`` of a model's loss, if the metrics speak of it.

    Returns
    -------
    str
        HTML that loads nothing from elsewhere; the same for the same results.

    Raises
    ------
    CostMapError, CheckpointError
        If a file of the result is missing or damaged.
    """
    result = load_result(out, references, metrics, evaluation)
    metadata, dynamic = result.mac.tables.metadata, result.mac.tables.dynamic
    frequency = frequency_chart(result)
    script = Markup('"use strict";\n{\n%s}\n') % Markup("\n").join(map(asset, _SCRIPTS))
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            result=result,
            metadata=metadata,
            headline=headline(result),
            frequency=frequency,
            levels=level_rows(result),
            colours=colours(len(result.cost_map.levels)),
            no_level=NO_LEVEL,
            voltage=voltage_view(result),
            shape=shape_chart(result),
            paths=path_chart(result),
            netlists=netlist_views(result),
            transitions=transition_view(result, dynamic) if dynamic is not None else None,
            model=model_view(result, result.model) if result.model else None,
            tiles=tile_view(result.tiles, result.model, len(result.cost_map.levels))
            if result.tiles and result.model
            else None,
            evaluation=evaluation_view(result),
            accelerator=accelerator_view(result),
            commands=commands(result),
            records=records(result),
            definitions=DEFINITIONS,
            style=asset("page.css"),
            dark=asset("dark.css"),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


@cache
def environment() -> Environment:
    """Make the templates' environment, once."""
    # Names and paths come from users: everything is escaped, whatever a template's suffix.
    made = Environment(
        loader=PackageLoader("halo_timing.report", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["fixed"] = fixed
    return made


@cache
def asset(name: str) -> Markup:
    """Return a style sheet or script of ours, which needs no escaping."""
    return Markup((files("halo_timing.report") / _TEMPLATES / name).read_text(encoding="utf-8"))

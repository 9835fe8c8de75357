"""Cost maps for spreadsheets and papers."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping

import numpy as np

from halo_timing.costmap.export.source import Source

_LISTED = 16


def per_value(source: Source) -> Mapping[str, bytes]:
    """Write one row a value: its level, periods and energy; a cell is empty where nothing is known."""
    cost_map = source.cost_map
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["value", "level", "period_ps", "bound_ps", "energy_fj"])
    columns = (cost_map.period_ps, cost_map.bound_ps, cost_map.energy_fj)
    for index, (value, level) in enumerate(
        zip(cost_map.values.tolist(), cost_map.level_of_value.tolist(), strict=True)
    ):
        # The shortest text that is the same float32 again.
        numbers = ["" if np.isnan(column[index]) else str(column[index]) for column in columns]
        writer.writerow([value, "" if level == 255 else level, *numbers])
    return {"costmap.csv": stream.getvalue().encode()}


def markdown(source: Source) -> Mapping[str, bytes]:
    """Write a row a level as a Markdown table."""
    head, rows = _rows(source)
    lines = [head, ["---:"] * (len(head) - 1) + ["---"], *rows]
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return {"levels.md": f"{text}\n\n{_caption(source)}\n".encode()}


def latex(source: Source) -> Mapping[str, bytes]:
    """Write a row a level as a LaTeX tabular."""
    head, rows = _rows(source)
    body = "\n".join("  " + " & ".join(map(_escaped, cells)) + r" \\" for cells in rows)
    heading = "  " + " & ".join(map(_escaped, head)) + r" \\"
    columns = "r" * (len(head) - 1) + "l"
    text = (
        f"% {_caption(source)}\n\\begin{{tabular}}{{{columns}}}\n  \\hline\n{heading}\n  \\hline\n"
        f"{body}\n  \\hline\n\\end{{tabular}}\n"
    )
    return {"levels.tex": text.encode()}


def _rows(source: Source) -> tuple[list[str], list[list[str]]]:
    cost_map = source.cost_map
    sqnr_db = cost_map.metadata.get("level_rule", {}).get("sqnr_db")
    known = not np.isnan(cost_map.energy_fj).all()
    head = ["level", "values", "period, ps", "GHz", "V"]
    head += ["SQNR, dB"] * bool(sqnr_db) + ["energy, fJ"] * known + ["codebook"]
    rows = []
    for index, level in enumerate(cost_map.levels):
        row = [
            str(index),
            str(len(level.codebook)),
            f"{level.period_ps:.1f}",
            f"{level.freq_ghz:.3f}",
            f"{level.vdd_v:.3g}",
        ]
        if sqnr_db:
            row.append(f"{sqnr_db[index]:.1f}")
        if known:
            energy_fj = source.level_energy_fj(index)
            row.append("" if math.isnan(energy_fj) else f"{energy_fj:.2f}")
        values = [str(value) for value in level.codebook.tolist()]
        row.append(" ".join(values if len(values) <= _LISTED else [*values[:4], "...", *values[-4:]]))
        rows.append(row)
    return head, rows


def _caption(source: Source) -> str:
    about = source.cost_map.metadata
    facts = [source.title, f"periods from {about.get('period_from', 'bound')}"]
    facts.append(f"margin {100 * float(about.get('margin', 0)):g} %")
    if "wires" in about:
        facts.append(f"wires {about['wires']}")
    return "; ".join(facts)


def _escaped(text: str) -> str:
    return re.sub(r"([&%$#_{}])", r"\\\1", text)

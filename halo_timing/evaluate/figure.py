"""The figure of an evaluation: loss against predicted time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment

from halo_timing.report.axis import linear_axis

# Inside a margin for the axes; 640 by 420 in all.
_WIDTH, _HEIGHT, _LEFT, _TOP = 540, 330, 70, 30
# Validated for colour-blind readers; one a cost map, in the order of the maps.
_COLOURS = ("#2166ac", "#b2182b", "#1b7837", "#762a83", "#8c510a", "#525252")

_TEMPLATE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 420" font-family="sans-serif"
 font-size="11">
<title>Loss against predicted time</title>
<rect width="640" height="420" fill="#fff"/>
<text x="{{ left }}" y="18" font-size="13">{{ loss }} against mean clock period, {{ model }}</text>
{% for tick in x.ticks %}{% set at = left + tick.at * width / 100 %}
<path d="M{{ at | round(2) }} {{ top }}v{{ height }}" stroke="#ddd"/>
<text x="{{ at | round(2) }}" y="{{ top + height + 16 }}" text-anchor="middle">{{ tick.text }}</text>
{% endfor %}{% for tick in y.ticks %}{% set at = top + height - tick.at * height / 100 %}
<path d="M{{ left }} {{ at | round(2) }}h{{ width }}" stroke="#ddd"/>
<text x="{{ left - 6 }}" y="{{ (at + 4) | round(2) }}" text-anchor="end">{{ tick.text }}</text>
{% endfor %}
<text x="{{ left + width / 2 }}" y="{{ top + height + 36 }}"
 text-anchor="middle">mean clock period of a weight, ps</text>
<text transform="translate(18 {{ top + height / 2 }}) rotate(-90)"
 text-anchor="middle">{{ unit }}</text>
{% for front in fronts %}
<path d="{{ front.path }}" fill="none" stroke="{{ front.colour }}" stroke-width="1.5"/>
{% endfor %}{% for point in points %}
<circle cx="{{ point.x }}" cy="{{ point.y }}" r="4" fill="{{ point.fill }}" stroke="{{ point.colour }}"
 stroke-width="1.5"><title>{{ point.title }}</title></circle>
<text x="{{ point.x + 7 }}" y="{{ point.y + 4 }}" fill="{{ point.colour }}">{{ point.label }}</text>
{% endfor %}{% if not points %}
<text x="{{ left + 20 }}" y="{{ top + 40 }}">no method with a cost map has been measured yet</text>
{% endif %}</svg>
"""


def pareto_svg(result: Mapping[str, Any]) -> str:
    """Draw the methods that have a cost map; lines join those of a cost map that no other is better than.

    Parameters
    ----------
    result
        Content of ``evaluation.json``.
    """
    loss = result["loss"]
    rows = [row for row in result["methods"] if row.get("mean_period_ps") is not None]
    periods = [row["mean_period_ps"] for row in rows] or [0.0, 1.0]
    losses = [row[loss] for row in rows] or [0.0, 1.0]
    x, y = linear_axis(min(periods), max(periods)), linear_axis(min(0.0, *losses), max(losses))

    def place(row: Mapping[str, Any]) -> tuple[float, float]:
        across = _LEFT + x.at(row["mean_period_ps"]) * _WIDTH / 100
        up = _TOP + _HEIGHT - y.at(row[loss]) * _HEIGHT / 100
        return round(across, 2), round(up, 2)

    points, fronts = [], []
    for index, name in enumerate(result["cost_maps"]):
        colour = _COLOURS[index % len(_COLOURS)]
        own = sorted(
            (row for row in rows if row["cost_map"] == name),
            key=lambda row: (row["mean_period_ps"], row[loss]),
        )
        best, front = float("inf"), []
        for row in own:
            on_front = row[loss] < best
            if on_front:
                best = row[loss]
                front.append(place(row))
            across, up = place(row)
            points.append(
                {
                    "x": across,
                    "y": up,
                    "colour": colour,
                    "fill": colour if on_front else "#fff",
                    "label": row["name"],
                    "title": f"{row['name']}: {row[loss]:+.4g} at {row['mean_period_ps']:.1f} ps",
                }
            )
        if len(front) > 1:
            fronts.append({"colour": colour, "path": "M" + "L".join(f"{a} {b}" for a, b in front)})
    environment = Environment(autoescape=True, trim_blocks=True)
    return environment.from_string(_TEMPLATE).render(
        model=result["model"],
        loss="Added NLL" if loss == "added_nll" else "Distance of embeddings",
        unit="added NLL, nats per token" if loss == "added_nll" else "1 - cosine",
        x=x,
        y=y,
        left=_LEFT,
        top=_TOP,
        width=_WIDTH,
        height=_HEIGHT,
        points=points,
        fronts=fronts,
    )

"""The page of a reproduction: Markdown tables of what was published beside ours, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_page(content: Mapping[str, Any], command: str) -> str:
    """Render ``reproduction.md``.

    Parameters
    ----------
    content
        Result of :func:`halo_timing.reproduction.halo.reproduce`.
    command
        What makes the page again.
    """
    environment = Environment(
        loader=PackageLoader("halo_timing.reproduction", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"x": _times, "number": _number, "percent": _percent, "span": _span}
    means = {
        variant: _means([row for row in content["models"] if row["variant"] == variant])
        for variant in dict.fromkeys(row["variant"] for row in content["models"])
    }
    return environment.get_template("halo.md.j2").render(**content, means=means, command=command)


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean of each ratio over the models; None where one is unknown."""
    result: dict[str, dict[str, float | None]] = {}
    for kind in ("speedup", "energy_ratio", "mac_energy_ratio"):
        result[kind] = {}
        for name in rows[0][kind]:
            known = [row[kind][name] for row in rows if row[kind][name] is not None]
            result[kind][name] = sum(known) / len(known) if len(known) == len(rows) else None
    return result


def _times(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}x"


def _number(value: float | None, digits: int = 0) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:+.0f} %"


def _span(value: Sequence[float] | None) -> str:
    return "unknown" if value is None else f"{value[0]:.2f} - {value[1]:.2f}"

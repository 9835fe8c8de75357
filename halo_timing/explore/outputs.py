"""Files of an exploration: JSON, a table, result folders of finalists, and run files of the winners."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from halo_timing.explore import points as steps
from halo_timing.explore.answer import class_answer, cost_map_of, find_winner, mix_json
from halo_timing.explore.campaign import Campaign
from halo_timing.explore.facts import State, energy_fj
from halo_timing.explore.page import PAGE_NAME, render_exploration
from halo_timing.explore.prune import Interval, Verdict
from halo_timing.explore.space import Skipped, Space
from halo_timing.files import write_json, write_text
from halo_timing.tables import Tables

SCHEMA_VERSION = 1
RESULT_NAME = "explore.json"
TABLE_NAME = "points.csv"
FINALISTS = "finalists"
_FINALIST_FILES = (
    steps.NETLIST,
    "netlist.v",
    steps.SYNTHESIS,
    *steps.TABLES,
    steps.DELAYS,
    steps.DYNAMIC,
    steps.CLOCKED,
    steps.SETS,
)


def result_json(campaign: Campaign, space: Space, skipped: Sequence[Skipped]) -> dict[str, Any]:
    """Everything that was found, as plain data; the same for the same space, cells and tools."""
    classes = campaign.classes()
    verdicts: dict[str, Verdict] = {}
    for states in classes.values():
        verdicts |= campaign.verdicts(states)
    finalists = {state.point.name for states in classes.values() for state in campaign.finalists(states)}
    return {
        "schema_version": SCHEMA_VERSION,
        "options": space.model_dump(mode="json"),
        "places": {
            f"{pdk}/{corner}": dict(place.parameters["provenance"])
            for (pdk, corner), place in sorted(campaign.places.items())
        },
        "classes": [class_answer(campaign, klass, states) for klass, states in classes.items()],
        "points": [
            _point_json(campaign, state, verdicts.get(name), name in finalists)
            for name, state in sorted(campaign.states.items())
        ],
        "skipped": [{"name": each.name, "reason": each.reason} for each in skipped],
    }


def _point_json(campaign: Campaign, state: State, verdict: Verdict | None, finalist: bool) -> dict[str, Any]:
    point = state.point
    data: dict[str, Any] = {
        "name": point.name,
        "spec": point.spec,
        "pdk": point.pdk,
        "corner": point.corner,
        "structure": point.structure,
        "adder": point.adder,
        "pipeline": point.pipeline,
        "width": point.width,
        "recipe": point.recipe,
        "conventional": state.conventional,
        "outcome": _outcome(campaign, state, verdict, finalist),
    }
    if state.mapped is not None:
        data |= {"area_um2": state.mapped.area_um2, "cells": state.mapped.cells, "class": state.klass.label}
    if state.open:
        estimate = campaign.estimate(state)
        mix = estimate.high if state.tables is not None else None
        data |= {
            "time_ps": _ends(estimate.time),
            "worst_ps": _ends(estimate.worst),
            "fast_ps": {str(size): _ends(interval) for size, interval in estimate.fast.items()},
            "mix": mix_json(mix) if mix else None,
            "energy_fj": _number(energy_fj(state, mix)) if mix else None,
            "kept_for": list(verdict.kept_for) if verdict else [],
            "proved": state.proved,
            "simulated_values": len(state.simulated),
            "sets": list(state.value_sets) if state.value_sets is not None else None,
        }
    return data


def _outcome(campaign: Campaign, state: State, verdict: Verdict | None, finalist: bool) -> dict[str, str]:
    """Where a point ended, and why."""
    if state.failed:
        return {"stage": "failed", "why": state.failed}
    if state.same_as:
        return {"stage": "same netlist", "why": f"as {state.same_as}"}
    if verdict is None:
        return {"stage": "open", "why": ""}
    if finalist:
        return {"stage": "finalist", "why": ", ".join(verdict.kept_for)}
    if verdict.kept:
        return {"stage": "not beaten", "why": ", ".join(verdict.kept_for)}
    stage = "beaten after bounds" if state.tables is not None else "beaten after mapping"
    if not verdict.beaten_by:
        return {"stage": stage, "why": ""}
    own = campaign.candidate(state).costs
    other = campaign.candidate(campaign.states[verdict.beaten_by]).costs
    why = "; ".join(
        f"{name} at least {own[name].low:.1f}, there at most {other[name].high:.1f}" for name in own
    )
    return {"stage": stage, "by": verdict.beaten_by, "why": why}


def _ends(interval: Interval) -> list[float | None]:
    return [_number(interval.low), _number(interval.high)]


def _number(value: float | None) -> float | None:
    return round(value, 3) if value is not None and math.isfinite(value) else None


def to_csv(result: Mapping[str, Any]) -> str:
    """Return the points as a table, one row each."""
    sizes = [str(size) for size in result["options"]["goal"]["sizes"]]
    columns = ["name", "class", "structure", "adder", "pipeline", "width", "recipe", "conventional", "stage"]
    columns += ["by", "area_um2", "cells", "time_low_ps", "time_high_ps", "worst_low_ps", "worst_high_ps"]
    columns += [f"fast_high_ps[{size}]" for size in sizes] + ["energy_fj", "proved", "simulated_values"]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n", restval="", extrasaction="ignore")
    writer.writeheader()
    for point in result["points"]:
        row = {name: _cell(point.get(name)) for name in columns}
        row |= {"stage": point["outcome"]["stage"], "by": point["outcome"].get("by", "")}
        for name in ("time", "worst"):
            if ends := point.get(f"{name}_ps"):
                row |= {f"{name}_low_ps": _cell(ends[0]), f"{name}_high_ps": _cell(ends[1])}
        for size, ends in point.get("fast_ps", {}).items():
            row[f"fast_high_ps[{size}]"] = _cell(ends[1])
        writer.writerow(row)
    return stream.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def write_results(
    campaign: Campaign, space: Space, skipped: Sequence[Skipped], out: Path, command: str
) -> dict[str, Any]:
    """Write everything into `out`; return what ``explore.json`` holds.

    Parameters
    ----------
    command
        What makes it again, for the page.
    """
    result = result_json(campaign, space, skipped)
    for klass, states in campaign.classes().items():
        for state in campaign.finalists(states):
            folder = out / FINALISTS / state.point.name
            files = {name: state.outputs[name] for name in _FINALIST_FILES if name in state.outputs}
            campaign.store.place(files, folder)
            Tables.load(folder).save_csv(folder)
        found = find_winner(campaign, states)
        if found is None:
            continue
        cost_map_of(found.state, found.mix).save(out / FINALISTS / found.state.point.name)
        (answer,) = (each for each in result["classes"] if each["label"] == klass.label)
        write_text(out / f"winner-{klass.slug}.toml", run_file(answer))
    write_json(out / RESULT_NAME, result)
    write_text(out / PAGE_NAME, render_exploration(result, command))
    write_text(out / TABLE_NAME, to_csv(result))
    return result


def run_file(answer: Mapping[str, Any]) -> str:
    """Text of a file that ``halo-timing run`` takes: a winner with its levels, and its baseline."""
    winner, baseline = answer["winner"], answer["baseline"]
    levels = ["values:" + ",".join(map(str, level["values"])) for level in winner["mix"]["levels"]]
    if len(winner["mix"]["levels"][-1]["values"]) < 1 << int(answer["class"]["width"].partition("x")[0]):
        levels.append("all")
    else:
        levels[-1] = "all"
    lines = [
        f"# {answer['label']}: found by `halo-timing explore`. Takes {winner['mix']['period_ps']:.0f} ps a",
        "# multiplication at the quality that was asked for.",
        f"pdk = {json.dumps(answer['class']['pdk'])}",
        f"corner = {json.dumps(answer['class']['corner'])}",
        f"mac = {json.dumps(winner['spec'])}",
        f"reference = {json.dumps([baseline['spec']] if baseline else [])}",
        f"levels = {json.dumps('/'.join(levels))}",
        f"fast_share = {winner['mix']['levels'][0]['share'] if len(winner['mix']['levels']) > 1 else 1.0}",
    ]
    return "\n".join(lines) + "\n"

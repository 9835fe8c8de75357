"""What an exploration says of each class: the best MAC, what it is worth, and against whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from halo_timing.accelerator.comparison import Macs, compare
from halo_timing.accelerator.shapes import find_shape
from halo_timing.accelerator.tile_levels import SharedLevels
from halo_timing.accelerator.workload import Workload
from halo_timing.costmap.levels import build_cost_map
from halo_timing.costmap.model import CostMap
from halo_timing.explore.campaign import Campaign
from halo_timing.explore.facts import Class, State, energy_fj, is_named
from halo_timing.explore.objectives import Mix


@dataclass(frozen=True)
class Winner:
    """The best point of a class, and whom it is held against.

    Parameters
    ----------
    state, mix
        The point, and the levels at which it keeps the goal's quality.
    baseline
        The fastest conventional MAC of the whole space at its slowest weight.
    family_baseline
        The fastest conventional MAC as the family has it, adder and recipes its own; None where the space has
        none.
    levels_baseline
        The fastest conventional MAC if it is given levels of its own as well.
    """

    state: State
    mix: Mix
    baseline: State | None
    family_baseline: State | None
    levels_baseline: State | None


def find_winner(campaign: Campaign, states: Sequence[State]) -> Winner | None:
    """Fastest point of a class that was proved and, where that can be, clocked; None if there is none."""
    for state in campaign.front(states):
        mix = campaign.estimate(state).high
        checked = state.clocked is not None or not campaign.can_clock(state)
        if mix is not None and state.proved and checked:
            return Winner(
                state,
                mix,
                campaign.baseline(states),
                _family_baseline(campaign, states),
                _levels_baseline(campaign, states),
            )
    return None


def _levels_baseline(campaign: Campaign, states: Sequence[State]) -> State | None:
    """Conventional MAC of the least mean period at the goal's quality."""
    bounded = [state for state in states if state.conventional and state.tables is not None]
    return min(
        bounded, key=lambda state: (campaign.estimate(state).time.high, state.point.name), default=None
    )


def _family_baseline(campaign: Campaign, states: Sequence[State]) -> State | None:
    """Fastest of the conventional members as they are named."""
    members = [state for state in states if is_named(state.point) and state.tables is not None]
    return min(
        members, key=lambda state: (campaign.estimate(state).worst.high, state.point.name), default=None
    )


def cost_map_of(state: State, mix: Mix) -> CostMap:
    """Cost map whose levels are those of a mix, and one that takes every value."""
    assert state.tables is not None
    limits = [part.period_ps for part in mix.parts]
    levels = [f"period:{limit!r}" for limit in limits]
    if limits[-1] < float(state.tables.period_ps.max()):
        levels.append("all")
    return build_cost_map(state.tables, levels="/".join(levels))


def class_answer(campaign: Campaign, klass: Class, states: Sequence[State]) -> dict[str, Any]:
    """Everything that is said of a class, as plain data."""
    goal = campaign.goal
    found = find_winner(campaign, states)
    answer: dict[str, Any] = {
        "class": vars(klass),
        "label": klass.label,
        "funnel": _funnel(campaign, klass, states),
        "front": [state.point.name for state in campaign.front(states)],
        "sizes": _sizes(campaign, states),
        "winner": None,
    }
    if found is None:
        return answer
    state, mix, baseline = found.state, found.mix, found.baseline
    estimate = campaign.estimate(state)
    answer["winner"] = {
        "name": state.point.name,
        "spec": state.point.spec,
        "title": title(state),
        "conventional": state.conventional,
        "area_um2": _area(state),
        "worst_ps": round(estimate.worst.high, 3),
        "mix": mix_json(mix),
        "energy_fj": _rounded(energy_fj(state, mix)),
        "simulated_ps": _rounded(_simulated_ps(state, mix.parts[0].codebook)),
        "simulated_worst_ps": _rounded(_simulated_ps(state, None)),
        "clocked": dict(state.clocked) if state.clocked else None,
        "self": round(estimate.worst.high / mix.parts[0].period_ps, 4),
    }
    fast_ps, slow_ps = answer["winner"]["simulated_ps"], answer["winner"]["simulated_worst_ps"]
    answer["winner"]["self_simulated"] = round(slow_ps / fast_ps, 4) if fast_ps and slow_ps else None
    rivals = (
        ("baseline", baseline),
        ("family_baseline", found.family_baseline),
        ("levels_baseline", found.levels_baseline),
    )
    for key, other in rivals:
        answer[key] = None if other is None else _against(campaign, found, other)
    answer["model"] = _model(campaign, found) if baseline is not None else None
    answer["text"] = _paragraph(answer, goal.min_sqnr_db, goal.weights)
    return answer


def _against(campaign: Campaign, found: Winner, other: State) -> dict[str, Any]:
    """Ratios to a conventional MAC; its energy is that of the same codes at its own clock."""
    estimate = campaign.estimate(other)
    worst_ps, fast = estimate.worst.high, found.mix.parts[0]
    simulated, own = _simulated_ps(other, None), _simulated_ps(found.state, fast.codebook)
    energy = None
    if other.tables is not None and other.tables.dynamic is not None:
        energies = [
            (part.share, other.unit.at_period(np.array(part.codebook), worst_ps, other.unit.vdd_v).energy_fj)
            for part in found.mix.parts
        ]
        if all(each is not None for _, each in energies):
            energy = sum(share * (each or 0.0) for share, each in energies)
    return {
        "name": other.point.name,
        "spec": other.point.spec,
        "title": title(other),
        "area_um2": _area(other),
        "worst_ps": round(worst_ps, 3),
        "mix_ps": round(estimate.time.high, 3) if np.isfinite(estimate.time.high) else None,
        "simulated_worst_ps": _rounded(simulated),
        "energy_fj": _rounded(energy),
        "best_fast": round(worst_ps / fast.period_ps, 4),
        "best_mix": round(worst_ps / found.mix.period_ps, 4),
        "best_levels": round(estimate.time.high / found.mix.period_ps, 4)
        if np.isfinite(estimate.time.high)
        else None,
        "best_simulated": round(simulated / own, 4) if simulated and own else None,
    }


def _sizes(campaign: Campaign, states: Sequence[State]) -> list[dict[str, Any]]:
    """For each size of codebook the MAC whose fastest so many values are fastest."""
    baseline = campaign.baseline(states)
    bounded = [state for state in states if state.tables is not None]
    rows = []
    for size in campaign.goal.sizes:
        able = [state for state in bounded if size in campaign.estimate(state).fast]
        if not able:
            continue
        best = min(able, key=lambda state: (campaign.estimate(state).fast[size].high, state.point.name))
        estimate = campaign.estimate(best)
        fast_ps = estimate.fast[size].high
        rows.append(
            {
                "size": size,
                "name": best.point.name,
                "title": title(best),
                "period_ps": round(fast_ps, 3),
                "area_um2": _area(best),
                "self": round(estimate.worst.high / fast_ps, 4),
                "best": round(campaign.estimate(baseline).worst.high / fast_ps, 4) if baseline else None,
                "family": None,
            }
        )
        named = _family_baseline(campaign, states)
        if named is not None:
            rows[-1]["family"] = round(campaign.estimate(named).worst.high / fast_ps, 4)
    return rows


def _funnel(campaign: Campaign, klass: Class, states: Sequence[State]) -> list[dict[str, Any]]:
    """How many points of a class went how far."""
    names = {state.point.name for state in states}
    same = [state for state in campaign.states.values() if state.same_as in names]
    bounded = [state for state in states if state.tables is not None]
    verdicts = campaign.verdicts(states)
    kept = [state for state in bounded if verdicts[state.point.name].kept]
    proved = [state for state in states if state.proved]
    rows = [
        (
            "mapped",
            len(states) + len(same),
            "synthesised, checked against products, timed for a few weights",
        ),
        ("different netlists", len(states), "the same netlist is looked at once"),
        ("bounded", len(bounded), "the others were surely beaten after the first look"),
        ("not beaten", len(kept), "with the bounds of all weights known"),
        ("proved and simulated", len(proved), "the fastest of the front, and the conventional MAC to beat"),
    ]
    return [{"step": step, "points": count, "meaning": meaning} for step, count, meaning in rows]


def _model(campaign: Campaign, found: Winner) -> dict[str, Any] | None:
    """Time and energy of a pass through the goal's model; None for widths that its baselines do not have."""
    state, baseline, goal = found.state, found.baseline, campaign.goal
    assert state.mapped is not None
    if baseline is None or state.mapped.weight_width != 8 or not state.mapped.signed:
        return None
    workload = Workload(find_shape(goal.model), goal.phase, goal.batch, goal.sequence)
    macs = Macs(state.unit, cost_map_of(state, found.mix), baseline.unit, None)
    shares = SharedLevels(tuple(part.share for part in found.mix.parts))
    estimates = compare(macs, shares, [workload]).estimates[workload]
    return {
        "model": goal.model,
        "phase": goal.phase,
        "batch": goal.batch,
        "sequence": goal.sequence,
        "schemes": [
            {
                "key": each.scheme.key,
                "label": each.scheme.label,
                "mac": each.scheme.mac,
                "time_ms": round(each.time_ms, 4),
                "energy_mj": _rounded(each.energy_mj.total),
                "array_area_mm2": round(each.array_area_mm2, 4),
                "weight_bits": round(each.scheme.weight_bits, 3),
            }
            for each in estimates
        ],
    }


def title(state: State) -> str:
    """Name a point in words."""
    point = state.point
    adder = f" with {point.adder} adders" if point.adder else ""
    return f"{point.structure}{adder} (recipe {point.recipe})"


def mix_json(mix: Mix) -> dict[str, Any]:
    """Plain data of a mix."""
    return {
        "period_ps": round(mix.period_ps, 3),
        "levels": [
            {
                "period_ps": round(part.period_ps, 3),
                "share": round(part.share, 6),
                "sqnr_db": round(part.sqnr_db, 3),
                "values": list(part.codebook),
            }
            for part in mix.parts
        ],
    }


def _simulated_ps(state: State, codebook: Sequence[int] | None) -> float | None:
    """Longest period that a simulated transition needs under some values, or any; None where unknown."""
    if state.tables is None or state.tables.dynamic_ps is None:
        return None
    chosen = state.tables.dynamic_ps
    if codebook is not None:
        chosen = chosen[np.isin(state.tables.values, codebook)]
    return None if np.isnan(chosen).any() else float(chosen.max())


def _area(state: State) -> float:
    assert state.mapped is not None
    return round(state.mapped.area_um2, 3)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)


def _paragraph(answer: Mapping[str, Any], min_sqnr_db: float, weights: str) -> str:
    """Say it in words; every number is one of the answer's."""
    winner, baseline = answer["winner"], answer["baseline"]
    levels = winner["mix"]["levels"]
    books = " and ".join(
        f"{len(level['values'])} values at {level['period_ps']:.0f} ps for {level['share']:.0%} of the tiles"
        for level in levels
    )
    text = [
        f"Where {weights} weights must keep {min_sqnr_db:g} dB, the fastest MAC is {winner['title']}: "
        f"{books}, "
        f"{winner['mix']['period_ps']:.0f} ps a multiplication in the mean."
    ]
    if baseline is None:
        text.append("The space holds no conventional MAC of its class, so nothing is said of its worth.")
        return " ".join(text)
    if winner["conventional"]:
        text.append("That is a conventional MAC: weight-aware ones gain nothing here.")
    text.append(
        f"Its fast level is {winner['self']:.2f}x its own slowest weight, and {baseline['best_fast']:.2f}x "
        f"the fastest conventional MAC of the space, {baseline['title']}, at that one's slowest weight "
        f"({baseline['worst_ps']:.0f} ps)"
        + (f"; simulated, {baseline['best_simulated']:.2f}x." if baseline["best_simulated"] else ".")
    )
    if (levels := answer["levels_baseline"]) and levels["best_levels"]:
        text.append(
            f"With levels of its own a conventional MAC, {levels['title']}, needs {levels['mix_ps']:.0f} ps "
            f"a multiplication, {levels['best_levels']:.2f}x as long."
        )
    if winner["energy_fj"] and baseline["energy_fj"]:
        text.append(
            f"A multiplication spends {winner['energy_fj']:.0f} fJ against {baseline['energy_fj']:.0f} fJ of "
            f"the same codes there, on {winner['area_um2']:.0f} against {baseline['area_um2']:.0f} um2."
        )
    if model := answer["model"]:
        times = {each["key"]: each["time_ms"] for each in model["schemes"]}
        text.append(
            f"A {model['phase']} pass of {model['model']} takes {times['halo']:.0f} ms, against "
            f"{times['w8a8_best']:.0f} ms with INT8 weights on the conventional MAC."
        )
    return " ".join(text)

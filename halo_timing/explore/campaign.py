"""The campaign: everything is looked at cheaply, and only what may still win is looked at closely.

What to do next follows from what is known, in the order map → bounds → simulation, proof, clocking → sets.
Every result is in the store by the hash of what made it; a campaign that was stopped goes the same way again
and finds its results there.
"""

from __future__ import annotations

import importlib.util
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from halo_timing.execution.executor import Executor, Outcome
from halo_timing.execution.store import Store
from halo_timing.execution.work import Work
from halo_timing.explore import points as steps
from halo_timing.explore.facts import Class, Estimate, MappedFacts, State, candidate, estimate
from halo_timing.explore.objectives import Quality
from halo_timing.explore.places import Place
from halo_timing.explore.prune import FRONT, Candidate, Verdict, judge
from halo_timing.explore.space import Goal, Point
from halo_timing.explore.weights import distribution_of
from halo_timing.files import write_bytes
from halo_timing.tables import Tables

# Points of a class that are bounded before all are judged again; no result depends on how many run at a time.
_BATCH = 4
# Random cycles for each weight when the gates are clocked.
_CYCLES = 500

# Step → function and what people call it.
_STEPS: Mapping[str, tuple[str, str]] = {
    "map": ("map_point", "map and time"),
    "bounds": ("bound_point", "bound every weight"),
    "proof": ("prove_point", "prove equal to the RTL"),
    "simulate": ("simulate_point", "simulate transitions"),
    "clock": ("clock_point", "clock the gates"),
    "sets": ("sets_point", "find the best sets of values"),
}


class Reporter(Protocol):
    """Is told how a campaign goes on."""

    def stage(self, title: str, total: int) -> Callable[[Outcome], None]:
        """Begin some works; the returned function takes each that ends."""

    def note(self, text: str) -> None:
        """Say something."""


@dataclass
class Campaign:
    """A campaign that runs until nothing more can win.

    Parameters
    ----------
    points, places, goal
        What is explored, on which cells, and for what.
    sample
        Weights of a checkpoint, where the goal names one.
    executor, store
        Where works are done and kept.
    """

    points: Sequence[Point]
    places: Mapping[tuple[str, str], Place]
    goal: Goal
    sample: NDArray[np.float32] | None
    executor: Executor
    store: Store
    reporter: Reporter
    states: dict[str, State] = field(init=False)
    failed: list[Outcome] = field(default_factory=list)
    works: int = 0
    _estimates: dict[tuple[str, bool], Estimate] = field(default_factory=dict)
    _qualities: dict[bool, Quality] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._has_cocotb = importlib.util.find_spec("cocotb_tools") is not None
        if not self._has_cocotb:
            self.reporter.note(
                "gates will not be clocked: `pip install 'halo-timing[testbench]'` brings cocotb"
            )
        self.states = {point.name: State(point, conventional=point.mac.conventional) for point in self.points}

    def run(self) -> None:
        """Go on until nothing is left to do.

        Raises
        ------
        HaloTimingError
            If works cannot be done at all; single ones that fail are noted in their state.
        """
        with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
            self._sample_path = Path(name) / steps.SAMPLE
            if self.sample is not None:
                stream = io.BytesIO()
                np.save(stream, self.sample)
                write_bytes(self._sample_path, stream.getvalue())
            while (chosen := self._next())[1]:
                self._do(*chosen)

    # --- what is known ------------------------------------------------------------------------------------

    def classes(self) -> dict[Class, list[State]]:
        """Points by class, those of which nothing can come left out."""
        found: dict[Class, list[State]] = {}
        for state in self.states.values():
            if state.open:
                found.setdefault(state.klass, []).append(state)
        return dict(sorted(found.items()))

    def estimate(self, state: State) -> Estimate:
        """Estimate of a point from what is known of it."""
        assert state.mapped is not None
        key = state.point.name, state.tables is not None
        if key not in self._estimates:
            quality = self.quality(state.mapped.signed)
            self._estimates[key] = estimate(state.mapped, state.tables, quality, self.goal)
        return self._estimates[key]

    def quality(self, signed: bool) -> Quality:
        """Noise of codebooks under the goal's weights."""
        if signed not in self._qualities:
            self._qualities[signed] = Quality(distribution_of(self.goal.weights, self.sample, signed=signed))
        return self._qualities[signed]

    def candidate(self, state: State) -> Candidate:
        """Point as it is judged."""
        return candidate(state, self.estimate(state), self.goal)

    def verdicts(self, states: Sequence[State]) -> dict[str, Verdict]:
        """Judge the points of one class."""
        return judge([self.candidate(state) for state in states])

    def front(self, states: Sequence[State]) -> list[State]:
        """Bounded points that nothing beats, fastest first."""
        verdicts = self.verdicts(states)
        found = [
            state
            for state in states
            if state.tables is not None
            and FRONT in verdicts[state.point.name].kept_for
            and np.isfinite(self.estimate(state).time.high)
        ]
        return sorted(found, key=lambda state: (self.estimate(state).time.high, state.point.name))

    def baseline(self, states: Sequence[State]) -> State | None:
        """Fastest conventional MAC of a class at its slowest weight; None where there is none."""
        bounded = [state for state in states if state.conventional and state.tables is not None]
        return min(
            bounded, key=lambda state: (self.estimate(state).worst.high, state.point.name), default=None
        )

    def finalists(self, states: Sequence[State]) -> list[State]:
        """Points that are proved and simulated: the fastest of the front, and the baseline."""
        front = self.front(states)
        chosen = front if "energy" in self.goal.objectives else front[: self.goal.finalists]
        baseline = self.baseline(states)
        return [*chosen, *([baseline] if baseline and baseline not in chosen else [])]

    def can_clock(self, state: State) -> bool:
        """Whether there is a bench for a point: it is of the family, and cocotb is installed."""
        return self._has_cocotb and state.point.mac.top == "mac"

    # --- what to do ---------------------------------------------------------------------------------------

    def _next(self) -> tuple[str, list[Work]]:
        """Next step and its works; none where everything is done."""
        if unmapped := [state for state in self.states.values() if state.mapped is None and not state.failed]:
            return "map", [self._work("map", state) for state in unmapped]
        classes = self.classes()
        bounds: list[Work] = []
        for states in classes.values():
            verdicts = self.verdicts(states)
            waiting = [state for state in states if state.tables is None and verdicts[state.point.name].kept]
            waiting.sort(key=lambda state: (self._promise(state), state.point.name))
            bounds += [self._work("bounds", state) for state in waiting[:_BATCH]]
        if bounds:
            return "bounds", bounds
        # Energies, where they are an objective, thin the front out before it is proved.
        for step in ("simulate", "proof", "clock", "sets"):
            works = [
                work
                for states in classes.values()
                for state in self.finalists(states)
                if (work := self._closer(step, state, states)) is not None
            ]
            if works:
                return step, works
        return "", []

    def _promise(self, state: State) -> tuple[float, float]:
        """Order in which points are bounded: what is surely good first, so that it can beat others."""
        found = self.estimate(state)
        return (min(found.time.high, found.worst.high if state.conventional else np.inf), found.time.low)

    def _closer(self, step: str, state: State, states: Sequence[State]) -> Work | None:
        """Work of a finalist that is not done yet."""
        if step == "proof":
            return None if state.proved else self._work(step, state)
        if step == "simulate":
            values = self._wanted_values(state, states)
            return None if values <= state.simulated else self._work(step, state, values=sorted(values))
        if step == "clock":
            mix = self.estimate(state).high
            if state.clocked is not None or not self.can_clock(state) or mix is None:
                return None
            level = {
                "period_ps": mix.parts[0].period_ps,
                "codebook": list(mix.parts[0].codebook),
                "cycles": _CYCLES,
            }
            return self._work(step, state, level=level)
        if state.value_sets is not None:
            return None
        return self._work(step, state, sizes=list(self.goal.sizes), weights=self.goal.weights)

    def _wanted_values(self, state: State, states: Sequence[State]) -> frozenset[int]:
        """Values to simulate: all of the best and of the baseline, of others those that their mix uses."""
        assert state.tables is not None
        front, baseline = self.front(states), self.baseline(states)
        mix = self.estimate(state).high
        if mix is None or state is baseline or (front and state is front[0]):
            return frozenset(state.tables.values.tolist())
        return frozenset(value for part in mix.parts for value in part.codebook)

    def _work(self, step: str, state: State, **extra: Any) -> Work:
        point = state.point
        place = self.places[point.pdk, point.corner]
        function, _ = _STEPS[step]
        made = {name: self.store.path(digest) for name, digest in sorted(state.outputs.items())}
        tables = {name: made[name] for name in (*steps.TABLES, steps.DYNAMIC) if name in made}
        corner = place.parameters
        inputs: dict[str, Path]
        if step == "sets":
            inputs = {name: made[name] for name in steps.TABLES}
            if self.sample is not None:
                inputs[steps.SAMPLE] = self._sample_path
            return Work(f"{point.name}/{step}", f"{steps.__name__}:{function}", extra, inputs)
        inputs = dict(place.inputs)
        if step in ("map", "proof"):
            inputs |= steps.mac_inputs(point.mac)
        if step != "map":
            inputs[steps.NETLIST] = made[steps.NETLIST]
        if step == "proof":
            inputs[steps.MAPPED] = made[steps.MAPPED]
        if step in ("simulate", "clock"):
            inputs |= tables if step == "clock" else {name: made[name] for name in steps.TABLES}
        if step in ("simulate", "clock"):
            inputs[steps.DELAYS] = made[steps.DELAYS]
        parameters = {"mac": steps.mac_parameters(point.mac), "corner": corner, **extra}
        return Work(
            f"{point.name}/{step}",
            f"{steps.__name__}:{function}",
            json.loads(json.dumps(parameters)),
            inputs,
        )

    # --- doing it -----------------------------------------------------------------------------------------

    def _do(self, step: str, works: Sequence[Work]) -> None:
        advance = self.reporter.stage(_STEPS[step][1], len(works))
        outcomes = []
        for outcome in self.executor.run(works, self.reporter.note):
            advance(outcome)
            outcomes.append(outcome)
        # As they end is by chance; what is known must not be.
        for outcome in sorted(outcomes, key=lambda each: each.work.name):
            state = self.states[outcome.work.name.rpartition("/")[0]]
            if outcome.outputs is None:
                # Where the cache lies is no part of a result.
                reason = str(outcome.error).replace(str(self.store.root), "CACHE")
                state.failed = f"{_STEPS[step][1]}: {reason}"
                self.failed.append(outcome)
                self.reporter.note(f"failed: {outcome.error}")
                continue
            self._take(step, state, outcome)
        if step == "map":
            self._mark_same()
        self.works += len(works)

    def _take(self, step: str, state: State, outcome: Outcome) -> None:
        assert outcome.outputs is not None
        state.outputs.update(outcome.outputs)
        if step == "map":
            state.mapped = MappedFacts.read(self.store.path(outcome.outputs[steps.MAPPED]))
        elif step in ("bounds", "simulate"):
            with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
                files = {
                    file: state.outputs[file]
                    for file in (*steps.TABLES, steps.DYNAMIC)
                    if file in state.outputs
                }
                self.store.place(files, Path(name))
                state.tables = Tables.load(Path(name))
            # The unit holds the energies.
            state.__dict__.pop("unit", None)
            if state.tables.dynamic is not None:
                state.simulated = frozenset(state.tables.dynamic.values.tolist())
        elif step == "proof":
            state.proved = True
        elif step == "clock":
            state.clocked = json.loads(self.store.open(outcome.outputs[steps.CLOCKED]))
        else:
            state.value_sets = json.loads(self.store.open(outcome.outputs[steps.SETS]))

    def _mark_same(self) -> None:
        """Of equal netlists one is enough; it counts as conventional if any of them does."""
        first: dict[tuple[str, str, str], State] = {}
        for state in self.states.values():
            if state.mapped is None:
                continue
            key = state.point.pdk, state.point.corner, state.mapped.netlist_sha256
            kept = first.setdefault(key, state)
            if kept is not state:
                state.same_as = kept.point.name
                kept.conventional = kept.conventional or state.conventional

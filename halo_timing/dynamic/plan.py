"""What a simulation will do, and how long it will take: measured on this machine before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Method = Literal["exhaustive", "sampled"]


@dataclass(frozen=True)
class Part:
    """Stages that are simulated together.

    Parameters
    ----------
    method
        Every transition, or drawn ones.
    stages
        Names.
    transitions
        Per weight, not counting the directed search.
    seconds
        Predicted duration; None if it was not asked for.
    """

    method: Method
    stages: tuple[str, ...]
    transitions: int
    stimulus: str
    seconds: float | None = None


@dataclass(frozen=True)
class Plan:
    """What a simulation will do.

    Parameters
    ----------
    weights
        Number of weight values.
    parts
        In the order in which they run.
    """

    weights: int
    parts: tuple[Part, ...]

    @property
    def seconds(self) -> float | None:
        """Predicted duration, None if it was not asked for."""
        known = [part.seconds for part in self.parts if part.seconds is not None]
        return sum(known) if len(known) == len(self.parts) else None

    @property
    def units(self) -> int:
        """How many weights all parts together report to `progress`."""
        return self.weights * len(self.parts)

    def lines(self) -> list[str]:
        """Say it to people, a line a part."""
        return [
            f"{', '.join(part.stages)}: {part.stimulus}; "
            f"{self.weights} weights x {part.transitions} transitions"
            + (f", about {_duration(part.seconds)}" if part.seconds is not None else "")
            for part in self.parts
        ]


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def predict_seconds(run: Callable[[Sequence[int]], object], indices: Sequence[int], jobs: int) -> float:
    """Predict how long ``run(indices)`` takes, from runs of a few of them.

    Parameters
    ----------
    run
        Simulates some weights, on `jobs` threads.
    indices
        All weights.
    jobs
        Threads.
    """
    spread = [indices[place * (len(indices) - 1) // (4 * jobs)] for place in range(1, 4 * jobs)]
    # The first run compiles the kernels, and prepares what later ones share.
    run(spread[:1])
    few, more = spread[:jobs], spread[: 3 * jobs]
    durations = []
    for part in (few, more):
        begin = time.perf_counter()
        run(part)
        durations.append(time.perf_counter() - begin)
    each = max(durations[1] - durations[0], 0.0) / (len(more) - len(few))
    return max(durations[0] - each * len(few), 0.0) + each * len(indices)

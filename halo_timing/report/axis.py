"""Axes: where a value lies in a plot, in per cent of its width or height, and which ticks to label."""

from __future__ import annotations

import math
from dataclasses import dataclass

from halo_timing.report.text import fixed


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis.

    Parameters
    ----------
    at
        Per cent of the axis' length.
    text
        Label.
    minor
        Whether it is left out where space is short.
    """

    at: float
    text: str
    minor: bool = False


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def at(self, value: float) -> float:
        """Place of `value` in per cent, kept on the axis."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 3)


def linear_axis(low: float, high: float, intervals: int = 5) -> Axis:
    """Axis that covers `low` to `high` and ends on round numbers.

    Parameters
    ----------
    intervals
        About how many steps between ticks are wanted.
    """
    span = high - low if high > low else max(abs(high), 1.0)
    rough = span / intervals
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    digits = next(n for n in range(12) if abs(round(step, n) - step) < 1e-6 * step)
    ticks = tuple(
        Tick(
            at=round(100 * (index - first) / (last - first), 3),
            text=fixed(index * step, digits),
            minor=(index - first) % 2 == 1,
        )
        for index in range(first, last + 1)
    )
    return Axis(first * step, last * step, ticks)

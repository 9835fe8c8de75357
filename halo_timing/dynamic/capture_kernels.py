"""Kernels that turn the waveforms at capturing pins into required times and energy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic._jit import compiled
from halo_timing.dynamic.kernels import Energies, Indices, Times

_0 = np.uint64(0)
_1 = np.uint64(1)


@compiled
def capture(
    events: NDArray[Any],
    slew_bits: int,
    starts: Indices,
    lows: int,
    before: Indices,
    knots: NDArray[np.float64],
    line: NDArray[np.float64],
    pin_fj: Energies,
    state_fj: Energies,
    required: Times,
    spent: Energies,
) -> None:
    """Put one capturing pin's last toggle plus setup into `required`, and add its energy to `spent`.

    The lowest `slew_bits` bits of an event are its slew, the others its time. `before` is the net's value,
    per low index where ``before`` is that long, else per entry. Of (rise, fall): `knots` and `line` of the
    setup time (:func:`halo_timing.dynamic.slews.setup_segments`), `pin_fj` per toggle, `state_fj` once if the
    pin ends up changed.
    """
    per_low = np.uint64(before.shape[0]) == np.uint64(lows)
    shift, mask = np.int64(slew_bits), (np.int64(1) << np.int64(slew_bits)) - np.int64(1)
    for index in range(required.shape[0]):
        entry = np.uint64(index)
        begin, end = np.uint64(starts[entry]), np.uint64(starts[entry + _1]) - _1
        toggles = end - begin
        if toggles == _0:
            required[entry] = -1
            continue
        value = np.uint64(before[entry % np.uint64(lows)]) if per_low else np.uint64(before[entry])
        last_edge = (value ^ toggles ^ _1) & _1
        event = np.int64(events[end - _1])
        slew = np.float64(event & mask)
        part = _0
        while knots[last_edge, part] <= slew:
            part += _1
        setup = line[last_edge, part, 0] + line[last_edge, part, 1] * slew
        required[entry] = (event >> shift) + np.int64(np.floor(setup + 0.5))
        spent_fj = np.float64(toggles >> _1) * (np.float64(pin_fj[0]) + np.float64(pin_fj[1]))
        glitch_fj = spent_fj
        if toggles & _1:
            spent_fj += pin_fj[last_edge] + state_fj[last_edge]
        spent[1, entry] += spent_fj
        spent[2, entry] += glitch_fj


@compiled
def raise_to(target: Times, values: Times, low_map: Indices, high_map: Indices) -> None:
    """``target[high, low] = max(target[high, low], values[low_map[low] + high_map[high]])``."""
    for row in range(target.shape[0]):
        high = np.uint64(row)
        for column in range(target.shape[1]):
            low = np.uint64(column)
            value = values[np.uint64(low_map[low] + high_map[high])]
            target[high, low] = max(target[high, low], value)

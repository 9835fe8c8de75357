"""Kernels whose events carry slews: inertial semantics, delays from the library's tables.

As in :mod:`halo_timing.dynamic.kernels`, but an event is ``time << 32 | slew``, both in fs, and what it
leads to comes from a record of the gate (:class:`halo_timing.dynamic.slews.SlewSteps`):
``record[p, state]`` for an event at input p that leads to `state`. Of inputs that change at the same
instant, the one whose arc is fastest moves the output, arcs that apply before those that only stand in; its
slew decides the output's, and its energy is the toggle's. An output never overtakes its own earlier edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic._jit import compiled
from halo_timing.dynamic.kernels import NEVER, Energies, Indices
from halo_timing.dynamic.slews import STANDS_IN_FS

_NEVER = np.int64(NEVER)
_NO_EVENT = _NEVER << np.int64(32)
_TIME = np.int64(32)
_SLEW = np.int64(2**32 - 1)
_0 = np.uint64(0)
_1 = np.uint64(1)
_STANDS_IN = float(STANDS_IN_FS)
_FITS = float(STANDS_IN_FS) / 2
_NEVER_FS = 2.0 * float(STANDS_IN_FS)

Events = NDArray[np.int64]
Floats = NDArray[np.float64]


@compiled
def inertial_1(
    events: Events,
    starts: Indices,
    slots: Indices,
    low_map: Indices,
    high_map: Indices,
    low_state: Indices,
    high_state: Indices,
    value: Indices,
    record: Indices,
    knots: Floats,
    line: Floats,
    has_edges: bool,
    toggle_fj: Energies,
    spent: Energies,
    counts: bool,
    longest: Indices,
    first: int,
) -> int:
    """One input."""
    a_events, a_starts = events[slots[0]], starts[slots[0]]
    out, out_starts = events[slots[1]], starts[slots[1]]
    capacity = np.uint64(out.shape[0])
    lows, highs = np.uint64(low_map.shape[1]), np.uint64(high_map.shape[1])
    most = np.uint64(longest[slots[0]]) + _1
    length = _0 if first == 0 else np.uint64(longest[slots[1]])
    cycle_fj = np.float64(toggle_fj[0]) + np.float64(toggle_fj[1])
    entry = np.uint64(first)
    high, low = entry // lows, entry % lows
    end = _0 if first == 0 else np.uint64(out_starts[entry])
    while high < highs:
        while low < lows:
            entry_a = np.uint64(low_map[0, low] + high_map[0, high])
            a = np.uint64(a_starts[entry_a])
            if end + most > capacity:
                out_starts[entry] = end
                longest[slots[1]] = max(longest[slots[1]], length)
                return int(entry)
            out_starts[entry] = end
            begin = end
            state = np.uint64(low_state[low] | high_state[high])
            before = np.uint64(value[state])
            internal = last = previous = inputs = 0.0
            a_event = a_events[a]
            time = a_event >> _TIME
            while time != _NEVER:
                new = state
                new ^= _1
                a_slew = a_event & _SLEW
                a += _1
                a_event = a_events[a]
                asked = value[state] != value[new]
                if has_edges:
                    row = np.uint64(record[0, new])
                    slew = np.float64(a_slew)
                    part = _0
                    while knots[row, part] <= slew:
                        part += _1
                    inputs += line[row, part, 6] + line[row, part, 7] * slew
                if asked:
                    if end > begin and out[end - _1] >> _TIME > time:
                        end -= _1
                        internal -= last
                        last = previous
                    else:
                        row = np.uint64(record[0, new])
                        slew = np.float64(a_slew)
                        part = _0
                        while knots[row, part] <= slew:
                            part += _1
                        chosen, chosen_part, chosen_slew = row, part, slew
                        wait = line[row, part, 0] + line[row, part, 1] * slew
                        if wait >= _FITS:
                            wait -= _STANDS_IN
                        moment = time + np.int64(np.floor(wait + 0.5))
                        if end > begin:
                            moment = max(moment, out[end - _1] >> _TIME)
                        slew = line[chosen, chosen_part, 2] + line[chosen, chosen_part, 3] * chosen_slew
                        out[end] = moment << _TIME | np.int64(np.floor(max(slew, 0.0) + 0.5))
                        end += _1
                        if counts:
                            previous = last
                            last = line[chosen, chosen_part, 4] + line[chosen, chosen_part, 5] * chosen_slew
                            internal += last
                state = new
                time = a_event >> _TIME
            toggles = end - begin
            out[end] = _NO_EVENT
            end += _1
            length = max(length, toggles)
            if counts and (toggles or inputs != 0.0):
                net = np.float64(toggles >> _1) * cycle_fj
                glitch = net + internal
                if toggles & _1:
                    net += toggle_fj[before]
                    glitch -= last
                spent[0, entry] += net
                spent[1, entry] += internal + inputs
                spent[2, entry] += glitch
            low += _1
            entry += _1
        low = _0
        high += _1
    out_starts[entry] = end
    longest[slots[1]] = length
    return int(entry)


@compiled
def inertial_2(
    events: Events,
    starts: Indices,
    slots: Indices,
    low_map: Indices,
    high_map: Indices,
    low_state: Indices,
    high_state: Indices,
    value: Indices,
    record: Indices,
    knots: Floats,
    line: Floats,
    has_edges: bool,
    toggle_fj: Energies,
    spent: Energies,
    counts: bool,
    longest: Indices,
    first: int,
) -> int:
    """Two inputs."""
    a_events, a_starts = events[slots[0]], starts[slots[0]]
    b_events, b_starts = events[slots[1]], starts[slots[1]]
    out, out_starts = events[slots[2]], starts[slots[2]]
    capacity = np.uint64(out.shape[0])
    lows, highs = np.uint64(low_map.shape[1]), np.uint64(high_map.shape[1])
    most = np.uint64(longest[slots[0]]) + np.uint64(longest[slots[1]]) + _1
    length = _0 if first == 0 else np.uint64(longest[slots[2]])
    cycle_fj = np.float64(toggle_fj[0]) + np.float64(toggle_fj[1])
    entry = np.uint64(first)
    high, low = entry // lows, entry % lows
    end = _0 if first == 0 else np.uint64(out_starts[entry])
    while high < highs:
        while low < lows:
            entry_a = np.uint64(low_map[0, low] + high_map[0, high])
            entry_b = np.uint64(low_map[1, low] + high_map[1, high])
            a = np.uint64(a_starts[entry_a])
            b = np.uint64(b_starts[entry_b])
            if end + most > capacity:
                out_starts[entry] = end
                longest[slots[2]] = max(longest[slots[2]], length)
                return int(entry)
            out_starts[entry] = end
            begin = end
            state = np.uint64(low_state[low] | high_state[high])
            before = np.uint64(value[state])
            internal = last = previous = inputs = 0.0
            a_event = a_events[a]
            b_event = b_events[b]
            time = min(a_event, b_event) >> _TIME
            while time != _NEVER:
                new = state
                a_moves = a_event >> _TIME == time
                a_slew = a_event & _SLEW
                if a_moves:
                    new ^= np.uint64(1)
                    a += _1
                    a_event = a_events[a]
                b_moves = b_event >> _TIME == time
                b_slew = b_event & _SLEW
                if b_moves:
                    new ^= np.uint64(2)
                    b += _1
                    b_event = b_events[b]
                asked = value[state] != value[new]
                if has_edges:
                    if a_moves:
                        row = np.uint64(record[0, new])
                        slew = np.float64(a_slew)
                        part = _0
                        while knots[row, part] <= slew:
                            part += _1
                        inputs += line[row, part, 6] + line[row, part, 7] * slew
                    if b_moves:
                        row = np.uint64(record[1, new])
                        slew = np.float64(b_slew)
                        part = _0
                        while knots[row, part] <= slew:
                            part += _1
                        inputs += line[row, part, 6] + line[row, part, 7] * slew
                if asked:
                    if end > begin and out[end - _1] >> _TIME > time:
                        end -= _1
                        internal -= last
                        last = previous
                    else:
                        wait = _NEVER_FS
                        chosen, chosen_part, chosen_slew = _0, _0, 0.0
                        if a_moves:
                            row = np.uint64(record[0, new])
                            slew = np.float64(a_slew)
                            part = _0
                            while knots[row, part] <= slew:
                                part += _1
                            pin_wait = line[row, part, 0] + line[row, part, 1] * slew
                            if pin_wait < wait:
                                wait = pin_wait
                                chosen, chosen_part, chosen_slew = row, part, slew
                        if b_moves:
                            row = np.uint64(record[1, new])
                            slew = np.float64(b_slew)
                            part = _0
                            while knots[row, part] <= slew:
                                part += _1
                            pin_wait = line[row, part, 0] + line[row, part, 1] * slew
                            if pin_wait < wait:
                                wait = pin_wait
                                chosen, chosen_part, chosen_slew = row, part, slew
                        if wait >= _FITS:
                            wait -= _STANDS_IN
                        moment = time + np.int64(np.floor(wait + 0.5))
                        if end > begin:
                            moment = max(moment, out[end - _1] >> _TIME)
                        slew = line[chosen, chosen_part, 2] + line[chosen, chosen_part, 3] * chosen_slew
                        out[end] = moment << _TIME | np.int64(np.floor(max(slew, 0.0) + 0.5))
                        end += _1
                        if counts:
                            previous = last
                            last = line[chosen, chosen_part, 4] + line[chosen, chosen_part, 5] * chosen_slew
                            internal += last
                state = new
                time = min(a_event, b_event) >> _TIME
            toggles = end - begin
            out[end] = _NO_EVENT
            end += _1
            length = max(length, toggles)
            if counts and (toggles or inputs != 0.0):
                net = np.float64(toggles >> _1) * cycle_fj
                glitch = net + internal
                if toggles & _1:
                    net += toggle_fj[before]
                    glitch -= last
                spent[0, entry] += net
                spent[1, entry] += internal + inputs
                spent[2, entry] += glitch
            low += _1
            entry += _1
        low = _0
        high += _1
    out_starts[entry] = end
    longest[slots[2]] = length
    return int(entry)


@compiled
def inertial_3(
    events: Events,
    starts: Indices,
    slots: Indices,
    low_map: Indices,
    high_map: Indices,
    low_state: Indices,
    high_state: Indices,
    value: Indices,
    record: Indices,
    knots: Floats,
    line: Floats,
    has_edges: bool,
    toggle_fj: Energies,
    spent: Energies,
    counts: bool,
    longest: Indices,
    first: int,
) -> int:
    """Three inputs."""
    a_events, a_starts = events[slots[0]], starts[slots[0]]
    b_events, b_starts = events[slots[1]], starts[slots[1]]
    c_events, c_starts = events[slots[2]], starts[slots[2]]
    out, out_starts = events[slots[3]], starts[slots[3]]
    capacity = np.uint64(out.shape[0])
    lows, highs = np.uint64(low_map.shape[1]), np.uint64(high_map.shape[1])
    most = np.uint64(longest[slots[0]]) + np.uint64(longest[slots[1]]) + np.uint64(longest[slots[2]]) + _1
    length = _0 if first == 0 else np.uint64(longest[slots[3]])
    cycle_fj = np.float64(toggle_fj[0]) + np.float64(toggle_fj[1])
    entry = np.uint64(first)
    high, low = entry // lows, entry % lows
    end = _0 if first == 0 else np.uint64(out_starts[entry])
    while high < highs:
        while low < lows:
            entry_a = np.uint64(low_map[0, low] + high_map[0, high])
            entry_b = np.uint64(low_map[1, low] + high_map[1, high])
            entry_c = np.uint64(low_map[2, low] + high_map[2, high])
            a = np.uint64(a_starts[entry_a])
            b = np.uint64(b_starts[entry_b])
            c = np.uint64(c_starts[entry_c])
            if end + most > capacity:
                out_starts[entry] = end
                longest[slots[3]] = max(longest[slots[3]], length)
                return int(entry)
            out_starts[entry] = end
            begin = end
            state = np.uint64(low_state[low] | high_state[high])
            before = np.uint64(value[state])
            internal = last = previous = inputs = 0.0
            a_event = a_events[a]
            b_event = b_events[b]
            c_event = c_events[c]
            time = min(min(a_event, b_event), c_event) >> _TIME
            while time != _NEVER:
                new = state
                a_moves = a_event >> _TIME == time
                a_slew = a_event & _SLEW
                if a_moves:
                    new ^= np.uint64(1)
                    a += _1
                    a_event = a_events[a]
                b_moves = b_event >> _TIME == time
                b_slew = b_event & _SLEW
                if b_moves:
                    new ^= np.uint64(2)
                    b += _1
                    b_event = b_events[b]
                c_moves = c_event >> _TIME == time
                c_slew = c_event & _SLEW
                if c_moves:
                    new ^= np.uint64(4)
                    c += _1
                    c_event = c_events[c]
                asked = value[state] != value[new]
                if has_edges:
                    if a_moves:
                        row = np.uint64(record[0, new])
                        slew = np.float64(a_slew)
                        part = _0
                        while knots[row, part] <= slew:
                            part += _1
                        inputs += line[row, part, 6] + line[row, part, 7] * slew
                    if b_moves:
                        row = np.uint64(record[1, new])
                        slew = np.float64(b_slew)
                        part = _0
                        while knots[row, part] <= slew:
                            part += _1
                        inputs += line[row, part, 6] + line[row, part, 7] * slew
                    if c_moves:
                        row = np.uint64(record[2, new])
                        slew = np.float64(c_slew)
                        part = _0
                        while knots[row, part] <= slew:
                            part += _1
                        inputs += line[row, part, 6] + line[row, part, 7] * slew
                if asked:
                    if end > begin and out[end - _1] >> _TIME > time:
                        end -= _1
                        internal -= last
                        last = previous
                    else:
                        wait = _NEVER_FS
                        chosen, chosen_part, chosen_slew = _0, _0, 0.0
                        if a_moves:
                            row = np.uint64(record[0, new])
                            slew = np.float64(a_slew)
                            part = _0
                            while knots[row, part] <= slew:
                                part += _1
                            pin_wait = line[row, part, 0] + line[row, part, 1] * slew
                            if pin_wait < wait:
                                wait = pin_wait
                                chosen, chosen_part, chosen_slew = row, part, slew
                        if b_moves:
                            row = np.uint64(record[1, new])
                            slew = np.float64(b_slew)
                            part = _0
                            while knots[row, part] <= slew:
                                part += _1
                            pin_wait = line[row, part, 0] + line[row, part, 1] * slew
                            if pin_wait < wait:
                                wait = pin_wait
                                chosen, chosen_part, chosen_slew = row, part, slew
                        if c_moves:
                            row = np.uint64(record[2, new])
                            slew = np.float64(c_slew)
                            part = _0
                            while knots[row, part] <= slew:
                                part += _1
                            pin_wait = line[row, part, 0] + line[row, part, 1] * slew
                            if pin_wait < wait:
                                wait = pin_wait
                                chosen, chosen_part, chosen_slew = row, part, slew
                        if wait >= _FITS:
                            wait -= _STANDS_IN
                        moment = time + np.int64(np.floor(wait + 0.5))
                        if end > begin:
                            moment = max(moment, out[end - _1] >> _TIME)
                        slew = line[chosen, chosen_part, 2] + line[chosen, chosen_part, 3] * chosen_slew
                        out[end] = moment << _TIME | np.int64(np.floor(max(slew, 0.0) + 0.5))
                        end += _1
                        if counts:
                            previous = last
                            last = line[chosen, chosen_part, 4] + line[chosen, chosen_part, 5] * chosen_slew
                            internal += last
                state = new
                time = min(min(a_event, b_event), c_event) >> _TIME
            toggles = end - begin
            out[end] = _NO_EVENT
            end += _1
            length = max(length, toggles)
            if counts and (toggles or inputs != 0.0):
                net = np.float64(toggles >> _1) * cycle_fj
                glitch = net + internal
                if toggles & _1:
                    net += toggle_fj[before]
                    glitch -= last
                spent[0, entry] += net
                spent[1, entry] += internal + inputs
                spent[2, entry] += glitch
            low += _1
            entry += _1
        low = _0
        high += _1
    out_starts[entry] = end
    longest[slots[3]] = length
    return int(entry)


@compiled
def inertial_n(
    events: Events,
    starts: Indices,
    slots: Indices,
    low_map: Indices,
    high_map: Indices,
    low_state: Indices,
    high_state: Indices,
    value: Indices,
    record: Indices,
    knots: Floats,
    line: Floats,
    has_edges: bool,
    toggle_fj: Energies,
    spent: Energies,
    counts: bool,
    longest: Indices,
    first: int,
) -> int:
    """Any number of inputs."""
    count = np.uint64(slots.shape[0] - 1)
    out, out_starts = events[slots[count]], starts[slots[count]]
    capacity = np.uint64(out.shape[0])
    lows, highs = np.uint64(low_map.shape[1]), np.uint64(high_map.shape[1])
    most = _1
    for pin in range(count):
        most += np.uint64(longest[slots[pin]])
    length = _0 if first == 0 else np.uint64(longest[slots[count]])
    cycle_fj = np.float64(toggle_fj[0]) + np.float64(toggle_fj[1])
    place = np.empty(count, np.uint64)
    slews = np.empty(count, np.float64)
    entry = np.uint64(first)
    high, low = entry // lows, entry % lows
    end = _0 if first == 0 else np.uint64(out_starts[entry])
    while high < highs:
        while low < lows:
            time = _NEVER
            for pin in range(count):
                entry_pin = np.uint64(low_map[pin, low] + high_map[pin, high])
                place[pin] = starts[slots[pin], entry_pin]
                time = min(time, events[slots[pin], place[pin]] >> _TIME)
            if end + most > capacity:
                out_starts[entry] = end
                longest[slots[count]] = max(longest[slots[count]], length)
                return int(entry)
            out_starts[entry] = end
            begin = end
            state = np.uint64(low_state[low] | high_state[high])
            before = np.uint64(value[state])
            internal = last = previous = inputs = 0.0
            while time != _NEVER:
                new = state
                following = _NEVER
                for pin in range(count):
                    event = events[slots[pin], place[pin]]
                    if event >> _TIME == time:
                        new ^= _1 << np.uint64(pin)
                        slews[pin] = event & _SLEW
                        place[pin] += _1
                        event = events[slots[pin], place[pin]]
                    following = min(following, event >> _TIME)
                moves = state ^ new
                asked = value[state] != value[new]
                if has_edges:
                    for pin in range(count):
                        if moves >> np.uint64(pin) & _1:
                            row = np.uint64(record[pin, new])
                            slew = np.float64(slews[pin])
                            part = _0
                            while knots[row, part] <= slew:
                                part += _1
                            inputs += line[row, part, 6] + line[row, part, 7] * slew
                if asked:
                    if end > begin and out[end - _1] >> _TIME > time:
                        end -= _1
                        internal -= last
                        last = previous
                    else:
                        wait = _NEVER_FS
                        chosen, chosen_part, chosen_slew = _0, _0, 0.0
                        for pin in range(count):
                            if moves >> np.uint64(pin) & _1:
                                row = np.uint64(record[pin, new])
                                slew = np.float64(slews[pin])
                                part = _0
                                while knots[row, part] <= slew:
                                    part += _1
                                pin_wait = line[row, part, 0] + line[row, part, 1] * slew
                                if pin_wait < wait:
                                    wait = pin_wait
                                    chosen, chosen_part, chosen_slew = row, part, slew
                        if wait >= _FITS:
                            wait -= _STANDS_IN
                        moment = time + np.int64(np.floor(wait + 0.5))
                        if end > begin:
                            moment = max(moment, out[end - _1] >> _TIME)
                        slew = line[chosen, chosen_part, 2] + line[chosen, chosen_part, 3] * chosen_slew
                        out[end] = moment << _TIME | np.int64(np.floor(max(slew, 0.0) + 0.5))
                        end += _1
                        if counts:
                            previous = last
                            last = line[chosen, chosen_part, 4] + line[chosen, chosen_part, 5] * chosen_slew
                            internal += last
                state = new
                time = following
            toggles = end - begin
            out[end] = _NO_EVENT
            end += _1
            length = max(length, toggles)
            if counts and (toggles or inputs != 0.0):
                net = np.float64(toggles >> _1) * cycle_fj
                glitch = net + internal
                if toggles & _1:
                    net += toggle_fj[before]
                    glitch -= last
                spent[0, entry] += net
                spent[1, entry] += internal + inputs
                spent[2, entry] += glitch
            low += _1
            entry += _1
        low = _0
        high += _1
    out_starts[entry] = end
    longest[slots[count]] = length
    return int(entry)

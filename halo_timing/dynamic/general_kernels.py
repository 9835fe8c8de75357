"""Kernels for gates of any arity, in both semantics; see :mod:`halo_timing.dynamic.kernels`."""

from __future__ import annotations

import numpy as np

from halo_timing.dynamic._jit import compiled
from halo_timing.dynamic.kernels import NEVER, Energies, Indices, Times

_NEVER = np.int32(NEVER)
_0 = np.uint64(0)
_1 = np.uint64(1)


@compiled
def inertial_n(
    times: Times,
    starts: Indices,
    slots: Indices,
    low_map: Indices,
    high_map: Indices,
    low_state: Indices,
    high_state: Indices,
    value: Indices,
    delay: Times,
    energy: Energies,
    toggle_fj: Energies,
    spent: Energies,
    counts: bool,
    longest: Indices,
    first: int,
) -> int:
    """Inertial semantics, any number of inputs."""
    inputs_count = np.uint64(slots.shape[0] - 1)
    out_times, out_starts = times[slots[inputs_count]], starts[slots[inputs_count]]
    capacity = np.uint64(out_times.shape[0])
    lows, highs = np.uint64(low_map.shape[1]), np.uint64(high_map.shape[1])
    most = _1
    for pin in range(inputs_count):
        most += np.uint64(longest[slots[pin]])
    length = _0 if first == 0 else np.uint64(longest[slots[inputs_count]])
    cycle_fj = np.float64(toggle_fj[0]) + np.float64(toggle_fj[1])
    place = np.empty(inputs_count, np.uint64)
    entry = np.uint64(first)
    high, low = entry // lows, entry % lows
    end = _0 if first == 0 else np.uint64(out_starts[entry])
    while high < highs:
        while low < lows:
            time = _NEVER
            for pin in range(inputs_count):
                entry_pin = np.uint64(low_map[pin, low] + high_map[pin, high])
                place[pin] = starts[slots[pin], entry_pin]
                time = min(time, times[slots[pin], place[pin]])
            if end + most > capacity:
                out_starts[entry] = end
                longest[slots[inputs_count]] = max(longest[slots[inputs_count]], length)
                return int(entry)
            out_starts[entry] = end
            begin = end
            state = np.uint64(low_state[low] | high_state[high])
            before = np.uint64(value[state])
            internal = last = previous = inputs = 0.0
            while time != _NEVER:
                new = state
                following = _NEVER
                for pin in range(inputs_count):
                    if times[slots[pin], place[pin]] == time:
                        new ^= _1 << np.uint64(pin)
                        place[pin] += _1
                    following = min(following, times[slots[pin], place[pin]])
                if counts:
                    inputs += energy[1, state, new]
                wait = delay[state, new]
                if wait >= 0:
                    if end > begin and out_times[end - _1] > time:
                        end -= _1
                        internal -= last
                        last = previous
                    else:
                        out_times[end] = time + wait
                        end += _1
                        if counts:
                            previous = last
                            last = np.float64(energy[0, state, new])
                            internal += last
                state = new
                time = following
            toggles = end - begin
            out_times[end] = _NEVER
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
    longest[slots[inputs_count]] = length
    return int(entry)


@compiled
def icarus_n(
    times: Times,
    starts: Indices,
    slots: Indices,
    low_map: Indices,
    high_map: Indices,
    low_state: Indices,
    high_state: Indices,
    value: Indices,
    delay: Times,
    energy: Energies,
    toggle_fj: Energies,
    spent: Energies,
    counts: bool,
    longest: Indices,
    first: int,
) -> int:
    """Icarus semantics, any number of inputs."""
    inputs_count = np.uint64(slots.shape[0] - 1)
    out_times, out_starts = times[slots[inputs_count]], starts[slots[inputs_count]]
    capacity = np.uint64(out_times.shape[0])
    lows, highs = np.uint64(low_map.shape[1]), np.uint64(high_map.shape[1])
    most = _1
    for pin in range(inputs_count):
        most += np.uint64(longest[slots[pin]])
    length = _0 if first == 0 else np.uint64(longest[slots[inputs_count]])
    cycle_fj = np.float64(toggle_fj[0]) + np.float64(toggle_fj[1])
    place = np.empty(inputs_count, np.uint64)
    wake = np.empty(64, np.int32)
    entry = np.uint64(first)
    high, low = entry // lows, entry % lows
    end = _0 if first == 0 else np.uint64(out_starts[entry])
    while high < highs:
        while low < lows:
            time = _NEVER
            for pin in range(inputs_count):
                entry_pin = np.uint64(low_map[pin, low] + high_map[pin, high])
                place[pin] = starts[slots[pin], entry_pin]
                time = min(time, times[slots[pin], place[pin]])
            if end + most > capacity:
                out_starts[entry] = end
                longest[slots[inputs_count]] = max(longest[slots[inputs_count]], length)
                return int(entry)
            if most > np.uint64(wake.shape[0]):
                wake = np.empty(2 * most, np.int32)
            out_starts[entry] = end
            begin = end
            state = np.uint64(low_state[low] | high_state[high])
            before = np.uint64(value[state])
            shown = aim = before
            internal = last = inputs = aimed_fj = 0.0
            waiting = _0
            while True:
                # `wake` descends; what fires at the very time of an input event fires before it.
                while waiting and wake[waiting - _1] <= time:
                    waiting -= _1
                    if shown != aim:
                        shown = aim
                        out_times[end] = wake[waiting]
                        end += _1
                        last = aimed_fj
                        internal += last
                if time == _NEVER:
                    break
                new = state
                following = _NEVER
                for pin in range(inputs_count):
                    if times[slots[pin], place[pin]] == time:
                        new ^= _1 << np.uint64(pin)
                        place[pin] += _1
                    following = min(following, times[slots[pin], place[pin]])
                if counts:
                    inputs += energy[1, state, new]
                wait = delay[state, new]
                if wait >= 0:
                    aim = np.uint64(value[new])
                    aimed_fj = np.float64(energy[0, state, new])
                    spot = waiting
                    while spot and wake[spot - _1] < time + wait:
                        wake[spot] = wake[spot - _1]
                        spot -= _1
                    wake[spot] = time + wait
                    waiting += _1
                state = new
                time = following
            toggles = end - begin
            out_times[end] = _NEVER
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
    longest[slots[inputs_count]] = length
    return int(entry)

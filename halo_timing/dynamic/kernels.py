"""Compiled kernels: the output waveforms of one gate, for every entry of its memo.

A waveform is the list of times, in fs after the clock edge, at which a net toggles, ended by :data:`NEVER`.
Waveforms lie in a pool of slots: ``times[slot]`` holds one net's waveforms end to end, and
``starts[slot, entry]`` says where each begins; ``slots`` names those of the inputs and, last, the output.

An entry is a pair (low, high) of indices, numbered ``high * lows + low``: the activations before and after
the edge in an exhaustive run, (0, pattern) in a sampled one. The inputs of a gate depend on fewer bits than
the gate does: ``low_map[p, low] + high_map[p, high]`` is the entry of input p.

The state of a gate is the integer whose bit p is the value of input p; ``low_state[low] | high_state[high]``
is the one before the edge, and ``value[state]`` the output's value. ``delay[old, new]`` is the delay in fs
with which the output follows that step, or -1 where it keeps its value. ``energy[0, old, new]`` is the
internal energy in fJ of the toggle that the step causes, spent only if the toggle happens;
``energy[1, old, new]`` that of the inputs' own edges. ``toggle_fj`` is the energy of the output net's toggle
from 0 and from 1. Where energies count (`counts`), each kernel adds to ``spent[:, entry]`` net switching,
internal energy, and the part of both that is due to glitches: all toggles but the last of an odd number.

Two semantics. *Inertial*: an input event that sends the output back before its last scheduled toggle has
happened takes that toggle back. *Icarus* (``vvp`` of Icarus Verilog): a scheduled wake-up stays, and when it
fires the output takes the value that the gate then aims at.

The loops are written out per arity, with everything in line, because calls that pass arrays cost more than
the work they do (numba counts references). :mod:`~halo_timing.dynamic.general_kernels` takes any arity, at
less speed.

``longest[slot]`` is the largest number of toggles in any entry of a slot: what bounds the next entry's.

All kernels return the number of entries finished: fewer than all when the output's slot is full. The caller
then provides a bigger pool and calls again from there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic._jit import compiled

NEVER = 2**31 - 1
_NEVER = np.int32(NEVER)
_0 = np.uint64(0)
_1 = np.uint64(1)

Times = NDArray[np.int32]
Indices = NDArray[np.uint32]
Energies = NDArray[np.float32]


@compiled
def inertial_1(
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
    """Inertial semantics, one input."""
    a_times, a_starts = times[slots[0]], starts[slots[0]]
    out_times, out_starts = times[slots[1]], starts[slots[1]]
    capacity = np.uint64(out_times.shape[0])
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
            a_time = a_times[a]
            while a_time != _NEVER:
                time = a_time
                new = state ^ _1
                a += _1
                a_time = a_times[a]
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
    longest[slots[1]] = length
    return int(entry)


@compiled
def inertial_2(
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
    """Inertial semantics, two inputs."""
    a_times, a_starts = times[slots[0]], starts[slots[0]]
    b_times, b_starts = times[slots[1]], starts[slots[1]]
    out_times, out_starts = times[slots[2]], starts[slots[2]]
    capacity = np.uint64(out_times.shape[0])
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
            a_time = a_times[a]
            b_time = b_times[b]
            time = min(a_time, b_time)
            while time != _NEVER:
                new = state
                if a_time == time:
                    new ^= np.uint64(1)
                    a += _1
                    a_time = a_times[a]
                if b_time == time:
                    new ^= np.uint64(2)
                    b += _1
                    b_time = b_times[b]
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
                time = min(a_time, b_time)
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
    longest[slots[2]] = length
    return int(entry)


@compiled
def inertial_3(
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
    """Inertial semantics, three inputs."""
    a_times, a_starts = times[slots[0]], starts[slots[0]]
    b_times, b_starts = times[slots[1]], starts[slots[1]]
    c_times, c_starts = times[slots[2]], starts[slots[2]]
    out_times, out_starts = times[slots[3]], starts[slots[3]]
    capacity = np.uint64(out_times.shape[0])
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
            a_time = a_times[a]
            b_time = b_times[b]
            c_time = c_times[c]
            time = min(min(a_time, b_time), c_time)
            while time != _NEVER:
                new = state
                if a_time == time:
                    new ^= np.uint64(1)
                    a += _1
                    a_time = a_times[a]
                if b_time == time:
                    new ^= np.uint64(2)
                    b += _1
                    b_time = b_times[b]
                if c_time == time:
                    new ^= np.uint64(4)
                    c += _1
                    c_time = c_times[c]
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
                time = min(min(a_time, b_time), c_time)
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
    longest[slots[3]] = length
    return int(entry)
